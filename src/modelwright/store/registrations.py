"""Which versions of a model were registered after which event."""

import sqlalchemy as sa

from modelwright.store import schema
from modelwright.store.database import Store

_SUBJECT = "models/"
# The character after the one before a version's number: between both lie all versions of a model.
_AFTER_COLON = ";"


def last_sequence(store: Store) -> int:
    """Return the place of the last event; 0 before the first."""
    with store.reader.connect() as connection:
        return int(connection.execute(sa.select(sa.func.max(schema.events.c.sequence))).scalar() or 0)


def since(store: Store, sequence: int, *, model: str) -> tuple[int, list[str]]:
    """Return the place of the last event, and the versions that were registered after `sequence`, in order."""
    table = schema.events
    last = last_sequence(store)
    subjects = (f"{_SUBJECT}{model}:", f"{_SUBJECT}{model}{_AFTER_COLON}")
    query = (
        sa.select(table.c.subject)
        .where(table.c.sequence > sequence, table.c.sequence <= last)
        .where(table.c.type == "model.registered", table.c.subject.between(*subjects))
        .order_by(table.c.sequence)
    )
    with store.reader.connect() as connection:
        return last, [row.subject.removeprefix(_SUBJECT) for row in connection.execute(query)]
