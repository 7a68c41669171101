"""Events as people look at them, and by their ids."""

from typing import Any

import sqlalchemy as sa

from modelwright.errors import EventMissing
from modelwright.records import Event
from modelwright.store import schema
from modelwright.store.database import Store

# So far back it is looked for what led to something now: further than a mistake lets happen between two of its rounds.
_LAST = 10_000
_MOST_HOPS = "SELECT max(hops) FROM (SELECT hops FROM events ORDER BY sequence DESC LIMIT ?)"


def list_events(
    store: Store, *, types: str = "*", subject: str = "*", before: int | None = None, limit: int | None = None
) -> list[Event]:
    """Return events, newest first, whose type and subject are like the globs; `before` is a sequence number."""
    table = schema.events
    query = table.select().order_by(table.c.sequence.desc()).limit(limit)
    query = query.where(table.c.type.op("GLOB")(types), table.c.subject.op("GLOB")(subject))
    if before is not None:
        query = query.where(table.c.sequence < before)
    with store.reader.connect() as connection:
        return [_event(row) for row in connection.execute(query)]


def get_event(store: Store, event_id: str) -> Event:
    """Return the event of that id. Raises EventMissing."""
    table = schema.events
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.id == event_id)).one_or_none()
    if row is None:
        raise EventMissing(event=event_id)
    return _event(row)


def most_hops(store: Store) -> int:
    """Return how many events in a row led to one of the last, of those the most."""
    with store.reader.connect() as connection:
        return int(connection.exec_driver_sql(_MOST_HOPS, (_LAST,)).scalar() or 0)


def _event(row: sa.Row[Any]) -> Event:
    return Event(row.sequence, row.id, row.type, row.subject, row.at, row.data, row.hops)
