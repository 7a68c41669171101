"""A profile: statistics of every column of a table, made in one pass and merged from parts.

What is said of numbers is said of the finite ones; infinite ones are counted. Statistics are those of pandas: moments
but for rounding, the rest as exactly as `sketches` says. A profile is a record: it can be kept as JSON and compared
with that of other data later.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np  # all here is arithmetic on arrays; who needs none of it does not import this module

from modelwright.datasets.sketches import Distinct, Frequent, Moments, Quantiles
from modelwright.errors import ProfileUnreadable

FORMAT = 1
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
BINS = 20
TOP = 10
MISSING = "missing"

NUMBER, BOOLEAN, DATE, STRING = "number", "boolean", "date", "string"


@dataclass(frozen=True)
class Numbers:
    """What is said of numbers, and of times as seconds since 1970."""

    moments: Moments
    quantiles: Quantiles
    low: float
    high: float
    infinite: tuple[int, int] = (0, 0)
    is_whole: bool = False

    def merged(self, other: Self) -> Self:
        """Return what is said of both parts together."""
        return type(self)(
            self.moments.merged(other.moments),
            self.quantiles.merged(other.quantiles),
            min(self.low, other.low),
            max(self.high, other.high),
            (self.infinite[0] + other.infinite[0], self.infinite[1] + other.infinite[1]),
            self.is_whole and other.is_whole,
        )

    def quantile(self, share: float) -> float:
        """Return the value below which this share of the values lies; the first and last exactly."""
        if share in {0, 1}:
            return (self.low, self.high)[int(share)] if self.moments.count else math.nan
        return min(max(self.quantiles.quantiles([share])[0], self.low), self.high)

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "moments": list(vars(self.moments).values()),
            "quantiles": self.quantiles.to_json(),
            "low": self.low if self.moments.count else None,
            "high": self.high if self.moments.count else None,
            "infinite": list(self.infinite),
            "is_whole": self.is_whole,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return what `to_json` told."""
        return cls(
            Moments(*told["moments"]),
            Quantiles.from_json(told["quantiles"]),
            math.inf if told["low"] is None else told["low"],
            -math.inf if told["high"] is None else told["high"],
            (told["infinite"][0], told["infinite"][1]),
            told["is_whole"],
        )


@dataclass(frozen=True)
class Column:
    """The profile of one column. `types` has how many cells are of which type, a missing one being a type too.

    `low` and `high` are the first and last of its texts or times, in their order.
    """

    types: Mapping[str, int]
    distinct: Distinct
    frequent: Frequent
    numbers: Numbers | None = None
    low: str | None = None
    high: str | None = None

    @property
    def present(self) -> int:
        """How many cells have a value; an empty text is one."""
        return sum(count for kind, count in self.types.items() if kind != MISSING)

    @property
    def missing(self) -> int:
        """How many cells have none."""
        return self.types.get(MISSING, 0)

    @property
    def type(self) -> str:
        """The one type of all values; `empty` when there are none, `mixed` when they have several."""
        kinds = self.types.keys() - {MISSING}
        return "empty" if not kinds else next(iter(kinds)) if len(kinds) == 1 else "mixed"

    def merged(self, other: Self) -> Self:
        """Return the profile of both parts together."""
        numbers = self.numbers.merged(other.numbers) if self.numbers and other.numbers else None
        lows = [each for each in (self.low, other.low) if each is not None]
        highs = [each for each in (self.high, other.high) if each is not None]
        return type(self)(
            dict(Counter(self.types) + Counter(other.types)),
            self.distinct.merged(other.distinct),
            self.frequent.merged(other.frequent),
            numbers or self.numbers or other.numbers,
            min(lows, default=None),
            max(highs, default=None),
        )

    def summary(self) -> dict[str, Any]:
        """Return the statistics as people read them; those that the type does not have are None."""
        kind = self.type
        numbers = self.numbers if self.numbers and self.numbers.moments.count else None
        moments = numbers.moments if numbers and kind == NUMBER else None
        is_time = kind == DATE
        shown = _time if is_time else _plain
        edges = np.linspace(numbers.low, numbers.high, BINS + 1) if numbers and numbers.high > numbers.low else None
        return {
            "type": kind,
            "types": dict(self.types),
            "count": self.present + self.missing,
            "present": self.present,
            "missing": self.missing,
            "infinite": sum(self.numbers.infinite) if self.numbers else 0,
            "is_whole": bool(numbers and numbers.is_whole) if kind == NUMBER else None,
            "distinct": self.distinct.estimate,
            "distinct_is_exact": self.distinct.is_exact,
            "min": _plain(numbers.low) if numbers and not is_time else self.low,
            "max": _plain(numbers.high) if numbers and not is_time else self.high,
            **{name: _plain(getattr(moments, name)) if moments else None for name in MOMENTS},
            "quantiles": {str(each): shown(numbers.quantile(each)) for each in SHARES} if numbers else {},
            "quantiles_are_exact": numbers is None or len(numbers.quantiles.levels) == 1,
            "histogram": {
                "edges": [shown(float(each)) for each in edges],
                "counts": numbers.quantiles.histogram(edges),
            }
            if numbers and edges is not None
            else None,
            "top": [{"value": value, "count": count} for value, count in self.frequent.top(TOP)],
            "top_error": self.frequent.error,
        }

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "types": dict(self.types),
            "distinct": self.distinct.to_json(),
            "frequent": self.frequent.to_json(),
            "numbers": self.numbers.to_json() if self.numbers else None,
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return what `to_json` told."""
        return cls(
            told["types"],
            Distinct.from_json(told["distinct"]),
            Frequent.from_json(told["frequent"]),
            Numbers.from_json(told["numbers"]) if told["numbers"] else None,
            told["low"],
            told["high"],
        )


MOMENTS = ("mean", "std", "variance", "skewness", "kurtosis")


@dataclass(frozen=True)
class Profile:
    """The profile of a table: its rows, and a profile of each column."""

    rows: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict)

    def merged(self, other: Self) -> Self:
        """Return the profile of both tables' rows together; a column that one does not have is missing there."""
        names = [*self.columns, *(name for name in other.columns if name not in self.columns)]
        columns = {
            name: self.columns.get(name, _absent(self.rows)).merged(other.columns.get(name, _absent(other.rows)))
            for name in names
        }
        return type(self)(self.rows + other.rows, columns)

    def summary(self) -> dict[str, Any]:
        """Return the statistics as people read them."""
        return {"rows": self.rows, "columns": {name: each.summary() for name, each in self.columns.items()}}

    def to_json(self) -> dict[str, Any]:
        """Return the profile as what JSON can hold."""
        columns = {name: each.to_json() for name, each in self.columns.items()}
        return {"format": FORMAT, "rows": self.rows, "columns": columns}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the profile that `to_json` told. Raises ProfileUnreadable for a format that is not known."""
        if told.get("format") != FORMAT:
            raise ProfileUnreadable(found=told.get("format"), known=FORMAT)
        return cls(told["rows"], {name: Column.from_json(each) for name, each in told["columns"].items()})


def merge(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of all parts together."""
    whole: Profile | None = None
    for each in profiles:
        whole = each if whole is None else whole.merged(each)
    return whole or Profile()


def _absent(rows: int) -> Column:
    empty = Distinct.of(np.empty(0, np.uint64))
    return Column({MISSING: rows} if rows else {}, empty, Frequent({}))


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _time(seconds: float) -> str | None:
    return str(np.datetime64(round(seconds * 1e6), "us")) + "Z" if math.isfinite(seconds) else None
