"""Sketches: how far they are from the truth, and that parts merge to the whole."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.datasets.sketches import (
    COUNTED_VALUES,
    DISTINCT_ERROR,
    EXACT_DISTINCT,
    EXACT_VALUES,
    RANK_ERROR,
    Distinct,
    Frequent,
    Moments,
    Quantiles,
    hash_numbers,
)

LAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "long tail": lambda rng, n: rng.lognormal(sigma=3, size=n),
    "sorted": lambda _rng, n: np.arange(n, dtype=float),
    "few values": lambda rng, n: rng.integers(0, 5, n).astype(float),
}


def _quantiles(values: np.ndarray, part: int) -> Quantiles:
    whole = Quantiles()
    for start in range(0, len(values), part):
        whole = whole.merged(Quantiles.of(values[start : start + part]))
    return whole


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("part", [500, 40_000, 200_000])
def test_a_quantile_is_off_by_no_more_than_stated(law: str, part: int) -> None:
    values = LAWS[law](np.random.default_rng(part), 200_000)
    sketch = _quantiles(values, part)
    assert sketch.count == len(values)
    assert sum(len(level) << height for height, level in enumerate(sketch.levels)) == len(values)
    assert sum(map(len, sketch.levels)) <= EXACT_VALUES
    ordered = np.sort(values)
    shares = np.linspace(0, 1, 101)
    for share, found in zip(shares, sketch.quantiles(list(shares)), strict=True):
        # A value that is there many times has a span of ranks, and any of them will do.
        lowest = np.searchsorted(ordered, found, "left") / len(values)
        highest = np.searchsorted(ordered, found, "right") / len(values)
        assert lowest - RANK_ERROR <= share <= highest + RANK_ERROR


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300), st.integers(0, 300))
@settings(deadline=None)
def test_few_quantiles_are_those_of_pandas_in_parts_too(numbers: list[float], cut: int) -> None:
    values = np.array(numbers)
    merged = Quantiles.of(values[:cut]).merged(Quantiles.of(values[cut:]))
    shares = [0, 0.1, 0.5, 0.77, 1]
    assert np.allclose(merged.quantiles(shares), pd.Series(values).quantile(shares), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, EXACT_DISTINCT, EXACT_DISTINCT + 1, 20_000, 500_000])
def test_the_number_of_distinct_values_is_off_by_no_more_than_stated(count: int) -> None:
    hashes = hash_numbers(np.random.default_rng(count).permutation(count * 3)[:count])
    whole = Distinct.of(hashes)
    assert whole.is_exact == (count <= EXACT_DISTINCT)
    assert abs(whole.estimate - count) <= (0 if whole.is_exact else DISTINCT_ERROR * count)
    parts = [Distinct.of(hashes[start::7]) for start in range(7)]
    merged = parts[0]
    for each in parts[1:]:
        merged = merged.merged(each).merged(each)
    assert merged.estimate == whole.estimate


def test_an_integer_and_the_float_that_equals_it_are_one_value() -> None:
    assert (hash_numbers(np.array([1, 2, 2**53])) == hash_numbers(np.array([1.0, 2.0, 2.0**53]))).all()
    assert (hash_numbers(np.array([0.0])) == hash_numbers(np.array([-0.0]))).all()
    assert len(set(hash_numbers(np.array([2**62, 2**62 + 1])))) == 2


@given(st.lists(st.lists(st.integers(0, 40), max_size=60), max_size=6))
@settings(deadline=None)
def test_a_few_values_are_counted_exactly(parts: list[list[int]]) -> None:
    merged = Frequent({})
    for part in parts:
        merged = merged.merged(Frequent.of(*np.unique(np.array(part, int), return_counts=True)))
    expected = pd.Series([each for part in parts for each in part], dtype=int).value_counts()
    assert merged.error == 0
    assert dict(merged.counts) == expected.to_dict()


def test_of_many_values_the_most_frequent_are_found_within_the_error_told() -> None:
    rng = np.random.default_rng(0)
    values = np.minimum(rng.zipf(1.2, 300_000), 10**6)
    merged = Frequent({})
    for start in range(0, len(values), 10_000):
        merged = merged.merged(Frequent.of(*np.unique(values[start : start + 10_000], return_counts=True)))
    truth = pd.Series(values).value_counts()
    assert 0 < merged.error <= len(values) / (COUNTED_VALUES + 1)
    for value, count in merged.counts.items():
        assert count <= truth[value] <= count + merged.error
    assert [value for value, _ in merged.top(5)] == truth.index[:5].tolist()


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=200), st.integers(0, 200))
@settings(deadline=None)
def test_merged_moments_are_those_of_the_whole(numbers: list[float], cut: int) -> None:
    values = np.array(numbers)
    merged, whole = Moments.of(values[:cut]).merged(Moments.of(values[cut:])), Moments.of(values)
    # A part that varies next to nothing beside its mean has lost its higher moments to rounding, as in pandas.
    spread = whole.std if whole.std > 1e-6 * np.abs(values).max() else np.inf
    assert merged.count == whole.count
    assert np.isclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-9)
    assert np.isclose(merged.variance, whole.variance, rtol=1e-9, atol=1e-6)
    if np.isfinite(spread):
        assert np.isclose(merged.skewness, whole.skewness, rtol=1e-5, atol=1e-5)
        assert np.isclose(merged.kurtosis, whole.kurtosis, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("law", LAWS)
def test_moments_are_those_of_pandas(law: str) -> None:
    values = pd.Series(LAWS[law](np.random.default_rng(3), 5000))
    found = Moments.of(values.to_numpy())
    assert np.allclose(
        [found.mean, found.std, found.variance, found.skewness, found.kurtosis],
        [values.mean(), values.std(), values.var(), values.skew(), values.kurt()],
        rtol=1e-9,
    )


def test_a_sketch_comes_back_from_json() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    for sketch in (
        Quantiles.of(values),
        Distinct.of(hash_numbers(values)),
        Distinct.of(hash_numbers(values[:9])),
        Frequent({"a": 3, 1: 2, 0.5: 1}, 4),
    ):
        told = json.dumps(sketch.to_json(), allow_nan=False)
        assert json.dumps(type(sketch).from_json(json.loads(told)).to_json()) == told
