"""What a rollout does next."""

from datetime import UTC, datetime, timedelta

import pytest

from modelwright.errors import PlanInvalid
from modelwright.records import Check, CheckResult, RolloutLimits, RolloutPlan
from modelwright.serving.rollout import planning
from modelwright.serving.rollout.planning import Move, Situation

BEGAN = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
PLAN = RolloutPlan(steps=(5, 50, 100), hold_seconds=600, min_requests=100, patience_seconds=1800)
GOOD = (Check("readiness", CheckResult.PASSED, "it is ready"), Check("errors", CheckResult.PASSED, "errors 1.00%"))
OPEN = Check("errors", CheckResult.OPEN, "errors 3.00%: above 1.00%, which may be chance")
BAD = Check("errors", CheckResult.FAILED, "errors 9.00%: above 1.00%")


def decided(
    *checks: Check, step: int = 0, requests: int = 100, minutes: float = 10, plan: RolloutPlan = PLAN
) -> tuple[Move, str]:
    situation = Situation(step, BEGAN, requests)
    decision = planning.decide(plan, situation, checks or GOOD, now=BEGAN + timedelta(minutes=minutes))
    return decision.move, decision.reason


def test_a_step_lasts_its_time_and_its_requests() -> None:
    assert decided(minutes=9) == (Move.WAIT, "60 s more at this step")
    assert decided(requests=40) == (Move.WAIT, "60 requests more at this step")
    assert decided(requests=40, minutes=10_000) == (Move.WAIT, "60 requests more at this step")
    assert decided() == (Move.GO_ON, "every check passed")


def test_the_last_step_ends_the_rollout() -> None:
    assert decided(step=2) == (Move.SUCCEED, "every step was passed")


def test_a_failed_check_rolls_back_at_once_and_says_by_which_numbers() -> None:
    assert decided(*GOOD, BAD, minutes=0, requests=0) == (Move.ROLL_BACK, "errors: errors 9.00%: above 1.00%")
    assert decided(BAD, step=2)[0] is Move.ROLL_BACK


def test_what_may_be_chance_is_waited_for_and_then_rolled_back() -> None:
    assert decided(OPEN) == (Move.WAIT, f"waiting for errors: {OPEN.told}")
    assert decided(OPEN, minutes=41) == (Move.ROLL_BACK, f"not settled in time: errors: {OPEN.told}")


def test_a_step_without_traffic_is_not_held_up_by_what_only_traffic_tells() -> None:
    plan = RolloutPlan(steps=(0, 100), hold_seconds=0, min_requests=0)
    assert decided(Check("errors", CheckResult.OPEN, "no requests yet"), plan=plan)[0] is Move.GO_ON
    copies = Check("disagreement", CheckResult.OPEN, "no copied requests yet")
    assert decided(copies, plan=plan)[0] is Move.WAIT


def test_a_plan_that_asks_stops_at_every_step_but_the_last() -> None:
    plan = RolloutPlan(steps=(0, 50, 100), hold_seconds=0, min_requests=0, asks=True)
    assert [decided(step=step, plan=plan)[0] for step in range(3)] == [Move.ASK, Move.ASK, Move.SUCCEED]


@pytest.mark.parametrize(
    ("plan", "rule"),
    [
        (RolloutPlan(steps=()), "has a step"),
        (RolloutPlan(steps=(50, 5, 100)), "greater share"),
        (RolloutPlan(steps=(5, 5, 100)), "greater share"),
        (RolloutPlan(steps=(5, 50)), "last step is 100"),
        (RolloutPlan(steps=(5, 120)), "from 0 to 100"),
        (RolloutPlan(steps=(5, 100), shadow=20), "first step of 0"),
        (RolloutPlan(limits=RolloutLimits(disagreement=0.1)), "--shadow"),
        (RolloutPlan(limits=RolloutLimits(error_rate=5.0)), "between 0 and 1"),
        (RolloutPlan(lease_seconds=2), "lease is at least 3 s"),
        (RolloutPlan(patience_seconds=float("nan")), "not negative"),
        (RolloutPlan(tolerance=float("nan")), "tolerance"),
        (RolloutPlan(limits=RolloutLimits(latency_ratio=float("inf"))), "a number above 0"),
        (RolloutPlan(hold_seconds=-1), "negative"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: RolloutPlan, rule: str) -> None:
    with pytest.raises(PlanInvalid, match=rule):
        planning.check(plan)


def test_steps_are_read_as_people_write_them() -> None:
    assert planning.steps("5,25, 50%,100") == (5, 25, 50, 100)
    for text in ("5,half", "5,,100", "", "5,1_00", "-5,100"):
        with pytest.raises(PlanInvalid, match="whole number of percent"):
            planning.steps(text)
