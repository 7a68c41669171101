"""Tests that may be looked at after every request."""

import json
import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.serving.rollout import sequential
from modelwright.serving.rollout.sequential import Comparison, Count, Means
from modelwright.serving.rollout.slowness import Slowness, quantile, quantile_interval

SMALL = st.integers(min_value=0, max_value=25)
EDGES = tuple(1.1**power for power in range(100))


def drawn(draws: random.Random, size: int, rate: float) -> Count:
    return Count(size, sum(draws.random() < rate for _ in range(size)))


def histogram(draws: random.Random, size: int, factor: float = 1.0) -> list[int]:
    counts = [0] * (len(EDGES) + 1)
    for _ in range(size):
        value = factor * draws.lognormvariate(3, 1)
        counts[next((index for index, edge in enumerate(EDGES) if value <= edge), len(EDGES))] += 1
    return counts


@given(SMALL, SMALL, st.data())
def test_without_a_difference_a_bet_pays_exactly_its_stake_on_the_average(
    first: int, second: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(min_value=0, max_value=first + second))
    expected = [0.0] * sequential.STRENGTHS
    for seconds in range(max(0, hits - first), min(second, hits) + 1):
        chance = math.comb(second, seconds) * math.comb(first, hits - seconds) / math.comb(first + second, hits)
        paid = sequential.gains(Count(first, hits - seconds), Count(second, seconds))
        expected = [total + chance * math.exp(gain) for total, gain in zip(expected, paid, strict=True)]
    assert expected == pytest.approx([1.0] * sequential.STRENGTHS, abs=1e-9)


@pytest.mark.parametrize(("rate", "other"), list(product((0.1, 0.3), (0.0, 0.05, 0.1))))
def test_a_bet_on_more_cannot_expect_to_win_when_hits_are_rarer(rate: float, other: float) -> None:
    expected = [0.0] * sequential.STRENGTHS
    for one, two in product(range(11), repeat=2):
        chance = math.comb(10, one) * rate**one * (1 - rate) ** (10 - one)
        chance *= math.comb(10, two) * other**two * (1 - other) ** (10 - two)
        paid = sequential.gains(Count(10, one), Count(10, two))
        expected = [total + chance * math.exp(gain) for total, gain in zip(expected, paid, strict=True)]
    assert max(expected) <= 1 + 1e-9


def test_a_block_of_a_million_is_judged_without_losing_digits() -> None:
    # Near its mode the law is Gaussian; the likelihood ratio of a small tilt is then exp(t·d - t²·v/2).
    variance = 1e6 * 0.25 * 0.1 * 0.9 * 2
    deviation = 500
    paid = sequential.gains(Count(10**6, 100_000 - deviation), Count(10**6, 100_000 + deviation))
    assert paid[0] == pytest.approx(0.05 * deviation - 0.05**2 * variance / 2, rel=0.01)


def test_equal_versions_are_told_apart_in_fewer_tests_than_alpha() -> None:
    draws, told = random.Random(6), 0
    for _ in range(200):
        comparison = Comparison()
        for look in range(60):
            share = 2 + look // 6  # grows, while the rate of both grows too
            rate = 0.02 + look * 0.003
            comparison.add(drawn(draws, 20, rate), drawn(draws, share, rate))
        told += comparison.verdict(0.05) != 0
    assert told <= 0.05 * 200


def test_a_worse_version_is_found_and_the_better_one_named() -> None:
    draws = random.Random(7)
    worse, better = Comparison(), Comparison()
    for _ in range(60):
        worse.add(drawn(draws, 20, 0.01), drawn(draws, 20, 0.06))
        better.add(drawn(draws, 20, 0.06), drawn(draws, 20, 0.01))
    assert (worse.verdict(), better.verdict()) == (1, -1)
    assert worse.more.p_value < 0.01 < worse.fewer.p_value


def test_a_comparison_goes_on_from_its_state() -> None:
    draws = random.Random(8)
    whole, parts = Comparison(), Comparison()
    for _ in range(40):
        one, other = drawn(draws, 7, 0.1), drawn(draws, 3, 0.3)
        whole.add(one, other)
        parts.add(one, other)
        parts = Comparison.restored(json.loads(json.dumps(parts.state())))
    assert parts == whole


def test_requests_of_one_version_alone_tell_nothing() -> None:
    comparison = Comparison()
    comparison.add(Count(1000, 900), Count(0, 0))
    comparison.add(Count(1000, 900), Count(5, 5))
    assert comparison.more.p_value == comparison.fewer.p_value == 1.0


@pytest.mark.parametrize(("count", "low", "high"), [((0, 0), 0, 1), ((1000, 10), 0.0024, 0.0262), ((100, 0), 0, 0.057)])
def test_an_interval_holds_its_rate(count: tuple[int, int], low: float, high: float) -> None:
    assert sequential.interval(Count(*count)) == pytest.approx((low, high), abs=1e-4)


def test_intervals_hold_the_true_rate_at_every_moment_together() -> None:
    draws, missed = random.Random(9), 0
    for _ in range(150):
        count, has_missed = Count(), False
        for _ in range(40):
            count += drawn(draws, 10, 0.1)
            low, high = sequential.interval(count)
            has_missed |= not low <= 0.1 <= high
        missed += has_missed
    assert missed <= 0.05 * 150


def test_a_rate_is_told_from_a_limit() -> None:
    assert sequential.exceeds(Count(200, 12), 0.01)
    assert not sequential.exceeds(Count(200, 3), 0.01)
    assert not sequential.exceeds(Count(10**6, 10**6), 1.0)
    assert sequential.exceeds(Count(5, 1), 0.0)
    assert sequential.falls_short(Count(1000, 1), 0.01)
    assert not sequential.falls_short(Count(100, 1), 0.01)


def test_means_are_told_apart_and_equal_ones_are_not() -> None:
    draws = random.Random(10)
    same, other = Means(), Means()
    for _ in range(600):
        one, two = draws.random(), draws.random()
        same.add(one, two)
        other.add(one, two * 0.7)
    assert (same.verdict(), other.verdict()) == (0, -1)


def test_a_version_that_is_slower_is_found_without_a_law_of_latencies() -> None:
    draws = random.Random(11)
    same, slower, within = Slowness(EDGES), Slowness(EDGES), Slowness(EDGES, ratio=1.5)
    for _ in range(100):
        present = histogram(draws, 10)
        same.add(present, histogram(draws, 10))
        late = histogram(draws, 10, 1.4)
        slower.add(present, late)
        within.add(present, late)
    assert (same.verdict(), slower.verdict(), within.verdict()) == (0, 1, 0)
    assert Slowness.restored(EDGES, 1.5, json.loads(json.dumps(within.state()))) == within


def test_quantiles_are_ends_of_buckets_with_bounds() -> None:
    counts = [10, 80, 9, 1]
    edges = (1.0, 2.0, 4.0)
    assert [quantile(edges, counts, level) for level in (0.05, 0.5, 0.99, 1.0)] == [1.0, 2.0, 4.0, math.inf]
    assert quantile(edges, [0, 0, 0, 0], 0.5) is None
    low, high = quantile_interval(edges, counts, 0.5)
    assert (low, high) == (1.0, 2.0)
