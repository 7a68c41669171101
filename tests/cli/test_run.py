"""`wright run list`, `show`, `diff`, `tag` and `note`, on runs that were tracked."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import modelwright
from modelwright.cli.program import program
from modelwright.errors import FilterInvalid, RunMissing
from modelwright.runs import workspaces

Wright = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a script, where the user is."""
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("alpha = 1\nbeta = 2\n")
    yield tmp_path
    workspaces.close_workspaces()


@pytest.fixture
def pair(folder: Path) -> tuple[str, str]:
    """Two runs with an edit between them."""
    with modelwright.start_run("first", parameters={"alpha": 1, "seed": 3}, tags={"kind": "ridge"}) as one:
        one.log_metrics({"mse": 3.0, "mae": float("nan")})
    (folder / "train.py").write_text("alpha = 1\nbeta = 3\n")
    (folder / "weights.bin").write_bytes(b"\xff\xfe\x00")
    with modelwright.start_run("second", parameters={"alpha": 2}, tags={"kind": "ridge"}) as two:
        two.log_metrics({"mse": 2.0, "mae": float("nan")})
        with modelwright.start_run(tags={"kind": "fold"}):
            modelwright.log_artifact("train.py")
    return one.id, two.id


def wright(*arguments: str) -> Result:
    """Run a command; what it raises is raised."""
    return CliRunner().invoke(program, ["run", *arguments], catch_exceptions=False, standalone_mode=False)


def answer(*arguments: str) -> Any:
    """Run a command and return what it says with `--json`."""
    return json.loads(wright(*arguments, "--json").stdout)


def test_list_shows_the_runs_that_are_asked_for(pair: tuple[str, str]) -> None:
    one, two = pair
    assert len(answer("list")) == 3
    assert [each["id"] for each in answer("list", "--where", "mse < 3", "--where", "alpha = 2")] == [two]
    assert [each["id"] for each in answer("list", "--tag", "kind=ridge", "--order", "-mse")] == [one, two]
    assert [each["id"] for each in answer("list", "--experiment", "first", "--status", "succeeded")] == [one]
    assert len(answer("list", "--limit", "2")) == 2
    assert "mse=3" in wright("list", "--experiment", "first").stdout
    assert "no run is like that" in wright("list", "--where", "mse > 100").stdout
    with pytest.raises(FilterInvalid, match="character 5"):
        wright("list", "--where", "mse ~ 3")


def test_show_has_every_fact(pair: tuple[str, str]) -> None:
    _, two = pair
    (child,) = (each["id"] for each in answer("list", "--tag", "kind=fold"))
    shown = wright("show", two).stdout
    for fact in (
        "experiment   second",
        "kind         script",
        f"child        {child}",
        "kind = ridge",
        "machine      host",
    ):
        assert fact in shown
    shown = wright("show", child).stdout
    assert f"parent       {two}" in shown
    assert "outputs/train.py" in shown
    assert answer("show", two)["children"] == [child]
    assert answer("show", child)["parent_id"] == two


def test_diff_puts_two_runs_side_by_side(pair: tuple[str, str]) -> None:
    one, two = pair
    found = answer("diff", one, two)
    assert {each["name"]: (each["first"], each["second"], each["is_equal"]) for each in found["parameters"]} == {
        "alpha": (1, 2, False),
        "seed": (3, None, False),
    }
    assert [(each["name"], each["is_equal"]) for each in found["metrics"]] == [("mae", True), ("mse", False)]
    assert [(each["path"], each["change"]) for each in found["code"]] == [
        ("train.py", "changed"),
        ("weights.bin", "added"),
    ]
    assert "-beta = 2\n+beta = 3\n" in found["code"][0]["difference"]
    assert found["packages"] == []
    shown = wright("diff", one, two).stdout
    for fact in ("+beta = 3", "weights.bin added, no text", "environment: the same packages", "differs"):
        assert fact in shown


def test_diff_names_the_packages_that_changed(pair: tuple[str, str], folder: Path) -> None:
    from modelwright.environments.locking import read_lock
    from modelwright.store import environments, schema

    one, two = pair
    lock = read_lock("numpy==1.0\nonly-here==2.0\n", python_version="3.9.0", platform="here")
    workspace = workspaces.open_workspace(folder / ".wright")
    with workspace.change() as opened:
        environments.ensure_environment(opened, lock)
        opened.update(schema.runs, schema.runs.c.id == one, environment_digest=lock.digest)
        opened.record("run.tagged", f"runs/{one}")
    packages = {each["name"]: (each["first"], each["second"]) for each in answer("diff", one, two)["packages"]}
    assert packages["only-here"] == ("2.0", None)
    assert packages["numpy"][0] == "1.0"
    assert packages["Python"][0] == "3.9.0"


def test_tags_and_the_note_can_be_set_afterwards(pair: tuple[str, str]) -> None:
    one, _ = pair
    assert answer("tag", one, "kind=lasso", "chosen=yes")["tags"] | {"script": ""} == {
        "kind": "lasso",
        "chosen": "yes",
        "script": "",
    }
    assert answer("note", one, "good enough")["note"] == "good enough"
    assert "good enough" in wright("show", one).stdout


@pytest.mark.parametrize("arguments", [("show", "x"), ("tag", "x", "a=b"), ("note", "x", "y"), ("diff", "x", "y")])
def test_a_run_that_is_not_there_is_named(folder: Path, pair: tuple[str, str], arguments: tuple[str, ...]) -> None:
    with pytest.raises(RunMissing, match='no run "x"'):
        wright(*arguments)
