"""`wright environment`, as it is typed."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journeys.terminal import Terminal

if TYPE_CHECKING:
    from conftest import Index


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal in an empty folder."""
    return Terminal(tmp_path)


def test_an_environment_is_added_built_looked_at_compared_and_removed(shelf: "Index", terminal: Terminal) -> None:
    path = terminal.folder / "requirements.txt"
    path.write_text("alpha==1.0\n-e .\n", encoding="utf-8")
    told = terminal.wright("environment", "add", "churn", path)
    assert "requirements.txt:2 left out [requirement-editable]" in told.stdout
    assert "churn:1\n  next: wright environment build churn:1" in told.stdout
    assert "2 packages locked for Python" in told.stderr
    path.write_text("alpha==1.1\n", encoding="utf-8")
    assert terminal.json("environment", "add", "churn", path)["version"]["reference"] == "churn:2"

    built = terminal.json("environment", "build", "churn:1")
    assert built["was_there"] is False
    assert terminal.json("environment", "build", built["digest"][:12])["was_there"] is True
    listed = terminal.json("environment", "list")
    assert [(each["reference"], each["is_built"]) for each in listed] == [("churn:2", False), ("churn:1", True)]
    shown = terminal.wright("environment", "show", "churn:1").stdout
    assert "package  alpha 1.0" in shown
    assert built["folder"] in shown

    assert terminal.json("environment", "diff", "churn:1", "churn")["changed"] == [
        {"name": "alpha", "before": "1.0", "after": "1.1"}
    ]
    assert "alpha" in terminal.wright("environment", "diff", "churn:1", "churn:2").stdout
    terminal.wright("environment", "export", "churn:1", "out/requirements.txt")
    assert "alpha==1.0 \\\n    --hash=sha256:" in (terminal.folder / "out" / "requirements.txt").read_text()
    assert terminal.json("environment", "remove", "churn:1")["removed"] == built["folder"]
    assert not Path(built["folder"]).exists()


def test_what_cannot_be_locked_or_found_exits_1_with_what_to_do(shelf: "Index", terminal: Terminal) -> None:
    (terminal.folder / "requirements.txt").write_text("gamma\nalpha==9\n", encoding="utf-8")
    refused = terminal.json("environment", "add", "churn", "requirements.txt", expect=1)["error"]
    assert (refused["code"], refused["next_command"]) == (
        "environment-not-resolved",
        "change requirements.txt:2 (alpha==9)",
    )
    assert terminal.json("environment", "show", "churn", expect=1)["error"]["code"] == "environment-missing"
    terminal.wright("environment", "add", "churn", expect=2)
