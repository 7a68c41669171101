"""Events sent to a web address, and what its answers mean.

Bodies are CloudEvents in JSON, or an array as Event Grid sends it; headers are those of Standard Webhooks, so a
receiver can tell who sent it and drop what it has had. Before anything is sent to an address it has to say that it
wants that, by the handshake of its envelope.
"""

import secrets
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from modelwright import records
from modelwright.errors import AddressRefused, SubscriberInvalid
from modelwright.lifecycle.events import confirming, envelopes, exchanges, signing
from modelwright.lifecycle.events.envelopes import Letter
from modelwright.lifecycle.events.exchanges import Answer, Limits
from modelwright.lifecycle.events.wording import in_a_line
from modelwright.records import Attempt, AttemptVerdict, Envelope, Event, Subscription, SubscriptionState
from modelwright.store import hops, subscriptions
from modelwright.store.changes import change
from modelwright.store.database import Store

_ORIGIN = "modelwright"
_CONTENT_TYPES = {
    Envelope.CLOUD_EVENTS: "application/cloudevents+json; charset=utf-8",
    Envelope.EVENT_GRID: "application/json; charset=utf-8",
}
_DELIVERED = range(200, 205)
_HOPELESS = {
    400: "it says that the event is wrong",
    410: "it wants no more",
    413: "it says that the event is too large",
}
_GONE = 410
# Somebody has to mend these, which takes longer than a moment.
_TO_BE_MENDED = frozenset({401, 403, 404})
_MENDING_SECONDS = 300.0
_LONGEST_SECONDS = 86400.0
_BUSY = frozenset({429, 503})
_REDIRECTS = range(300, 400)


def send(store: Store, subscription: Subscription, event: Event, letters: list[Letter], *, attempt: int) -> Attempt:
    """Post an event to the subscriber's address and say what came of it."""
    body = _body(subscription.envelope, letters)
    now = records.now()
    keys = signing.present(store, subscription.name, now=now)
    if not keys:
        return Attempt(
            AttemptVerdict.AGAIN, "its secret is gone: wright event rotate gives a new one", _MENDING_SECONDS
        )
    headers = signing.headers(keys, event_id=event.id, now=now, body=body)
    headers[hops.HEADER] = str(event.hops + 1)
    headers["Content-Type"] = _CONTENT_TYPES[subscription.envelope]
    if subscription.envelope is Envelope.EVENT_GRID:
        headers |= _grid_headers(subscription, "Notification") | {"aeg-delivery-count": str(attempt - 1)}
    answer = _asked("POST", subscription, headers=headers, body=body)
    if isinstance(answer, Attempt):
        return answer
    if answer.status == _GONE:
        with change(store, actor=subscription.created_by, why="the subscriber answered 410") as opened:
            subscriptions.set_state(opened, subscription.name, SubscriptionState.PAUSED)
    return _meaning(answer, now=now)


def shake_hands(store: Store, subscription: Subscription) -> Attempt:
    """Ask an address whether it wants events, in the way of its envelope; delivered means that it does."""
    if subscription.envelope is Envelope.CLOUD_EVENTS:
        return _cloud_handshake(subscription)
    return _grid_handshake(store, subscription)


def _cloud_handshake(subscription: Subscription) -> Attempt:
    """Ask as the HTTP 1.1 web hooks of CloudEvents do: OPTIONS, whose answer names us or everybody."""
    answer = _asked("OPTIONS", subscription, headers={"WebHook-Request-Origin": _ORIGIN}, body=b"")
    if isinstance(answer, Attempt):
        return answer
    allowed = answer.headers.get("webhook-allowed-origin", "").strip()
    if answer.status in _DELIVERED and allowed.lower() in {"*", _ORIGIN}:
        return Attempt(AttemptVerdict.DELIVERED, f"{answer.status}, it wants events")
    missing = f'no WebHook-Allowed-Origin of "*" or "{_ORIGIN}"' if answer.status in _DELIVERED else ""
    return Attempt(AttemptVerdict.AGAIN, f"OPTIONS: {missing or _told(answer)}")


def _grid_handshake(store: Store, subscription: Subscription) -> Attempt:
    """Send Event Grid's validation event; only an answer of 200 with the code in it counts at once.

    Somebody may open its address later.
    """
    code, now = secrets.token_hex(16), records.now()
    told = envelopes.grid_validation(
        code,
        url=confirming.offer(store, subscription.name, now=now),
        event_id=records.new_id("event"),
        workspace=envelopes.workspace_name(store.folder),
        at=now,
    )
    headers = {
        "Content-Type": _CONTENT_TYPES[Envelope.EVENT_GRID],
        **_grid_headers(subscription, "SubscriptionValidation"),
    }
    answer = _asked("POST", subscription, headers=headers, body=orjson.dumps(told))
    if isinstance(answer, Attempt):
        return answer
    if answer.status != 200:  # noqa: PLR2004 - 202 is not accepted either
        return Attempt(AttemptVerdict.AGAIN, f"validation: {_told(answer)}")
    if _echoed(answer.body) != code:
        return Attempt(AttemptVerdict.AGAIN, 'validation: its answer has not the code as "validationResponse"')
    return Attempt(AttemptVerdict.DELIVERED, "200, it wants events")


def _asked(method: str, subscription: Subscription, *, headers: Mapping[str, str], body: bytes) -> Answer | Attempt:
    """Return the answer of the subscriber's address, or what it means that there is none."""
    target = subscription.target
    limits = Limits(subscription.policy.timeout_seconds, is_private_allowed=target["is_private_allowed"])
    again = AttemptVerdict.AGAIN
    try:
        return exchanges.exchange(method, target["url"], headers=headers, body=body, limits=limits)
    except (AddressRefused, SubscriberInvalid) as error:
        return Attempt(again, f"{error}; {error.next_command}", _MENDING_SECONDS)
    except TimeoutError:
        return Attempt(again, f"no whole answer within {limits.timeout_seconds:g} s")
    except ssl.SSLCertVerificationError as error:
        return Attempt(again, f"its certificate does not hold: {error.verify_message}", _MENDING_SECONDS)
    except (OSError, ValueError) as error:
        return Attempt(again, f"no answer: {getattr(error, 'strerror', None) or error}")


def _meaning(answer: Answer, *, now: datetime) -> Attempt:
    told = _told(answer)
    if answer.status in _DELIVERED:
        return Attempt(AttemptVerdict.DELIVERED, str(answer.status))
    if answer.status in _HOPELESS:
        return Attempt(AttemptVerdict.HOPELESS, f"{told}: {_HOPELESS[answer.status]}")
    wait = 0.0
    if answer.status in _TO_BE_MENDED:
        wait = _MENDING_SECONDS
    elif answer.status in _BUSY:
        wait = _seconds_until(answer.headers.get("retry-after", ""), now=now)
    return Attempt(AttemptVerdict.AGAIN, told, wait)


def _told(answer: Answer) -> str:
    if answer.status in _REDIRECTS:
        place = answer.headers.get("location", "nowhere")
        return f'{answer.status}: it wants to go to "{in_a_line(place)}"; redirects are not followed'
    said = in_a_line(answer.body.decode(errors="replace"))
    return f"{answer.status} {said}".strip()


def _seconds_until(text: str, *, now: datetime) -> float:
    """Return what `Retry-After` asks for: seconds, or up to a date."""
    if text.strip().isdecimal():
        return min(float(text.strip()), _LONGEST_SECONDS)
    try:
        return min(max(0.0, (parsedate_to_datetime(text) - now).total_seconds()), _LONGEST_SECONDS)
    except (TypeError, ValueError):
        return 0.0


def _body(envelope: Envelope, letters: list[Letter]) -> bytes:
    told: Any = [each.body for each in letters]
    return orjson.dumps(told if envelope is Envelope.EVENT_GRID else told[0])


def _grid_headers(subscription: Subscription, kind: str) -> dict[str, str]:
    return {
        "aeg-event-type": kind,
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-metadata-version": "1",
        "aeg-data-version": "",
    }


def _echoed(body: bytes) -> object:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return told.get("validationResponse") if isinstance(told, dict) else None
