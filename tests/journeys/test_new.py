"""`wright new`: from nothing to a project that trains on the record."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.terminal import PATIENCE_SECONDS, Terminal, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal whose workspace the tests share, so that the environment is built once."""
    opened = Terminal(tmp_path_factory.mktemp("new"))
    yield opened
    opened.wright("down")


@pytest.mark.slow
def test_a_new_project_is_tested_and_trains_and_can_be_registered(shared: Terminal) -> None:
    told = shared.wright("new", "my-model")
    assert [line.split()[1] for line in told.stderr.splitlines()] == ["lock", "new", "test"]
    assert " passed" in told.stderr
    assert f"next: wright run {shared.folder / 'my-model'}" in told.stdout

    run = shared.json("run", "my-model", "--set", "alpha=0.4")
    assert run["status"] == "succeeded"
    assert run["metrics"]["mse"] > 0
    assert shared.json("model", "register", run["id"])["reference"] == "my-model:1"

    refused = shared.json("prove", "my-model", expect=1)["error"]
    assert refused["code"] == "project-without-notebook"
    assert refused["next_command"] == f"wright test {shared.folder / 'my-model'}"
    assert shared.json("new", "my-model", expect=1)["error"]["code"] == "folder-not-empty"


@pytest.mark.slow
def test_a_new_project_has_the_layout_that_was_asked_for(shared: Terminal) -> None:
    made = shared.json("new", "folders", "--layout", "mlopspython", "--into", "elsewhere")
    assert (made["package"], Path(made["project"])) == ("folders", shared.folder / "elsewhere")
    assert " passed" in made["tests"]
    assert (shared.folder / "elsewhere" / "src" / "folders" / "evaluate" / "evaluate_model.py").is_file()


def test_a_folder_with_files_in_it_is_refused(terminal: Terminal) -> None:
    (terminal.folder / "mine").mkdir()
    (terminal.folder / "mine" / "notes.txt").write_text("mine")
    refused = terminal.json("new", "mine", expect=1)["error"]
    assert refused["code"] == "folder-not-empty"
    assert '"notes.txt"' in refused["message"]
    assert [each.name for each in (terminal.folder / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["my model", "../up"])
def test_a_bad_name_is_refused_with_the_rule(terminal: Terminal, name: str) -> None:
    told = terminal.wright("new", name, expect=1).stderr
    assert f'"{name}" is no valid project name: letters, digits' in told
    assert "next: choose another name: wright new NAME" in told
    assert [each.name for each in terminal.folder.iterdir()] == [".wright"]


def test_a_python_without_the_packages_is_refused_with_the_command_that_installs_them(terminal: Terminal) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", terminal.folder / "bare"], check=True)
    python = terminal.folder / "bare" / "bin" / "python"
    refused = terminal.json("new", "small", "--python", python, expect=1)["error"]
    assert refused["next_command"] == f"{python} -m pip install joblib numpy pandas scikit-learn"
    assert not (terminal.folder / "small").exists()


def test_ctrl_c_leaves_nothing(terminal: Terminal) -> None:
    process = terminal.start("new", "small")
    until((terminal.workspace / "environments").exists, "the environment's folder")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert not list(terminal.folder.glob("*small*"))
    assert terminal.processes() == []
