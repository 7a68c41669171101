"""Events as the store writes them."""

from datetime import UTC, datetime

from modelwright.records import (
    DeliveryPolicy,
    Envelope,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
)

AT = datetime(2026, 3, 3, 12, 0, 0, 250000, UTC)


def registered(number: int = 1, **tags: str) -> Event:
    """A version of "churn" was registered."""
    data = {"model": "churn", "version": 20, "tags": {"area": "Diabetes", **tags}, "properties": {"r2": "0.4"}}
    return Event(
        number, f"event_{number:026d}", "model.registered", "models/churn:20", AT, data | {"metrics": {"mse": 0.25}}
    )


def run_event(fact: str, status: str, number: int = 7) -> Event:
    """A run came to that status."""
    data = {
        "status": status,
        "reason": "",
        "experiment": "churn",
        "kind": "pipeline",
        "tags": {"area": "diabetes"},
        "properties": {"git_commit": "abc"},
    }
    return Event(number, f"event_{number:026d}", f"run.{fact}", "runs/run_1", AT, data)


def subscription(
    kind: HandlerKind,
    target: dict[str, object],
    *,
    wish: EventFilter | None = None,
    envelope: Envelope = Envelope.CLOUD_EVENTS,
    policy: DeliveryPolicy | None = None,
) -> Subscription:
    """A subscription as the store gives it back."""
    return Subscription(
        name="watcher",
        handler=kind,
        target=dict(target),
        filter=wish or EventFilter(),
        envelope=envelope,
        policy=policy or DeliveryPolicy(timeout_seconds=60.0),
        state=SubscriptionState.ACTIVE,
        created_by="ada",
        created_at=AT,
    )
