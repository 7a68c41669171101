"""Metrics as MLflow's clients mean them: the last value is the one of the highest step, and a point counts once.

Our own runs log in order, so of those the last one written is the last one (`points`).
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from modelwright.records import Point
from modelwright.store.changes import Change
from modelwright.store.loading import chunks, marks, rows
from modelwright.store.points import statements

_KNOWN = "SELECT name, step, recorded_at, value FROM run_summaries WHERE run_id = ? AND name IN ({})"
_SAME = (
    "SELECT 1 FROM run_metrics WHERE run_id = ? AND name = ? AND step = ? AND recorded_at = ? AND value IS ? LIMIT 1"
)
# Step, time and value of a point: what decides which one is the last.
_Rank = tuple[int, str, float | None]


def log_client_points(change: Change, run_id: str, points: Sequence[Point]) -> int:
    """Add points to a run's metrics, and return how many; those are left out that it has already.

    A client that got no answer asks again.
    """
    connection = change.connection
    last = _last(connection, run_id, list({each.name: None for each in points}))
    new: dict[tuple[Any, ...], None] = {}
    for each in points:
        rank = (each.step, _text(each.recorded_at), None if math.isnan(each.value) else each.value)
        row = (run_id, each.name, each.step, rank[2], rank[1])
        known = last.get(each.name)
        if known is None or _order(rank)[:2] > _order(known)[:2]:
            last[each.name] = rank
        elif row in new or rows(connection, _SAME, (run_id, each.name, rank[0], rank[1], rank[2])):
            continue
        elif _order(rank) > _order(known):
            last[each.name] = rank
        new[row] = None
    if new:
        driver: Any = connection.connection.driver_connection
        insert, summarize = statements(connection.dialect)
        driver.executemany(insert, list(new))
        driver.executemany(summarize, [(run_id, name, step, value, at) for name, (step, at, value) in last.items()])
    return len(new)


def _last(connection: sa.Connection, run_id: str, names: Sequence[str]) -> dict[str, _Rank]:
    """Return the last point of each of the metrics that the run has."""
    found: dict[str, _Rank] = {}
    for some in chunks(names):
        for name, step, recorded_at, value in rows(connection, _KNOWN.format(marks(len(some))), (run_id, *some)):
            found[name] = (step, recorded_at or "", value)
    return found


def _order(rank: _Rank) -> tuple[int, str, float]:
    """Return what ranks are compared by; MLflow takes a NaN for 0 there."""
    return (rank[0], rank[1], rank[2] or 0.0)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
