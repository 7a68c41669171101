"""Events, subscriptions and deliveries as people read them."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import Delivery, DeliveryStatus, Event, EventFilter, Subscription

Counts = Mapping["DeliveryStatus", int]


def wish(found: "EventFilter") -> str:
    """Return in a line which events are wanted."""
    parts = [", ".join(found.types) or "all events"]
    if found.subject_begins_with:
        parts.append(f"of {found.subject_begins_with}…")
    if found.subject_ends_with:
        parts.append(f"of …{found.subject_ends_with}")
    for each in found.conditions:
        values = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in each.values)
        parts.append(f"if {each.key} {each.operator} {values}")
    return " ".join(parts)


def place(found: "Subscription") -> str:
    """Return in a line what tells the subscriber."""
    target = found.target
    match str(found.handler):
        case "webhook":
            told = target["url"]
        case "pipeline":
            told = target["pipeline"]
        case "command":
            told = " ".join(target["command"])
        case "email":
            told = ", ".join(target["to"])
        case _:
            told = target["path"]
    return f"{found.handler} {told}"


def show_subscriptions(found: Sequence["Subscription"], counts: Mapping[str, Counts]) -> None:
    """Print a line for each subscription."""
    output.show_table(
        ("subscription", "state", "told by", "events", "delivered", "waiting", "dead"),
        [
            (each.name, each.state, place(each), wish(each.filter), *_numbers(counts.get(each.name, {})))
            for each in found
        ],
        empty="nobody is told of anything; next: wright event subscribe NAME --webhook URL --types 'model.*'",
    )


def show_subscription(found: "Subscription", counts: Counts, latest: Sequence["Delivery"]) -> None:
    """Print all that is known of a subscription, and its last deliveries."""
    delivered, waiting, dead = _numbers(counts)
    policy = found.policy
    output.show_fields(
        [
            ("subscription", found.name),
            ("state", found.state),
            ("events", wish(found.filter)),
            ("told by", place(found)),
            *((name.replace("_", " "), value) for name, value in plain(found.target).items()),
            ("schema", found.envelope),
            (
                "tried",
                f"at most {policy.max_attempts} times in {policy.live_minutes} min, {policy.timeout_seconds:g} s each",
            ),
            ("made by", f"{found.created_by} at {output.moment(found.created_at)}"),
            ("deliveries", f"{delivered} delivered, {waiting} waiting, {dead} dead"),
        ]
    )
    show_deliveries(latest)


def show_events(found: Sequence["Event"]) -> None:
    """Print a line for each event."""
    output.show_table(
        ("event", "time", "type", "subject"),
        [(each.id, output.moment(each.at), each.type, each.subject) for each in found],
        empty="nothing like that has happened",
    )


def show_event(found: "Event", told: Sequence["Delivery"]) -> None:
    """Print all that an event says, and who was told."""
    output.show_fields(
        [
            ("event", found.id),
            ("type", found.type),
            ("subject", found.subject),
            ("time", output.moment(found.at)),
        ]
    )
    click.echo(json.dumps(plain(found.data), indent=2))
    show_deliveries(told)


def show_deliveries(found: Sequence["Delivery"]) -> None:
    """Print a line for each delivery: where it stands, how often it was tried, what came of that, when it goes on."""
    output.show_table(
        ("delivery", "subscription", "event", "status", "tried", "last told", "next, or ended"),
        [
            (
                each.id,
                each.subscription,
                f"{each.event.type} {each.event.subject}",
                f"{each.status} ({each.reason})" if each.reason else each.status,
                each.attempts,
                each.told or "nothing yet",
                output.moment(each.finished_at or each.due_at),
            )
            for each in found
        ],
        empty="nothing was to be delivered",
    )


def delivery_facts(each: "Delivery") -> dict[str, Any]:
    """Return what is told of a delivery; of a dead one besides, by Event Grid's names, why it is."""
    told: dict[str, Any] = plain(each)
    if each.reason:
        told |= {
            "deadLetterReason": each.reason,
            "deliveryAttempts": each.attempts,
            "lastDeliveryOutcome": each.told,
            "publishTime": plain(each.event.at),
            "lastDeliveryAttemptTime": plain(each.attempted_at),
        }
    return told


def _numbers(counts: Counts) -> tuple[int, int, int]:
    told = {str(status): count for status, count in counts.items()}
    return told.get("delivered", 0), told.get("pending", 0), told.get("dead", 0)
