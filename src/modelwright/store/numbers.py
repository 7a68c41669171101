"""Numbers of versions: each is given once, also after its version was deleted."""

import sqlalchemy as sa

from modelwright.store import schema
from modelwright.store.changes import Change


def next_number(change: Change, noun: str, name: str, *, highest: int) -> int:
    """Return the number that follows all that versions of `name` have or had; `highest` is the highest that one has."""
    return max(highest, last_number(change, noun, name)) + 1


def retire(change: Change, noun: str, name: str, *, version: int) -> None:
    """Let the number of a version that is deleted not be given again."""
    table = schema.retired_numbers
    if version > last_number(change, noun, name):
        change.delete(table, (table.c.noun == noun) & (table.c.name == name))
        change.insert(table, {"noun": noun, "name": name, "version": version})


def last_number(change: Change, noun: str, name: str) -> int:
    """Return the highest number that was retired."""
    table = schema.retired_numbers
    found = change.rows(sa.select(table.c.version).where(table.c.noun == noun, table.c.name == name))
    return int(found[0].version) if found else 0
