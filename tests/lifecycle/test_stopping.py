"""What ends a sweep, or one of its trials, early."""

import math
from datetime import UTC, datetime

import pytest

from modelwright.errors import StopRuleInvalid
from modelwright.lifecycle import stopping
from modelwright.lifecycle.stopping import Rules
from modelwright.records import Goal, Point, Status, Trial

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def points(*values: float, first: int = 1) -> list[Point]:
    return [Point("loss", step, value, NOW) for step, value in enumerate(values, start=first)]


def trials(*values: float, status: Status = Status.SUCCEEDED) -> list[Trial]:
    return [Trial("s", number, None, status, {}, value) for number, value in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        ((), Rules()),
        (("median",), Rules(median_from=1)),
        (("median(5)", "patience( 3 )", "minutes(30)"), Rules(patience=3, minutes=30, median_from=5)),
    ],
)
def test_rules_are_read(texts: tuple[str, ...], rules: Rules) -> None:
    assert stopping.parse(texts) == rules


@pytest.mark.parametrize("text", ["bandit", "patience", "patience()", "median(x)", "minutes(1.5)", ""])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(StopRuleInvalid, match="no rule"):
        stopping.parse([text])


OTHERS = [points(9, 7, 5), points(8, 6, 4), points(10, 8, 6)]


def test_a_trial_ends_when_its_best_is_worse_than_what_is_usual_by_then() -> None:
    assert stopping.is_hopeless(points(12), OTHERS, goal=Goal.MINIMIZE, since=1)
    told = stopping.is_hopeless(points(12, 11), OTHERS, goal=Goal.MINIMIZE, since=1)
    assert told == "stopped early: at step 2 its best was 11, the median of the others 8"
    assert stopping.is_hopeless(points(12, 7), OTHERS, goal=Goal.MINIMIZE, since=1) is None
    assert stopping.is_hopeless(points(12, 7), OTHERS, goal=Goal.MAXIMIZE, since=1) is None
    assert stopping.is_hopeless(points(3), OTHERS, goal=Goal.MAXIMIZE, since=1)
    assert stopping.is_hopeless(points(math.nan), OTHERS, goal=Goal.MINIMIZE, since=1)


def test_a_trial_is_given_time_and_enough_to_be_compared_with() -> None:
    assert stopping.is_hopeless(points(12, 11), OTHERS, goal=Goal.MINIMIZE, since=3) is None
    assert stopping.is_hopeless(points(12, 11), OTHERS[:2], goal=Goal.MINIMIZE, since=1) is None
    assert stopping.is_hopeless([], OTHERS, goal=Goal.MINIMIZE, since=1) is None


def test_a_metric_that_has_no_steps_ends_nothing() -> None:
    finals = [points(value, first=0) for value in (1, 2, 3)]
    assert stopping.is_hopeless(points(99, first=0), finals, goal=Goal.MINIMIZE, since=0) is None


def test_patience_ends_when_nothing_better_came() -> None:
    assert not stopping.is_exhausted(trials(3, 2), goal=Goal.MINIMIZE, patience=2)
    assert not stopping.is_exhausted(trials(3, 2, 2), goal=Goal.MINIMIZE, patience=2)
    assert stopping.is_exhausted(trials(3, 2, 2, 5), goal=Goal.MINIMIZE, patience=2)
    assert not stopping.is_exhausted(trials(3, 2, 2, 1), goal=Goal.MINIMIZE, patience=2)
    assert not stopping.is_exhausted(trials(1, 2, 3), goal=Goal.MAXIMIZE, patience=2)
    assert stopping.is_exhausted(trials(1, math.nan, math.nan), goal=Goal.MINIMIZE, patience=2)
