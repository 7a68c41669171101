"""A guest: what chance does, by the paired bootstrap. Standard library only; numpy where the project has loaded it."""

from __future__ import annotations

import math
import random
import statistics
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# From fewer resamples their spread is known well enough, and their outermost ones are not.
PERCENTILES = 200


class Drawing:
    """Draws rows with replacement, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        """Begin where the seed says."""
        self._numpy = sys.modules.get("numpy")
        self._generator: Any = self._numpy.random.default_rng(seed) if self._numpy else random.Random(seed)  # noqa: S311 - no secret

    def rows(self, count: int) -> Any:
        """Return as many of so many rows as there are."""
        if self._numpy:
            return self._generator.integers(0, count, count)
        return self._generator.choices(range(count), k=count)


def indices(rows: list[int]) -> Any:
    """Return rows as what arrays are taken from by."""
    numpy = sys.modules.get("numpy")
    return numpy.array(rows) if numpy else rows


def interval(found: list[float], level: float, improvement: float) -> tuple[float, float]:
    """Return the interval of what was resampled, which is in order: B. Efron and R. J. Tibshirani, 1993.

    The percentile interval of chapter 13.3; from few resamples the one of chapter 12.4, by the standard error and
    Student's t, which is taken from the normal distribution (Cornish and Fisher, 1938, its first two terms).
    """
    tail = (1 - level) / 2
    if len(found) >= PERCENTILES:
        return quantile(found, tail), quantile(found, 1 - tail)
    freedom = len(found) - 1
    normal = statistics.NormalDist().inv_cdf(1 - tail)
    student = normal + (normal**3 + normal) / (4 * freedom)
    student += (5 * normal**5 + 16 * normal**3 + 3 * normal) / (96 * freedom**2)
    half = student * statistics.stdev(found)
    return improvement - half, improvement + half


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of the ordered values lies, between two neighbours in proportion."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
