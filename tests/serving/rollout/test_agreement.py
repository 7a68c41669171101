"""Answers of two versions to the same requests, and samples of them."""

import json
import random
import sys

import pytest

from modelwright.serving.rollout.agreement import Agreement
from modelwright.serving.rollout.predictions import Predictions


def is_alike(given: object, shadow: object, *, tolerance: float = 0.0) -> bool:
    agreement = Agreement(tolerance)
    agreement.take("request", (200, json.dumps(given).encode()), (200, json.dumps(shadow).encode()))
    assert agreement.compared == 1
    assert list(agreement.examples) == ["request"] * agreement.differing
    return agreement.differing == 0


@pytest.mark.parametrize(
    ("given", "shadow", "tolerance", "expected"),
    [
        ({"result": [1.0, 2.0]}, {"result": [1.0, 2.0]}, 0.0, True),
        ({"result": [1.0, 2.0]}, {"result": [1.0, 2.01]}, 0.0, False),
        ({"result": [1.0, 2.0]}, {"result": [1.0, 2.01]}, 0.01, True),
        ({"result": [1.0, 2.0]}, {"result": [1.0]}, 1.0, False),
        ({"label": "yes", "p": 0.7}, {"label": "yes", "p": 0.71}, 0.05, True),
        ({"label": "yes"}, {"label": "no"}, 1.0, False),
        ([True], [1], 1.0, False),
        ([0.0], [0.0], 0.0, True),
        ([None], [None], 0.0, True),
        ([float("nan")], [float("nan")], 0.0, True),
        ([1], ["1"], 1.0, False),
        ({"a": 1}, {"b": 1}, 1.0, False),
    ],
)
def test_answers_are_alike_within_a_tolerance(given: object, shadow: object, tolerance: float, expected: bool) -> None:
    assert is_alike(given, shadow, tolerance=tolerance) is expected


def test_an_error_of_the_shadow_differs_and_one_of_the_version_that_answered_is_not_compared() -> None:
    agreement = Agreement()
    agreement.take("a", (200, b"[1]"), (500, b"{}"))
    agreement.take("b", (500, b"{}"), (200, b"[1]"))
    agreement.take("c", (400, b"{}"), (400, b"{}"))
    agreement.take("d", (200, b"not json"), (200, b"neither"))
    assert (agreement.compared, agreement.differing, list(agreement.examples)) == (3, 2, ["a", "d"])


def test_how_far_numbers_lie_apart_is_told() -> None:
    agreement = Agreement(0.5)
    agreement.take("a", (200, b"[10, 4]"), (200, b"[9, 4]"))
    assert agreement.largest == pytest.approx(0.1)
    assert agreement.differing == 0


def test_one_value_of_each_answer_is_kept() -> None:
    predictions = Predictions()
    for index in range(100):
        predictions.offer(json.dumps({"result": [index, index], "time": "late"}).encode(), now=index)
    sample = predictions.sample()
    assert list(sample.numbers) == list(range(100))
    assert not sample.categories
    assert predictions.answers == 100


@pytest.mark.parametrize(
    ("body", "category"),
    [(b'["yes"]', "yes"), (b"[true]", "true"), (b'{"label": null}', "null"), (b'"[1, \\"a"', '[1, "a'), (b"{}", "{}")],
)
def test_what_is_no_number_is_a_category(body: bytes, category: str) -> None:
    predictions = Predictions()
    predictions.offer(body, now=0)
    assert predictions.sample().categories == {category: 1}


def test_text_that_is_json_again_is_read() -> None:
    predictions = Predictions()
    predictions.offer(json.dumps(json.dumps([3.5])).encode(), now=0)
    assert list(predictions.sample().numbers) == [3.5]


def test_a_sample_is_bounded_in_time_and_size() -> None:
    predictions = Predictions()
    for _ in range(1000):
        predictions.offer(b"[1]", now=5.0)
    assert predictions.answers == 1
    predictions.offer(b"[" + b"1," * 20_000 + b"1]", now=9.0)
    predictions.offer(b"not json", now=10.0)
    assert predictions.answers == 1
    for index in range(5000):
        predictions.offer(f"[{index}]".encode(), now=20.0 + index)
        predictions.offer(f'["level {index}"]'.encode(), now=20.5 + index)
    sample = predictions.sample()
    assert len(sample.numbers) == 2000
    assert sum(sample.numbers) / 2000 == pytest.approx(2500, abs=150)
    assert len(sample.categories or {}) == 1001
    predictions.restart()
    assert predictions.sample().total == 0


def test_reading_answers_never_raises() -> None:
    draws, predictions = random.Random(1), Predictions()
    for index in range(500):
        predictions.offer(draws.randbytes(8), now=index)
    predictions.offer(b"[" * 9000, now=1000)


def test_numbers_and_texts_that_json_alone_has_are_counted_as_what_is_nearest() -> None:
    predictions = Predictions()
    for number, body in enumerate((b"1" * 400, b"-" + b"1" * 400, b'"\\ud800"')):
        predictions.offer(b'{"result": [%b]}' % body, float(number))
    found = predictions.sample()
    assert found.numbers == (sys.float_info.max, -sys.float_info.max)
    assert found.categories == {"?": 1}


def test_numbers_that_are_larger_than_any_other_are_compared() -> None:
    agreement = Agreement()
    agreement.take("one", (200, b"1" * 400), (200, b"2" * 400))
    agreement.take("two", (200, b"1" * 400), (200, b"1" * 400 + b" "))
    assert (agreement.compared, agreement.differing) == (2, 1)
