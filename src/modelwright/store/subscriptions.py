"""Subscriptions: who wants to be told of which events, and from which on."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from modelwright.errors import SubscriptionExists, SubscriptionMissing
from modelwright.records import (
    DeliveryPolicy,
    DeliveryStatus,
    Envelope,
    EventCondition,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_CHANGEABLE = ("target", "filter", "envelope", "policy")


def add_subscription(change: Change, subscription: Subscription, *, from_sequence: int | None = None) -> None:
    """Record a new subscription; it is told of the events after `from_sequence`, or of those that come after it.

    0 is from the beginning. Raises SubscriptionExists.
    """
    table = schema.subscriptions
    if change.rows(sa.select(table.c.name).where(table.c.name == subscription.name)):
        raise SubscriptionExists(name=subscription.name)
    change.insert(table, asdict(subscription))
    change.record("subscription.added", f"subscriptions/{subscription.name}", after=_told(subscription))
    position = _newest(change) if from_sequence is None else from_sequence
    change.append(schema.subscription_positions, [{"subscription": subscription.name, "sequence": position}])


def set_state(change: Change, name: str, state: SubscriptionState) -> None:
    """Let events be delivered, or not; what was missed meanwhile is caught up with. Raises SubscriptionMissing."""
    table, deliveries = schema.subscriptions, schema.deliveries
    was = _get(change, name)
    change.update(table, table.c.name == name, state=state)
    before, after = {"state": was.state}, {"state": state}
    if state is SubscriptionState.ACTIVE:
        # What waited has not been tried in vain, so its time begins now.
        is_waiting = (deliveries.c.subscription == name) & (deliveries.c.status == DeliveryStatus.PENDING)
        fresh = {"due_at": change.at, "created_at": change.at}
        change.connection.execute(deliveries.update().where(is_waiting, deliveries.c.leased_by.is_(None)).values(fresh))
        change.record("subscription.activated", f"subscriptions/{name}", before=before, after=after)
    else:
        change.record("subscription.paused", f"subscriptions/{name}", before=before, after=after)


def change_subscription(change: Change, changed: Subscription) -> None:
    """Let a subscription's target, filter, envelope and policy be those of `changed`. Raises SubscriptionMissing."""
    table = schema.subscriptions
    before, after = _told(_get(change, changed.name)), _told(changed)
    names = [name for name in _CHANGEABLE if before[name] != after[name]]
    change.update(table, table.c.name == changed.name, **{name: after[name] for name in _CHANGEABLE})
    change.record(
        "subscription.changed",
        f"subscriptions/{changed.name}",
        before={name: before[name] for name in names},
        after={name: after[name] for name in names},
    )


def note_rotation(change: Change, name: str) -> None:
    """Record that a subscription has another secret, which is in no record. Raises SubscriptionMissing."""
    change.record("subscription.secret_rotated", f"subscriptions/{name}", after={"handler": _get(change, name).handler})


def remove_subscription(change: Change, name: str) -> None:
    """Delete a subscription with its deliveries; the audit record keeps what it was. Raises SubscriptionMissing."""
    was = _get(change, name)
    for table in (schema.deliveries, schema.subscription_positions):
        change.connection.execute(table.delete().where(table.c.subscription == name))
    change.delete(schema.subscriptions, schema.subscriptions.c.name == name)
    change.record("subscription.removed", f"subscriptions/{name}", before=_told(was), told={"handler": was.handler})


def get_subscription(store: Store, name: str) -> Subscription:
    """Return the subscription of that name. Raises SubscriptionMissing."""
    table = schema.subscriptions
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.name == name)).one_or_none()
    if row is None:
        raise SubscriptionMissing(name=name)
    return _subscription(row)


def list_subscriptions(store: Store) -> list[Subscription]:
    """Return all subscriptions by name."""
    table = schema.subscriptions
    with store.reader.connect() as connection:
        return [_subscription(row) for row in connection.execute(table.select().order_by(table.c.name))]


def count_unseen(store: Store) -> dict[str, int]:
    """Return for each subscription how many events are behind its position, whether it wants them or not."""
    positions, events = schema.subscription_positions, schema.events
    newer = sa.select(sa.func.count()).where(events.c.sequence > positions.c.sequence).scalar_subquery()
    with store.reader.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(sa.select(positions.c.subscription, newer))}


def _newest(change: Change) -> int:
    newest: int = change.connection.execute(sa.select(sa.func.max(schema.events.c.sequence))).scalar_one()
    return newest


def _get(change: Change, name: str) -> Subscription:
    table = schema.subscriptions
    rows = change.rows(table.select().where(table.c.name == name))
    if not rows:
        raise SubscriptionMissing(name=name)
    return _subscription(rows[0])


def _told(subscription: Subscription) -> dict[str, Any]:
    names = ("handler", *_CHANGEABLE, "state")
    return {name: value for name, value in asdict(subscription).items() if name in names}


def _subscription(row: sa.Row[Any]) -> Subscription:
    return Subscription(
        name=row.name,
        handler=HandlerKind(row.handler),
        target=row.target,
        filter=_filter(row.filter),
        envelope=Envelope(row.envelope),
        policy=DeliveryPolicy(**row.policy),
        state=SubscriptionState(row.state),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _filter(told: Mapping[str, Any]) -> EventFilter:
    conditions = [EventCondition(each["key"], each["operator"], tuple(each["values"])) for each in told["conditions"]]
    return EventFilter(
        types=tuple(told["types"]),
        subject_begins_with=told["subject_begins_with"],
        subject_ends_with=told["subject_ends_with"],
        conditions=tuple(conditions),
    )
