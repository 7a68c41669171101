"""How often a test between two equal versions says that one is better, when it is looked at all the time.

`python benchmarks/serving/sequential.py [--tests N] [--only NAME] [--json FILE]` prints a table. Each row is a setting
of two streams of requests; each test is looked at after every block of about ten requests. Beside Modelwright's test
stands the one of fixed horizon (z of two proportions, Welch's t, McNemar) at the same alpha, looked at as often: it is
right when it is looked at once, at the end. The code under test is the one that decides rollouts; nothing of it is
written again here.
"""

import argparse
import json
import math
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.records import CheckResult, RolloutLimits
from modelwright.serving.rollout import sequential
from modelwright.serving.rollout.checking import Evidence, Seen
from modelwright.serving.rollout.sequential import Comparison, Count, Means
from modelwright.serving.rollout.shifting import Sample
from modelwright.serving.rollout.slowness import Slowness

ALPHA = 0.05
# The normal law's quantiles for alpha, two-sided and one-sided.
_Z, _Z_ONE_SIDED = 1.959963984540054, 1.6448536269514722
# Fewer values are not put to Welch's test.
_FEWEST = 10
# Upper ends of buckets that grow by a tenth, from 0.05 ms to more than 100 s.
EDGES = tuple(0.05 * 1.1**power for power in range(154))


# What one look says: whether Modelwright's test tells a difference, and whether the test of fixed horizon does.
Look = Callable[[], tuple[bool, bool]]


@dataclass(frozen=True)
class Setting:
    """One row: a kind of test on requests of two versions, looked at `looks` times.

    The versions are equal unless `is_different`. Nothing is promised where not `is_promised`: what the test assumes
    does not hold there.
    """

    name: str
    begin: Callable[[random.Random], Look]
    looks: int = 100
    is_different: bool = False
    is_promised: bool = True


def proportions(first: float, second: float, *, block: tuple[int, int] = (10, 10)) -> Callable[[random.Random], Look]:
    """Return tests of two error rates."""

    def begin(draws: random.Random) -> Look:
        ours = Comparison()

        def look() -> tuple[bool, bool]:
            ours.add(_drawn(block[0], first, draws), _drawn(block[1], second, draws))
            return bool(ours.verdict(ALPHA)), _is_z_significant(ours.first, ours.second)

        return look

    return begin


def drifting(rate: float, *, looks: int) -> Callable[[random.Random], Look]:
    """Return tests of two equal error rates that rise tenfold while the second's share grows from 5 to 50 percent."""

    def begin(draws: random.Random) -> Look:
        ours, done = Comparison(), 0

        def look() -> tuple[bool, bool]:
            nonlocal done
            done += 1
            part = done / looks
            now = rate * (0.2 + 1.8 * part)
            ours.add(_drawn(20, now, draws), _drawn(1 + round(19 * part), now, draws))
            return bool(ours.verdict(ALPHA)), _is_z_significant(ours.first, ours.second)

        return look

    return begin


def sticky(keys: int, *, rates: tuple[float, float]) -> Callable[[random.Random], Look]:
    """Return tests of two equal versions whose traffic is split by key, where keys err at one rate or the other."""

    def begin(draws: random.Random) -> Look:
        ours = Comparison()
        sides = [[draws.choice(rates) for _ in range(keys // 2)] for _ in range(2)]

        def look() -> tuple[bool, bool]:
            ours.add(*(Count(10, sum(draws.random() < draws.choice(side) for _ in range(10))) for side in sides))
            return bool(ours.verdict(ALPHA)), _is_z_significant(ours.first, ours.second)

        return look

    return begin


def latencies(
    law: Callable[[random.Random], float], *, factor: float = 1.0, stalls: float = 0.0
) -> Callable[[random.Random], Look]:
    """Return tests of latencies, of which the second's are `factor` times as long.

    Of both, a share `stalls` of blocks of ten requests take 100 ms more, all ten of them.
    """

    def begin(draws: random.Random) -> Look:
        ours, sums = Slowness(EDGES), (Sums(), Sums())

        def look() -> tuple[bool, bool]:
            histograms = []
            for scale, total in zip((1.0, factor), sums, strict=True):
                histogram = [0] * (len(EDGES) + 1)
                more = 100.0 if draws.random() < stalls else 0.0
                for _ in range(10):
                    value = law(draws) * scale + more
                    histogram[bisect_left(EDGES, value)] += 1
                    total.add(value)
                histograms.append(histogram)
            ours.add(*histograms)
            return bool(ours.verdict(ALPHA)), _is_t_significant(*sums)

        return look

    return begin


def pairs(gained: float, lost: float) -> Callable[[random.Random], Look]:
    """Return tests of labels on copied requests: the second is right where the first is wrong, or the reverse."""

    def begin(draws: random.Random) -> Look:
        won = Count()

        def look() -> tuple[bool, bool]:
            nonlocal won
            for _ in range(10):
                fall = draws.random()
                won += Count(fall < gained + lost, fall < gained)
            peeking = abs(2 * won.hits - won.total) > _Z * math.sqrt(max(1, won.total))
            return _is_told(won, 0.5), peeking

        return look

    return begin


def means(*, gain: float = 0.0) -> Callable[[random.Random], Look]:
    """Return tests of absolute errors that are capped at 1, of which the second's are smaller by `gain` of them."""

    def begin(draws: random.Random) -> Look:
        ours, sums = Means(), (Sums(), Sums())

        def look() -> tuple[bool, bool]:
            values = [min(1.0, scale * abs(draws.gauss(0, 0.3))) for scale in (1.0, 1 - gain)]
            for value, total in zip(values, sums, strict=True):
                total.add(value)
            ours.add(*values)
            return bool(ours.verdict(ALPHA)), sums[0].count >= _FEWEST and _is_t_significant(*sums)

        return look

    return begin


def limits(rate: float, limit: float) -> Callable[[random.Random], Look]:
    """Return tests whether a rate is above a limit."""

    def begin(draws: random.Random) -> Look:
        count = Count()

        def look() -> tuple[bool, bool]:
            nonlocal count
            count += _drawn(10, rate, draws)
            spread = math.sqrt(limit * (1 - limit) / count.total)
            ours = sequential.exceeds(count, limit, alpha=ALPHA)
            return ours, count.hits / count.total - limit > _Z_ONE_SIDED * spread

        return look

    return begin


def rollouts(*, requests: int = 20) -> Callable[[random.Random], Look]:
    """Return rollouts of a version that is no worse, with every check.

    Errors at 1 %, lognormal latencies, normal predictions, one copied request in fifty answered differently.
    """
    asked = RolloutLimits(error_rate=0.01, latency_ratio=1.0, prediction_shift=0.01, disagreement=0.02, alpha=ALPHA)

    def begin(draws: random.Random) -> Look:
        evidence = Evidence(EDGES, asked)
        answers: tuple[list[float], list[float]] = ([], [])

        def side(numbers: list[float], count: int) -> Seen:
            histogram = [0] * (len(EDGES) + 1)
            for _ in range(count):
                histogram[bisect_left(EDGES, draws.lognormvariate(2, 1))] += 1
                numbers.append(draws.gauss(0, 1))
            errors, differing = _drawn(count, 0.01, draws), _drawn(count, 0.02, draws)
            sample, latencies = Sample(numbers[-2000:]), tuple(histogram)
            return Seen(count, errors.hits, latencies, count, differing.hits, sample, len(numbers))

        def look() -> tuple[bool, bool]:
            evidence.take(side(answers[0], requests), side(answers[1], requests))
            failed = any(each.result is CheckResult.FAILED for each in evidence.checks())
            return failed, _is_z_significant(evidence.errors.first, evidence.errors.second)

        return look

    return begin


def settings() -> Iterator[Setting]:
    """Give every row: first those without a difference."""

    def lognormal(draws: random.Random) -> float:
        return draws.lognormvariate(2, 1)

    def pareto(draws: random.Random) -> float:
        return 5 * draws.paretovariate(1.2)

    few = (190, 10)
    yield Setting("errors 1 %, 50:50", proportions(0.01, 0.01))
    yield Setting("errors 20 %, 50:50", proportions(0.2, 0.2))
    yield Setting("errors 5 %, 95:5", proportions(0.05, 0.05, block=few), 50)
    yield Setting("errors 5 %, both rising, share growing", drifting(0.05, looks=100))
    yield Setting("latency, lognormal", latencies(lognormal))
    yield Setting("latency, Pareto 1.2 (no variance)", latencies(pareto))
    yield Setting("latency, stalls hold up 3 % of blocks", latencies(lognormal, stalls=0.03), is_promised=False)
    yield Setting("labels on copies, 10 % discordant", pairs(0.05, 0.05))
    yield Setting("absolute error, capped", means(), 200)
    yield Setting("rate at its limit of 1 %", limits(0.01, 0.01))
    yield Setting("a whole rollout, every check at its limit", rollouts())
    yield Setting("errors, split by 20 keys that differ", sticky(20, rates=(0.01, 0.2)), is_promised=False)
    yield Setting("errors 1 % and 3 %", proportions(0.01, 0.03), 300, is_different=True)
    yield Setting("errors 1 % and 5 %", proportions(0.01, 0.05), is_different=True)
    yield Setting("errors 0.5 % and 5 %, 95:5", proportions(0.005, 0.05, block=few), 50, is_different=True)
    yield Setting("accuracy 80 % and 85 %", proportions(0.2, 0.15), 300, is_different=True)
    yield Setting("latency, lognormal, 1.3 times", latencies(lognormal, factor=1.3), is_different=True)
    yield Setting("latency, lognormal, 2 times", latencies(lognormal, factor=2.0), is_different=True)
    yield Setting("latency, Pareto 1.2, 1.3 times", latencies(pareto, factor=1.3), is_different=True)
    yield Setting("labels on copies, 7 % gained, 3 % lost", pairs(0.07, 0.03), is_different=True)
    yield Setting("absolute error, 20 % less", means(gain=0.2), 1000, is_different=True)
    yield Setting("rate of 3 % at a limit of 1 %", limits(0.03, 0.01), is_different=True)


def measure(setting: Setting, *, tests: int, seed: int) -> dict[str, Any]:
    """Run the setting's tests and return how many said that there is a difference, and when."""
    draws = random.Random(f"{setting.name} {seed}")  # noqa: S311 - a simulation
    begun = time.perf_counter()
    ours, peeking, once = [], 0, 0
    for _ in range(tests):
        look = setting.begin(draws)
        said = [look() for _ in range(setting.looks)]
        ours += [number for number, (told, _) in enumerate(said, 1) if told][:1]
        peeking += any(fixed for _, fixed in said)
        once += said[-1][1]
    ours.sort()
    return {
        "setting": setting.name,
        "is_different": setting.is_different,
        "is_promised": setting.is_promised,
        "tests": tests,
        "looks": setting.looks,
        "told": len(ours) / tests,
        "between": clopper_pearson(len(ours), tests),
        "median_look": ours[len(ours) // 2] if len(ours) > tests / 2 else None,
        "fixed_peeking": peeking / tests,
        "fixed_once": once / tests,
        "seconds": time.perf_counter() - begun,
    }


def _drawn(size: int, rate: float, draws: random.Random) -> Count:
    return Count(size, sum(draws.random() < rate for _ in range(size)))


def _is_z_significant(first: Count, second: Count) -> bool:
    rate = (first.hits + second.hits) / (first.total + second.total)
    spread = math.sqrt(rate * (1 - rate) * (1 / first.total + 1 / second.total))
    return spread > 0 and abs(first.hits / first.total - second.hits / second.total) > _Z * spread


@dataclass
class Sums:
    """What Welch's t is made of."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take a value."""
        self.count += 1
        self.total += value
        self.squares += value * value


def _is_told(count: Count, rate: float) -> bool:
    above = sequential.exceeds(count, rate, alpha=ALPHA / 2)
    return above or sequential.falls_short(count, rate, alpha=ALPHA / 2)


def _is_t_significant(first: Sums, second: Sums) -> bool:
    """Return whether Welch's t is above 1.96: at these sizes the normal law's quantile serves."""
    means_ = [each.total / each.count for each in (first, second)]
    variances = [
        max(0.0, each.squares / each.count - mean**2) / each.count
        for each, mean in zip((first, second), means_, strict=True)
    ]
    return sum(variances) > 0 and abs(means_[0] - means_[1]) > _Z * math.sqrt(sum(variances))


def clopper_pearson(hits: int, total: int) -> tuple[float, float]:
    """Return the exact 95 % bounds of a share, by halving."""

    def tail(rate: float, least: int) -> float:
        """Return the probability of `least` hits or more."""
        log, complement = math.log(rate), math.log1p(-rate)
        return sum(
            math.exp(_log_choose(total, some) + some * log + (total - some) * complement)
            for some in range(least, total + 1)
        )

    def root(least: int, wanted: float) -> float:
        low, high = 1e-12, 1 - 1e-12
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, least) < wanted else (low, middle)
        return (low + high) / 2

    return (root(hits, 0.025) if hits else 0.0), (root(hits + 1, 0.975) if hits < total else 1.0)


def _log_choose(total: int, some: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(total - some + 1)


def main(arguments: list[str]) -> int:
    """Print the table; return 1 when a test of equal versions says too often that they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows = []
    heads = ("told", "95 % interval", "median look", "fixed, peeking", "fixed, once", "s")
    print(f"{'setting':40}{heads[0]:>9}{heads[1]:>20}{heads[2]:>13}{heads[3]:>16}{heads[4]:>13}{heads[5]:>6}")
    for setting in settings():
        if options.only not in setting.name:
            continue
        row = measure(setting, tests=options.tests, seed=options.seed)
        rows.append(row)
        bounds = f"{row['between'][0]:.2%} .. {row['between'][1]:.2%}"
        when = f"{row['median_look']}/{row['looks']}" if row["median_look"] else ""
        print(
            f"{row['setting']:40}{row['told']:9.2%}{bounds:>20}{when:>13}{row['fixed_peeking']:16.2%}"
            f"{row['fixed_once']:13.2%}{row['seconds']:6.0f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps({"alpha": ALPHA, "python": sys.version, "rows": rows}, indent=1))
    promised = [row for row in rows if row["is_promised"] and not row["is_different"]]
    return int(any(row["between"][0] > ALPHA for row in promised))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
