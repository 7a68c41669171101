"""How far the answers of two versions lie apart."""

import random

import pytest

from modelwright.serving.rollout import shifting
from modelwright.serving.rollout.shifting import Sample, Watch


def normal(draws: random.Random, count: int, mean: float = 0.0, spread: float = 1.0) -> Sample:
    return Sample([draws.gauss(mean, spread) for _ in range(count)])


def test_small_samples_of_one_law_have_no_effect_to_speak_of() -> None:
    draws = random.Random(1)
    effects = [shifting.between(normal(draws, 60), normal(draws, 60)) for _ in range(100)]
    assert sum(each.effect for each in effects if each) / 100 < 0.05


def test_a_shift_of_the_mean_is_found_with_its_effect() -> None:
    draws = random.Random(2)
    found = shifting.between(normal(draws, 2000), normal(draws, 2000, mean=0.5))
    # Two normal laws half a deviation apart differ by at most 2·Φ(1/4) - 1.
    assert found is not None
    assert found.effect == pytest.approx(0.197, abs=0.04)
    assert found.p_value < 1e-9


def test_noise_that_only_large_samples_show_is_no_shift_of_any_size() -> None:
    draws = random.Random(3)
    found = shifting.between(normal(draws, 40_000), normal(draws, 40_000, mean=0.03))
    assert found is not None
    assert found.p_value < 0.05
    assert found.effect < 0.02


def test_the_p_values_are_those_of_known_laws() -> None:
    # 1 - K(1.36) is 0.0495 (Smirnov's table), and the chi-squared law leaves 5 % above 5.991 at 2 degrees of freedom.
    assert shifting._kolmogorov(1.36) == pytest.approx(0.0495, abs=2e-4)
    first, second = {"a": 500, "b": 300, "c": 200}, {"a": 465, "b": 318, "c": 217}
    assert shifting._of_categories(first, second).p_value == pytest.approx(0.288, abs=0.01)


def test_categories_differ_by_their_shares() -> None:
    found = shifting.between(Sample((), {"yes": 500, "no": 500}), Sample((), {"yes": 700, "no": 300}))
    assert found is not None
    assert found.effect == pytest.approx(0.2, abs=0.03)
    assert found.p_value < 1e-9


def test_numbers_and_categories_have_nothing_in_common() -> None:
    found = shifting.between(Sample([1.0, 2.0] * 50), Sample((), {"yes": 100}))
    assert found is not None
    assert found.effect > 0.9
    assert found.p_value < 1e-9


def test_too_few_answers_tell_nothing() -> None:
    assert shifting.between(Sample([1.0] * 10), Sample([2.0] * 500)) is None
    assert shifting.between(Sample(), Sample()) is None


def test_watching_spends_alpha_once_for_all_looks() -> None:
    draws, told = random.Random(4), 0
    for _ in range(60):
        watch, one, other = Watch(), [], []
        for _ in range(40):
            one += [draws.gauss(0, 1) for _ in range(20)]
            other += [draws.gauss(0, 1) for _ in range(20)]
            watch.look(Sample(one), Sample(other), size=len(other))
            told += watch.is_significant
        assert watch.tests <= 8
    assert told <= 3
