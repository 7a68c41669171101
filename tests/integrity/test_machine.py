"""Anything in any order, killed on the way: nothing dangles."""

from pathlib import Path

import pytest
from integrity.machine import follow, prepared
from integrity.operations import OPERATIONS

pytestmark = pytest.mark.slow


def test_whatever_is_done_and_killed_nothing_dangles(tmp_path: Path) -> None:
    with prepared(tmp_path) as (machine, tally):
        follow(machine, tally, examples=3, steps=12)
    assert tally.operations > 500
    assert tally.kills
    assert {name for name, _ in tally.outcomes} == set(OPERATIONS)
    assert {outcome for _, outcome in tally.outcomes} >= {"done", "in-use"}
