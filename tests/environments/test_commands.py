"""`wright environment`, as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from journeys.terminal import Terminal

from modelwright.cli.program import program

if TYPE_CHECKING:
    from conftest import Index


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `wright environment` in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(program, ["environment", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


def test_an_environment_is_added_built_looked_at_compared_and_removed(
    shelf: "Index", typed: Callable[..., Result], tmp_path: Path
) -> None:
    def answer(*arguments: str) -> Any:
        return json.loads(typed(*arguments, "--json").stdout)

    path = tmp_path / "requirements.txt"
    path.write_text("alpha==1.0\n-e .\n", encoding="utf-8")
    told = typed("add", "churn", "requirements.txt")
    assert "requirements.txt:2 left out [requirement-editable]" in told.stdout
    assert "churn:1\n  next: wright environment build churn:1" in told.stdout
    assert "2 packages locked for Python" in told.stderr
    path.write_text("alpha==1.1\n", encoding="utf-8")
    assert answer("add", "churn", "requirements.txt")["version"]["reference"] == "churn:2"

    built = answer("build", "churn:1")
    assert built["was_there"] is False
    assert answer("build", built["digest"][:12])["was_there"] is True
    assert built["folder"] in typed("build", "churn:1").stdout
    listed = [(each["reference"], each["is_built"]) for each in answer("list")]
    assert listed == [("churn:2", False), ("churn:1", True)]
    assert "churn:2" in typed("list").stdout
    shown = typed("show", "churn:1").stdout
    assert "package  alpha 1.0" in shown
    assert built["folder"] in shown
    assert answer("show", "churn:1")["users"] == []

    assert answer("diff", "churn:1", "churn")["changed"] == [{"name": "alpha", "before": "1.0", "after": "1.1"}]
    assert "alpha" in typed("diff", "churn:1", "churn:2").stdout
    assert "the same environment" in typed("diff", "churn", "churn:2").stdout
    typed("export", "churn:1", "out/requirements.txt")
    assert "alpha==1.0 \\\n    --hash=sha256:" in (tmp_path / "out" / "requirements.txt").read_text()
    assert answer("remove", "churn:1")["removed"] == built["folder"]
    assert not Path(built["folder"]).exists()
    assert "nothing to remove" in typed("remove", "churn:1").stdout


def test_what_cannot_be_locked_or_found_exits_1_with_what_to_do(shelf: "Index", tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    (terminal.folder / "requirements.txt").write_text("gamma\nalpha==9\n", encoding="utf-8")
    refused = terminal.json("environment", "add", "churn", "requirements.txt", expect=1)["error"]
    assert (refused["code"], refused["next_command"]) == (
        "environment-not-resolved",
        "change requirements.txt:2 (alpha==9)",
    )
    assert terminal.json("environment", "show", "churn", expect=1)["error"]["code"] == "environment-missing"
    terminal.wright("environment", "add", "churn", expect=2)
