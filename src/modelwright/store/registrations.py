"""Which versions of a model were registered after which event."""

import sqlalchemy as sa

from modelwright.store import schema
from modelwright.store.database import Store

_SUBJECT = "models/"


def last_sequence(store: Store) -> int:
    """Return the place of the last event; 0 before the first."""
    with store.reader.connect() as connection:
        return int(connection.execute(sa.select(sa.func.max(schema.events.c.sequence))).scalar() or 0)


def since(store: Store, sequence: int, *, model: str) -> tuple[int, list[str]]:
    """Return the place of the last event, and the versions that were registered after `sequence`, in order."""
    table = schema.events
    query = (
        sa.select(table.c.sequence, table.c.type, table.c.subject)
        .where(table.c.sequence > sequence)
        .order_by(table.c.sequence)
    )
    with store.reader.connect() as connection:
        rows = connection.execute(query).all()
    beginning = f"{_SUBJECT}{model}:"
    found = [
        row.subject.removeprefix(_SUBJECT)
        for row in rows
        if row.type == "model.registered" and row.subject.startswith(beginning)
    ]
    return (rows[-1].sequence if rows else sequence), found
