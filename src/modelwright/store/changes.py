"""The one door for writes: rows, their audit record and their event are committed together or not at all."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.store import schema
from modelwright.store.database import Store


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

    def insert(self, table: sa.Table, *rows: Mapping[str, object]) -> None:
        """Add `rows`."""
        if rows:
            self.connection.execute(table.insert(), list(rows))
            self._unrecorded += 1

    def append(self, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Add what a recorded thing gathers while it lives, such as a run's metrics: its own records speak for it."""
        if rows:
            self.connection.execute(table.insert(), list(rows))

    def update(self, table: sa.Table, where: sa.ColumnElement[bool], **values: object) -> int:
        """Change the rows that `where` picks; return how many."""
        self._unrecorded += 1
        return self.connection.execute(table.update().where(where).values(**values)).rowcount

    def delete(self, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        """Delete the rows that `where` picks; return how many."""
        self._unrecorded += 1
        return self.connection.execute(table.delete().where(where)).rowcount

    def rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Return what `query` finds inside this transaction, its own writes included."""
        return self.connection.execute(query).all()

    def record(
        self,
        action: str,
        subject: str,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Say what the writes so far mean: `action` is a past fact, such as `model.registered` of `models/churn:3`."""
        self.connection.execute(
            schema.audit_records.insert().values(
                at=self.at,
                actor=self.actor,
                action=action,
                subject=subject,
                why=self.why,
                before=dict(before) if before is not None else None,
                after=dict(after) if after is not None else None,
            )
        )
        self.connection.execute(
            schema.events.insert().values(
                id=records.new_id("event"), type=action, subject=subject, at=self.at, data=dict(after or {})
            )
        )
        self._unrecorded = 0

    def finish(self) -> None:
        """Refuse to commit writes that no `record` explains."""
        if self._unrecorded:
            raise UnrecordedChange


@contextlib.contextmanager
def change(store: Store, *, actor: str, why: str = "") -> Iterator[Change]:
    """Open a transaction for writing; commit at the end of the block, undo everything when it raises."""
    with store.writer.begin() as connection:
        opened = Change(connection, actor=actor, why=why, at=records.now())
        yield opened
        opened.finish()
