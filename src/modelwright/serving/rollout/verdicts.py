"""What can be said of two deployments that served side by side, in numbers and in words."""

import math
from collections.abc import Sequence
from typing import Any

from modelwright.records import Contrast
from modelwright.serving.rollout import sequential, slowness
from modelwright.serving.rollout.checking import Evidence
from modelwright.serving.rollout.sequential import ALPHA, Bet, Count, Means, Winnable
from modelwright.serving.rollout.slowness import Tendency

_UNDECIDED = "no difference can be told yet"
_LEVELS = (0.5, 0.95)


def of_errors(control: str, deployment: str, evidence: Evidence) -> Contrast:
    """Return what can be said of the shares of requests that ended in an error."""
    first, second = evidence.errors.first, evidence.errors.second
    side = evidence.errors.verdict()
    words = {1: f"{deployment} errs more", -1: f"{deployment} errs less", 0: _UNDECIDED}
    told = f"{words[side]}: {_rate(second)} against {_rate(first)}"
    facts = {
        "control": _told(first),
        "deployment": _told(second),
        **_p_values(evidence.errors.more, evidence.errors.fewer),
    }
    return Contrast(
        "errors", control, deployment, side, told, _decided(side, evidence.errors.more, evidence.errors.fewer), facts
    )


def of_latency(control: str, deployment: str, evidence: Evidence) -> Contrast:
    """Return what can be said of the time that answers took."""
    test, side = evidence.slower, evidence.slower.verdict()
    words = {1: f"{deployment} is slower", -1: f"{deployment} is faster", 0: _UNDECIDED}
    facts: dict[str, Any] = {}
    shown = []
    for name, counts in (("deployment", evidence.latencies[1]), ("control", evidence.latencies[0])):
        quantiles = {f"p{level * 100:g}_ms": slowness.quantile(evidence.edges, counts, level) for level in _LEVELS}
        low, high = slowness.quantile_interval(evidence.edges, counts, _LEVELS[0])
        facts[name] = {"requests": sum(counts), **quantiles, "p50_between_ms": [low, high]}
        median, late = quantiles.values()
        shown.append(f"{_milliseconds(median)} (95 %: {_milliseconds(late)})")
    told = f"{words[side]}: half of its answers within {shown[0]}, of {control}'s within {shown[1]}"
    facts |= _p_values(test.slower, test.faster)
    return Contrast("latency", control, deployment, side, told, _decided(side, test.slower, test.faster), facts)


def of_pairs(control: str, deployment: str, rows: Sequence[tuple[bool, bool]]) -> Contrast:
    """Return what can be said of right labels when both have answered the same requests: (control's, deployment's).

    Where exactly one of them is right, without a difference it is either as often (McNemar 1947).
    """
    won = Count(sum(one != other for one, other in rows), sum(other and not one for one, other in rows))
    above = sequential.exceeds(won, 0.5, alpha=ALPHA / 2)
    below = sequential.falls_short(won, 0.5, alpha=ALPHA / 2)
    side = above - below
    words = {1: f"{deployment} is right more often", -1: f"{deployment} is right less often", 0: _UNDECIDED}
    told = f"{words[side]}: of {won.total:,} requests on which one of them is right, it is {deployment} on {won.hits:,}"
    facts = {"requests": len(rows), "discordant": won.total, "gained": won.hits}
    return Contrast("label", control, deployment, side, told, facts=facts)


def of_labels(control: str, deployment: str, blocks: Sequence[tuple[Count, Count]]) -> Contrast:
    """Return what can be said of right labels when each has answered requests of its own, in blocks of their order."""
    test = sequential.Comparison()
    for first, second in blocks:
        test.add(first, second)
    side = test.verdict()
    words = {1: f"{deployment} is right more often", -1: f"{deployment} is right less often", 0: _UNDECIDED}
    told = f"{words[side]}: {_rate(test.second)} against {_rate(test.first)}"
    facts = {"control": _told(test.first), "deployment": _told(test.second), **_p_values(test.more, test.fewer)}
    return Contrast("label", control, deployment, side, told, _decided(side, test.more, test.fewer), facts)


def of_distances(control: str, deployment: str, test: Means, *, bound: float, totals: Sequence[float]) -> Contrast:
    """Return what can be said of how far numbers are from their labels; an error above `bound` counts as that.

    `totals` are the sums of what was compared, in bounds, and the numbers of rows: each of the control's first.
    """
    side = -test.verdict()
    words = {1: f"{deployment} is nearer the labels", -1: f"{deployment} is farther from the labels", 0: _UNDECIDED}
    one, other = (bound * totals[place] / totals[place + 2] if totals[place + 2] else math.nan for place in (0, 1))
    rows = int(totals[2] + totals[3])
    told = f"{words[side]}: off by {other:.4g} against {one:.4g} on the average, of {rows:,} rows"
    facts = {"control": one, "deployment": other, "rows": rows, "bound": bound, **_p_values(test.greater, test.less)}
    return Contrast("label", control, deployment, side, told, facts=facts)


def _decided(side: int, up: Bet | Tendency, down: Bet | Tendency) -> int:
    return {1: up.decided, -1: down.decided, 0: 0}[side]


def _p_values(up: Winnable, down: Winnable) -> dict[str, Any]:
    return {"p_value": min(1.0, 2 * min(up.p_value, down.p_value)), "alpha": ALPHA}


def _told(count: Count) -> dict[str, Any]:
    return {"requests": count.total, "hits": count.hits, "rate": count.rate, "between": sequential.interval(count)}


def _rate(count: Count) -> str:
    low, high = sequential.interval(count)
    rate = "none" if count.rate is None else f"{count.rate:.2%}"
    return f"{rate} of {count.total:,} ({low:.2%} to {high:.2%})"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "no answers"
    return "longer than all buckets" if math.isinf(value) else f"{value:g} ms"
