"""Subscriptions: made, tried, paused, resumed, removed, and given other secrets."""

import math
from dataclasses import dataclass, replace
from datetime import timedelta

from modelwright import records
from modelwright.errors import SubscriberInvalid
from modelwright.lifecycle.events import confirming, filters, handlers, mail, pipelines, samples, signing, webhooks
from modelwright.lifecycle.sessions import Session
from modelwright.models import registry
from modelwright.records import Attempt, AttemptVerdict, EventFilter, HandlerKind, Subscription, SubscriptionState
from modelwright.store import deliveries, secrets, subscriptions
from modelwright.store.database import Store

OVERLAP = timedelta(hours=24)
_WHO_HAS_SECRETS = "webhooks have a secret, and mail servers a password, which --secret says"


@dataclass(frozen=True)
class Introduced:
    """A subscription, what came of asking its webhook whether it wants events, and the secret that was made for it.

    That is shown this once; nobody is shown one that he brought.
    """

    subscription: Subscription
    greeting: Attempt | None = None
    secret: str | None = None

    @property
    def is_welcome(self) -> bool:
        """Whether events may come: nobody had to ask, or it has said that it wants them."""
        return self.subscription.state is not SubscriptionState.PENDING


def subscribe(
    session: Session, wanted: Subscription, *, secret: str | None = None, is_vouched_for: bool = False
) -> Introduced:
    """Record a subscription, whose events are those that come after it; `secret` signs webhooks, or opens mail servers.

    A webhook that has not said that it wants events is recorded as `pending`, unless its owner vouches for it. Raises
    NameInvalid, EventTypeUnknown, EventFilterInvalid, SubscriberInvalid, SubscriptionExists.
    """
    registry.check_name(wanted.name, noun="subscription", way="NAME")
    filters.check(wanted.filter, wanted.envelope)
    _check_secret(wanted, secret)
    is_webhook = wanted.handler is HandlerKind.WEBHOOK
    is_asked = is_webhook and not is_vouched_for
    state = SubscriptionState.PENDING if is_asked else SubscriptionState.ACTIVE
    subscription = replace(wanted, state=state, created_by=session.actor)
    with session.change() as opened:
        subscriptions.add_subscription(opened, subscription)
        made = None
        if is_webhook:
            made = signing.renew(session.store, wanted.name, now=opened.at, own=secret, overlap=timedelta())
        elif secret is not None:
            secrets.put(session.store, mail.secret_name(wanted.name), secret)
        else:  # what one of that name may have left when its removal was cut short
            secrets.remove(session.store, mail.secret_name(wanted.name))
    shown = made if secret is None else None
    if not is_asked:
        return Introduced(subscription, secret=shown)
    try:  # on record by now: who is asked may answer by the address that he is told
        return replace(resume(session, wanted.name), secret=shown)
    except BaseException:
        unsubscribe(session, wanted.name)  # nobody has seen its secret
        raise


def resume(session: Session, name: str, *, is_vouched_for: bool = False) -> Introduced:
    """Let events be delivered again, those that came meanwhile included; ask a webhook that has not agreed yet.

    Raises SubscriptionMissing.
    """
    subscription = subscriptions.get_subscription(session.store, name)
    is_asked = subscription.state is SubscriptionState.PENDING and not is_vouched_for
    greeting = webhooks.shake_hands(session.store, subscription) if is_asked else None
    if greeting and greeting.verdict is not AttemptVerdict.DELIVERED:  # somebody may have confirmed it meanwhile
        return Introduced(subscriptions.get_subscription(session.store, name), greeting)
    confirming.forget(session.store, name)
    if subscription.state is not SubscriptionState.ACTIVE:
        subscription = _switch(session, subscription, SubscriptionState.ACTIVE)
    return Introduced(subscription, greeting)


def pause(session: Session, name: str) -> Subscription:
    """Let no events be delivered for a while; they wait. Raises SubscriptionMissing."""
    subscription = subscriptions.get_subscription(session.store, name)
    if subscription.state is not SubscriptionState.ACTIVE:
        return subscription
    return _switch(session, subscription, SubscriptionState.PAUSED)


def unsubscribe(session: Session, name: str) -> None:
    """Delete a subscription with its deliveries and secrets. Raises SubscriptionMissing."""
    with session.change() as opened:
        subscriptions.remove_subscription(opened, name)
    signing.forget(session.store, name)
    confirming.forget(session.store, name)
    secrets.remove(session.store, mail.secret_name(name))


def replay(session: Session, name: str) -> int:
    """Tell once more from the start: a delivery by its id, or all that was given up of a subscription; return how many.

    Raises DeliveryMissing, DeliveryUnderway, SubscriptionMissing.
    """
    with session.change() as opened:
        if name.startswith("delivery_"):
            deliveries.replay(opened, name)
            return 1
        return deliveries.replay_dead(opened, subscriptions.get_subscription(session.store, name).name)


def rotate(session: Session, name: str, *, secret: str | None = None, overlap: timedelta = OVERLAP) -> str | None:
    """Give a subscription another secret, and return it if it was made; a webhook's old one signs too for a while.

    Raises SubscriptionMissing, SubscriberInvalid.
    """
    subscription = subscriptions.get_subscription(session.store, name)
    is_webhook = subscription.handler is HandlerKind.WEBHOOK
    if not is_webhook and secret is None:
        raise SubscriberInvalid(target=name, rule=_WHO_HAS_SECRETS, example=f"wright event rotate {name} --secret -")
    _check_secret(subscription, secret)
    with session.change() as opened:
        subscriptions.note_rotation(opened, name)
        if not is_webhook:
            secrets.put(session.store, mail.secret_name(name), str(secret))
            return None
        made = signing.renew(session.store, name, now=opened.at, own=secret, overlap=overlap)
    return made if secret is None else None


def test(store: Store, name: str) -> Attempt:
    """Send a sample event at once, whatever the subscription filters, and return what came of it.

    Of a pipeline that is what became of its run. A webhook that has not agreed yet is asked first.

    Raises SubscriptionMissing.
    """
    subscription = subscriptions.get_subscription(store, name)
    if subscription.state is SubscriptionState.PENDING:
        greeting = webhooks.shake_hands(store, subscription)
        if greeting.verdict is not AttemptVerdict.DELIVERED:
            return greeting
    event = samples.sample(subscription.filter, at=records.now())
    tried = replace(subscription, filter=EventFilter(types=subscription.filter.types))
    if subscription.handler is HandlerKind.PIPELINE:
        # A run ends with the process that started it, and its first one builds an environment before it is on record.
        tried = replace(tried, policy=replace(tried.policy, timeout_seconds=math.inf))
    came = handlers.send(store, tried, event, attempt=1)
    if subscription.handler is HandlerKind.PIPELINE and came.verdict is AttemptVerdict.DELIVERED:
        run = pipelines.wait(store, pipelines.run_id_for(subscription, event))
        return replace(came, told=f"{run.id} {run.status}{f': {run.reason}' if run.reason else ''}")
    return came


def _check_secret(subscription: Subscription, secret: str | None) -> None:
    """Refuse a secret that is none, one that nothing would use, and the lack of one. Raises SubscriberInvalid."""
    name, example = subscription.name, "--secret - asks for it"
    match subscription.handler:
        case HandlerKind.WEBHOOK:
            if secret is not None:
                signing.checked(secret)
        case HandlerKind.EMAIL:
            user = subscription.target["user"]
            if user and not secret:
                rule = f'its server is to let "{user}" in, and there is no password'
                raise SubscriberInvalid(target=name, rule=rule, example=example)
            if secret is not None and not user:
                rule = "there is a password, and no user whose it is"
                raise SubscriberInvalid(target=name, rule=rule, example="--smtp-user USER")
        case _ if secret is not None:
            raise SubscriberInvalid(target=name, rule=_WHO_HAS_SECRETS, example="the same without --secret")


def _switch(session: Session, subscription: Subscription, state: SubscriptionState) -> Subscription:
    with session.change() as opened:
        subscriptions.set_state(opened, subscription.name, state)
    return replace(subscription, state=state)
