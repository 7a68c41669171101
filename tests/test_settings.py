"""What the environment says."""

import sys
from pathlib import Path

import pytest

from modelwright import settings
from modelwright.errors import CommandMissing, SettingInvalid, WorkspaceMissing


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WRIGHT_WORKSPACE", "WRIGHT_ACTOR", "SCORING_TIMEOUT_MS", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)


def test_the_nearest_workspace_above_is_found(tmp_path: Path) -> None:
    (tmp_path / ".wright").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert settings.find_workspace(below) == tmp_path / ".wright"


def test_no_workspace_is_an_error_for_readers_and_a_place_for_writers(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceMissing, match=str(tmp_path)):
        settings.find_workspace(tmp_path)
    assert settings.find_or_place_workspace(tmp_path) == tmp_path / ".wright"


def test_a_named_workspace_goes_before_the_variable_and_the_variable_before_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".wright", "variable", "named"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(tmp_path / "variable"))
    assert settings.find_workspace(tmp_path) == tmp_path / "variable"
    assert settings.find_workspace(tmp_path, named=str(tmp_path / "named")) == tmp_path / "named"
    with pytest.raises(WorkspaceMissing, match="nowhere"):
        settings.find_workspace(tmp_path, named=str(tmp_path / "nowhere"))
    assert settings.find_or_place_workspace(tmp_path, named=str(tmp_path / "new")) == tmp_path / "new"


def test_the_actor_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRIGHT_ACTOR", "ada")
    assert settings.actor() == "ada"


def test_children_do_not_get_what_steers_our_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("HTTPS_PROXY", "theirs")
    found = settings.child_environment({"EXTRA": "1"})
    assert found.keys().isdisjoint({"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})
    assert (found["HTTPS_PROXY"], found["EXTRA"]) == ("theirs", "1")


def test_the_socket_folder_is_short_and_differs_by_workspace(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 200)
    one, other = settings.runtime_folder(deep / "a"), settings.runtime_folder(deep / "b")
    assert one != other
    assert len(one.name) < 40


@pytest.mark.parametrize("value", ["", "0", "-1", "a minute", "1.5"])
def test_a_timeout_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SCORING_TIMEOUT_MS", value)
    with pytest.raises(SettingInvalid, match="SCORING_TIMEOUT_MS"):
        settings.scoring_timeout_ms()


def test_notebooks_run_in_the_named_else_the_active_else_our_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.interpreter() == Path(sys.executable)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    assert settings.interpreter() == tmp_path / "bin" / "python"
    assert settings.interpreter(Path(sys.executable)) == Path(sys.executable)
    with pytest.raises(CommandMissing, match="nowhere/python"):
        settings.interpreter(Path("nowhere/python"))
