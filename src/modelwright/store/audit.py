"""Audit records and events, as they were written."""

from typing import Any

import sqlalchemy as sa

from modelwright.store import schema
from modelwright.store.database import Store


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
