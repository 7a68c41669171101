"""Bad input: one clear error with the thing, the rule and the next command; nothing half done."""

import shutil
import socket
import sqlite3
from pathlib import Path

import pytest
from journeys.line import LINE, write_notebook
from journeys.terminal import Terminal


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A terminal in a folder whose workspace has nothing in it."""
    terminal = Terminal(tmp_path_factory.mktemp("begun"))
    _refused(terminal, "ship", "nowhere.ipynb", "--name", "small")
    return terminal


def _refused(terminal: Terminal, *arguments: str | Path) -> str:
    """Run a command that must be refused; return the error's text, in which the next command is named."""
    told = terminal.wright(*arguments, expect=1).stderr
    assert told.count("error [") == 1
    assert "  next: " in told
    return told


def _nothing_happened(terminal: Terminal) -> None:
    assert not (terminal.folder / "small").exists()
    assert terminal.json("model", "list") == []
    assert terminal.json("endpoint", "list") == []
    assert terminal.processes() == []


def test_a_missing_notebook(terminal: Terminal) -> None:
    told = _refused(terminal, "ship", "nowhere.ipynb", "--name", "small")
    assert 'nowhere.ipynb"' in told
    _nothing_happened(terminal)


def test_a_corrupt_notebook(terminal: Terminal) -> None:
    for content in ("", "{", '{"cells": 3}', "\0\1\2", '{"nbformat": 4, "nbformat_minor": 5, "cells": []}'):
        (terminal.folder / "training.ipynb").write_text(content)
        assert "training.ipynb" in _refused(terminal, "ship", "training.ipynb", "--name", "small"), content
    _nothing_happened(terminal)


def test_a_name_that_was_never_assigned_stops_before_anything_runs(terminal: Terminal) -> None:
    """The template's own training notebook dumps `reg` where only `reg_model` exists."""
    write_notebook(
        terminal.folder / "training.ipynb",
        LINE.replace("model.", "reg_model.").replace("model = ", "reg_model = ").replace("dump(model", "dump(reg"),
        "open('proof that it ran', 'w').close()",
    )
    told = _refused(terminal, "ship", "training.ipynb", "--name", "small")
    assert '"reg"' in told
    assert "reg_model" in told
    assert "cell 1" in told
    assert not (terminal.folder / "proof that it ran").exists()
    _nothing_happened(terminal)


def test_a_notebook_that_raises(terminal: Terminal) -> None:
    write_notebook(terminal.folder / "training.ipynb", LINE, "print(1 / 0)")
    told = _refused(terminal, "ship", "training.ipynb", "--name", "small")
    assert "ZeroDivisionError" in told
    assert "cell 2" in told
    _nothing_happened(terminal)


@pytest.mark.slow
def test_a_notebook_without_a_metric(terminal: Terminal) -> None:
    write_notebook(
        terminal.folder / "training.ipynb", "\n".join(line for line in LINE.splitlines() if "r2" not in line), "!ls"
    )
    told = _refused(terminal, "ship", "training.ipynb", "--name", "small")
    assert "no-metric" in told
    assert 'shell-command training.ipynb cell 2 line 1: the shell command "!ls" is not run' in told
    assert "no metric to compare models by" in told
    assert terminal.json("model", "list") == []


def test_a_name_that_breaks_the_rule(terminal: Terminal) -> None:
    write_notebook(terminal.folder / "training.ipynb", LINE)
    told = _refused(terminal, "ship", "training.ipynb", "--name", "no/good")
    assert '"no/good" is no valid model name' in told


def test_a_project_folder_that_cannot_be_written(terminal: Terminal) -> None:
    write_notebook(terminal.folder / "training.ipynb", LINE)
    (terminal.folder / "file").write_text("")
    told = _refused(terminal, "ship", "training.ipynb", "--name", "small", "--into", "file/small")
    assert "file/small" in told
    assert "--into" in told
    _nothing_happened(terminal)


def test_a_workspace_from_a_newer_release(terminal: Terminal) -> None:
    write_notebook(terminal.folder / "training.ipynb", LINE)
    _refused(terminal, "ship", "nowhere.ipynb", "--name", "small")
    with sqlite3.connect(terminal.workspace / "modelwright.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    told = _refused(terminal, "ship", "training.ipynb", "--name", "small")
    assert "newer modelwright" in told
    assert "pip install --upgrade modelwright" in told
    shutil.rmtree(terminal.workspace)


def test_no_workspace_yet(terminal: Terminal) -> None:
    assert "no workspace" in _refused(terminal, "model", "list")
    assert not terminal.workspace.exists()


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("ship",), ("model", "show"), ("endpoint", "deploy", "x", "--port", "0")]
)
def test_wrong_usage_exits_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    assert "Usage:" in terminal.wright(*arguments, expect=2).stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("model", "show", "nothing"), "model-missing"),
        (("run", "show", "run_1"), "run-missing"),
        (("endpoint", "show", "nothing"), "endpoint-missing"),
        (("endpoint", "deploy", "nothing:1"), "model-missing"),
        (("prove", "."), "project-missing"),
        (("run", "."), "project-missing"),
    ],
)
def test_errors_are_json_when_asked_for(begun: Terminal, arguments: tuple[str, ...], code: str) -> None:
    error = begun.json(*arguments, expect=1)["error"]
    assert error["code"] == code
    assert error["next_command"]


@pytest.mark.slow
def test_what_may_go_wrong_after_shipping(terminal: Terminal) -> None:
    """No free port, edits that a conversion would overwrite, an unknown parameter, a step that raises."""
    write_notebook(terminal.folder / "training.ipynb", LINE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = _refused(terminal, "ship", "training.ipynb", "--name", "small", "--port", port)
        assert port in told
        _nothing_happened(terminal)

        terminal.wright("ship", "training.ipynb", "--name", "small")
        told = _refused(terminal, "endpoint", "deploy", "small:1", "--name", "other", "--port", port)
        assert port in told
        assert [each["status"] for each in terminal.json("endpoint", "show", "other")["deployments"]] == ["failed"]
        assert terminal.json("endpoint", "show", "other")["running"] is None

    train = terminal.folder / "small" / "src" / "small" / "train.py"
    written = train.read_text()
    train.write_text(written + "# mine\n")
    terminal.wright("convert", "training.ipynb", "--name", "small")
    assert train.read_text() == written + "# mine\n", "edits are put together with what is new"
    (terminal.folder / "small" / ".wright-base.json").unlink()
    told = _refused(terminal, "convert", "training.ipynb", "--name", "small")
    assert '"src/small/train.py"' in told
    assert "--overwrite" in told
    assert train.read_text() == written + "# mine\n"

    assert '"alhpa"' in _refused(terminal, "run", "small", "--set", "alhpa=1")
    train.write_text(written.replace("return model", "raise ValueError('no luck')"))
    told = _refused(terminal, "run", "small")
    assert 'step "train_model"' in told
    assert "no luck" in told
    assert terminal.json("run", "list")[0]["status"] == "failed"
    assert [each["reference"] for each in terminal.json("model", "list")] == ["small:1"]


def test_lint_tells_all_that_stops_a_conversion_and_runs_nothing(terminal: Terminal) -> None:
    path = write_notebook(
        terminal.folder / "training.ipynb", LINE.replace("model.fit", "modle.fit"), "open('ran', 'w')\nkind = input()"
    )
    done = terminal.wright("lint", path, expect=1)
    assert "training.ipynb:1:19 error [name-undefined]" in done.stdout
    assert '"modle" is used but never assigned; "model" may be meant' in done.stdout
    assert "training.ipynb:2:2 error [asks-for-input]" in done.stdout
    assert not (terminal.folder / "ran").exists()
    assert not terminal.workspace.exists()


def test_lint_says_what_a_conversion_would_make_of_a_sound_notebook(terminal: Terminal) -> None:
    path = write_notebook(terminal.folder / "training.ipynb", LINE + "print(X.shape)")
    found = terminal.json("lint", path)
    assert found["is_convertible"]
    assert [each["reason"] for each in found["decisions"] if each["fate"] == "removed"] == ["prints the shape"]
