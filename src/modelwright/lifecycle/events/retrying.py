"""When an event is tried again to be delivered, and when it is given up. Pure."""

from datetime import datetime, timedelta

from modelwright.records import (
    Attempt,
    AttemptVerdict,
    DeadReason,
    Delivery,
    DeliveryPolicy,
    DeliveryStatus,
)
from modelwright.store.outbox import Settled

# The pauses of Event Grid after each failed attempt; from the last on, it is once an hour.
PAUSES = tuple(timedelta(seconds=each) for each in (10, 30, 60, 300, 600, 1800, 3600))
# Up to so much later, as chance has it: what failed together is not to come back together.
_JITTER = 0.1


def settle(delivery: Delivery, policy: DeliveryPolicy, attempt: Attempt, *, at: datetime, chance: float) -> Settled:
    """Return what an attempt that ended at `at` means for its delivery; `chance` is a number from 0 to 1.

    What would be due only after its life is given up now. A first attempt is made of everything, however long it lay.
    """
    if attempt.verdict is AttemptVerdict.DELIVERED:
        return Settled(delivery, DeliveryStatus.DELIVERED, attempt.told, at, at)
    pause = PAUSES[min(delivery.attempts, len(PAUSES)) - 1] * (1 + _JITTER * chance)
    due_at = at + max(pause, timedelta(seconds=attempt.wait_seconds))
    if attempt.verdict is AttemptVerdict.HOPELESS:
        reason = DeadReason.HOPELESS
    elif delivery.attempts >= policy.max_attempts:
        reason = DeadReason.MAX_ATTEMPTS
    elif due_at > delivery.created_at + timedelta(minutes=policy.live_minutes):
        reason = DeadReason.LIVE_MINUTES
    else:
        return Settled(delivery, DeliveryStatus.PENDING, attempt.told, at, due_at)
    return Settled(delivery, DeliveryStatus.DEAD, attempt.told, at, at, reason)
