"""Whatever happens in whatever order, kills included: in the end each subscriber was told of all that it wanted."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from lifecycle.events.conftest import DELIVERED, FAILED, Town

from modelwright.lifecycle.sessions import Session
from modelwright.records import Attempt, AttemptVerdict, DeliveryPolicy, DeliveryStatus, SubscriptionState
from modelwright.store import deliveries, subscriptions
from modelwright.store.database import open_store
from modelwright.store.outbox import Outbox

ANSWERS = st.sampled_from([DELIVERED, FAILED, Attempt(AttemptVerdict.HOPELESS, "answered 410")])
PLACE = st.integers(0, 10)


class Telling(RuleBasedStateMachine):
    """A workspace beside a dictionary of what each subscriber is to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="telling-"))
        self.town = Town(Session(open_store(self.folder / "workspace"), "ada"))
        self.wanted: dict[str, set[str]] = {}
        self.happened = self.subscribed = self.killed = 0

    def teardown(self) -> None:
        town = self.town
        town.answer = lambda _subscription, _event: DELIVERED
        for name in self.wanted:
            town.set_state(name, SubscriptionState.ACTIVE)
            with town.session.change() as opened:
                deliveries.replay_dead(opened, name)
        while due := town.dispatcher.run_once():
            town.now = due
        for name, subjects in self.wanted.items():
            assert set(town.told_to(name)) == subjects
            assert {each.event.subject for each in town.deliveries(name)} == subjects
            assert {each.status for each in town.deliveries(name)} <= {DeliveryStatus.DELIVERED}
        town.store.close()
        shutil.rmtree(self.folder)

    def _name(self, place: int) -> str:
        return sorted(self.wanted)[place % len(self.wanted)]

    @rule()
    def something_happens(self) -> None:
        self.happened += 1
        self.town.let_happen(f"models/a:{self.happened}")
        for subjects in self.wanted.values():
            subjects.add(f"models/a:{self.happened}")

    @rule(is_from_the_beginning=st.booleans(), state=st.sampled_from(SubscriptionState))
    def somebody_subscribes(self, is_from_the_beginning: bool, state: SubscriptionState) -> None:
        self.subscribed += 1
        name, everything = f"s{self.subscribed}", {f"models/a:{number + 1}" for number in range(self.happened)}
        policy = DeliveryPolicy(max_attempts=4, live_minutes=5)
        self.town.subscribe(name, from_sequence=0 if is_from_the_beginning else None, state=state, policy=policy)
        self.wanted[name] = everything if is_from_the_beginning else set()

    @precondition(lambda self: self.wanted)
    @rule(place=PLACE, state=st.sampled_from([SubscriptionState.ACTIVE, SubscriptionState.PAUSED]))
    def somebody_pauses_or_goes_on(self, place: int, state: SubscriptionState) -> None:
        self.town.set_state(self._name(place), state)

    @precondition(lambda self: self.wanted)
    @rule(place=PLACE)
    def somebody_leaves(self, place: int) -> None:
        name = self._name(place)
        del self.wanted[name]
        with self.town.session.change() as opened:
            subscriptions.remove_subscription(opened, name)

    @rule(answer=ANSWERS)
    def it_is_told(self, answer: Attempt) -> None:
        self.town.answer = lambda _subscription, _event: answer
        self.town.dispatcher.run_once()

    @precondition(lambda self: self.wanted)
    @rule(place=PLACE)
    def a_dispatcher_is_killed(self, place: int) -> None:
        self.killed += 1
        town, name = self.town, self._name(place)
        outbox = Outbox(town.store, f"dispatcher_{self.killed}")
        known = subscriptions.get_subscription(town.store, name)
        if known.state is SubscriptionState.ACTIVE:
            outbox.hand_out(outbox.unseen([known], town.wants)[0], now=town.now)
            outbox.lease({name: (2, town.now + timedelta(minutes=1))}, now=town.now)
        outbox.close()

    @precondition(lambda self: self.wanted)
    @rule(place=PLACE)
    def what_was_given_up_is_wanted_again(self, place: int) -> None:
        with self.town.session.change() as opened:
            deliveries.replay_dead(opened, self._name(place))

    @rule(seconds=st.sampled_from([1, 10, 60, 600]))
    def time_goes_by(self, seconds: int) -> None:
        self.town.now += timedelta(seconds=seconds)

    @invariant()
    def nobody_is_told_what_he_does_not_want(self) -> None:
        for name, subjects in self.wanted.items():
            assert set(self.town.told_to(name)) <= subjects
            for each in self.town.deliveries(name):
                assert each.event.subject in subjects
                assert each.status is not DeliveryStatus.DELIVERED or each.event.subject in self.town.told_to(name)


def test_everybody_is_told_in_the_end_of_all_that_he_wanted() -> None:
    run_state_machine_as_test(
        Telling,
        settings=settings(
            max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
