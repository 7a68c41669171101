"""Small summaries of many values, which can be merged: of two parts into that of the whole, in any order.

Each says how far it may be from the truth. Sources: Karnin, Lang, Liberty, "Optimal quantile approximation in streams"
(2016); Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017); Agarwal and others, "Mergeable
summaries" (2012), where Misra-Gries is shown to be Space-Saving; Pébay, "Formulas for robust, one-pass parallel
computation of covariances and arbitrary-order statistical moments" (2008).
"""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np  # all here is arithmetic on arrays; who needs none of it does not import this module
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

# The rank of a quantile is off by at most this share of the values, in 99 of 100 cases; not at all up to EXACT_VALUES.
RANK_ERROR = 0.01
EXACT_VALUES = 2048
# The number of distinct values is off by at most this share of it, three standard errors; not at all up to the bound.
DISTINCT_ERROR = 0.05
EXACT_DISTINCT = 1024
# So many values are counted; a column with no more of them is counted exactly.
COUNTED_VALUES = 1000

_TOP_CAPACITY = 512
_LOWEST_CAPACITY = 8
_CAPACITY_RATIO = 2 / 3
_REGISTER_BITS = 12
_REGISTERS = 1 << _REGISTER_BITS
_FEWEST_FOR_SKEWNESS = 3
_FEWEST_FOR_KURTOSIS = 4


@dataclass(frozen=True)
class Moments:
    """Count, mean and the sums of the second to fourth powers of the distances from it. Exact but for rounding."""

    count: int = 0
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the moments of finite values."""
        if not len(values):
            return cls()
        if values.min() == values.max():
            return cls(len(values), float(values[0]))
        with np.errstate(all="ignore"):
            mean = float(values.mean())
            distances = values - mean
            squares = distances * distances
            return cls(
                len(values),
                mean,
                float(squares.sum()),
                float((squares * distances).sum()),
                float((squares * squares).sum()),
            )

    def merged(self, other: Self) -> Self:
        """Return the moments of both parts together."""
        if not self.count or not other.count:
            return self if self.count else other
        a, b = float(self.count), float(other.count)
        n = a + b
        d = other.mean - self.mean
        e = d / n
        second = self.second + other.second + d * e * a * b
        third = self.third + other.third + d * e * e * a * b * (a - b) + 3 * e * (a * other.second - b * self.second)
        fourth = (
            self.fourth
            + other.fourth
            + d * e * e * e * a * b * (a * a - a * b + b * b)
            + 6 * e * e * (a * a * other.second + b * b * self.second)
            + 4 * e * (a * other.third - b * self.third)
        )
        return type(self)(self.count + other.count, self.mean + e * b, second, third, fourth)

    @property
    def variance(self) -> float:
        """The sample variance, with n - 1 below, as pandas has it; NaN for fewer than two values."""
        return self.second / (self.count - 1) if self.count > 1 else math.nan

    @property
    def std(self) -> float:
        """The root of the sample variance."""
        return math.sqrt(self.variance) if self.variance >= 0 else math.nan

    @property
    def skewness(self) -> float:
        """The bias-corrected skewness, as pandas has it: 0 for a constant, NaN for fewer than three values."""
        n = self.count
        if n < _FEWEST_FOR_SKEWNESS:
            return math.nan
        if self.second == 0:
            return 0.0
        return n * math.sqrt(n - 1) / (n - 2) * _divided(self.third, self.second, math.sqrt(self.second))

    @property
    def kurtosis(self) -> float:
        """The bias-corrected excess kurtosis, as pandas has it: 0 for a constant, NaN for fewer than four values."""
        n = self.count
        if n < _FEWEST_FOR_KURTOSIS:
            return math.nan
        if self.second == 0:
            return 0.0
        correction = 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
        scale = n * (n + 1) * (n - 1) / ((n - 2) * (n - 3))
        return scale * _divided(self.fourth, self.second, self.second) - correction


def _divided(value: float, *divisors: float) -> float:
    for divisor in divisors:
        value = value / divisor if divisor else math.nan
    return value


@dataclass(frozen=True)
class Quantiles:
    """A sample from which any quantile can be told: the values of level h stand for 2 to the h each; KLL."""

    count: int = 0
    levels: tuple[Floats, ...] = ()

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the sample of finite values."""
        return cls(len(values), (np.sort(values),)).compacted() if len(values) else cls()

    def merged(self, other: Self) -> Self:
        """Return the sample of both parts together."""
        longer, shorter = sorted((self.levels, other.levels), key=len, reverse=True)
        together = [
            np.sort(np.concatenate((level, shorter[height]))) if height < len(shorter) else level
            for height, level in enumerate(longer)
        ]
        return type(self)(self.count + other.count, tuple(together)).compacted()

    def compacted(self) -> Self:
        """Return a sample of no more than EXACT_VALUES values: of a level that is too full, every other one goes up."""
        levels = list(self.levels)
        if sum(map(len, levels)) <= EXACT_VALUES:
            return self
        # From the values, so that the same values give the same sample on every machine, and others other draws.
        draws = np.random.default_rng([self.count, *(zlib.crc32(level.tobytes()) for level in levels)])
        while sum(map(len, levels)) > EXACT_VALUES:
            height = next(h for h, level in enumerate(levels) if len(level) > _capacity(len(levels) - 1 - h))
            level = levels[height]
            kept = level[:0]
            if len(level) % 2:
                stays = int(draws.integers(len(level)))
                kept, level = level[stays : stays + 1], np.delete(level, stays)
            risen = level[int(draws.integers(2)) :: 2]
            if height + 1 == len(levels):
                levels.append(level[:0])
            levels[height] = kept
            levels[height + 1] = np.sort(np.concatenate((levels[height + 1], risen)))
        return type(self)(self.count, tuple(levels))

    def weighted(self) -> tuple[Floats, Floats]:
        """Return the values of the sample in their order, and how many values each stands for."""
        if not self.levels:
            return np.empty(0), np.empty(0)
        values = np.concatenate(self.levels)
        weights = np.concatenate([np.full(len(level), 2.0**height) for height, level in enumerate(self.levels)])
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return the values below which these shares of all lie, as pandas interpolates; NaN when there are none."""
        values, weights = self.weighted()
        if not len(values):
            return [math.nan for _ in shares]
        ranks = np.cumsum(weights) - (weights + 1) / 2  # the middle of the ranks that each value stands for
        return [float(each) for each in np.interp(np.asarray(shares) * (self.count - 1), ranks, values)]

    def histogram(self, edges: Floats) -> list[int]:
        """Return how many values lie between neighbouring edges; the last bin has its upper edge too."""
        values, weights = self.weighted()
        return [round(each) for each in np.histogram(values, bins=edges, weights=weights)[0]]

    def to_json(self) -> dict[str, Any]:
        """Return the sample as what JSON can hold."""
        return {"count": self.count, "levels": [_packed(level.astype("<f8").tobytes()) for level in self.levels]}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the sample that `to_json` told."""
        return cls(told["count"], tuple(np.frombuffer(_unpacked(level), "<f8") for level in told["levels"]))


def _capacity(below_top: int) -> float:
    return max(_LOWEST_CAPACITY, _TOP_CAPACITY * _CAPACITY_RATIO**below_top)


@dataclass(frozen=True)
class Distinct:
    """How many different values there are: their hashes while these are few, then the registers of a HyperLogLog."""

    hashes: Hashes | None
    registers: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, hashes: Hashes) -> Self:
        """Return the summary of values with these 64-bit hashes; a hash may be there many times."""
        different = np.unique(hashes)
        return cls(different) if len(different) <= EXACT_DISTINCT else cls(None, _registers(different))

    def merged(self, other: Self) -> Self:
        """Return the summary of both parts together."""
        if self.hashes is not None and other.hashes is not None:
            return self.of(np.concatenate((self.hashes, other.hashes)))
        return type(self)(None, np.maximum(self._as_registers(), other._as_registers()))

    def _as_registers(self) -> NDArray[np.uint8]:
        return self.registers if self.registers is not None else _registers(self.hashes)

    @property
    def is_exact(self) -> bool:
        """Whether the estimate is the number itself."""
        return self.hashes is not None

    @property
    def estimate(self) -> int:
        """The number of different values."""
        if self.hashes is not None:
            return len(self.hashes)
        highest = 64 - _REGISTER_BITS
        of_rank = np.bincount(self._as_registers(), minlength=highest + 2) / _REGISTERS
        z = _tau(1 - float(of_rank[highest + 1]))
        for rank in range(highest, 0, -1):
            z = 0.5 * (z + float(of_rank[rank]))
        return round(_REGISTERS / (2 * math.log(2)) / (z + _sigma(float(of_rank[0]))))

    def to_json(self) -> dict[str, Any]:
        """Return the summary as what JSON can hold."""
        if self.hashes is not None:
            return {"hashes": _packed(self.hashes.astype("<u8").tobytes())}
        return {"registers": _packed(self._as_registers().tobytes())}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the summary that `to_json` told."""
        if "hashes" in told:
            return cls(np.frombuffer(_unpacked(told["hashes"]), "<u8"))
        return cls(None, np.frombuffer(_unpacked(told["registers"]), np.uint8))


def _registers(hashes: Hashes | None) -> NDArray[np.uint8]:
    found = np.zeros(_REGISTERS, np.uint8)
    if hashes is None or not len(hashes):
        return found
    places = (hashes >> np.uint64(64 - _REGISTER_BITS)).astype(np.intp)
    rest = hashes << np.uint64(_REGISTER_BITS)
    # The position of the highest bit that is set, from the exponents of the upper and the lower half.
    upper, lower = rest >> np.uint64(32), rest & np.uint64(0xFFFFFFFF)
    bits = np.where(upper > 0, np.frexp(upper.astype(float))[1] + 32, np.frexp(lower.astype(float))[1])
    ranks = np.minimum(64 - bits + 1, 64 - _REGISTER_BITS + 1).astype(np.uint8)
    np.maximum.at(found, places, ranks)
    return found


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, last = 1.0, x, -1.0
    while z != last:
        x, last = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in {0, 1}:
        return 0.0
    y, z, last = 1.0, 1 - x, -1.0
    while z != last:
        x, last, y = math.sqrt(x), z, y / 2
        z -= (1 - x) ** 2 * y
    return z / 3


@dataclass(frozen=True)
class Frequent:
    """The most frequent values with their counts. None is overestimated, and none by more than `error` under."""

    counts: Mapping[Any, int]
    error: int = 0

    @classmethod
    def of(cls, values: NDArray[Any], sizes: NDArray[np.int64], *, error: int = 0) -> Self:
        """Return the summary of different values and how often each is there; beyond COUNTED_VALUES the rarest go.

        The values become those of Python: integers, floats and texts.
        """
        if len(values) > COUNTED_VALUES:
            place = len(values) - COUNTED_VALUES - 1
            threshold = int(np.partition(sizes, place)[place])
            kept = sizes > threshold
            values, sizes, error = values[kept], sizes[kept] - threshold, error + threshold
        return cls(dict(zip(values.tolist(), sizes.tolist(), strict=True)), error)

    def merged(self, other: Self) -> Self:
        """Return the summary of both parts together."""
        together = dict(self.counts)
        for value, count in other.counts.items():
            together[value] = together.get(value, 0) + count
        values, sizes = np.empty(len(together), object), np.fromiter(together.values(), np.int64, len(together))
        values[:] = list(together)
        return self.of(values, sizes, error=self.error + other.error)

    def top(self, number: int) -> list[tuple[Any, int]]:
        """Return the most frequent values, those equally frequent in their own order."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], str(type(pair[0])), pair[0]))[:number]

    def to_json(self) -> dict[str, Any]:
        """Return the summary as what JSON can hold."""
        return {"counts": [list(pair) for pair in self.top(len(self.counts))], "error": self.error}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the summary that `to_json` told."""
        return cls({value: count for value, count in told["counts"]}, told["error"])  # noqa: C416 - pairs are lists


def hash_numbers(values: NDArray[Any]) -> Hashes:
    """Return 64-bit hashes of numbers; an integer has that of the float that equals it, if one does."""
    floats = values.astype(np.float64) + 0.0  # so that there is one zero
    bits = floats.view(np.uint64)
    if values.dtype.kind in "iu":
        is_beyond = np.abs(floats) > 1 << 53
        bits = np.where(is_beyond, values.astype(np.uint64), bits)
    with np.errstate(over="ignore"):  # SplitMix64's finaliser, Steele and others (2014)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Hashes = bits ^ (bits >> np.uint64(31))
    return mixed


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
