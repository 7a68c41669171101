"""What can be changed of an endpoint while it serves, section by section: what is not set is as usual."""

from typing import Any

import sqlalchemy as sa

from modelwright.errors import EndpointMissing
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def get_settings(store: Store, endpoint: str) -> dict[str, Any]:
    """Return the settings of an endpoint, by section, as they are kept. Raises EndpointMissing."""
    table = schema.endpoints
    with store.reader.connect() as connection:
        row = connection.execute(sa.select(table.c.settings).where(table.c.name == endpoint)).one_or_none()
    if row is None:
        raise EndpointMissing(endpoint=endpoint)
    return dict(row.settings)


def set_section(change: Change, endpoint: str, section: str, value: object) -> None:
    """Set a section of an endpoint's settings. Raises EndpointMissing."""
    table = schema.endpoints
    found = change.rows(sa.select(table.c.id, table.c.settings).where(table.c.name == endpoint))
    if not found:
        raise EndpointMissing(endpoint=endpoint)
    before, after = dict(found[0].settings), {**found[0].settings, section: value}
    change.update(table, table.c.id == found[0].id, settings=after)
    change.record(
        "endpoint.configured",
        f"endpoints/{endpoint}",
        before={section: before.get(section)},
        after={section: after[section]},
    )
