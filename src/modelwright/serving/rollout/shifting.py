"""How far the answers of two versions lie apart: numbers and categories, with effect and significance.

The effect is the greatest difference of any probability: for numbers the distance of Kolmogorov and Smirnov between
the distributions, for categories their total variation. What that is on the average between two samples of one
distribution is taken off, since small samples differ. A shift needs both: an effect above the limit, which alone small
samples reach by chance, and a p-value below alpha, which alone large samples reach by nothing.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelwright.serving.rollout.sequential import ALPHA

# The mean of Kolmogorov's law, the square root of pi/2 times the logarithm of 2.
_MEAN_OF_KOLMOGOROV = math.sqrt(math.pi / 2) * math.log(2)
_TERMS = 100
# Levels that are rarer than this in expectation are taken together: the chi-squared law does not hold for them.
_RARE = 5.0
# Looks again when there are so many times more answers: of n looks that leaves about log n tests.
_GROWTH = 1.5
_FEWEST = 50


@dataclass(frozen=True)
class Sample:
    """Some of a version's answers: the numbers in them, the categories with how often they came, how many in all."""

    numbers: Sequence[float] = ()
    categories: Mapping[str, int] | None = None

    @property
    def total(self) -> int:
        """How many values there are."""
        return len(self.numbers) + sum((self.categories or {}).values())


@dataclass(frozen=True)
class Shift:
    """What lies between two samples: the effect from 0 to 1, and how likely that much is without any."""

    effect: float
    p_value: float


def between(first: Sample, second: Sample) -> Shift | None:
    """Return the shift from the first sample to the second; None while one has too few answers.

    Answers that are numbers in one and categories in the other have nothing in common: the effect is then 1.
    """
    if min(first.total, second.total) < _FEWEST:
        return None
    shifts = []
    if first.numbers and second.numbers:
        shifts.append(_of_numbers(first.numbers, second.numbers))
    if first.categories or second.categories or bool(first.numbers) != bool(second.numbers):
        shifts.append(_of_categories(_levels(first), _levels(second)))
    return max(shifts, key=lambda shift: shift.effect)


@dataclass
class Watch:
    """Looks at the shift between two growing samples, with alpha shared among all looks there will ever be.

    The n-th test gets alpha · 6 / (pi² n²), which add up to alpha; there is a test whenever the smaller sample has
    grown by half since the last, whose size was `tested`.
    """

    tests: int = 0
    size: int = 0
    tested: int = 0
    found: Shift | None = None
    is_significant: bool = False

    def look(self, first: Sample, second: Sample, *, size: int, alpha: float = ALPHA) -> None:
        """Take samples of `size` answers or more, if there are enough new ones; `found` is then what was found."""
        if size < self.size:  # the sample was begun anew
            self.tested = 0
        self.size = size
        if size < self.tested * _GROWTH:
            return
        shift = between(first, second)
        if shift is None:
            return
        self.tests += 1
        self.tested = size
        self.found = shift
        self.is_significant = shift.p_value < alpha * 6 / (math.pi * self.tests) ** 2


def _of_numbers(first: Sequence[float], second: Sequence[float]) -> Shift:
    one, other = sorted(first), sorted(second)
    distance = max(
        abs(bisect.bisect_right(one, value) / len(one) - bisect.bisect_right(other, value) / len(other))
        for value in {*one, *other}
    )
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return Shift(max(0.0, distance - _MEAN_OF_KOLMOGOROV / root), _kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _kolmogorov(x: float) -> float:
    """Return the probability of more than `x` (Kolmogorov 1933; for finite samples with Stephens's 1970 correction)."""
    if x < 0.2:  # noqa: PLR2004 - there it is 1 to 12 digits, and the series converges slowly
        return 1.0
    total = sum((1 if k % 2 else -1) * math.exp(-2 * (k * x) ** 2) for k in range(1, _TERMS))
    return min(1.0, max(0.0, 2 * total))


def _levels(sample: Sample) -> dict[str, int]:
    levels = dict(sample.categories or {})
    if sample.numbers:
        levels["a number"] = levels.get("a number", 0) + len(sample.numbers)
    return levels


def _of_categories(first: Mapping[str, int], second: Mapping[str, int]) -> Shift:
    one, other = sum(first.values()), sum(second.values())
    pooled = {level: first.get(level, 0) + second.get(level, 0) for level in {**first, **second}}
    variation = sum(abs(first.get(level, 0) / one - second.get(level, 0) / other) for level in pooled) / 2
    shares = [count / (one + other) for count in pooled.values()]
    spread = math.sqrt(2 / math.pi * (1 / one + 1 / other))
    chance = sum(math.sqrt(share * (1 - share)) for share in shares) * spread / 2
    return Shift(max(0.0, variation - chance), _chi_squared(first, second, pooled))


def _chi_squared(first: Mapping[str, int], second: Mapping[str, int], pooled: Mapping[str, int]) -> float:
    """Return the p-value of the test of homogeneity (Wilson and Hilferty 1931 for its law)."""
    one, other = sum(first.values()), sum(second.values())
    least = _RARE * (one + other) / min(one, other)
    cells: dict[str, list[int]] = {}
    for level, count in pooled.items():
        cell = cells.setdefault(level if count >= least else "", [0, 0])
        cell[0] += first.get(level, 0)
        cell[1] += second.get(level, 0)
    total = one + other
    statistic = 0.0
    for cell in cells.values():
        for seen, size in zip(cell, (one, other), strict=True):
            expected = sum(cell) * size / total
            statistic += (seen - expected) ** 2 / expected
    freedom = len(cells) - 1
    if freedom == 0:
        return 1.0
    scale = 2 / (9 * freedom)
    return math.erfc((math.cbrt(statistic / freedom) - 1 + scale) / math.sqrt(2 * scale)) / 2
