"""The trail of a rollout as series over time: shares, errors, latencies."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelwright.records import Rollout


@dataclass(frozen=True)
class Series:
    """One line of a picture: a value at each time; None where there is none."""

    name: str
    times: tuple[datetime, ...]
    values: tuple[float | None, ...]


def shares(rollout: Rollout) -> Series:
    """Return the new version's share of the traffic in percent."""
    points = rollout.progress.trail
    return Series(rollout.version, _times(points), tuple(float(each["share"]) for each in points))


def errors(rollout: Rollout) -> list[Series]:
    """Return, of the present and of the new version, the share of requests between two points that failed."""

    def rate(before: Mapping[str, Any], now: Mapping[str, Any]) -> float | None:
        requests = now["requests"] - before["requests"]
        if requests < 0:  # the front has begun to count anew
            return None
        return 100 * (now["errors"] - before["errors"]) / requests if requests else None

    return _of_both(rollout, rate)


def requests(rollout: Rollout) -> list[Series]:
    """Return how many requests each version had in a second between two points."""
    points = rollout.progress.trail
    seconds = [(b - a).total_seconds() for a, b in itertools.pairwise(_times(points))]
    counted = _of_both(rollout, lambda before, now: max(0, now["requests"] - before["requests"]))
    return [
        Series(
            each.name,
            each.times,
            tuple(
                None if value is None or not lasted else value / lasted
                for value, lasted in zip(each.values, [0.0, *seconds], strict=True)
            ),
        )
        for each in counted
    ]


def latencies(rollout: Rollout, quantile: str = "p95_ms") -> list[Series]:
    """Return a quantile of each version's latency between two points, in milliseconds."""
    return _of_both(rollout, lambda _before, now: now[quantile])


def _of_both(rollout: Rollout, value: Callable[[Mapping[str, Any], Mapping[str, Any]], float | None]) -> list[Series]:
    points = rollout.progress.trail
    found = []
    for name in (rollout.present, rollout.deployment):
        each = [point["versions"][name] for point in points]
        values = [value(before, now) for before, now in itertools.pairwise(each)]
        found.append(Series(name, _times(points), (None, *values)[: len(points)]))
    return found


def _times(points: Sequence[Mapping[str, Any]]) -> tuple[datetime, ...]:
    return tuple(datetime.fromisoformat(each["at"]) for each in points)
