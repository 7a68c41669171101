"""The dispatcher: has every event told to every subscriber that wants it, at least once, whatever is killed.

Any number of dispatchers, in any number of processes, may be at one workspace: a delivery is leased before it is tried,
and of one that was killed the leases end at once.
"""

import contextlib
import itertools
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol

from modelwright import records
from modelwright.lifecycle.events import filters, handlers, retrying
from modelwright.lifecycle.events.lanes import WIDTH, Lane, Told
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    Delivery,
    DeliveryStatus,
    Event,
    Subscription,
    SubscriptionState,
)
from modelwright.store import claims, subscriptions
from modelwright.store.database import Store
from modelwright.store.outbox import Outbox, Unseen

# How soon something new is seen, and for how long all that comes is gathered, so that whoever changes the workspace
# seldom has to wait for a transaction of ours: there are two in this time, unless there is much to tell.
_LOOK_SECONDS = 0.1
# How long attempts are waited for, to be noted together: what was told and is not noted yet is told again after a kill.
_GATHER_SECONDS = 0.03
# How soon it is seen that another dispatcher was killed.
_FREE_EVERY = timedelta(seconds=5)
# How much longer a lease is than an attempt may take.
_SPARE = timedelta(seconds=30)
# How long attempts may go on when the dispatcher is to end; after that they are made once more by the next.
_GRACE_SECONDS = 5.0
# How long it is left alone when something is wrong with the workspace itself, such as a full disk.
_TROUBLE_SECONDS = 5.0
# How long it is remembered what became of a delivery.
KEPT = {DeliveryStatus.DELIVERED: timedelta(days=7), DeliveryStatus.DEAD: timedelta(days=30)}
_FORGET_EVERY = timedelta(hours=1)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Send(Protocol):
    """Tells a subscriber of an event, in the time that its policy gives."""

    def __call__(self, store: Store, subscription: Subscription, event: Event, *, attempt: int) -> Attempt:
        """Return what came of it; `attempt` counts from 1."""


Wants = Callable[[Subscription, Event], bool]


@dataclass(frozen=True)
class Dispatcher:
    """What a dispatcher works with: how to tell, if an event is wanted, what there is room for, what time it is."""

    store: Store
    send: Send = handlers.send
    wants: Wants = filters.wants
    room: Callable[[Store], int] = handlers.room
    now: Callable[[], datetime] = records.now
    chance: Callable[[], float] = random.random

    def run(self, stopped: threading.Event) -> None:
        """Deliver until `stopped` is set."""
        with self._shift() as shift:
            while not stopped.is_set():
                next_look = time.monotonic() + _LOOK_SECONDS
                try:
                    shift.look()
                    shift.gather()
                    if not (shift.is_behind or shift.is_pressed):
                        shift.settle()
                        stopped.wait(max(0.0, next_look - time.monotonic()))
                except Exception:  # noqa: BLE001 - what is wrong with one look may be right at the next
                    traceback.print_exc()
                    stopped.wait(_TROUBLE_SECONDS)

    def run_once(self) -> datetime | None:
        """Deliver what is due and wait for what comes of it; return when the next is due."""
        with self._shift() as shift:
            while shift.look() or shift.is_busy:
                shift.gather()
            return shift.next_due

    @contextlib.contextmanager
    def _shift(self) -> "Iterator[_Shift]":
        holder = records.new_id("dispatcher")
        with claims.claim(self.store, holder), contextlib.closing(Outbox(self.store, holder)) as outbox:
            shift = _Shift(self, outbox)
            try:
                yield shift
            finally:
                shift.end()


@dataclass
class _Shift:
    """One dispatcher at work: what it knows of the workspace, and what it has leased."""

    dispatcher: Dispatcher
    outbox: Outbox
    known: list[Subscription] = field(default_factory=list)
    lanes: dict[str, Lane] = field(default_factory=dict)
    ended: "SimpleQueue[Told]" = field(default_factory=SimpleQueue)
    unsettled: list[Told] = field(default_factory=list)
    newest: int = -1
    next_due: datetime | None = None
    is_behind: bool = False  # something may be to be handed out
    is_ready: bool = True  # something may be to be leased
    is_held_up: bool = False  # something may be due that there was no room to start
    has_room: list[str] = field(default_factory=list)  # of those who start something, who was given all that was due
    turns: dict[str, int] = field(default_factory=dict)  # when each of them was given something last
    turn: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    is_pressed: bool = False  # a lane was given all that it has room for: there may be more for it
    freed_at: datetime = _LONG_AGO
    forgot_at: datetime = _LONG_AGO

    @property
    def is_busy(self) -> bool:
        """Whether anything is leased."""
        return bool(self.unsettled) or any(lane.held for lane in self.lanes.values())

    def look(self) -> bool:
        """Note what has ended, see what is new, lease what is due and have it told; return whether there was anything.

        What is new is read, and asked who wants it, before anything is written: that would keep everybody waiting.
        """
        now = self.dispatcher.now()
        while not self.ended.empty():
            self._note(self.ended.get())
        self.is_behind = self.outbox.has_changed() or self.is_behind
        unseen, is_more = self._unseen() if self.is_behind else ([], False)
        if now - self.freed_at >= _FREE_EVERY:
            self.is_ready = self.outbox.free(now=now) or self.is_ready
            self.freed_at = now
        if self.is_held_up and self._free() > 0:
            self.is_ready = True
        if now - self.forgot_at >= _FORGET_EVERY and not self._forget(now):
            self.forgot_at = now
        if not (self.is_behind or self.is_ready or (self.next_due is not None and self.next_due <= now)):
            return False
        free = self._free()
        with self.outbox.together():
            self._settle()
            self.outbox.hand_out(unseen, now=now)
            leased = self._lease(now, free)
        self.unsettled.clear()
        self.is_ready, self.is_behind = False, is_more
        self._take(leased)
        return bool(leased) or is_more

    def gather(self) -> None:
        """Wait for attempts to end: for all or, when there may be more to do, for half of them; not for long."""
        deadline = time.monotonic() + _GATHER_SECONDS
        held = sum(lane.held for lane in self.lanes.values())
        enough = len(self.unsettled) + ((held + 1) // 2 if self.is_pressed else held)
        with contextlib.suppress(Empty):
            while len(self.unsettled) < enough:
                self._note(self.ended.get(timeout=max(0.0, deadline - time.monotonic())))

    def end(self) -> None:
        """Give back what was not tried yet, and wait a little for what is being tried."""
        for lane in self.lanes.values():
            lane.give_back()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self.is_busy and time.monotonic() < deadline:
            self.gather()
            self.settle()

    def settle(self) -> None:
        """Note what came of all that ended: the sooner, the less is told twice when this process is killed."""
        self._settle()
        self.unsettled.clear()

    def _unseen(self) -> tuple[list[Unseen], bool]:
        newest = self.outbox.newest()
        if self.newest < 0 or self.outbox.is_subscriber_among(self.newest, newest):
            self.known = subscriptions.list_subscriptions(self.dispatcher.store)
        self.newest = newest
        return self.outbox.unseen(self._active(), self._wants)

    def _lease(self, now: datetime, free: int) -> list[Delivery]:
        """Lease what is due as far as there is room for it."""
        wanted = {}
        for each in self._active():
            if not _is_starting(each) and (room := self._lane(each).room):
                wanted[each.name] = (room, _until(each, now))
        found = self.outbox.lease(wanted, now=now)
        counts = Counter(each.subscription for each in found)
        self.is_pressed = any(counts[name] == room for name, (room, _) in wanted.items())
        found += self._lease_starting(now, free)
        self.next_due = min(filter(None, map(self.outbox.next_due, [*wanted, *self.has_room])), default=None)
        return found

    def _lease_starting(self, now: datetime, free: int) -> list[Delivery]:
        """Lease what starts something that goes on, oldest first: of all together as much as is `free` to be started.

        Who was given something last comes last. What there is no room for stays as it is, due and not leased.
        """
        starting = sorted(filter(_is_starting, self._active()), key=lambda each: self.turns.get(each.name, 0))
        found: list[Delivery] = []
        self.has_room = []
        for each in starting:
            if free > 0 and (most := min(free, self._lane(each).room)):
                leased = self.outbox.lease({each.name: (most, _until(each, now))}, now=now)
                if leased:
                    self.turns[each.name] = next(self.turn)
                free -= len(leased)
                found += leased
                if len(leased) < most:
                    self.has_room.append(each.name)
        self.is_held_up = len(self.has_room) < len(starting)
        return found

    def _free(self) -> int:
        """Return how much may be started besides what is leased to be; nothing where nobody starts anything."""
        held = [self._lane(each).held for each in self._active() if _is_starting(each)]
        return self.dispatcher.room(self.dispatcher.store) - sum(held) if held else 0

    def _lane(self, subscription: Subscription) -> Lane:
        if subscription.name not in self.lanes:
            # What is started is started in the order in which it was asked for.
            width = 1 if _is_starting(subscription) else WIDTH
            self.lanes[subscription.name] = Lane(self._tell, self.ended, width=width)
        return self.lanes[subscription.name]

    def _take(self, leased: list[Delivery]) -> None:
        """Have what was leased told."""
        active = {each.name: each for each in self._active()}
        for name, deliveries in itertools.groupby(leased, key=lambda each: each.subscription):
            self.lanes[name].take(active[name], deliveries)
        self.lanes = {name: lane for name, lane in self.lanes.items() if lane.held or name in active}

    def _tell(self, subscription: Subscription, delivery: Delivery) -> Attempt | None:
        """Make one attempt, in a thread of the subscriber's lane."""
        dispatcher, policy = self.dispatcher, subscription.policy
        lasts = timedelta(seconds=policy.timeout_seconds) + _SPARE / 2
        if dispatcher.now() + lasts > delivery.due_at:
            return None
        if delivery.attempts > policy.max_attempts:
            return Attempt(AttemptVerdict.AGAIN, "every process that tried it was killed")
        try:
            return dispatcher.send(dispatcher.store, subscription, delivery.event, attempt=delivery.attempts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscriber's
            return Attempt(AttemptVerdict.AGAIN, f"{type(error).__name__}: {error}")

    def _settle(self) -> None:
        at, chance = self.dispatcher.now(), self.dispatcher.chance
        settled = [
            retrying.settle(each.delivery, each.subscription.policy, each.attempt, at=at, chance=chance())
            for each in self.unsettled
            if each.attempt
        ]
        self.outbox.settle(settled, [each.delivery for each in self.unsettled if not each.attempt], now=at)

    def _note(self, told: Told) -> None:
        """Take what came of an attempt, and that its lane has room again."""
        self.lanes[told.subscription.name].note(told)
        self.unsettled.append(told)
        self.is_ready = True

    def _wants(self, subscription: Subscription, event: Event) -> bool:
        try:
            return self.dispatcher.wants(subscription, event)
        except Exception:  # noqa: BLE001 - rather one too many, and the others not kept waiting
            traceback.print_exc()
            return True

    def _forget(self, now: datetime) -> bool:
        """Delete what ended long ago, a part of it; return whether there may be more."""
        ended = [(each.name, status, now - age) for each in self.known for status, age in KEPT.items()]
        return any(self.outbox.forget(name, status, before=before) for name, status, before in ended)

    def _active(self) -> list[Subscription]:
        return [each for each in self.known if each.state is SubscriptionState.ACTIVE]


def _is_starting(subscription: Subscription) -> bool:
    return subscription.handler in handlers.STARTING


def _until(subscription: Subscription, now: datetime) -> datetime:
    """Return how long a lease lasts that begins now."""
    return now + timedelta(seconds=subscription.policy.timeout_seconds) + _SPARE
