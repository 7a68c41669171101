"""`/events`, `/subscriptions` and `/deliveries`: what happened, who is told of it, and what came of telling."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelwright import records
from modelwright.api.acting import Acting, Reading, demand, needs
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import Deleted, fields
from modelwright.lifecycle.events import subscribing, targets
from modelwright.lifecycle.events.subscribing import Introduced
from modelwright.records import (
    Attempt,
    Delivery,
    DeliveryPolicy,
    DeliveryStatus,
    Envelope,
    Event,
    EventCondition,
    EventFilter,
    HandlerKind,
    Role,
    Subscription,
    SubscriptionState,
)
from modelwright.store import deliveries, events, subscriptions
from modelwright.store.database import Store
from modelwright.store.deliveries import DeliveryFilter

router = Router("", tag="events")
_deployer = [needs(Role.DEPLOYER)]
_Glob = Annotated[str, Query(max_length=1000)]
_Text = Annotated[str, Field(max_length=4096)]

EventShown = Annotated[dict[str, Any], joined("EventShown", Event, deliveries=list[Delivery])]
SubscriptionShown = Annotated[
    dict[str, Any], joined("SubscriptionShown", Subscription, deliveries=dict[str, int], latest=list[Delivery])
]


@dataclass(frozen=True)
class Secret:
    """A webhook's secret, told this once; None for the password of a mail server, which its owner knows."""

    secret: str | None


@dataclass(frozen=True)
class Replayed:
    """How many deliveries are tried again from the start."""

    replayed: int


class Webhook(BaseModel):
    """An address that each event is posted to."""

    model_config = ConfigDict(extra="forbid")

    url: _Text
    is_private_allowed: Annotated[bool, Field(description="In this machine or network, or no TLS: takes an owner.")] = (
        False
    )
    is_vouched_for: Annotated[bool, Field(description="It is not asked whether it wants events.")] = False


class Pipeline(BaseModel):
    """A published pipeline that runs once for each event; what a parameter's text means depends on the event."""

    model_config = ConfigDict(extra="forbid")

    pipeline: _Text
    parameters: dict[str, str] = {}


class Command(BaseModel):
    """A command that runs on the workspace's machine, in the workspace's folder: takes an owner."""

    model_config = ConfigDict(extra="forbid")

    command: _Text


class Email(BaseModel):
    """Who gets mail, and by which server; its password is the subscription's `secret`."""

    model_config = ConfigDict(extra="forbid")

    to: list[_Text] = Field(min_length=1, max_length=100)
    server: _Text
    user: _Text = ""
    sender: _Text = ""
    security: Literal["starttls", "tls", "none"] = "starttls"
    is_private_allowed: Annotated[bool, Field(description="Takes an owner.")] = False


class File(BaseModel):
    """A file of the workspace's machine that gets a line for each event, or a folder: takes an owner."""

    model_config = ConfigDict(extra="forbid")

    path: _Text


class Condition(BaseModel):
    """A condition on a field such as `data.tags.area`; operators are those of Event Grid, as `StringIn`."""

    model_config = ConfigDict(extra="forbid")

    key: _Text
    operator: _Text
    values: list[str | float | bool] = Field(max_length=25)


class NewSubscription(BaseModel):
    """Who is to be told of which events, and how: exactly one of webhook, pipeline, command, email and file."""

    model_config = ConfigDict(extra="forbid")

    name: str
    webhook: Webhook | None = None
    pipeline: Pipeline | None = None
    command: Command | None = None
    email: Email | None = None
    file: File | None = None
    types: list[_Text] = Field([], max_length=100)
    subject_begins_with: _Text = ""
    subject_ends_with: _Text = ""
    conditions: list[Condition] = Field([], max_length=25)
    envelope: Envelope = Envelope.CLOUD_EVENTS
    max_attempts: int = Field(30, ge=1, le=1000)
    live_minutes: int = Field(1440, ge=1, le=1_000_000)
    timeout_seconds: float = Field(30.0, ge=0.1, le=600)
    secret: _Text | None = None

    @model_validator(mode="after")
    def _has_one_handler(self) -> Self:
        if sum(getattr(self, each) is not None for each in HandlerKind) != 1:
            rule = f"exactly one of {', '.join(HandlerKind)} says what is told"
            raise ValueError(rule)
        return self

    @property
    def handler(self) -> HandlerKind:
        """What an event starts."""
        return next(each for each in HandlerKind if getattr(self, each) is not None)

    def needs_owner(self) -> bool:
        """Whether it reaches further than a deployer may: into this machine or its network."""
        inside = any(each is not None and each.is_private_allowed for each in (self.webhook, self.email))
        return inside or self.command is not None or self.file is not None

    def target(self, store: Store) -> dict[str, Any]:
        """Return what the handler needs. Raises SubscriberInvalid, and what keeps a pipeline from running."""
        if self.webhook:
            return targets.webhook(self.webhook.url, is_private_allowed=self.webhook.is_private_allowed)
        if self.pipeline:
            return targets.pipeline(store, self.pipeline.pipeline, parameters=self.pipeline.parameters)
        if self.email:
            return targets.email(**self.email.model_dump())
        folder = store.folder.absolute().parent
        if self.command:
            return targets.command(self.command.command, folder=folder)
        return targets.file(self.file.path if self.file else "", folder=folder)

    def subscription(self, store: Store) -> Subscription:
        """Return it as a record."""
        conditions = tuple(EventCondition(each.key, each.operator, tuple(each.values)) for each in self.conditions)
        return Subscription(
            name=self.name,
            handler=self.handler,
            target=self.target(store),
            filter=EventFilter(tuple(self.types), self.subject_begins_with, self.subject_ends_with, conditions),
            envelope=self.envelope,
            policy=DeliveryPolicy(self.max_attempts, self.live_minutes, self.timeout_seconds),
            state=SubscriptionState.ACTIVE,
            created_by="",
            created_at=records.now(),
        )


class NewSecret(BaseModel):
    """Another secret, or none to have one made; for how long the one before signs too."""

    model_config = ConfigDict(extra="forbid")

    secret: _Text | None = None
    overlap_hours: Annotated[int, Field(ge=0, le=24 * 366)] = 24


@router.get("/events")
def list_events(
    reading: Reading,
    page: Paged,
    types: Annotated[_Glob, Query(description="As model.registered or run.*")] = "*",
    subject: Annotated[_Glob, Query(description="As models/churn:3 or models/churn:*")] = "*",
) -> list[Event]:
    """List what happened, newest first."""
    found = events.list_events(reading, types=types, subject=subject, before=page.number, limit=page.limit + 1)
    return page.first(found, lambda each: str(each.sequence))


@router.get("/events/{event}")
def show_event(event: str, reading: Reading) -> EventShown:
    """Show an event: all that it says, and who was told of it."""
    found = events.get_event(reading, event)
    return fields(found) | {"deliveries": deliveries.list_deliveries(reading, DeliveryFilter(event_id=event))}


@router.get("/subscriptions")
def list_subscriptions(reading: Reading, page: Paged) -> list[Subscription]:
    """List who is told of which events, by name."""
    return page.cut(subscriptions.list_subscriptions(reading), lambda each: each.name)


@router.post("/subscriptions", status_code=201, dependencies=_deployer)
def add_subscription(wanted: NewSubscription, request: Request, acting: Acting) -> Introduced:
    """Let every event that comes from now on start something; commands, files and private addresses take an owner.

    A webhook is asked whether it wants events, and is `pending` until it says so. Its secret is told this once.
    """
    if wanted.needs_owner():
        demand(request, Role.OWNER)
    vouched = wanted.webhook is not None and wanted.webhook.is_vouched_for
    subscription = wanted.subscription(acting.store)
    return subscribing.subscribe(acting, subscription, secret=wanted.secret, is_vouched_for=vouched)


@router.get("/subscriptions/{name}")
def show_subscription(name: str, reading: Reading) -> SubscriptionShown:
    """Show a subscription: what it is told, how many deliveries stand how, and the last of them."""
    found = subscriptions.get_subscription(reading, name)
    latest = deliveries.list_deliveries(reading, DeliveryFilter(subscription=name), limit=5)
    return fields(found) | {"deliveries": deliveries.count_deliveries(reading).get(name, {}), "latest": latest}


@router.delete("/subscriptions/{name}", dependencies=_deployer)
def remove_subscription(name: str, acting: Acting) -> Deleted:
    """Delete a subscription with its deliveries and its secret."""
    subscribing.unsubscribe(acting, name)
    return Deleted(name)


@router.post("/subscriptions/{name}/pause", dependencies=_deployer)
def pause_subscription(name: str, acting: Acting) -> Subscription:
    """Let a subscriber not be told for a while; what happens meanwhile waits."""
    return subscribing.pause(acting, name)


@router.post("/subscriptions/{name}/resume", dependencies=_deployer)
def resume_subscription(
    name: str,
    acting: Acting,
    vouched: Annotated[bool, Query(description="A webhook that has not agreed is not asked.")] = False,  # noqa: FBT002 - FastAPI's way
) -> Introduced:
    """Let a subscriber be told again, from where it was paused; a webhook that has not agreed yet is asked again."""
    return subscribing.resume(acting, name, is_vouched_for=vouched)


@router.post("/subscriptions/{name}/secret", dependencies=_deployer)
def rotate_secret(name: str, acting: Acting, wanted: NewSecret | None = None) -> Secret:
    """Give a webhook another secret, told this once, or a mail server another password."""
    wanted = wanted or NewSecret()
    overlap = timedelta(hours=wanted.overlap_hours)
    return Secret(subscribing.rotate(acting, name, secret=wanted.secret, overlap=overlap))


@router.post("/subscriptions/{name}/test", dependencies=_deployer)
def try_subscription(name: str, acting: Acting) -> Attempt:
    """Send a sample event to a subscriber at once, and say what came of it; a pipeline or command really runs."""
    return subscribing.test(acting.store, name)


@router.get("/deliveries")
def list_deliveries(
    reading: Reading,
    page: Paged,
    subscription: Annotated[str | None, Query(description="Only to this subscriber.")] = None,
    status: Annotated[DeliveryStatus | None, Query(description="Only what stands so.")] = None,
) -> list[Delivery]:
    """List what came of telling, newest first: how often it was tried, what was answered last, when it is next."""
    wanted = DeliveryFilter(subscription, status, before=page.after)
    return page.first(deliveries.list_deliveries(reading, wanted, limit=page.limit + 1), lambda each: each.id)


@router.post("/deliveries/{delivery}/replay", dependencies=_deployer)
def replay_delivery(delivery: str, acting: Acting) -> Replayed:
    """Tell a subscriber once more, from the start."""
    return Replayed(subscribing.replay(acting, delivery))


@router.post("/subscriptions/{name}/replay", dependencies=_deployer)
def replay_dead_deliveries(name: str, acting: Acting) -> Replayed:
    """Tell a subscriber once more of all that was given up."""
    return Replayed(subscribing.replay(acting, name))
