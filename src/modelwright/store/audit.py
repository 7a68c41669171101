"""Audit records and events, as they were written, and whether the records are whole."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.store import chain, schema
from modelwright.store.database import Store

_PARTS = ":@/"  # what stands between a subject and what is of it
_READ = f"SELECT {', '.join(chain.Written._fields)}, digest FROM audit_records ORDER BY sequence"  # noqa: S608 - ours
_GIVEN = "SELECT seq FROM sqlite_sequence WHERE name = 'audit_records'"


@dataclass(frozen=True)
class AuditFilter:
    """Which records are asked for: those that answer to all that is given.

    A subject takes along what is of it: `models/churn` its versions and aliases. `before` is a sequence number.
    """

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


_ALL = AuditFilter()


def find_audit_records(store: Store, wanted: AuditFilter = _ALL, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the records that are wanted, without what would take them back: the newest, the very newest last."""
    table = schema.audit_records
    columns = [column for column in table.c if column.name != "undo"]
    query = sa.select(*columns).where(*_conditions(wanted)).order_by(table.c.sequence.desc()).limit(limit)
    with store.reader.connect() as connection:
        rows = connection.execute(query).all()
    return [dict(row._mapping) for row in reversed(rows)]  # noqa: SLF001 - SQLAlchemy's public name


def _conditions(wanted: AuditFilter) -> Iterator[sa.ColumnElement[bool]]:
    columns = schema.audit_records.c
    if wanted.subject is not None:
        below = [_begins(columns.subject, wanted.subject + part) for part in _PARTS]
        yield sa.or_(columns.subject == wanted.subject, *below)
    if wanted.actor is not None:
        yield columns.actor == wanted.actor
    if wanted.action is not None:
        yield sa.or_(columns.action == wanted.action, _begins(columns.action, f"{wanted.action}."))
    if wanted.since is not None:
        yield columns.at >= wanted.since
    if wanted.until is not None:
        yield columns.at <= wanted.until
    if wanted.before is not None:
        yield columns.sequence < wanted.before


def _begins(column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    # As a range, which an index answers.
    return sa.and_(column >= text, column < text[:-1] + chr(ord(text[-1]) + 1))


def list_audit_records(store: Store, *, subject: str | None = None) -> list[dict[str, Any]]:
    """Return who did what, oldest first: all, or those about `subject`."""
    return _all(store, schema.audit_records, subject)


def list_events(store: Store, *, subject: str | None = None) -> list[dict[str, Any]]:
    """Return the events of the outbox, oldest first: all, or those about `subject`."""
    return _all(store, schema.events, subject)


def _all(store: Store, table: sa.Table, subject: str | None) -> list[dict[str, Any]]:
    query = table.select().order_by(table.c.sequence)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    with store.reader.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name


@contextlib.contextmanager
def linked_records(store: Store) -> Iterator[Iterator[chain.Link]]:
    """Give all records as they are stored, oldest first, one at a time."""
    with store.reader.connect() as connection:
        driver: Any = connection.connection.driver_connection
        # What is no longer text is read all the same, to be told apart from what was written.
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        try:
            cursor = driver.execute(_READ)
            yield (chain.Link(chain.Written(*row[:-1]), row[-1]) for row in cursor)
        finally:
            driver.text_factory = str


def check(
    store: Store, *, head: str | None = None, on_record: Callable[[int], None] = lambda _count: None
) -> chain.Found:
    """Walk the chain and return what was found; `on_record` is told how many records were looked at."""
    with store.reader.connect() as connection:  # before the walk, during which others may write
        given: int = connection.exec_driver_sql(_GIVEN).scalar() or 0
    with linked_records(store) as links:
        found = chain.walk(links, head=head, on_record=on_record)
    if not found.fault and given > found.count:
        return found.broken(found.count + 1, f"{chain.numbers(found.count + 1, given)} cut off from the end")
    return found


def export(
    store: Store, write: Callable[[bytes], object], *, on_record: Callable[[int], None] = lambda _count: None
) -> chain.Found:
    """Write the records as JSON lines, unless one does not fit: with the first that does not, it ends."""
    walk = chain.Walk()
    write(chain.line(chain.HEADER))
    with linked_records(store) as links:
        for link in links:
            if walk.take(link):
                break
            write(chain.line(chain.told(link)))
            on_record(walk.count)
    found = walk.found()
    if not found.fault:
        write(chain.line(chain.trailer(found)))
    return found
