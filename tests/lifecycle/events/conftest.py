"""What tests of events share: subscribers that live in the test, and a clock that goes as the test wants."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from modelwright import records
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    Delivery,
    DeliveryPolicy,
    Envelope,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import deliveries, subscriptions
from modelwright.store.database import Store
from modelwright.store.deliveries import DeliveryFilter

DELIVERED = Attempt(AttemptVerdict.DELIVERED, "answered 204")
FAILED = Attempt(AttemptVerdict.AGAIN, "answered 500")


@dataclass
class Town:
    """A workspace in which things happen, its subscribers, and what they were told."""

    session: Session
    answer: Callable[[Subscription, Event], Attempt] = lambda _subscription, _event: DELIVERED
    # Ahead of the time that changes bear, so that what they make due is.
    now: datetime = field(default_factory=lambda: records.now() + timedelta(hours=1))
    told: list[tuple[str, str, int, datetime]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.session.store

    @property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.store, self.send, self.wants, now=lambda: self.now, chance=lambda: 0.0)

    def subscribe(self, name: str, *, from_sequence: int | None = None, **facts: object) -> Subscription:
        made = Subscription(
            name=name,
            handler=HandlerKind.FILE,
            target={},
            filter=EventFilter(types=("model.registered",)),
            envelope=Envelope.CLOUD_EVENTS,
            policy=DeliveryPolicy(),
            state=SubscriptionState.ACTIVE,
            created_by="ada",
            created_at=records.now(),
        )
        made = replace(made, **facts)
        with self.session.change() as opened:
            subscriptions.add_subscription(opened, made, from_sequence=from_sequence)
        return made

    def let_happen(self, *subjects: str) -> None:
        for each in subjects:
            with self.session.change() as opened:
                opened.record("model.registered", each)

    def set_state(self, name: str, state: SubscriptionState) -> None:
        with self.session.change() as opened:
            subscriptions.set_state(opened, name, state)

    def send(self, store: Store, subscription: Subscription, event: Event, *, attempt: int) -> Attempt:
        self.told.append((subscription.name, event.subject, attempt, self.now))
        return self.answer(subscription, event)

    def wants(self, subscription: Subscription, event: Event) -> bool:
        return not subscription.filter.types or event.type in subscription.filter.types

    def told_to(self, name: str) -> list[str]:
        return [subject for told, subject, _, _ in self.told if told == name]

    def deliveries(self, name: str) -> list[Delivery]:
        return deliveries.list_deliveries(self.store, DeliveryFilter(subscription=name))


@pytest.fixture
def town(session: Session) -> Town:
    """An empty workspace with nobody who wants to know."""
    return Town(session)
