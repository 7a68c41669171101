"""Compares what a model's arrays give with what the model itself gave, byte for byte, and says what came of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelwright.errors import ArraysInvalid
from modelwright.models.fusing.arrays import Arrays
from modelwright.models.fusing.evaluating import ArrayModel, Manner

# A request's body, and the model's answer to it; None where it raised.
Answered = tuple[str, str | None]

_FEWEST_ROWS = 100
_LONGEST = 60  # of what is quoted of a request


@dataclass(frozen=True)
class Comparison:
    """How many rows and requests had the same answer, how many are left to the model, and the first difference."""

    rows: int = 0
    requests: int = 0
    left: int = 0
    difference: str = ""


def read_answers(path: Path) -> list[Answered]:
    """Return the requests and answers in a file. Raises ArraysInvalid."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [(str(body), None if answer is None else str(answer)) for body, answer in map(json.loads, lines)]
    except (OSError, ValueError, TypeError) as error:
        raise ArraysInvalid(path=path, reason=str(error)) from error


def compared(model: ArrayModel, answers: Sequence[Answered]) -> Comparison:
    """Return what comes of giving every request to the arrays."""
    found = Comparison()
    for body, expected in answers:
        given = model.answer(body.encode("utf-8", "surrogatepass"))
        if given is None:
            found = replace(found, left=found.left + 1)
        elif expected is None or given != expected.encode():
            wanted = "an error" if expected is None else _short(expected)
            told = f"to {_short(body)} the model gives {wanted}, its arrays {_short(given.decode())}"
            return replace(found, difference=told)
        else:
            rows = len(json.loads(body)[model.manner.key])
            found = replace(found, rows=found.rows + rows, requests=found.requests + 1)
    if found.rows < _FEWEST_ROWS:
        return replace(found, difference=f"only {found.rows} rows could be compared")
    return found


def proven(given: Arrays, answers: Sequence[Answered], manner: Manner) -> tuple[ArrayModel | None, Comparison]:
    """Return the model in the first manner that stands the comparison, None when none does; and the comparison.

    What rows may hold, and how tables lie in memory, is found by trying. Raises ArraysInvalid.
    """
    first: Comparison | None = None
    for is_by_column in (False, True):
        model = ArrayModel(given, replace(manner, is_by_column=is_by_column))
        for takes_whole, takes_null in ((True, True), (True, False), (False, True), (False, False)):
            model.manner = replace(model.manner, takes_null=takes_null, takes_whole=takes_whole)
            found = compared(model, answers)
            if not found.difference:
                return model, found
            first = first or found
        if model.is_divisible:  # each row for itself: it does not matter how a table lies
            break
    return None, first or Comparison()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
