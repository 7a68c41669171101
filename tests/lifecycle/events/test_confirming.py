"""A webhook that answers nothing of use is confirmed by whoever can read what it was sent."""

import json
from datetime import timedelta

import pytest
from lifecycle.events.receivers import Receiver, receiving, reply

from modelwright import records
from modelwright.errors import ConfirmationUnknown
from modelwright.lifecycle.events import confirming, subscribing, webhooks
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    DeliveryPolicy,
    Envelope,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import api_place, subscriptions

PENDING, ACTIVE = SubscriptionState.PENDING, SubscriptionState.ACTIVE


def hook(receiver: Receiver, envelope: Envelope = Envelope.EVENT_GRID) -> Subscription:
    """What is wanted of a receiver."""
    return Subscription(
        name="grid",
        handler=HandlerKind.WEBHOOK,
        target={"url": receiver.url, "is_private_allowed": True},
        filter=EventFilter(),
        envelope=envelope,
        policy=DeliveryPolicy(timeout_seconds=60.0),
        state=ACTIVE,
        created_by="",
        created_at=records.now(),
    )


def test_the_address_in_the_validation_event_confirms_the_subscription(session: Session) -> None:
    store = session.store
    with receiving(lambda _: reply("202 Accepted")) as receiver, api_place.told(store, "http://there:1"):
        made = subscribing.subscribe(session, hook(receiver))
        assert (made.subscription.state, made.is_welcome, made.secret is None) == (PENDING, False, False)
        (told,) = json.loads(receiver.requests[0].body)
        place, name, code = told["data"]["validationUrl"].rsplit("/", 2)
        assert (place, name) == ("http://there:1/confirmations", "grid")
        kept = b"".join(each.read_bytes() for each in store.folder.rglob("*") if each.is_file())
        assert code.encode() not in kept
        for wrong, at in ((code + "x", records.now()), ("", records.now()), (code, records.now() + confirming.LASTS)):
            with pytest.raises(ConfirmationUnknown):
                confirming.confirm(store, name, wrong, now=at + timedelta(seconds=1))
        with pytest.raises(ConfirmationUnknown):
            confirming.confirm(store, "../secrets/webhook-grid", code, now=records.now())
        assert subscriptions.get_subscription(store, "grid").state is PENDING
        for _ in range(2):  # whoever opens it twice has done nothing wrong
            confirming.confirm(store, name, code, now=records.now())
            assert subscriptions.get_subscription(store, "grid").state is ACTIVE
        subscribing.pause(session, "grid")
        confirming.confirm(store, name, code, now=records.now())
        assert subscriptions.get_subscription(store, "grid").state is SubscriptionState.PAUSED
        subscribing.resume(session, "grid")
        with pytest.raises(ConfirmationUnknown):
            confirming.confirm(store, name, code, now=records.now())


def test_one_that_is_asked_again_is_confirmed_by_the_last_address_alone(session: Session) -> None:
    with receiving(lambda _: reply("202 Accepted")) as receiver, api_place.told(session.store, "http://there:1"):
        subscribing.subscribe(session, hook(receiver))
        subscribing.resume(session, "grid")
    first, last = [json.loads(each.body)[0]["data"]["validationUrl"].rpartition("/")[2] for each in receiver.requests]
    with pytest.raises(ConfirmationUnknown):
        confirming.confirm(session.store, "grid", first, now=records.now())
    confirming.confirm(session.store, "grid", last, now=records.now())


def test_a_confirmation_that_is_quicker_than_the_answer_counts(session: Session) -> None:
    store = session.store

    def open_it(request: object) -> bytes:
        code = json.loads(request.body)[0]["data"]["validationUrl"].rpartition("/")[2]
        confirming.confirm(store, "grid", code, now=records.now())
        return reply("202 Accepted")

    with receiving(open_it) as receiver, api_place.told(store, "http://there:1"):
        made = subscribing.subscribe(session, hook(receiver))
    assert (made.subscription.state, made.is_welcome) == (ACTIVE, True)


def test_without_the_api_there_is_no_address(session: Session) -> None:
    with receiving(lambda _: reply("202 Accepted")) as receiver:
        subscribing.subscribe(session, hook(receiver))
    (told,) = json.loads(receiver.requests[0].body)
    assert set(told["data"]) == {"validationCode"}


def test_a_subscription_whose_asking_is_interrupted_leaves_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(webhooks, "shake_hands", interrupt)
    with receiving(lambda _: reply()) as receiver, pytest.raises(KeyboardInterrupt):
        subscribing.subscribe(session, hook(receiver))
    assert subscriptions.list_subscriptions(session.store) == []
    assert list((session.store.folder / "secrets").iterdir()) == []
