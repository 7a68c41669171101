"""Killed at any moment, dispatchers lose no event. `make event-kills` kills two hundred times."""

from pathlib import Path

from integrity import event_kills


def test_every_event_is_told_whatever_is_killed(tmp_path: Path) -> None:
    tally = event_kills.kill(5, folder=tmp_path)
    assert tally.kills.total() == 5
    assert len(tally.wanted) > 10
    assert (tally.lost, tally.invented, tally.wrong) == (set(), set(), [])
