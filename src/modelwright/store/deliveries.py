"""Deliveries as people look at them: what became of telling each subscriber, and once more from the start."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from modelwright.errors import DeliveryMissing, DeliveryUnderway
from modelwright.records import DeadReason, Delivery, DeliveryStatus, Event
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


@dataclass(frozen=True)
class DeliveryFilter:
    """Which deliveries are asked for: those that answer to all that is given."""

    subscription: str | None = None
    status: DeliveryStatus | None = None
    event_id: str | None = None
    before: str = ""


_ALL = DeliveryFilter()


def list_deliveries(store: Store, wanted: DeliveryFilter = _ALL, *, limit: int | None = None) -> list[Delivery]:
    """Return the deliveries that are wanted, newest first."""
    table = schema.deliveries
    query = _query().order_by(table.c.id.desc()).limit(limit)
    if wanted.subscription is not None:
        query = query.where(table.c.subscription == wanted.subscription)
    if wanted.status is not None:
        query = query.where(table.c.status == wanted.status)
    if wanted.event_id is not None:
        query = query.where(table.c.event_id == wanted.event_id)
    if wanted.before:
        query = query.where(table.c.id < wanted.before)
    with store.reader.connect() as connection:
        return [_delivery(row) for row in connection.execute(query)]


def get_delivery(store: Store, delivery_id: str) -> Delivery:
    """Return the delivery of that id. Raises DeliveryMissing."""
    with store.reader.connect() as connection:
        row = connection.execute(_query().where(schema.deliveries.c.id == delivery_id)).one_or_none()
    if row is None:
        raise DeliveryMissing(delivery=delivery_id)
    return _delivery(row)


def count_deliveries(store: Store) -> dict[str, dict[DeliveryStatus, int]]:
    """Return for each subscription how many of its deliveries have which status."""
    table = schema.deliveries
    query = sa.select(table.c.subscription, table.c.status, sa.func.count()).group_by("subscription", "status")
    found: dict[str, dict[DeliveryStatus, int]] = {}
    with store.reader.connect() as connection:
        for name, status, count in connection.execute(query):
            found.setdefault(name, {})[DeliveryStatus(status)] = count
    return found


def replay(change: Change, delivery_id: str) -> None:
    """Have a subscriber told once more of what was delivered, or given up. Raises DeliveryMissing, DeliveryUnderway."""
    table = schema.deliveries
    rows = change.rows(table.select().where(table.c.id == delivery_id))
    if not rows:
        raise DeliveryMissing(delivery=delivery_id)
    (row,) = rows
    if row.status == DeliveryStatus.PENDING:
        due_at = row.due_at.isoformat(timespec="seconds")
        raise DeliveryUnderway(delivery=delivery_id, due_at=due_at, subscription=row.subscription)
    _start_anew(change, table.c.id == delivery_id)
    change.record("subscription.replayed", f"subscriptions/{row.subscription}", after={"delivery": delivery_id})


def replay_dead(change: Change, subscription: str) -> int:
    """Have a subscriber told once more of all that was given up; return how much that is."""
    table = schema.deliveries
    is_dead = (table.c.subscription == subscription) & (table.c.status == DeliveryStatus.DEAD)
    count = _start_anew(change, is_dead)
    if count:
        change.record("subscription.replayed", f"subscriptions/{subscription}", after={"deliveries": count})
    return count


def _start_anew(change: Change, where: sa.ColumnElement[bool]) -> int:
    fresh = {"status": DeliveryStatus.PENDING, "attempts": 0, "reason": "", "finished_at": None}
    times = {"due_at": change.at, "created_at": change.at}
    return change.connection.execute(schema.deliveries.update().where(where).values(**fresh, **times)).rowcount


def _query() -> sa.Select[Any]:
    deliveries, events = schema.deliveries, schema.events
    of_event = (events.c.sequence, events.c.type, events.c.subject, events.c.at, events.c.data, events.c.hops)
    return sa.select(deliveries, *of_event).join(events, events.c.id == deliveries.c.event_id)


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        subscription=row.subscription,
        event=Event(row.sequence, row.event_id, row.type, row.subject, row.at, row.data, row.hops),
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        told=row.told,
        due_at=row.due_at,
        created_at=row.created_at,
        reason=DeadReason(row.reason) if row.reason else None,
        attempted_at=row.attempted_at,
        finished_at=row.finished_at,
    )
