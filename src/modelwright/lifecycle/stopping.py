"""What ends a sweep, or one of its trials, early. Pure."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from modelwright.errors import StopRuleInvalid
from modelwright.records import Goal, Point, Status, Trial

_RULE = re.compile(r"(patience|minutes)\((\d+)\)|(median)(?:\((\d+)\))?")
_EXAMPLES = "median, median(5), patience(10), minutes(30)"
# Fewer than this say nothing of what is usual.
_FEWEST = 3


@dataclass(frozen=True)
class Rules:
    """`patience` trials in a row without a better value, or `minutes`, end the sweep.

    A trial that has logged its metric at step `median_from`, or later, is ended when it is worse than usual there.
    """

    patience: int | None = None
    minutes: int | None = None
    median_from: int | None = None


def parse(texts: Sequence[str]) -> Rules:
    """Return the rules that the texts mean. Raises StopRuleInvalid."""
    given: dict[str, int] = {}
    for text in texts:
        found = _RULE.fullmatch(text.replace(" ", ""))
        if not found:
            raise StopRuleInvalid(text=text, examples=_EXAMPLES)
        if found[3]:
            given["median_from"] = int(found[4] or 1)
        else:
            given[found[1]] = int(found[2])
    return Rules(**given)


def is_hopeless(points: Sequence[Point], others: Sequence[Sequence[Point]], *, goal: Goal, since: int) -> str | None:
    """Return why a trial with these `points` of its metric should end, or None.

    It should when the best that it has reached is worse than the median of what the `others` had on average by the same
    step. Points at step 0 do not count: that is where a metric without steps is. The rule is Google Vizier's median
    automated stopping (Golovin et al., 2017).
    """
    stepped = [each for each in points if each.step > 0]
    last = max((each.step for each in stepped), default=0)
    means = [fmean(found) for each in others if (found := [point.value for point in each if 0 < point.step <= last])]
    if last < max(since, 1) or len(means) < _FEWEST:
        return None
    values = [each.value for each in stepped]
    best, usual = (min(values) if goal is Goal.MINIMIZE else max(values)), median(means)
    is_worse = best > usual if goal is Goal.MINIMIZE else best < usual
    if not (is_worse or math.isnan(best)):
        return None
    return f"stopped early: at step {last} its best was {best:.6g}, the median of the others {usual:.6g}"


def is_exhausted(trials: Sequence[Trial], *, goal: Goal, patience: int) -> bool:
    """Whether the last `patience` trials, in the order of their numbers, brought nothing better than those before."""
    values = [
        each.value if goal is Goal.MINIMIZE else -each.value
        for each in sorted(trials, key=lambda trial: trial.number)
        if each.status is not Status.RUNNING
    ]
    values = [value if math.isfinite(value) else math.inf for value in values]
    return len(values) > patience and min(values[-patience:]) >= min(values[:-patience])
