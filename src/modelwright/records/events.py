"""Events, who wants to be told of them, and how far telling them is."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Event:
    """A fact that was committed with the change that made it one. `sequence` is its place among all.

    `hops` is how many events in a row led to it: 0 for what a person did, 1 for what a subscription to that did.
    """

    sequence: int
    id: str
    type: str
    subject: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    hops: int = 0


class Envelope(StrEnum):
    """How an event is written down: CloudEvents 1.0 (cloudevents.io), or as Azure Event Grid does."""

    CLOUD_EVENTS = "cloudevents"
    EVENT_GRID = "eventgrid"


class HandlerKind(StrEnum):
    """What an event starts."""

    WEBHOOK = "webhook"
    PIPELINE = "pipeline"
    COMMAND = "command"
    EMAIL = "email"
    FILE = "file"


@dataclass(frozen=True)
class EventCondition:
    """A condition on a field such as `data.ModelTags.area`; operators are those of Event Grid, as `StringIn`."""

    key: str
    operator: str
    values: tuple[str | float | bool, ...]


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted: those that answer to all that is given; nothing given is all of them."""

    types: tuple[str, ...] = ()
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    conditions: tuple[EventCondition, ...] = ()


@dataclass(frozen=True)
class DeliveryPolicy:
    """How long an event is tried to be delivered: whichever ends first. Defaults are those of Event Grid."""

    max_attempts: int = 30
    live_minutes: int = 1440
    timeout_seconds: float = 30.0


class SubscriptionState(StrEnum):
    """Whether events are delivered: a webhook is `pending` until it has shown that it wants them."""

    PENDING = "pending"
    ACTIVE = "active"
    PAUSED = "paused"


@dataclass(frozen=True)
class Subscription:
    """Who wants to be told of what, how and where. `target` is what the handler needs, without secrets."""

    name: str
    handler: HandlerKind
    target: dict[str, Any]
    filter: EventFilter
    envelope: Envelope
    policy: DeliveryPolicy
    state: SubscriptionState
    created_by: str
    created_at: datetime


class DeliveryStatus(StrEnum):
    """What became of telling a subscriber of an event; `dead` is one that was given up and can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeadReason(StrEnum):
    """Why a delivery was given up: which end of its policy came first, or that trying again would not help."""

    HOPELESS = "hopeless"
    MAX_ATTEMPTS = "max_attempts"
    LIVE_MINUTES = "live_minutes"


@dataclass(frozen=True)
class Delivery:
    """An event on its way to a subscriber. `told` is what came of the last attempt, in words.

    `attempts` counts one that goes on; a `dead` one has a `reason`.
    """

    id: str
    subscription: str
    event: Event
    status: DeliveryStatus
    attempts: int
    told: str
    due_at: datetime
    created_at: datetime
    reason: DeadReason | None = None
    attempted_at: datetime | None = None
    finished_at: datetime | None = None


class AttemptVerdict(StrEnum):
    """What an attempt means for the delivery: it is done, it is tried again, or it will never work."""

    DELIVERED = "delivered"
    AGAIN = "again"
    HOPELESS = "hopeless"


@dataclass(frozen=True)
class Attempt:
    """What came of telling a subscriber; `wait_seconds` is how long it asked to be left alone at least."""

    verdict: AttemptVerdict
    told: str
    wait_seconds: float = 0.0
