"""The workspace as it was: today's rows, with every later change taken back by what the audit records say of it.

For the reading connection, a view of the same name stands before each table that changed since, so that all that reads
the workspace reads it as it was. What that costs depends on how much has happened since, not on how much there is.
"""

import contextlib
import json
import sqlite3
from collections.abc import Container, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import HistoryMissing
from modelwright.store import schema, undoing
from modelwright.store.database import DATABASE, Store

_LAST = "SELECT sequence FROM main.audit_records WHERE at <= ? ORDER BY sequence DESC LIMIT 1"
_SINCE = "SELECT undo FROM main.audit_records WHERE sequence > ? ORDER BY sequence"
_EARLIEST = "SELECT max(at) FROM main.audit_records WHERE undo IS NULL"
_COUNTED = frozenset({"run_metrics", "run_summaries"})  # of which time itself says what was there
_ROWS_AT_ONCE = 1000


class _Pinned(sqlite3.Connection):
    """A connection that stays in the transaction it began with, so that what it reads goes with the views it has."""

    def commit(self) -> None:
        """Go on."""

    def rollback(self) -> None:
        """Go on."""


@contextlib.contextmanager
def as_of(store: Store, moment: datetime) -> Iterator[Store]:
    """Give the workspace as it was at `moment`; it cannot be written to.

    Raises HistoryMissing when the records do not go back so far.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(store.folder / DATABASE, factory=_Pinned, check_same_thread=False)
        connection.isolation_level = None
        connection.execute("BEGIN")
        _look_back(connection, moment)
        connection.execute("PRAGMA query_only=ON")
        return connection

    reader = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)
    try:
        reader.connect().close()  # what it is to look back is found out here, once
        yield replace(store, reader=reader, writer=reader, moment=moment)
    finally:
        reader.dispose()


def _look_back(connection: sqlite3.Connection, moment: datetime) -> None:
    at = moment.astimezone(UTC).isoformat(timespec="microseconds")
    found = connection.execute(_LAST, (at,)).fetchone()
    last = found[0] if found else 0
    noted: dict[str, _Noted] = {}
    for (text,) in connection.execute(_SINCE, (last,)):
        if text is None:
            raise HistoryMissing(moment=at, earliest=connection.execute(_EARLIEST).fetchone()[0])
        for name, parts in json.loads(text).items():
            if name not in noted:
                noted[name] = _Noted(connection, name)
            noted[name].take(parts)
    for name, rows in noted.items():
        rows.flush()
        if name not in _COUNTED:
            _show(connection, name, _kept(connection, name))
    _show_points(connection, at, noted)
    _show(connection, "audit_records", f"SELECT * FROM main.audit_records WHERE sequence <= {last}")  # noqa: S608 - ours
    _show(connection, "events", f"SELECT * FROM main.events WHERE at <= '{at}'")  # noqa: S608 - ours


class _Noted:
    """What the rows of a table were: of several words on one row the first counts, which is the oldest."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        """Make room for them: a table `then_…` whose rows say besides whether they were there."""
        key = ", ".join(undoing.key_columns(schema.metadata.tables[name]))
        connection.execute(f"CREATE TEMP TABLE then_{name} AS SELECT *, 0 AS was_there FROM main.{name} WHERE 0")  # noqa: S608 - ours
        connection.execute(f"CREATE UNIQUE INDEX temp.then_{name}_key ON then_{name} ({key})")
        self._connection = connection
        self._key, self._columns = key.split(", "), _columns(connection, name)
        named = ", ".join([*self._columns, "was_there"])
        marks = ", ".join("?" * (len(self._columns) + 1))
        self._insert = f"INSERT OR IGNORE INTO temp.then_{name} ({named}) VALUES ({marks})"  # noqa: S608 - ours
        self._rows: list[list[object]] = []

    def take(self, parts: dict[str, Any]) -> None:
        """Take what one record says."""
        for key in parts.get("added", ()):
            row = dict(zip(self._key, key, strict=True))
            self._rows.append([*map(row.get, self._columns), False])
        for row in parts.get("before", ()):
            self._rows.append([*map(row.get, self._columns), True])
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write down what was taken."""
        self._connection.executemany(self._insert, self._rows)
        self._rows.clear()


def _columns(connection: sqlite3.Connection, name: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA main.table_info({name})")]


def _kept(connection: sqlite3.Connection, name: str) -> str:
    """Return the query for a table's rows as they were."""
    columns = ", ".join(_columns(connection, name))
    same = " AND ".join(f"late.{each} = now.{each}" for each in undoing.key_columns(schema.metadata.tables[name]))
    return (
        f"SELECT {columns} FROM main.{name} AS now "  # noqa: S608 - ours
        f"WHERE NOT EXISTS (SELECT 1 FROM temp.then_{name} AS late WHERE {same}) "
        f"UNION ALL SELECT {columns} FROM temp.then_{name} WHERE was_there"
    )


def _show_points(connection: sqlite3.Connection, at: str, noted: Container[str]) -> None:
    """Show the points that were logged by then, and the last of each metric: anew, unless the run had ended."""
    points, known = (
        _kept(connection, name) if name in noted else f"SELECT * FROM main.{name}"  # noqa: S608 - ours
        for name in ("run_metrics", "run_summaries")
    )
    _show(connection, "run_metrics", f"SELECT * FROM ({points}) WHERE recorded_at <= '{at}'")  # noqa: S608 - ours
    had_ended = f"EXISTS (SELECT 1 FROM main.runs WHERE id = known.run_id AND finished_at <= '{at}')"  # noqa: S608 - ours
    latest = (
        "SELECT max(sequence) FROM run_metrics AS every WHERE every.run_id = known.run_id AND every.name = known.name"
    )
    _show(
        connection,
        "run_summaries",
        f"SELECT run_id, name, step, value, recorded_at FROM ({known}) AS known WHERE {had_ended} "  # noqa: S608 - ours
        f"UNION ALL SELECT last.run_id, last.name, last.step, last.value, last.recorded_at FROM ({known}) AS known "
        f"JOIN run_metrics AS last ON last.sequence = ({latest}) WHERE NOT {had_ended}",
    )


def _show(connection: sqlite3.Connection, name: str, query: str) -> None:
    connection.execute(f"CREATE TEMP VIEW {name} AS {query}")
