"""Plans: which are sound, and what the next move of one is. Pure: time and what was seen come in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelwright.errors import PlanInvalid
from modelwright.records import Check, CheckResult, RolloutPlan

_ALL = 100
# The watcher confirms once a second, and a machine that is busy makes it late.
_SHORTEST_LEASE_SECONDS = 3


class Move(StrEnum):
    """What a rollout does next."""

    WAIT = "wait"
    GO_ON = "go on"
    ASK = "ask"
    ROLL_BACK = "roll back"
    SUCCEED = "succeed"


@dataclass(frozen=True)
class Situation:
    """Where a rollout is when it is decided: how long its step has lasted, and how many requests it has seen.

    `requests` is what the version with the fewest has answered in this step, of those that have traffic.
    """

    step: int
    step_at: datetime
    requests: int


@dataclass(frozen=True)
class Decision:
    """A move, why it is made, and the checks that decided it."""

    move: Move
    reason: str
    checks: tuple[Check, ...] = ()


def steps(text: str) -> tuple[int, ...]:
    """Return the shares in a text such as `5,25,50,100`. Raises PlanInvalid."""
    numbers = [each.strip().removesuffix("%").strip() for each in text.split(",")]
    if not all(each.isascii() and each.isdecimal() for each in numbers):
        raise PlanInvalid(plan=text, reason="each step is a whole number of percent")
    return tuple(map(int, numbers))


def check(plan: RolloutPlan) -> None:
    """Raise PlanInvalid unless the plan can be followed to its end."""
    shown = ",".join(map(str, plan.steps))
    limits = plan.limits
    rules = {
        "a plan has a step": bool(plan.steps),
        "a share is from 0 to 100 percent": all(0 <= each <= _ALL for each in plan.steps),
        "each step has a greater share than the one before": list(plan.steps) == sorted(set(plan.steps)),
        "the last step is 100": plan.steps[-1:] == (_ALL,),
        "copies are for a first step of 0": not plan.shadow or plan.steps[:1] == (0,),
        "copies are from 0 to 100 percent": 0 <= plan.shadow <= _ALL,
        "disagreement is measured on copies: --shadow PERCENT": limits.disagreement is None or plan.shadow > 0,
        "times are not negative": plan.hold_seconds >= 0 and plan.patience_seconds >= 0,
        f"a lease is at least {_SHORTEST_LEASE_SECONDS} s": plan.lease_seconds >= _SHORTEST_LEASE_SECONDS,
        "a tolerance is between 0 and 1": 0 <= plan.tolerance <= 1,
        "alpha is between 0 and 1": 0 < limits.alpha < 1,
        "rates are between 0 and 1": all(
            each is None or 0 <= each <= 1 for each in (limits.error_rate, limits.disagreement, limits.prediction_shift)
        ),
        "a ratio of latencies is a number above 0": limits.latency_ratio is None or 0 < limits.latency_ratio < math.inf,
    }
    for rule, holds in rules.items():
        if not holds:
            raise PlanInvalid(plan=shown, reason=rule)


def decide(plan: RolloutPlan, situation: Situation, checks: Sequence[Check], *, now: datetime) -> Decision:
    """Return what to do now: the first check that failed rolls back; time, requests and open checks hold up."""
    failed = [each for each in checks if each.result is CheckResult.FAILED]
    if failed:
        return Decision(Move.ROLL_BACK, "; ".join(f"{each.name}: {each.told}" for each in failed), tuple(failed))
    lasted = (now - situation.step_at).total_seconds()
    if wanted := _wanted(plan, situation, lasted):
        return Decision(Move.WAIT, wanted)
    still_open = [each for each in checks if each.result is CheckResult.OPEN and _can_close(plan, situation, each)]
    if still_open:
        told = "; ".join(f"{each.name}: {each.told}" for each in still_open)
        if lasted < plan.hold_seconds + plan.patience_seconds:
            return Decision(Move.WAIT, f"waiting for {told}", tuple(still_open))
        return Decision(Move.ROLL_BACK, f"not settled in time: {told}", tuple(still_open))
    if situation.step + 1 == len(plan.steps):
        return Decision(Move.SUCCEED, "every step was passed")
    return Decision(Move.ASK if plan.asks else Move.GO_ON, "every check passed", tuple(checks))


def _wanted(plan: RolloutPlan, situation: Situation, lasted: float) -> str:
    """Return what the step still needs whatever the checks say; nothing when it has that."""
    if lasted < plan.hold_seconds:
        return f"{plan.hold_seconds - lasted:.0f} s more at this step"
    if situation.requests < plan.min_requests:
        return f"{plan.min_requests - situation.requests:,} requests more at this step"
    return ""


def _can_close(plan: RolloutPlan, situation: Situation, check: Check) -> bool:
    """Return whether waiting at this step can settle the check: without traffic only copies and processes tell."""
    if plan.steps[situation.step] == 0:
        return check.name in ("readiness", "disagreement") or (plan.shadow > 0 and check.name == "predictions")
    return True
