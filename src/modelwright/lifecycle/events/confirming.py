"""Confirmations by hand: whoever can read what a webhook was sent opens the address that was in it.

The address has a code that nobody guesses, of which the digest is kept, and counts for a few minutes.
"""

import hashlib
import hmac
import json
import secrets as randomness
from datetime import datetime, timedelta

from modelwright.errors import ConfirmationUnknown, SubscriptionMissing
from modelwright.records import Subscription, SubscriptionState
from modelwright.store import api_place, secrets, subscriptions
from modelwright.store.changes import change
from modelwright.store.database import Store

PATH = "/confirmations"
LASTS = timedelta(minutes=10)


def offer(store: Store, subscription: str, *, now: datetime) -> str | None:
    """Return an address that confirms a subscription, in the place of one before; None where nothing serves it."""
    place = api_place.url(store)
    if place is None:
        return None
    code = randomness.token_urlsafe(32)
    secrets.put(store, _name(subscription), json.dumps([_digest(code), (now + LASTS).isoformat()]))
    return f"{place}{PATH}/{subscription}/{code}"


def confirm(store: Store, name: str, code: str, *, now: datetime) -> Subscription:
    """Let events be delivered to a subscription that waits for it, and return it. Raises ConfirmationUnknown."""
    try:
        subscription = subscriptions.get_subscription(store, name)
    except SubscriptionMissing as error:
        raise ConfirmationUnknown from error
    digest, until = json.loads(secrets.get(store, _name(name)) or '["", ""]')
    if not hmac.compare_digest(digest, _digest(code)) or now > datetime.fromisoformat(until):
        raise ConfirmationUnknown
    if subscription.state is SubscriptionState.PENDING:
        with change(store, actor=f"subscription:{name}", why="its receiver confirmed that it wants events") as opened:
            subscriptions.set_state(opened, name, SubscriptionState.ACTIVE)
    return subscription


def forget(store: Store, subscription: str) -> None:
    """Let no address confirm a subscription any more."""
    secrets.remove(store, _name(subscription))


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _name(subscription: str) -> str:
    return f"confirmation-{subscription}"
