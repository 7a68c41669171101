"""Which changes need a reason: those of the kinds that the workspace's setting names."""

import sqlalchemy as sa

from modelwright.errors import ReasonMissing
from modelwright.store.database import Store

SETTING = "reasons-required"
PROMOTION, DELETION, TRAFFIC = "promotion", "deletion", "traffic"
KINDS = (PROMOTION, DELETION, TRAFFIC)

_VALUE = "SELECT value FROM settings WHERE name = ?"
_OF_ACTION = {
    "alias.moved": PROMOTION,
    "alias.removed": PROMOTION,
    "gate.skipped": PROMOTION,
    "schedule.removed": DELETION,
    "deployment.started": TRAFFIC,
    "deployment.healthy": TRAFFIC,
    "deployment.replaced": TRAFFIC,
    "deployment.stopped": TRAFFIC,
    "endpoint.down": TRAFFIC,
    "traffic.changed": TRAFFIC,
}


def kind_of(action: str) -> str | None:
    """Return which kind of change that may need a reason an action is; None when it is none."""
    return DELETION if action.endswith(".deleted") else _OF_ACTION.get(action)


def check(connection: sa.Connection, action: str, subject: str) -> None:
    """Raise ReasonMissing when the workspace wants a reason for this, which has none."""
    kind = kind_of(action)
    if kind:
        value = connection.exec_driver_sql(_VALUE, (SETTING,)).scalar()
        if value and kind in value.split(","):
            raise ReasonMissing(rule=kind, action=action, subject=subject)


def require(store: Store, action: str, subject: str, *, why: str) -> None:
    """Find out, before any work is done for it, whether `action` may be recorded for this reason."""
    if not why.strip():
        with store.reader.connect() as connection:
            check(connection, action, subject)
