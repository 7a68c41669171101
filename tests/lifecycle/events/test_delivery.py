"""The dispatcher: every event reaches every subscriber that wants it, or is given up for a reason."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    DeliveryPolicy,
    Envelope,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import subscriptions
from modelwright.store.database import Store

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def subscribed(session: Session, name: str, *, from_sequence: int | None = None, **facts: object) -> Subscription:
    made = Subscription(
        name=name,
        handler=HandlerKind.FILE,
        target={},
        filter=EventFilter(),
        envelope=Envelope.CLOUD_EVENTS,
        policy=DeliveryPolicy(),
        state=SubscriptionState.ACTIVE,
        created_by="ada",
        created_at=START,
    )
    made = replace(made, **facts)
    with session.change() as opened:
        subscriptions.add_subscription(opened, made, from_sequence=from_sequence)
    return made


def happens(session: Session, *subjects: str) -> None:
    for each in subjects:
        with session.change() as opened:
            opened.record("model.registered", each)


def of_type(subscription: Subscription, event: Event) -> bool:
    return not subscription.filter.types or event.type in subscription.filter.types


@dataclass
class Receiver:
    """What subscribers were told, and how they answer."""

    answer: Callable[[str, Event], Attempt] = lambda _name, _event: Attempt(AttemptVerdict.DELIVERED, "204")
    told: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, store: Store, subscription: Subscription, event: Event, *, attempt: int) -> Attempt:
        self.told.append((subscription.name, event.subject, attempt))
        return self.answer(subscription.name, event)


def test_an_event_reaches_every_subscriber_that_wants_it(session: Session) -> None:
    subscribed(session, "every")
    subscribed(session, "models", filter=EventFilter(types=("model.registered",)))
    happens(session, "models/a:1")
    receiver = Receiver()
    assert Dispatcher(session.store, receiver, of_type).run_once() is None
    assert sorted(receiver.told) == [
        ("every", "models/a:1", 1),
        ("every", "subscriptions/models", 1),
        ("models", "models/a:1", 1),
    ]
