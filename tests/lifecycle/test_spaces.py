"""What a parameter may be in a sweep."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import SpaceInvalid
from modelwright.lifecycle import spaces

TEXTS = [
    "choice(rbf, linear, 'l-bfgs')",
    "[1, 2, 4]",
    "range(1, 10, 3)",
    "randint(1, 6)",
    "uniform(-1, 1)",
    "quniform(0, 1, 0.1)",
    "loguniform(0.0001, 1)",
    "qloguniform(1, 1000, 10)",
    "normal(3, 0.5)",
]


@given(st.sampled_from(TEXTS), st.floats(0, 1))
def test_a_value_lies_where_it_was_found(text: str, unit: float) -> None:
    space = spaces.parse(text)
    value = space.at(unit)
    assert 0 <= space.unit_of(value) <= 1
    again = space.at(space.unit_of(value))
    assert again == value or math.isclose(float(str(again)), float(str(value)), rel_tol=1e-5, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("choice(rbf, true, None, 1, -2.5, 'a b', [1, 2])", ["rbf", True, None, 1, -2.5, "a b", [1, 2]]),
        ("grid(1, 2)", [1, 2]),
        ("[0.1, 1.0]", [0.1, 1.0]),
        ("range(3)", [0, 1, 2]),
        ("range(1, 10, 3)", [1, 4, 7]),
        ("range(0.1, 0.5, 0.1)", [0.1, 0.2, 0.3, 0.4]),
        ("range(3, 0, -1)", [3, 2, 1]),
        ("randint(-1, 2)", [-1, 0, 1, 2]),
        ("quniform(0.05, 0.35, 0.1)", [0.1, 0.2, 0.3]),
    ],
)
def test_what_a_grid_tries(text: str, values: list[object]) -> None:
    assert [*spaces.parse(text).values()] == values


def test_equal_shares_are_equally_likely() -> None:
    units = [(number + 0.5) / 1000 for number in range(1000)]
    dice = [spaces.parse("randint(1, 6)").at(unit) for unit in units]
    assert {each: round(dice.count(each), -1) for each in (1, 3, 6)} == {1: 170, 3: 170, 6: 170}
    logs = sorted(float(str(spaces.parse("loguniform(0.001, 1)").at(unit))) for unit in units)
    assert math.isclose(logs[500], 10**-1.5, rel_tol=0.01)
    normal = [float(str(spaces.parse("normal(3, 0.5)").at(unit))) for unit in units]
    assert NormalDist.from_samples(normal).mean == pytest.approx(3)
    assert NormalDist.from_samples(normal).stdev == pytest.approx(0.5, rel=0.01)


def test_steps_stay_within_their_limits() -> None:
    found = {spaces.parse("quniform(0.05, 0.95, 0.1)").at(number / 100) for number in range(101)}
    assert sorted(map(float, map(str, found))) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert {spaces.parse("qloguniform(1, 40, 10)").at(number / 100) for number in range(101)} == {10, 20, 30, 40}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("choice(l-bfgs)", "numbers, words, or strings in quotes"),
        ("choice()", "nothing to choose from"),
        ("uniform(1, 0)", "the first number must be below"),
        ("uniform(0, 1, 2)", "takes 2 numbers"),
        ("uniform(a, b)", "takes numbers"),
        ("uniform(0, high=1)", "no space of values"),
        ("loguniform(0, 1)", "above 0"),
        ("normal(0, 0)", "deviation"),
        ("quniform(0, 1, 2)", "a step"),
        ("randint(0.5, 2)", "whole numbers"),
        ("range(1, 2, 0)", "range takes"),
        ("gamma(1, 2)", 'no "gamma"'),
        ("0.5", "no space of values"),
        ("choice(", "cannot be read"),
        ("__import__('os').system('true')", "no space of values"),
    ],
)
def test_what_is_no_space_is_refused(text: str, rule: str) -> None:
    with pytest.raises(SpaceInvalid, match=rule):
        spaces.parse(text)


@pytest.mark.parametrize("text", ["uniform(0, 1)", "normal(0, 1)", "loguniform(1, 2)", "qloguniform(1, 20, 2)"])
def test_a_grid_needs_an_end(text: str) -> None:
    with pytest.raises(SpaceInvalid, match="no end of them"):
        spaces.parse(text).values()
