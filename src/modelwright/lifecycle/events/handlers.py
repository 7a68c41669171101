"""What each kind of subscriber is told by."""

from modelwright.lifecycle.events import commands, envelopes, files, filters, mail, pipelines, webhooks
from modelwright.lifecycle.events.envelopes import Letter
from modelwright.records import Attempt, AttemptVerdict, Event, HandlerKind, Subscription
from modelwright.store import hops
from modelwright.store.database import Store

# What they start goes on after they were told, so that one after the other would start ever more at once.
STARTING = frozenset({HandlerKind.PIPELINE})
# What they start may lead to further events; a mail or a line in a file does not.
_ACTING = frozenset({HandlerKind.WEBHOOK, HandlerKind.PIPELINE, HandlerKind.COMMAND})


def send(store: Store, subscription: Subscription, event: Event, *, attempt: int) -> Attempt:
    """Tell a subscriber of an event and return what came of it; what the subscriber does wrong raises nothing.

    `attempt` counts from 1. It takes about as long as the subscription's policy allows, at most.
    """
    workspace = envelopes.workspace_name(store.folder)
    letters = filters.wanted(event, subscription.filter, subscription.envelope, workspace=workspace)
    if not letters:  # the subscription was changed since
        return Attempt(AttemptVerdict.DELIVERED, "it is not wanted any more")
    if event.hops > hops.MOST and subscription.handler in _ACTING:
        told = f"left out: {event.hops} events in a row led to it, each by what a subscription started"
        return Attempt(AttemptVerdict.HOPELESS, told)
    return _told(store, subscription, event, letters, attempt=attempt)


def room(store: Store) -> int:
    """Return how much more all of those together may start now whose kind is `STARTING`."""
    return pipelines.room(store)


def _told(store: Store, subscription: Subscription, event: Event, letters: list[Letter], *, attempt: int) -> Attempt:
    match subscription.handler:
        case HandlerKind.WEBHOOK:
            return webhooks.send(store, subscription, event, letters, attempt=attempt)
        case HandlerKind.PIPELINE:
            return pipelines.send(store, subscription, event)
        case HandlerKind.COMMAND:
            return commands.send(store, subscription, event, letters, attempt=attempt)
        case HandlerKind.EMAIL:
            return mail.send(store, subscription, event, letters)
        case HandlerKind.FILE:
            return files.send(subscription, event, letters, attempt=attempt)
