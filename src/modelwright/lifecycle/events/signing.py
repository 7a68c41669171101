"""What webhooks are signed with: secrets, their rotation, signatures by Standard Webhooks 1.0.

Source: github.com/standard-webhooks/standard-webhooks, symmetric signatures.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets as randomness
from collections.abc import Sequence
from datetime import datetime, timedelta

from modelwright.errors import SubscriberInvalid
from modelwright.store import secrets
from modelwright.store.database import Store

_PREFIX = "whsec_"
_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 24, 64


def renew(store: Store, subscription: str, *, now: datetime, own: str | None, overlap: timedelta) -> str:
    """Give a subscription a new secret, `own` if it is given, and return it; for a while the one before signs too.

    Raises SubscriberInvalid for one that cannot be a secret.
    """
    secret = checked(own) if own else _PREFIX + base64.b64encode(randomness.token_bytes(_BYTES)).decode()
    kept: list[tuple[str, datetime | None]] = [(secret, None)]
    if overlap:
        kept += [(old, until or now + overlap) for old, until in _kept(store, subscription, now=now)][:1]
    told = [[each, until.isoformat() if until else None] for each, until in kept]
    secrets.put(store, _name(subscription), json.dumps(told))
    return secret


def present(store: Store, subscription: str, *, now: datetime) -> list[str]:
    """Return the secrets that sign now, the newest first."""
    return [secret for secret, _ in _kept(store, subscription, now=now)]


def forget(store: Store, subscription: str) -> None:
    """Forget a subscription's secrets."""
    secrets.remove(store, _name(subscription))


def headers(keys: Sequence[str], *, event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove whom a request is from, with a signature by each of the secrets."""
    timestamp = str(int(now.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    signatures = [f"v1,{base64.b64encode(hmac.digest(_key(each), signed, hashlib.sha256)).decode()}" for each in keys]
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def checked(secret: str) -> str:
    """Return a secret of the user's own if it is one. Raises SubscriberInvalid, which never repeats it."""
    try:
        size = len(_key(secret))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(_PREFIX) or not _LEAST_BYTES <= size <= _MOST_BYTES:
        rule = f"it is {_PREFIX} and the base64 of {_LEAST_BYTES} to {_MOST_BYTES} bytes"
        raise SubscriberInvalid(target="the secret", rule=rule, example="without --secret one is made")
    return secret


def _kept(store: Store, subscription: str, *, now: datetime) -> list[tuple[str, datetime | None]]:
    told = json.loads(secrets.get(store, _name(subscription)) or "[]")
    read = [(secret, datetime.fromisoformat(until) if until else None) for secret, until in told]
    return [(secret, until) for secret, until in read if until is None or until > now]


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)


def _name(subscription: str) -> str:
    return f"webhook-{subscription}"
