"""Whether one version is slower than another, told from two histograms of latencies; no law of latencies is assumed.

Latencies have heavy tails: one answer of a minute moves a mean of milliseconds, and no bound of means holds without a
bound of latencies. So the question is another: which share of requests takes longer than a limit. "Not slower" means
that for every limit the second version's share above it is at most the first's. The limits are quantiles of what the
first took up to now, so they are known before the requests that they judge, as `sequential.Comparison` needs it.

Slow requests come in heaps: a machine that stands still for a moment holds up all that wait. A heap is one misfortune
and not a hundred, so that a version is slower must show in two ways: in the requests, and steadily, from look to look.
The second can only take back what the first claims, so the first's bound of false claims holds for both.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from modelwright.serving.rollout import sequential
from modelwright.serving.rollout.sequential import ALPHA, Bet, Count

# Shares of the first version's requests below a limit: the ordinary ones, the slow ones, the slowest.
_LEVELS = (0.5, 0.9, 0.99)


@dataclass
class Tendency:
    """Two bets on the same side that must both be won: one on requests, one on looks."""

    requests: Bet = field(default_factory=lambda: Bet.fresh(len(_LEVELS) * sequential.STRENGTHS))
    looks: Bet = field(default_factory=lambda: Bet.fresh(len(_LEVELS) * len(sequential.STAKES)))

    def win(self, blocks: Sequence[tuple[Count, Count]], total: int) -> None:
        """Take how many of both were slow by each limit, the side that is bet on last."""
        self.requests.win([gain for block in blocks for gain in sequential.gains(*block)], total)
        self.looks.win([gain for block in blocks for gain in sequential.staked(_sign(*block))], total)

    def is_won(self, alpha: float) -> bool:
        """Whether both capitals have reached 1/alpha."""
        return self.requests.is_won(alpha) and self.looks.is_won(alpha)

    @property
    def p_value(self) -> float:
        """A bound of the probability of so much without a difference."""
        return max(self.requests.p_value, self.looks.p_value)

    @property
    def decided(self) -> int:
        """After how many requests a two-sided test was decided; 0 while it is not."""
        return max(self.requests.decided, self.looks.decided) if self.requests.decided and self.looks.decided else 0

    def state(self) -> list[list[float]]:
        """Return everything as JSON values."""
        return [self.requests.state(), self.looks.state()]

    @classmethod
    def restored(cls, state: Sequence[Sequence[float]]) -> "Tendency":
        """Return the tendency as it was when `state` was taken."""
        return cls(*map(Bet.restored, state))


@dataclass
class Slowness:
    """Whether the second of two versions takes longer than `ratio` times what the first takes.

    The ratio is rounded up to the edges, so with another than 1 only "slower" can be told. `edges` are the upper ends
    of the histograms' buckets, ascending; a histogram has one bucket more than edges, for what is above them all.
    """

    edges: Sequence[float]
    ratio: float = 1.0
    slower: Tendency = field(default_factory=Tendency)
    faster: Tendency = field(default_factory=Tendency)
    count: int = 0
    _known: list[int] = field(default_factory=list)
    _waiting: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))

    def add(self, first: Sequence[int], second: Sequence[int]) -> None:
        """Take what came since the last look."""
        one, other = together(self._waiting[0], first), together(self._waiting[1], second)
        if min(sum(one), sum(other)) < sequential.LEAST:
            self._waiting = (one, other)
            return
        self._waiting = ([], [])
        if self._known:
            blocks = [self._above(one, other, level) for level in _LEVELS]
            total = self.count + sum(one) + sum(other)
            self.slower.win(blocks, total)
            self.faster.win([(other, one) for one, other in blocks], total)
        self.count += sum(one) + sum(other)
        self._known = together(self._known, one)

    def verdict(self, alpha: float = ALPHA) -> int:
        """Return 1 when the second is slower, -1 when it is faster, 0 while that cannot be told."""
        side = sequential.side(self.slower, self.faster, alpha=alpha)
        return side if self.ratio == 1 else max(side, 0)

    def _above(self, first: Sequence[int], second: Sequence[int], level: float) -> tuple[Count, Count]:
        """Count what took longer than the first's quantile, and than `ratio` times that of the second."""
        limit = _bucket(self._known, level)
        # Rounded up: what is in the bucket that the limit falls into may be below it.
        scaled = limit
        if limit < len(self.edges) and self.ratio != 1:
            scaled = bisect.bisect_left(self.edges, self.edges[limit] * self.ratio * (1 - 1e-9))
        return Count(sum(first), sum(first[limit + 1 :])), Count(sum(second), sum(second[scaled + 1 :]))

    def state(self) -> dict[str, Any]:
        """Return everything but the edges and the ratio as JSON values."""
        bets = [self.slower.state(), self.faster.state()]
        return {"bets": bets, "count": self.count, "known": self._known, "waiting": list(self._waiting)}

    @classmethod
    def restored(cls, edges: Sequence[float], ratio: float, state: dict[str, Any]) -> "Slowness":
        """Return the test as it was when `state` was taken."""
        slower, faster = map(Tendency.restored, state["bets"])
        one, other = state["waiting"]
        return cls(edges, ratio, slower, faster, state["count"], state["known"], (one, other))


def quantile(edges: Sequence[float], histogram: Sequence[int], level: float) -> float | None:
    """Return the upper end of the bucket in which the quantile is; None when there is nothing, infinity above all."""
    if not sum(histogram):
        return None
    found = _bucket(histogram, level)
    return edges[found] if found < len(edges) else math.inf


def quantile_interval(
    edges: Sequence[float], histogram: Sequence[int], level: float, *, alpha: float = ALPHA
) -> tuple[float, float]:
    """Return bounds between which the quantile lies, at every moment together with probability 1 - alpha.

    An edge may be the quantile while `level` is a plausible rate of requests up to it (Howard and Ramdas 2022,
    "Sequential estimation of quantiles", Bernoulli 28).
    """
    total = sum(histogram)
    low, high = 0.0, math.inf
    for edge, below in zip(edges, accumulate(histogram), strict=False):
        bottom, top = sequential.interval(Count(total, below), alpha=alpha)
        if top < level:
            low = edge
        if bottom > level:
            high = edge
            break
    return low, high


def _sign(first: Count, second: Count) -> int:
    """Return 1 when the second's share is greater, -1 when it is less."""
    one, other = first.hits * second.total, second.hits * first.total
    return (other > one) - (other < one)


def _bucket(histogram: Sequence[int], level: float) -> int:
    wanted = level * sum(histogram)
    return next(index for index, below in enumerate(accumulate(histogram)) if below >= wanted)


def together(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Return the histogram of both; an empty one is one of nothing."""
    return [a + b for a, b in zip(one, other, strict=True)] if one and other else list(one or other)


def difference(now: Sequence[int], before: Sequence[int]) -> tuple[int, ...]:
    """Return the histogram of what came after `before`."""
    return tuple(a - b for a, b in zip(now, before, strict=True)) if before else tuple(now)
