"""What is to be believed of counts and of memory: binomial intervals, slopes, times in which a failure is explained."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_ALPHA = 0.01


def tail(count: int, total: int, share: float) -> float:
    """Return how likely a binomial count is that lies as far out as `count`, on its own side of the mean."""
    if not 0 < share < 1:
        return 1.0 if count == round(total * share) else 0.0
    step = 1 if count > total * share else -1
    at, found = count, 0.0
    while 0 <= at <= total:
        logarithm = math.lgamma(total + 1) - math.lgamma(at + 1) - math.lgamma(total - at + 1)
        likely = math.exp(logarithm + at * math.log(share) + (total - at) * math.log1p(-share))
        found += likely
        if likely < found * 1e-12:
            break
        at += step
    return min(1.0, found)


def is_inside(count: int, total: int, share: float) -> bool:
    """Return whether a count lies inside the 99 % binomial interval."""
    return tail(count, total, share) >= _ALPHA / 2


@dataclass(frozen=True)
class Epoch:
    """A time without a change: how requests were to be shared out, and how they were."""

    split: Mapping[str, float]
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many requests it had."""
        return sum(self.counts.values())

    @property
    def is_inside(self) -> bool:
        """Whether each deployment's count lies inside its interval; all of them together are the 99 %."""
        return all(is_inside(self.counts.get(name, 0), self.total, share / 100) for name, share in self._asked())

    def _asked(self) -> list[tuple[str, float]]:
        """Return one of two, whose counts say the same, or else all."""
        asked = list(self.split.items())
        return asked[:1] if len(asked) == 2 else asked  # noqa: PLR2004 - a pair

    def deviation(self, name: str) -> tuple[float, float]:
        """Return by how much the count of a deployment differs from what was expected, and the variance of that."""
        share = self.split.get(name, 0.0) / 100
        return self.counts.get(name, 0) - self.total * share, self.total * share * (1 - share)


def judge_epochs(epochs: Sequence[Epoch]) -> dict[str, float | int | bool]:
    """Return how many epochs lie outside their intervals, whether that many may, and the deviation of all together.

    One epoch in a hundred lies outside when all is well. `z` is the sum of all deviations of the first deployment in
    standard deviations of that sum.
    """
    judged = [each for each in epochs if each.total]
    outside = sum(not each.is_inside for each in judged)
    name = next(iter(judged[0].split)) if judged else ""
    deviations = [each.deviation(name) for each in judged]
    variance = sum(each[1] for each in deviations)
    z = sum(each[0] for each in deviations) / math.sqrt(variance) if variance else 0.0
    bound = statistics.NormalDist().inv_cdf(1 - _ALPHA / 2)
    allowed = outside <= len(judged) * _ALPHA or is_inside(outside, len(judged), _ALPHA)
    return {
        "epochs": len(judged),
        "requests": sum(each.total for each in judged),
        "outside": outside,
        "z": round(z, 2),
        "is_right": allowed and abs(z) <= bound,
    }


@dataclass
class Windows:
    """The times in which something was killed and not yet back."""

    known: list[list[float]] = field(default_factory=list)

    def open(self, moment: float) -> None:
        """Begin one."""
        self.known.append([moment, math.inf])

    def close(self, moment: float) -> None:
        """End it."""
        self.known[-1][1] = moment

    def explain(self, begin: float, end: float) -> bool:
        """Return whether one of them overlaps this time."""
        return any(begin <= until and end >= since for since, until in self.known)


def slope(samples: Iterable[tuple[float, float]]) -> float:
    """Return the rise a unit of time of (time, value) samples, by the median of all pairs' (Theil and Sen)."""
    points = list(samples)
    step = max(1, len(points) // 300)
    points = points[::step]
    rises = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
        if later[0] > earlier[0]
    ]
    return statistics.median(rises) if rises else 0.0
