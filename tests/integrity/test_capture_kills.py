"""Killed under load, an endpoint has kept what it answered. `make kills` does it two hundred times."""

from pathlib import Path

from integrity import capture_kills


def test_what_was_answered_is_kept_once_whatever_is_killed(tmp_path: Path) -> None:
    tally = capture_kills.kill(2, folder=tmp_path)
    assert len(tally.answered) > 10
    assert (tally.lost, tally.invented, tally.doubled, tally.wrong) == (set(), set(), set(), [])
