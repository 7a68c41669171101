"""The dispatcher: every event reaches every subscriber that wants it, or is given up for a reason."""

import itertools
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from lifecycle.events.conftest import DELIVERED, FAILED, Town

from modelwright.errors import DeliveryMissing, DeliveryUnderway
from modelwright.lifecycle.events import delivery
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    DeadReason,
    DeliveryPolicy,
    DeliveryStatus,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)
from modelwright.store import audit, claims, deliveries, subscriptions
from modelwright.store.outbox import Outbox, Settled

PATIENCE_SECONDS = 120.0


def hand_out(outbox: Outbox, town: Town) -> None:
    """Make deliveries of all that is new."""
    unseen, _ = outbox.unseen(subscriptions.list_subscriptions(town.store), town.wants)
    outbox.hand_out(unseen, now=town.now)


def test_an_event_reaches_every_subscriber_that_wants_it(town: Town) -> None:
    town.subscribe("every", filter=EventFilter())
    town.subscribe("models")
    town.let_happen("models/a:1")
    assert town.dispatcher.run_once() is None
    assert town.told_to("every") == ["subscriptions/models", "models/a:1"]
    assert town.told_to("models") == ["models/a:1"]
    (told,) = town.deliveries("models")
    assert (told.status, told.attempts, told.told) == (DeliveryStatus.DELIVERED, 1, "answered 204")
    assert told.event.subject == "models/a:1"


def test_a_subscription_begins_with_what_comes_after_it_unless_it_says_from_where(town: Town) -> None:
    town.let_happen("models/a:1", "models/a:2")
    first = audit.list_events(town.store)[0]["sequence"]
    town.subscribe("new")
    town.subscribe("all", from_sequence=0)
    town.subscribe("some", from_sequence=first)
    town.let_happen("models/a:3")
    town.dispatcher.run_once()
    assert town.told_to("new") == ["models/a:3"]
    assert town.told_to("all") == ["models/a:1", "models/a:2", "models/a:3"]
    assert town.told_to("some") == ["models/a:2", "models/a:3"]


def test_many_old_events_are_handed_out_part_by_part(town: Town) -> None:
    with town.session.change() as opened:
        for number in range(1100):
            opened.record("model.registered", f"models/a:{number}")
    town.subscribe("all", from_sequence=0)
    town.dispatcher.run_once()
    assert sorted(town.told_to("all")) == sorted(f"models/a:{number}" for number in range(1100))


def test_a_day_of_failures_is_tried_by_the_schedule_and_given_up(town: Town) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("dead")
    town.let_happen("models/a:1")
    begun = town.now
    while due := town.dispatcher.run_once():
        town.now = due
    tried = [(at - begun).total_seconds() for _, _, _, at in town.told]
    assert tried[:8] == [0, 10, 40, 100, 400, 1000, 2800, 6400]
    assert {late - early for early, late in itertools.pairwise(tried[7:])} == {3600}
    assert tried[-1] <= 24 * 3600 < tried[-1] + 3600
    (dead,) = town.deliveries("dead")
    assert (dead.status, dead.attempts, dead.reason) == (DeliveryStatus.DEAD, 30, DeadReason.MAX_ATTEMPTS)
    assert (dead.told, dead.attempted_at, dead.finished_at) == ("answered 500", town.now, town.now)


@pytest.mark.parametrize(
    ("policy", "tried", "reason"),
    [
        (DeliveryPolicy(max_attempts=3), 3, DeadReason.MAX_ATTEMPTS),
        (DeliveryPolicy(max_attempts=1), 1, DeadReason.MAX_ATTEMPTS),
        (DeliveryPolicy(live_minutes=2), 4, DeadReason.LIVE_MINUTES),
    ],
)
def test_a_policy_says_how_long_it_is_tried(town: Town, policy: DeliveryPolicy, tried: int, reason: DeadReason) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("dead", policy=policy)
    town.let_happen("models/a:1")
    while due := town.dispatcher.run_once():
        town.now = due
    (dead,) = town.deliveries("dead")
    assert (len(town.told), dead.attempts, dead.reason) == (tried, tried, reason)


def test_what_lay_longer_than_it_may_live_is_tried_all_the_same(town: Town) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("away", policy=DeliveryPolicy(live_minutes=5))
    town.let_happen("models/a:1")
    town.dispatcher.run_once()
    town.now += timedelta(days=3)
    town.answer = lambda _subscription, _event: DELIVERED
    town.dispatcher.run_once()
    assert town.deliveries("away")[0].status is DeliveryStatus.DELIVERED


def test_what_starts_something_waits_for_room_and_is_started_in_turn_and_in_order(town: Town) -> None:
    running: list[tuple[str, str]] = []

    def answer(subscription: Subscription, event: Event) -> Attempt:
        if subscription.handler is HandlerKind.PIPELINE:
            running.append((subscription.name, event.subject))
        return DELIVERED

    town.answer = answer
    town.subscribe("file")
    for name in ("one", "two"):
        town.subscribe(name, handler=HandlerKind.PIPELINE)
    subjects = [f"models/a:{number}" for number in range(7)]
    town.let_happen(*subjects)
    dispatcher = replace(town.dispatcher, room=lambda _store: 3 - len(running))
    started: list[tuple[str, str]] = []
    while len(started) < 14:
        dispatcher.run_once()
        assert 1 <= len(running) <= 3
        started += running
        running.clear()
    for name in ("one", "two"):
        assert [subject for told, subject in started if told == name] == subjects
        assert {(each.status, each.attempts) for each in town.deliveries(name)} == {(DeliveryStatus.DELIVERED, 1)}
    assert {name for name, _ in started[:6]} == {"one", "two"}
    assert town.told_to("file") == subjects


def test_who_asks_to_be_left_alone_is_left_alone(town: Town) -> None:
    town.answer = lambda _subscription, _event: Attempt(AttemptVerdict.AGAIN, "answered 429", wait_seconds=300)
    town.subscribe("busy")
    town.let_happen("models/a:1")
    assert town.dispatcher.run_once() == town.now + timedelta(seconds=300)


def test_retries_are_spread(town: Town) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("dead")
    town.let_happen("models/a:1")
    assert replace(town.dispatcher, chance=lambda: 1.0).run_once() == town.now + timedelta(seconds=11)


def test_what_is_hopeless_is_given_up_at_once(town: Town) -> None:
    town.answer = lambda _subscription, _event: Attempt(AttemptVerdict.HOPELESS, "answered 413")
    town.subscribe("strict")
    town.let_happen("models/a:1")
    assert town.dispatcher.run_once() is None
    (dead,) = town.deliveries("strict")
    assert (dead.status, dead.attempts, dead.reason) == (DeliveryStatus.DEAD, 1, DeadReason.HOPELESS)


def test_a_handler_that_raises_has_failed_and_delays_nobody(town: Town) -> None:
    def answer(subscription: object, _event: object) -> Attempt:
        if getattr(subscription, "name", "") == "broken":
            raise ZeroDivisionError("by nothing")
        return DELIVERED

    town.answer = answer
    town.subscribe("broken")
    town.subscribe("whole")
    town.let_happen("models/a:1")
    town.dispatcher.run_once()
    assert town.told_to("whole") == ["models/a:1"]
    (failed,) = town.deliveries("broken")
    assert (failed.status, failed.told) == (DeliveryStatus.PENDING, "ZeroDivisionError: by nothing")


def test_a_filter_that_raises_lets_the_event_pass(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    def wants(subscription: object, _event: object) -> bool:
        raise ZeroDivisionError

    town.subscribe("odd")
    town.let_happen("models/a:1")
    replace(town.dispatcher, wants=wants).run_once()
    assert town.told_to("odd") == ["models/a:1"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_one_that_never_answers_delays_nobody(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_GRACE_SECONDS", PATIENCE_SECONDS)
    is_over, all_told, stopped = threading.Event(), threading.Event(), threading.Event()

    def answer(subscription: object, _event: object) -> Attempt:
        if getattr(subscription, "name", "") == "silent":
            is_over.wait(PATIENCE_SECONDS)
        elif len(town.told_to("well")) == 50:
            all_told.set()
        return DELIVERED

    town.answer = answer
    town.subscribe("silent")
    town.subscribe("well")
    delivering = threading.Thread(target=town.dispatcher.run, args=(stopped,))
    delivering.start()
    try:
        town.let_happen(*(f"models/a:{number}" for number in range(50)))
        assert all_told.wait(PATIENCE_SECONDS)
        assert len(town.told_to("silent")) <= 4
    finally:
        is_over.set()
        stopped.set()
        delivering.join(PATIENCE_SECONDS)
    # What was not tried is as it was; what was being tried has ended.
    counts = deliveries.count_deliveries(town.store)
    assert counts["well"] == {DeliveryStatus.DELIVERED: 50}
    assert counts["silent"][DeliveryStatus.DELIVERED] == len(town.told_to("silent"))
    assert {each.attempts for each in town.deliveries("silent") if each.status is DeliveryStatus.PENDING} <= {0}


def test_what_goes_wrong_in_the_workspace_for_a_while_loses_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    town.subscribe("every")
    town.let_happen("models/a:1")
    is_told, stopped = threading.Event(), threading.Event()

    def fails_once(name: str) -> None:
        whole, is_full = getattr(Outbox, name), iter([True])

        def once(*given: object, **named: object) -> object:
            if next(is_full, False):
                raise OSError("the disk is full")
            return whole(*given, **named)

        monkeypatch.setattr(Outbox, name, once)

    def answer(_subscription: object, _event: object) -> Attempt:
        is_told.set()
        return DELIVERED

    town.answer = answer
    monkeypatch.setattr(delivery, "_TROUBLE_SECONDS", 0.0)
    for failing in ("hand_out", "lease", "settle"):
        is_told.clear()
        stopped.clear()
        fails_once(failing)
        delivering = threading.Thread(target=town.dispatcher.run, args=(stopped,))
        delivering.start()
        assert is_told.wait(PATIENCE_SECONDS), failing
        stopped.set()
        delivering.join(PATIENCE_SECONDS)
        assert "the disk is full" in capsys.readouterr().err
        assert deliveries.count_deliveries(town.store) == {"every": {DeliveryStatus.DELIVERED: len(town.told)}}
        town.let_happen("models/a:2")


def test_what_was_not_begun_is_given_back_when_a_dispatcher_ends(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_GRACE_SECONDS", PATIENCE_SECONDS)
    is_over, is_stuck, stopped = threading.Event(), threading.Event(), threading.Event()

    def answer(_subscription: object, _event: object) -> Attempt:
        if len(town.told) >= 200:
            is_stuck.set()
            is_over.wait(PATIENCE_SECONDS)
        return DELIVERED

    town.answer = answer
    town.subscribe("every")
    with town.session.change() as opened:
        for number in range(400):
            opened.record("model.registered", f"models/a:{number}")
    delivering = threading.Thread(target=town.dispatcher.run, args=(stopped,))
    delivering.start()
    assert is_stuck.wait(PATIENCE_SECONDS)
    stopped.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(each.attempts > 0 for each in town.deliveries("every")) != len(town.told):
        assert time.monotonic() < deadline
    is_over.set()
    delivering.join(PATIENCE_SECONDS)
    assert deliveries.count_deliveries(town.store)["every"][DeliveryStatus.DELIVERED] == len(town.told) < 400


@pytest.mark.parametrize("state", [SubscriptionState.PENDING, SubscriptionState.PAUSED])
def test_one_that_is_not_active_is_told_nothing_and_catches_up(town: Town, state: SubscriptionState) -> None:
    town.subscribe("shy", state=state)
    town.let_happen("models/a:1", "models/a:2")
    assert town.dispatcher.run_once() is None
    assert town.told == []
    assert subscriptions.count_unseen(town.store) == {"shy": 2}
    town.set_state("shy", SubscriptionState.ACTIVE)
    town.dispatcher.run_once()
    assert town.told_to("shy") == ["models/a:1", "models/a:2"]


def test_what_was_tried_before_a_pause_is_tried_again_at_its_end(town: Town) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("dead", policy=DeliveryPolicy(live_minutes=60))
    town.let_happen("models/a:1")
    town.dispatcher.run_once()
    town.set_state("dead", SubscriptionState.PAUSED)
    town.now += timedelta(days=1)
    assert town.dispatcher.run_once() is None
    town.set_state("dead", SubscriptionState.ACTIVE)
    town.answer = lambda _subscription, _event: DELIVERED
    town.dispatcher.run_once()
    assert [attempt for _, _, attempt, _ in town.told] == [1, 2]
    assert town.deliveries("dead")[0].status is DeliveryStatus.DELIVERED


def test_what_ended_is_told_once_more_if_asked_for(town: Town) -> None:
    town.answer = lambda _subscription, _event: Attempt(AttemptVerdict.HOPELESS, "answered 400")
    town.subscribe("strict")
    town.let_happen("models/a:1", "models/a:2")
    town.dispatcher.run_once()
    with town.session.change() as opened:
        assert deliveries.replay_dead(opened, "strict") == 2
        assert deliveries.replay_dead(opened, "strict") == 0
    waiting = town.deliveries("strict")
    assert [(each.status, each.attempts, each.reason) for each in waiting] == [(DeliveryStatus.PENDING, 0, None)] * 2
    with pytest.raises(DeliveryUnderway, match=waiting[0].id), town.session.change() as opened:
        deliveries.replay(opened, waiting[0].id)
    town.answer = lambda _subscription, _event: DELIVERED
    town.dispatcher.run_once()
    with town.session.change() as opened:
        deliveries.replay(opened, waiting[0].id)
    town.dispatcher.run_once()
    assert Counter(town.told_to("strict")) == {waiting[0].event.subject: 3, waiting[1].event.subject: 2}
    with pytest.raises(DeliveryMissing, match="delivery_x"), town.session.change() as opened:
        deliveries.replay(opened, "delivery_x")


def test_one_that_is_removed_takes_its_deliveries_along(town: Town) -> None:
    town.answer = lambda _subscription, _event: FAILED
    town.subscribe("gone")
    town.let_happen("models/a:1")
    town.dispatcher.run_once()
    with town.session.change() as opened:
        subscriptions.remove_subscription(opened, "gone")
    assert deliveries.count_deliveries(town.store) == {}
    town.now += timedelta(hours=1)
    assert town.dispatcher.run_once() is None
    assert len(town.told) == 1


def test_what_a_killed_dispatcher_was_at_is_told_by_the_next(town: Town) -> None:
    town.subscribe("every")
    town.let_happen("models/a:1")
    killed = Outbox(town.store, "dispatcher_killed")
    hand_out(killed, town)
    far = town.now + timedelta(days=1)
    (leased,) = killed.lease({"every": (10, far)}, now=town.now)
    with claims.claim(town.store, "dispatcher_killed"):  # it lives: nobody else is at it
        assert town.dispatcher.run_once() == far
    assert town.told == []
    town.dispatcher.run_once()
    assert [(subject, attempt) for _, subject, attempt, _ in town.told] == [("models/a:1", 2)]
    # What it says after that changes nothing any more.
    late = Settled(leased, DeliveryStatus.DEAD, "answered 500", town.now, town.now, DeadReason.HOPELESS)
    killed.settle([late], [leased], now=town.now)
    killed.close()
    assert town.deliveries("every")[0].status is DeliveryStatus.DELIVERED


def test_what_has_arrived_has_arrived_though_the_lease_was_lost(town: Town) -> None:
    town.subscribe("every")
    town.let_happen("models/a:1")
    slow = Outbox(town.store, "dispatcher_slow")
    hand_out(slow, town)
    (leased,) = slow.lease({"every": (10, town.now)}, now=town.now)
    town.answer = lambda _subscription, _event: Attempt(AttemptVerdict.HOPELESS, "answered 400")
    town.dispatcher.run_once()
    slow.settle([Settled(leased, DeliveryStatus.DELIVERED, "answered 204", town.now, town.now)], [], now=town.now)
    slow.close()
    (found,) = town.deliveries("every")
    assert (found.status, found.reason, found.told) == (DeliveryStatus.DELIVERED, None, "answered 204")


def test_two_dispatchers_that_see_the_same_event_make_one_delivery_of_it(town: Town) -> None:
    town.subscribe("every")
    town.let_happen("models/a:1")
    known = subscriptions.list_subscriptions(town.store)
    with closing(Outbox(town.store, "dispatcher_one")) as one, closing(Outbox(town.store, "dispatcher_other")) as other:

        def wants(_subscription: object, _event: object) -> bool:  # meanwhile the other is quicker
            other.hand_out(other.unseen(known, town.wants)[0], now=town.now)
            return True

        one.hand_out(one.unseen(known, wants)[0], now=town.now)
    assert len(town.deliveries("every")) == 1


def test_what_kills_every_process_that_tries_it_is_given_up(town: Town) -> None:
    town.subscribe("every", policy=DeliveryPolicy(max_attempts=2))
    town.let_happen("models/a:1")
    killed = Outbox(town.store, "dispatcher_killed")
    hand_out(killed, town)
    for _ in range(2):
        assert killed.lease({"every": (10, town.now)}, now=town.now)
    killed.close()
    town.dispatcher.run_once()
    assert town.told == []
    assert town.deliveries("every")[0].reason is DeadReason.MAX_ATTEMPTS


def test_several_dispatchers_tell_everything_once(town: Town) -> None:
    for name in ("a", "b", "c"):
        town.subscribe(name)
    stopped, all_told = threading.Event(), threading.Event()

    def answer(_subscription: object, _event: object) -> Attempt:
        if len(town.told) == 120:
            all_told.set()
        return DELIVERED

    town.answer = answer
    delivering = [threading.Thread(target=town.dispatcher.run, args=(stopped,)) for _ in range(3)]
    for each in delivering:
        each.start()
    town.let_happen(*(f"models/a:{number}" for number in range(40)))
    assert all_told.wait(PATIENCE_SECONDS)
    stopped.set()
    for each in delivering:
        each.join(PATIENCE_SECONDS)
    assert set(Counter((name, subject) for name, subject, _, _ in town.told).values()) == {1}


def test_telling_of_events_makes_no_events(town: Town) -> None:
    town.subscribe("every", filter=EventFilter())
    town.let_happen("models/a:1")
    before = audit.list_events(town.store), audit.list_audit_records(town.store)
    town.dispatcher.run_once()
    assert town.told_to("every") == ["models/a:1"]
    assert (audit.list_events(town.store), audit.list_audit_records(town.store)) == before


def test_it_is_forgotten_in_the_end_what_became_of_a_delivery(town: Town) -> None:
    town.subscribe("well")
    town.subscribe("strict")
    town.answer = lambda subscription, _event: (
        DELIVERED if subscription.name == "well" else Attempt(AttemptVerdict.HOPELESS, "answered 400")
    )
    town.let_happen("models/a:1")
    kept = delivery.KEPT
    counts = []
    for age in (timedelta(0), kept[DeliveryStatus.DELIVERED], kept[DeliveryStatus.DEAD]):
        Dispatcher(town.store, town.send, town.wants, now=lambda age=age: town.now + age * 1.01).run_once()
        counts.append(deliveries.count_deliveries(town.store))
    assert counts == [
        {"well": {DeliveryStatus.DELIVERED: 1}, "strict": {DeliveryStatus.DEAD: 1}},
        {"strict": {DeliveryStatus.DEAD: 1}},
        {},
    ]
