"""Which deployment is nearer the truth, once labels have come."""

import random
from pathlib import Path

from serving.capture.exchanges import exchange
from serving.capture.test_compaction import write

from modelwright.lifecycle import labelled
from modelwright.lifecycle.labelled import Row
from modelwright.serving.capture import labelling


def classified(draws: random.Random, deployment: str, number: int, *, accuracy: float) -> Row:
    return Row(deployment, (f"request {number}", 0), "yes" if draws.random() < accuracy else "no", "yes")


def measured(draws: random.Random, deployment: str, number: int, *, off: float) -> Row:
    return Row(deployment, (f"request {number}", 0), 10.5 + draws.gauss(0, off), 10.5)


def test_the_one_that_is_right_more_often_is_named() -> None:
    draws = random.Random(1)
    found = [
        classified(draws, name, 2 * number + place, accuracy=accuracy)
        for number in range(400)
        for place, (name, accuracy) in enumerate((("a", 0.7), ("b", 0.9)))
    ]
    told = labelled.contrast("a", "b", found)
    assert told.side == 1
    assert told.told.startswith("b is right more often: ")
    assert labelled.contrast("b", "a", found).side == -1


def test_requests_that_both_have_answered_are_compared_in_pairs() -> None:
    draws = random.Random(2)
    found = [
        classified(draws, name, number, accuracy=accuracy)
        for number in range(200)
        for name, accuracy in (("a", 0.7), ("b", 0.95))
    ]
    told = labelled.contrast("a", "b", found)
    assert told.side == 1
    assert told.facts["requests"] == 200


def test_numbers_are_compared_by_how_far_they_are_off() -> None:
    draws = random.Random(3)
    apart = [
        measured(draws, name, 2 * number + place, off=off)
        for number in range(1500)
        for place, (name, off) in enumerate((("a", 2.0), ("b", 1.0)))
    ]
    told = labelled.contrast("a", "b", apart)
    assert told.side == 1
    assert told.told.startswith("b is nearer the labels: off by ")
    same = [measured(draws, name, number, off=1.0) for number in range(300) for name in ("a", "b")]
    assert labelled.contrast("a", "b", same).side == 0


def test_what_one_answered_before_the_other_was_there_does_not_count() -> None:
    alone = [Row("a", (f"old {number}", 0), "no", "yes") for number in range(500)]
    both = [Row(name, (f"{name} {number}", 0), "yes", "yes") for number in range(50) for name in ("a", "b")]
    told = labelled.contrast("a", "b", alone + both)
    assert told.side == 0
    assert told.facts["control"]["hits"] == told.facts["control"]["requests"] == 40


def test_without_labels_nothing_is_claimed() -> None:
    alone = [Row("a", ("request", 0), "yes", "yes")]
    for found in ([], alone):
        told = labelled.contrast("a", "b", found)
        assert (told.side, told.told) == (0, "no labels of both have come yet")


def test_captured_answers_are_joined_with_their_labels(tmp_path: Path) -> None:
    found = [
        exchange(number, version=f"churn:{1 + number % 2}", deployment=f"churn:{1 + number % 2}") for number in range(6)
    ]
    folder = tmp_path / "churn"
    write(folder, *found)
    first, second = found[0].request_id, found[1].request_id
    (tmp_path / "labels.csv").write_text(f"request_id,label\n{first},0.5\n{second},7\n")
    labelling.keep(folder, tmp_path / "labels.csv", labelling.Columns())
    rows = labelled.rows(folder, ("churn:1", "churn:2"))
    assert [(row.deployment, row.label) for row in rows] == [("churn:1", 0.5), ("churn:2", 7)]
