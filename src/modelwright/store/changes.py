"""The one door for writes: rows, their audit record and their event are committed together or not at all."""

import contextlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.errors import DeletedMeanwhile, InUse
from modelwright.store import chain, hops, reasons, undoing
from modelwright.store.database import Store

_LAST = "SELECT sequence, digest FROM audit_records ORDER BY sequence DESC LIMIT 1"
_COLUMNS = (*chain.Written._fields, "digest")
_RECORD = f"INSERT INTO audit_records ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - ours
_EVENT = "INSERT INTO events (id, type, subject, at, data, hops) VALUES (?, ?, ?, ?, ?, ?)"
_KEY = "key_"
_ENCODER = json.JSONEncoder(allow_nan=False)


class UnrecordedChange(AssertionError):
    """Rows were changed and nobody said what that meant: a fault of ours, never of the user."""


@dataclass
class Change:
    """One transaction. Writes wait in it until the block that opened it ends."""

    connection: sa.Connection
    actor: str
    why: str
    at: datetime
    _unrecorded: int = field(default=0)
    _undo: dict[str, undoing.Rows] = field(default_factory=dict)
    _last: tuple[int, str] | None = field(default=None)

    def insert(self, table: sa.Table, *rows: Mapping[str, object]) -> None:
        """Add `rows`."""
        self.append(table, rows)
        self._unrecorded += bool(rows)
        self._rows_of(table).added(undoing.keys(table, rows, self.connection.dialect))

    def append(self, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Add what a recorded thing gathers while it lives, such as a run's metrics: its own records speak for it."""
        if rows:
            statement, binds = inserting(table, tuple(rows[0]), self.connection.dialect)
            values = [tuple([bind(row[name]) if bind else row[name] for name, bind in binds]) for row in rows]
            self._driver.executemany(statement, values)

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **values: object) -> int:
        """Change the rows that `where` picks; return how many."""
        self._unrecorded += 1
        self._rows_of(table).lost(undoing.rows(table, where, self.connection))
        return self.connection.execute(table.update().where(where).values(**values)).rowcount

    def update_row(self, table: sa.Table, key: Sequence[object], /, **values: object) -> bool:
        """Change the row of that primary key; return whether there is one.

        The same as `update`, at the speed of the driver, for what is done for every version or run.
        """
        self._unrecorded += 1
        self._rows_of(table).lost(undoing.row(table, key, self.connection))
        statement, binds = updating(table, tuple(values), self.connection.dialect)
        given = values | {f"{_KEY}{column.name}": each for column, each in zip(table.primary_key, key, strict=True)}
        done = self._driver.execute(statement, [bind(given[name]) if bind else given[name] for name, bind in binds])
        return bool(done.rowcount)

    def delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        """Delete the rows that `where` picks; return how many."""
        self._unrecorded += 1
        self._rows_of(table).lost(undoing.rows(table, where, self.connection))
        return self.connection.execute(table.delete().where(where)).rowcount

    def rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Return what `query` finds inside this transaction, its own writes included."""
        return self.connection.execute(query).all()

    def before(self, table: sa.Table, *key: object) -> Mapping[str, Any] | None:
        """Return, as the database keeps it, what a row was before the writes that are not recorded yet changed it."""
        return self._rows_of(table).before(key)

    def record(
        self,
        action: str,
        subject: str,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        told: Mapping[str, object] | None = None,
    ) -> None:
        """Say what the writes so far mean: `action` is a past fact, such as `model.registered` of `models/churn:3`.

        The event says what is `after`; of what there is nothing after, `told`, which is what it was in a few words.
        Raises ReasonMissing when the workspace wants a reason for that and there is none.
        """
        if not self.why.strip():
            reasons.check(self.connection, action, subject)
        sequence, previous = self._last or self._last_record()
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        undo = json.dumps({name: rows.plain() for name, rows in self._undo.items() if rows})
        texts = _text(before), _text(after)
        said = chain.Written(sequence + 1, at, self.actor, action, subject, self.why, *texts, undo)
        self._last = (said.sequence, chain.digest_after(previous, said))
        self._driver.execute(_RECORD, (*said, self._last[1]))
        self._publish(action, subject, at, said.after if after else _text(told or {}))
        self._unrecorded = 0
        self._undo = {}

    def _publish(self, action: str, subject: str, at: str, data: str) -> None:
        """Write the event; time and data as the database keeps them."""
        self._driver.execute(_EVENT, (records.new_id("event"), action, subject, at, data, hops.present()))

    @property
    def is_unrecorded(self) -> bool:
        """Whether there were writes since the last record."""
        return bool(self._unrecorded)

    @property
    def _driver(self) -> Any:
        """The driver's own connection, in this very transaction: SQLAlchemy takes as long again for each statement."""
        return self.connection.connection.driver_connection

    def _rows_of(self, table: sa.Table) -> undoing.Rows:
        return self._undo.setdefault(table.name, undoing.Rows(len(table.primary_key)))

    def _last_record(self) -> tuple[int, str]:
        """Return the sequence number and digest of the last audit record; nobody else writes one meanwhile."""
        row = self._driver.execute(_LAST).fetchone()
        return (row[0], row[1]) if row else (0, chain.FIRST)

    def finish(self) -> None:
        """Refuse to commit writes that no `record` explains."""
        if self._unrecorded:
            raise UnrecordedChange


def _text(facts: Mapping[str, object] | None) -> str:
    """Return `facts` as JSON that every reader understands: a number that is none, such as NaN, as its name."""
    try:
        return _ENCODER.encode(facts)
    except ValueError:
        return json.dumps(_named(facts))


def _named(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _named(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_named(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@lru_cache(maxsize=1024)
def inserting(
    table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect
) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]:
    """Return the statement that inserts these columns and, in its order, what makes their values fit the database.

    SQLAlchemy would find both out anew for every statement, which takes longer than the database takes to obey it.
    """
    compiled = table.insert().compile(dialect=dialect, column_keys=list(columns))
    order = compiled.positiontup or []
    return str(compiled), [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in order]


@lru_cache(maxsize=256)
def updating(
    table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect
) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]:
    """Return the statement that changes these columns of a row, and what makes its values fit, as `inserting` does."""
    is_this = [column == sa.bindparam(f"{_KEY}{column.name}", type_=column.type) for column in table.primary_key]
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
    compiled = table.update().where(*is_this).values(values).compile(dialect=dialect)
    order = compiled.positiontup or []
    kinds = [table.c[name.removeprefix(_KEY)].type for name in order]
    binds = [kind.dialect_impl(dialect).bind_processor(dialect) for kind in kinds]
    return str(compiled), list(zip(order, binds, strict=True))


# Opens a transaction in somebody's name and for somebody's reason.
Changing = Callable[[], contextlib.AbstractContextManager[Change]]


@contextlib.contextmanager
def change(store: Store, *, actor: str, why: str = "") -> Iterator[Change]:
    """Open a transaction for writing; commit at the end of the block, undo everything when it raises.

    Raises DeletedMeanwhile when the block writes what refers to something that is no longer there.
    """
    with links_explained(), store.writing() as connection:
        opened = Change(connection, actor=actor, why=why, at=records.now())
        yield opened
        opened.finish()


@contextlib.contextmanager
def links_explained() -> Iterator[None]:
    """Say in our words what the database says when a link would lead nowhere."""
    try:
        yield
    except (sa.exc.IntegrityError, sqlite3.IntegrityError) as error:
        if "FOREIGN KEY" not in str(error):
            raise
        if isinstance(error, sa.exc.IntegrityError) and str(error.statement).startswith("DELETE"):
            # `usage` asks before; this is for a link that a later release added.
            told = "  something that this release does not know"
            raise InUse(thing="what was to be deleted", told=told, command="the same command") from error
        raise DeletedMeanwhile from error
