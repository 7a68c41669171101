"""The outbox as a dispatcher sees it: events become deliveries, deliveries are leased, what came of them is noted.

How far telling is, is no state of the workspace: it is written without audit records and events, or telling of events
would make events for ever. Nor does it wait for the disk: what a power cut takes back is told once more.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelwright import records
from modelwright.records import DeadReason, Delivery, DeliveryStatus, Event, Subscription
from modelwright.store import claims
from modelwright.store.database import DATABASE, Store, begin_writing

# So long does one transaction hold the database's write lock at most: a few milliseconds.
_EVENTS_AT_ONCE = 250
_FORGOTTEN_AT_ONCE = 1000

_POSITIONS = "SELECT subscription, sequence FROM subscription_positions"
_EVENTS = "SELECT sequence, id, type, subject, at, data, hops FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?"
_OF_SUBSCRIBERS = "SELECT 1 FROM events WHERE sequence > ? AND sequence <= ? AND type GLOB 'subscription.*' LIMIT 1"
_MOVE = "UPDATE subscription_positions SET sequence = ? WHERE subscription = ? AND sequence = ?"
_ADD = (
    "INSERT INTO deliveries (id, subscription, event_id, status, due_at, created_at) VALUES (?, ?, ?, 'pending', ?, ?)"
)
_NEXT = "SELECT min(due_at) FROM deliveries WHERE subscription = ? AND status = 'pending'"
_LEASE = (
    "UPDATE deliveries SET leased_by = ?, due_at = ?, attempts = attempts + 1 WHERE id IN (SELECT id FROM deliveries "
    "WHERE subscription = ? AND status = 'pending' AND due_at <= ? ORDER BY due_at LIMIT ?) "
    "RETURNING id, event_id, attempts, told, created_at, attempted_at"
)
_EVENT = "SELECT sequence, id, type, subject, at, data, hops FROM events WHERE id = ?"
_STILL_MINE = "WHERE id = ? AND leased_by = ? AND attempts = ?"
# What has arrived has arrived, whosever lease it is by now.
_DELIVERED = (
    "UPDATE deliveries SET status = 'delivered', reason = '', told = ?, attempted_at = ?, finished_at = ?, due_at = ?, "
    "leased_by = NULL WHERE id = ?"
)
_NOT_DELIVERED = (
    "UPDATE deliveries SET status = ?, reason = ?, told = ?, attempted_at = ?, finished_at = ?, due_at = ?, "  # noqa: S608 - ours
    f"leased_by = NULL {_STILL_MINE}"
)
_GIVEN_BACK = f"UPDATE deliveries SET attempts = attempts - 1, due_at = ?, leased_by = NULL {_STILL_MINE}"  # noqa: S608 - ours
_HOLDERS = "SELECT DISTINCT leased_by FROM deliveries WHERE leased_by IS NOT NULL AND leased_by != ?"
_FREE = "UPDATE deliveries SET due_at = ?, leased_by = NULL WHERE leased_by = ?"
_FORGET = (
    "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries "
    "WHERE subscription = ? AND status = ? AND due_at < ? LIMIT ?)"
)


@dataclass(frozen=True)
class Unseen:
    """What a subscription has not seen: from its position up to an event, and those among it that it wants."""

    subscription: str
    position: int
    last: int
    wanted: list[Event]


@dataclass(frozen=True)
class Settled:
    """What came of a leased delivery: `due_at` is when it is tried next; a time that is past, for one that ended."""

    delivery: Delivery
    status: DeliveryStatus
    told: str
    at: datetime
    due_at: datetime
    reason: DeadReason | None = None


class Outbox:
    """A connection of one dispatcher's own, whose leases bear its name. One thread at a time may use it."""

    def __init__(self, store: Store, holder: str) -> None:
        """Connect to the store's workspace."""
        self._store = store
        self._holder = holder
        self._connection = sqlite3.connect(store.folder / DATABASE, isolation_level=None, check_same_thread=False)
        for each in ("busy_timeout=0", "synchronous=NORMAL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {each}")
        self._version = -1
        self._depth = 0
        self._recent: dict[str, Event] = {}  # what was handed out last is mostly what is leased next

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def has_changed(self) -> bool:
        """Whether anybody else has written to the workspace since the last time: the cheapest question there is."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        has_changed, self._version = version != self._version, version
        return bool(has_changed)

    def newest(self) -> int:
        """Return the sequence number of the newest event; 0 when there is none."""
        (newest,) = self._connection.execute("SELECT max(sequence) FROM events").fetchone()
        return newest or 0

    def is_subscriber_among(self, after: int, last: int) -> bool:
        """Whether one of the events after one and up to another is of a subscription."""
        return self._connection.execute(_OF_SUBSCRIBERS, (after, last)).fetchone() is not None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Let all that is written in the block be one transaction, which begins with the first of it."""
        self._depth += 1
        try:
            yield
            if self._depth == 1 and self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def unseen(
        self, subscriptions: Iterable[Subscription], wants: Callable[[Subscription, Event], bool]
    ) -> tuple[list[Unseen], bool]:
        """Return what subscriptions have not seen, a part of it, and whether there may be more. Writes nothing."""
        positions: dict[str, int] = dict(self._connection.execute(_POSITIONS).fetchall())
        events: dict[int, list[Event]] = {}
        found = []
        for each in subscriptions:
            position = positions.get(each.name)
            if position is None:
                continue
            if position not in events:
                events[position] = self._events(position)
            if new := events[position]:
                found.append(Unseen(each.name, position, new[-1].sequence, [one for one in new if wants(each, one)]))
        if found:
            self._recent = {one.id: one for new in events.values() for one in new}
        return found, any(len(new) == _EVENTS_AT_ONCE for new in events.values())

    def hand_out(self, unseen: Sequence[Unseen], *, now: datetime) -> None:
        """Make deliveries of the events that subscriptions have not seen and want.

        A subscription's position moves in the same transaction, and only if nobody else has moved it meanwhile.
        """
        if not unseen:
            return
        with self._transaction():
            for each in unseen:
                if self._connection.execute(_MOVE, (each.last, each.subscription, each.position)).rowcount:
                    self._connection.executemany(_ADD, _rows(each.subscription, each.wanted, now))

    def next_due(self, subscription: str) -> datetime | None:
        """Return when a delivery of the subscription is due, which one that is leased is when its lease ends."""
        (text,) = self._connection.execute(_NEXT, (subscription,)).fetchone()
        return datetime.fromisoformat(text) if text else None

    def lease(self, wanted: Mapping[str, tuple[int, datetime]], *, now: datetime) -> list[Delivery]:
        """Take deliveries that are due: of each subscription at most so many, and until then."""
        at = _text(now)
        due = [name for name in wanted if (first := self.next_due(name)) and first <= now]
        if not due:
            return []
        found: list[Delivery] = []
        with self._transaction():
            for name in due:
                count, until = wanted[name]
                rows = self._connection.execute(_LEASE, (self._holder, _text(until), name, at, count)).fetchall()
                found += (self._leased(name, row, until) for row in rows)
        return sorted(found, key=lambda each: (each.subscription, each.event.sequence))

    def settle(self, settled: Sequence[Settled], unsent: Sequence[Delivery], *, now: datetime) -> None:
        """Note what came of deliveries that were leased; those that were not even tried are given back."""
        if not settled and not unsent:
            return
        at = _text(now)
        with self._transaction():
            self._connection.executemany(
                _DELIVERED,
                [
                    (each.told, _text(each.at), _text(each.at), _text(each.at), each.delivery.id)
                    for each in settled
                    if each.status is DeliveryStatus.DELIVERED
                ],
            )
            self._connection.executemany(
                _NOT_DELIVERED,
                [self._not_delivered(each) for each in settled if each.status is not DeliveryStatus.DELIVERED],
            )
            self._connection.executemany(_GIVEN_BACK, [(at, each.id, self._holder, each.attempts) for each in unsent])

    def free(self, *, now: datetime) -> bool:
        """End the leases of dispatchers that were killed, before their time is over; return whether there were any."""
        holders = [holder for (holder,) in self._connection.execute(_HOLDERS, (self._holder,)).fetchall()]
        ended = [holder for holder in holders if not claims.is_claimed(self._store, holder)]
        if ended:
            with self._transaction():
                self._connection.executemany(_FREE, [(_text(now), holder) for holder in ended])
        return bool(ended)

    def forget(self, subscription: str, status: DeliveryStatus, *, before: datetime) -> bool:
        """Delete deliveries that ended so long ago; return whether there may be more."""
        values = (subscription, status, _text(before), _FORGOTTEN_AT_ONCE)
        with self._transaction():
            return self._connection.execute(_FORGET, values).rowcount == _FORGOTTEN_AT_ONCE

    def _events(self, position: int) -> list[Event]:
        return [_event(row) for row in self._connection.execute(_EVENTS, (position, _EVENTS_AT_ONCE))]

    def _leased(self, subscription: str, row: tuple[Any, ...], until: datetime) -> Delivery:
        delivery_id, event_id, attempts, told, created_at, attempted_at = row
        return Delivery(
            id=delivery_id,
            subscription=subscription,
            event=self._recent.get(event_id) or _event(self._connection.execute(_EVENT, (event_id,)).fetchone()),
            status=DeliveryStatus.PENDING,
            attempts=attempts,
            told=told,
            due_at=until,
            created_at=datetime.fromisoformat(created_at),
            attempted_at=datetime.fromisoformat(attempted_at) if attempted_at else None,
        )

    def _not_delivered(self, settled: Settled) -> tuple[object, ...]:
        at = _text(settled.at)
        finished_at = at if settled.status is DeliveryStatus.DEAD else None
        facts = (settled.status, settled.reason or "", settled.told, at, finished_at, _text(settled.due_at))
        return (*facts, settled.delivery.id, self._holder, settled.delivery.attempts)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.together():
            if not self._connection.in_transaction:
                begin_writing(self._connection)
            yield


def _rows(subscription: str, events: Iterable[Event], now: datetime) -> Iterator[tuple[str, ...]]:
    # Due since they happened, so that the oldest is told first.
    for each in events:
        yield records.new_id("delivery"), subscription, each.id, _text(min(each.at, now)), _text(now)


def _event(row: tuple[Any, ...]) -> Event:
    sequence, event_id, kind, subject, at, data, hops = row
    return Event(sequence, event_id, kind, subject, datetime.fromisoformat(at), json.loads(data), hops)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
