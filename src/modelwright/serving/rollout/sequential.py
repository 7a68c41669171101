"""Tests between two versions whose answer holds at whatever moment one looks at it. Standard library only.

Each test is a bet against "no difference" that starts with a capital of 1 and that nobody can expect to win when there
is none. A capital that ever reaches 1/alpha happens with probability at most alpha, over all looks together (Ville
1939), so one may look after every request and stop when one likes. Capitals are kept as logarithms.

Bets at several strengths are averaged, which is a bet again (the method of mixtures: Robbins 1970, "Statistical methods
related to the law of the iterated logarithm", Annals of Mathematical Statistics 41).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

ALPHA = 0.05
# Logarithms of the odds ratios that are bet on: from 1.05 to 55.
_TILTS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
STRENGTHS = len(_TILTS)
# A block waits until it has this many requests of both. When it ends must not depend on their outcomes.
LEAST = 10
_NEGLIGIBLE = 1e-17
# Shares of the capital that are put on the difference of two means, which lies between -1 and 1.
STAKES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.9)
_HALVINGS = 60
# Blocks of the same counts come again where counts are small. A front asks every second for as long as it lives, and
# nearly always anew, so that what is remembered must stay small: 1 MB in all.
_REMEMBERED = 1000


@dataclass(frozen=True)
class Count:
    """How many of some requests had what is counted: an error, a wrong label, a latency above a limit."""

    total: int = 0
    hits: int = 0

    def __add__(self, other: "Count") -> "Count":
        """Return both together."""
        return Count(self.total + other.total, self.hits + other.hits)

    def __sub__(self, other: "Count") -> "Count":
        """Return what came since `other`."""
        return Count(self.total - other.total, self.hits - other.hits)

    @property
    def rate(self) -> float | None:
        """The share of hits; None when there is nothing to take it of."""
        return self.hits / self.total if self.total else None


class Winnable(Protocol):
    """What can be won at a probability of winning by chance."""

    @property
    def p_value(self) -> float:
        """A bound of the probability of so much without a difference."""

    def is_won(self, alpha: float) -> bool:
        """Whether it is won at `alpha`."""


@dataclass
class Bet:
    """One side of a test: the capital at each strength, and the most that all together ever were.

    `decided` is after how many requests that reached what decides a two-sided test at `ALPHA`; 0 while it has not.
    """

    strengths: list[float]
    peak: float = 0.0
    decided: int = 0

    @classmethod
    def fresh(cls, strengths: int) -> "Bet":
        """Return a bet that nothing has been put on yet."""
        return cls([0.0] * strengths)

    @classmethod
    def restored(cls, state: Sequence[float]) -> "Bet":
        """Return the bet as it was when `state` was taken."""
        return cls(list(state[:-2]), state[-2], int(state[-1]))

    def state(self) -> list[float]:
        """Return everything as JSON values."""
        return [*self.strengths, self.peak, self.decided]

    def win(self, gains: Sequence[float], total: int) -> None:
        """Multiply each capital by what came of its stake; `gains` are logarithms, `total` is all requests so far."""
        self.strengths = [capital + gain for capital, gain in zip(self.strengths, gains, strict=True)]
        self.peak = max(self.peak, _log_mean(self.strengths))
        if not self.decided and self.is_won(ALPHA / 2):
            self.decided = total

    def is_won(self, alpha: float) -> bool:
        """Whether the capital has ever reached 1/alpha."""
        return self.peak >= -math.log(alpha)

    @property
    def p_value(self) -> float:
        """A bound of the probability of such a capital without a difference; it holds at every moment."""
        return math.exp(-self.peak)


@dataclass
class Comparison:
    """Whether hits are more frequent in the second of two streams of requests, or in the first.

    Requests come in blocks. Given how many hits a block has altogether, without a difference every one of its requests
    is as likely as another to be among them, so the hits of the second follow the hypergeometric law (Fisher 1935). The
    bet pays the likelihood ratio of Fisher's noncentral law to that. Nothing else is assumed: the rate that both share
    may change from block to block, and so may the traffic. In a bet on "more", hits that are rarer only lose.
    """

    more: Bet = field(default_factory=lambda: Bet.fresh(STRENGTHS))
    fewer: Bet = field(default_factory=lambda: Bet.fresh(STRENGTHS))
    first: Count = Count()
    second: Count = Count()
    _waiting: tuple[Count, Count] = (Count(), Count())

    def add(self, first: Count, second: Count) -> None:
        """Take what came since the last look."""
        self.first, self.second = self.first + first, self.second + second
        one, other = self._waiting[0] + first, self._waiting[1] + second
        if min(one.total, other.total) < LEAST:
            self._waiting = (one, other)
            return
        self._waiting = (Count(), Count())
        total = self.first.total + self.second.total
        self.more.win(gains(one, other), total)
        self.fewer.win(gains(other, one), total)

    def verdict(self, alpha: float = ALPHA) -> int:
        """Return 1 when the second has more hits, -1 when it has fewer, 0 while that cannot be told.

        The probability that it is ever other than 0 without a difference is at most alpha.
        """
        return side(self.more, self.fewer, alpha=alpha)

    def state(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        waiting = [[each.total, each.hits] for each in self._waiting]
        totals = [[each.total, each.hits] for each in (self.first, self.second)]
        return {"bets": [self.more.state(), self.fewer.state()], "totals": totals, "waiting": waiting}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Comparison":
        """Return the comparison as it was when `state` was taken."""
        more, fewer = map(Bet.restored, state["bets"])
        first, second = (Count(*each) for each in state["totals"])
        one, other = (Count(*each) for each in state["waiting"])
        return cls(more, fewer, first, second, (one, other))


@dataclass
class Means:
    """Whether the mean of the second of two streams of values between 0 and 1 is greater, or that of the first.

    A bet of the share s on a difference d of means pays 1 + s·d, which is 1 on the average when there is none
    (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS B 86). Values that
    can be greater than 1 must be capped before; what is compared then are the means of the capped values.
    """

    greater: Bet = field(default_factory=lambda: Bet.fresh(len(STAKES)))
    less: Bet = field(default_factory=lambda: Bet.fresh(len(STAKES)))
    count: int = 0

    def add(self, first: float, second: float) -> None:
        """Take a value of each, or the means of a block of each."""
        difference = second - first
        self.count += 1
        self.greater.win(staked(difference), self.count)
        self.less.win(staked(-difference), self.count)

    def verdict(self, alpha: float = ALPHA) -> int:
        """Return 1 when the second mean is greater, -1 when it is less, 0 while that cannot be told."""
        return side(self.greater, self.less, alpha=alpha)


def staked(difference: float) -> list[float]:
    """Return, as logarithms, what each stake on a difference above 0 pays; it lies between -1 and 1."""
    return [math.log1p(stake * difference) for stake in STAKES]


def side(up: "Winnable", down: "Winnable", *, alpha: float = ALPHA) -> int:
    """Return 1 when the bet `up` is won, -1 when `down` is, 0 while neither is; alpha is shared among them."""
    won = [bet for bet in (up, down) if bet.is_won(alpha / 2)]
    return 0 if not won else 1 if min(won, key=lambda bet: bet.p_value) is up else -1


def gains(first: Count, second: Count) -> tuple[float, ...]:
    """Return, as logarithms, what each bet on more hits in the second pays for a block."""
    return _gains(first.total, second.total, first.hits + second.hits, second.hits)


def exceeds(count: Count, limit: float, *, alpha: float = ALPHA) -> bool:
    """Return whether the rate is above `limit`; looked at for ever, wrong with probability at most alpha.

    The bet pays the likelihood ratio of a rate above the limit to the limit (Wald 1945), averaged over strengths.
    """
    return _log_capital(count, limit) >= -math.log(alpha)


def falls_short(count: Count, limit: float, *, alpha: float = ALPHA) -> bool:
    """Return whether the rate is below `limit`; looked at for ever, wrong with probability at most alpha."""
    return _log_capital(Count(count.total, count.total - count.hits), 1 - limit) >= -math.log(alpha)


def interval(count: Count, *, alpha: float = ALPHA) -> tuple[float, float]:
    """Return bounds between which the rate lies, at every moment together with probability 1 - alpha.

    The rates p at which the mixture of all rates, weighted by Beta(1/2, 1/2), is less than 1/alpha times as likely as p
    (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49, on the beta-binomial mixture).
    """
    hits, misses = count.hits, count.total - count.hits
    if not count.total:
        return 0.0, 1.0
    mixture = _log_beta(hits + 0.5, misses + 0.5) - math.log(math.pi)
    least = mixture + math.log(alpha)
    rate = hits / count.total
    low = _root(hits, misses, least, inside=rate, outside=0.0) if hits else 0.0
    high = _root(hits, misses, least, inside=rate, outside=1.0) if misses else 1.0
    return low, high


def _root(hits: int, misses: int, least: float, *, inside: float, outside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if hits * math.log(middle) + misses * math.log1p(-middle) > least:
            inside = middle
        else:
            outside = middle
    return outside


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def _log_capital(count: Count, limit: float) -> float:
    """Return the capital of a bet that the rate is above the limit."""
    if limit >= 1:
        return 0.0
    if limit <= 0:
        return math.inf if count.hits else 0.0
    return _log_mean([count.hits * tilt - count.total * math.log1p(limit * math.expm1(tilt)) for tilt in _TILTS])


@lru_cache(maxsize=_REMEMBERED)
def _gains(first: int, second: int, hits: int, seconds: int) -> tuple[float, ...]:
    level = _log_total(first, second, hits, 0.0)
    return tuple(seconds * tilt - (_log_total(first, second, hits, tilt) - level) for tilt in _TILTS)


@lru_cache(maxsize=_REMEMBERED)
def _log_total(first: int, second: int, hits: int, tilt: float) -> float:
    """Return the logarithm of the sum over h of C(second, h) · C(first, hits - h) · exp(tilt · h).

    Summed outwards from near its greatest term, until terms no longer count.
    """
    low, high = max(0, hits - first), min(second, hits)
    peak = min(max(_mode(first, second, hits, math.exp(tilt)), low), high)
    odds = math.exp(tilt)
    total = term = 1.0
    for h in range(peak, high):
        term *= odds * (hits - h) * (second - h) / ((h + 1) * (first - hits + h + 1))
        total += term
        if term < _NEGLIGIBLE * total:
            break
    term = 1.0
    for h in range(peak, low, -1):
        term *= h * (first - hits + h) / (odds * (hits - h + 1) * (second - h + 1))
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return _log_choose(second, peak) + _log_choose(first, hits - peak) + tilt * peak + math.log(total)


def _mode(first: int, second: int, hits: int, odds: float) -> int:
    """Return where the noncentral hypergeometric law is greatest: the root of a quadratic, in its stable form."""
    square = odds - 1
    linear = -((second + hits + 2) * odds + first - hits)
    constant = (second + 1) * (hits + 1) * odds
    return math.floor(2 * constant / (-linear + math.sqrt(max(0.0, linear * linear - 4 * square * constant))))


def _log_choose(total: int, some: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(total - some + 1)


def _log_mean(logarithms: Sequence[float]) -> float:
    most = max(logarithms)
    return most + math.log(sum(math.exp(each - most) for each in logarithms) / len(logarithms))
