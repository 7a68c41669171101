"""What runs log while they run, at the speed of the driver: points of metrics, and each metric's last value."""

import contextlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from modelwright.store import schema
from modelwright.store.changes import inserting, links_explained
from modelwright.store.database import Store, begin_writing

# Run, name, step, value and the time in seconds since 1970.
Logged = tuple[str, str, int, float, float]

_COLUMNS = ("run_id", "name", "step", "value", "recorded_at")


class PointLog:
    """A connection that stays open and does nothing but add points, each `write` in a transaction of its own.

    SQLAlchemy's part of a transaction takes several times as long as SQLite's; here there is none of it. One thread
    at a time may use it.
    """

    def __init__(self, store: Store) -> None:
        """Take a connection for writing from `store`."""
        self._pooled = store.writer.raw_connection()
        self._driver: Any = self._pooled.driver_connection
        self._insert, self._summarize = statements(store.writer.dialect)

    def write(self, points: Sequence[Logged]) -> None:
        """Add `points`, all or none. When it returns they survive a power cut. Raises DeletedMeanwhile."""
        with links_explained():
            self._write(points)

    def _write(self, points: Sequence[Logged]) -> None:
        execute = self._driver.execute
        begin_writing(self._driver)
        try:
            if len(points) == 1:
                run_id, name, step, value, at = points[0]
                kept = None if value != value else value  # noqa: PLR0124 - NaN, which alone differs from itself
                row = (run_id, name, step, kept, _moment(at))
                execute(self._insert, row)
                execute(self._summarize, row)
            else:
                rows = _rows(points)
                self._driver.executemany(self._insert, rows)
                self._driver.executemany(self._summarize, _last(rows))
            execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._pooled.close()


def add_points(connection: sa.Connection, points: Sequence[Logged]) -> None:
    """Add `points` in the transaction of `connection`."""
    if points:
        insert, summarize = statements(connection.dialect)
        rows = _rows(points)
        connection.exec_driver_sql(insert, rows)
        connection.exec_driver_sql(summarize, _last(rows))


@lru_cache(maxsize=8)
def statements(dialect: sa.Dialect) -> tuple[str, str]:
    """Return the statement that adds a point, and the one that makes a point the last of its metric."""
    insert, _ = inserting(schema.run_metrics, _COLUMNS, dialect)
    summary = sqlite.insert(schema.run_summaries)
    summary = summary.on_conflict_do_update(
        index_elements=["run_id", "name"],
        set_={name: summary.excluded[name] for name in ("step", "value", "recorded_at")},
    )
    return insert, str(summary.compile(dialect=dialect))


def _rows(points: Sequence[Logged]) -> list[tuple[str, str, int, float | None, str]]:
    """Return the points as they are stored: NaN as NULL, times as text."""
    rows = []
    whole, text = -1, ""
    for run_id, name, step, value, at in points:
        seconds = int(at)
        if seconds != whole:  # most points of a batch fall into one second
            whole, text = seconds, _moment(seconds)[:20]
        moment = f"{text}{int((at - seconds) * 1e6):06d}+00:00"
        rows.append((run_id, name, step, None if math.isnan(value) else value, moment))
    return rows


def _last(
    rows: Sequence[tuple[str, str, int, float | None, str]],
) -> list[tuple[str, str, int, float | None, str]]:
    return list({(row[0], row[1]): row for row in rows}.values())


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
