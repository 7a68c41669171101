"""Subscriptions: what is recorded of them, and that it is read as it was written."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from modelwright.errors import SubscriptionExists, SubscriptionMissing
from modelwright.records import (
    DeliveryPolicy,
    Envelope,
    EventCondition,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import audit, subscriptions
from modelwright.store.changes import change
from modelwright.store.database import Store

CHURN = Subscription(
    name="churn",
    handler=HandlerKind.WEBHOOK,
    target={"url": "https://example.org/events"},
    filter=EventFilter(
        types=("model.registered", "run.*"),
        subject_begins_with="models/churn",
        conditions=(
            EventCondition("data.tags.area", "StringIn", ("a", "b")),
            EventCondition("data.n", "NumberIn", (1.5,)),
        ),
    ),
    envelope=Envelope.EVENT_GRID,
    policy=DeliveryPolicy(max_attempts=3, live_minutes=5, timeout_seconds=1.5),
    state=SubscriptionState.PENDING,
    created_by="ada",
    created_at=datetime(2026, 1, 5, tzinfo=UTC),
)


@pytest.fixture
def subscribed(store: Store) -> Store:
    """A workspace with one subscription."""
    with change(store, actor="ada") as opened:
        subscriptions.add_subscription(opened, CHURN)
    return store


def test_a_subscription_is_read_as_it_was_written(subscribed: Store) -> None:
    assert subscriptions.get_subscription(subscribed, "churn") == CHURN
    assert subscriptions.list_subscriptions(subscribed) == [CHURN]


def test_a_name_is_taken_once(subscribed: Store) -> None:
    with pytest.raises(SubscriptionExists, match='"churn"'), change(subscribed, actor="ada") as opened:
        subscriptions.add_subscription(opened, CHURN)


def test_each_change_of_a_subscription_is_recorded(subscribed: Store) -> None:
    policy = DeliveryPolicy(max_attempts=9)
    with change(subscribed, actor="bob", why="too slow") as opened:
        subscriptions.set_state(opened, "churn", SubscriptionState.ACTIVE)
        subscriptions.set_state(opened, "churn", SubscriptionState.PAUSED)
        subscriptions.change_subscription(opened, replace(CHURN, policy=policy))
    found = subscriptions.get_subscription(subscribed, "churn")
    assert found == replace(CHURN, policy=policy, state=SubscriptionState.PAUSED)
    with change(subscribed, actor="bob") as opened:
        subscriptions.remove_subscription(opened, "churn")
    told = audit.list_audit_records(subscribed, subject="subscriptions/churn")
    assert [each["action"].partition(".")[2] for each in told] == ["added", "activated", "paused", "changed", "removed"]
    assert (told[1]["before"], told[1]["after"]) == ({"state": "pending"}, {"state": "active"})
    assert (set(told[3]["before"]), told[3]["after"]["policy"]["max_attempts"]) == ({"policy"}, 9)
    assert told[4]["before"]["target"] == CHURN.target


def test_there_must_be_one_to_change_it(store: Store) -> None:
    with pytest.raises(SubscriptionMissing, match='"churn"'):
        subscriptions.get_subscription(store, "churn")
    with pytest.raises(SubscriptionMissing), change(store, actor="ada") as opened:
        subscriptions.set_state(opened, "churn", SubscriptionState.ACTIVE)
    with pytest.raises(SubscriptionMissing), change(store, actor="ada") as opened:
        subscriptions.change_subscription(opened, CHURN)
    with pytest.raises(SubscriptionMissing), change(store, actor="ada") as opened:
        subscriptions.remove_subscription(opened, "churn")
