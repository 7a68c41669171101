"""Which of two deployments is nearer the truth, from captured answers whose labels have come."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelwright.records import Contrast
from modelwright.serving.capture import labelling, reading, tabulating
from modelwright.serving.rollout import sequential, verdicts
from modelwright.serving.rollout.sequential import Count, Means

_OK = 200
# The scale of errors is learned from so many rows, which are then not judged by it; it is above all but a few of them.
_LEARNED, _LEVEL = 50, 0.95


@dataclass(frozen=True)
class Row:
    """One row of one answer, with its label; `key` is the request's id and the row's number in it."""

    deployment: str
    key: tuple[str, int]
    prediction: Any
    label: Any

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the label."""
        return bool(self.prediction == self.label) and isinstance(self.prediction, bool) == isinstance(self.label, bool)

    @property
    def error(self) -> float:
        """How far the prediction is from the label; infinite where one of them is no number."""
        is_number = all(
            isinstance(each, int | float) and not isinstance(each, bool) for each in (self.prediction, self.label)
        )
        return abs(self.prediction - self.label) if is_number else math.inf


def rows(folder: Path, deployments: Sequence[str], *, since: datetime | None = None) -> list[Row]:
    """Return the labelled rows of these deployments below an endpoint's capture folder, in the order of time."""
    labels = labelling.read(folder)
    if not labels.found:
        return []
    found = []
    for exchange in reading.exchanges(folder, since=since):
        if exchange.deployment not in deployments or exchange.status != _OK:
            continue
        given = tabulating.inputs(exchange.input, content_type=exchange.input_type)
        predicted = tabulating.predictions(exchange.output, len(given))
        for number, (row, prediction) in enumerate(zip(given, predicted, strict=True)):
            label = labels.of(exchange, row, number)
            if label is not None and "prediction" in prediction:
                key = (exchange.request_id, number)
                told = Row(exchange.deployment, key, prediction["prediction"], label)
                found.append((exchange.received_at, told))
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def contrast(control: str, deployment: str, found: Sequence[Row]) -> Contrast:
    """Return what can be said of two deployments by their labelled rows.

    Labels that are whole numbers, truths or texts are right or wrong; others are numbers to come near to. Requests that
    both have answered, one of them as a shadow, are compared in pairs; else blocks of requests that came together.
    """
    if {control, deployment} - {row.deployment for row in found}:
        return Contrast("label", control, deployment, 0, "no labels of both have come yet")
    both = _pairs(control, deployment, found)
    if any(isinstance(row.label, float) and not row.label.is_integer() for row in found):
        return _of_distances(control, deployment, found, both)
    if both:
        return verdicts.of_pairs(control, deployment, [(one.is_right, other.is_right) for one, other in both])
    blocks = [
        (Count(len(one), sum(row.is_right for row in one)), Count(len(other), sum(row.is_right for row in other)))
        for one, other in _blocks(control, deployment, found, least=sequential.LEAST)
    ]
    return verdicts.of_labels(control, deployment, blocks)


def _of_distances(control: str, deployment: str, found: Sequence[Row], both: Sequence[tuple[Row, Row]]) -> Contrast:
    known = sorted(row.error for row in found[:_LEARNED] if math.isfinite(row.error))
    bound = known[min(len(known) - 1, int(_LEVEL * len(known)))] if known else 0.0
    learned = {row.key for row in found[:_LEARNED]}
    if both:
        blocks = [([one], [other]) for one, other in both if one.key not in learned]
    else:
        # The more bets the better, and a bet on means needs no more than one row of each.
        blocks = list(_blocks(control, deployment, found[_LEARNED:], least=1))
    test, totals = Means(), [0.0, 0.0, 0, 0]
    for block in blocks if bound else []:
        means = [math.fsum(min(1.0, row.error / bound) for row in side) / len(side) for side in block]
        test.add(*means)
        for place, side in enumerate(block):
            totals[place] += means[place] * len(side)
            totals[2 + place] += len(side)
    return verdicts.of_distances(control, deployment, test, bound=bound, totals=totals)


def _pairs(control: str, deployment: str, found: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return the rows that both have answered."""
    answered: dict[tuple[str, int], dict[str, Row]] = {}
    for row in found:
        answered.setdefault(row.key, {})[row.deployment] = row
    return [(each[control], each[deployment]) for each in answered.values() if {control, deployment} <= each.keys()]


def _blocks(
    control: str, deployment: str, found: Sequence[Row], *, least: int
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Give rows of both that came together, from when both answered, `least` or more of each in a block."""
    names = [row.deployment for row in found]
    # What one has answered before the other was there is of another time.
    begin = max(names.index(name) if name in names else len(names) for name in (control, deployment))
    seen: dict[str, list[Row]] = {control: [], deployment: []}
    for row in found[begin:]:
        if row.deployment in seen:
            seen[row.deployment].append(row)
        if min(map(len, seen.values())) >= least:
            yield seen[control], seen[deployment]
            seen = {control: [], deployment: []}
