"""Asks a model, in its own environment, for its answers to generated requests: what its arrays are then compared with.

The requests are whole bodies, as clients send them, and the answers are what the server would send: so reading numbers,
the model's own checks and writing are compared as well. Rows lie where models change their minds: on thresholds and
beside them, at the ends of ranges and beyond; alone and in batches, of whole numbers, with values missing, and wrong.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

_SINGLES = 700
_BATCHES = (2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 100, 300)
_MOST_NUMBERS = 9000  # in one request; beyond, linear algebra may use threads, which sum in another order
_ALL_NUMBERS = 120_000
_SECONDS = 4.0  # for a slow model's answers, but for these:
_FEWEST = 200
_MOST_SECONDS = 20.0  # more, even for these
_EXTREMES = (0.0, -0.0, 1.0, -1.0, 5e-324, -1e-300, 1e-7, 1 / 3, 123456789.123, -1e6, 1e12)

_Row = list[Any]


def write_answers(path: str, *, answer: Callable[[str], str | None], parts: Any, sample: str, key: str) -> None:
    """Write a line for each request to a file: its body, and the answer's, or null when there was an error.

    `answer` gives the latter for the former, and `key` is where rows stand in one.
    """
    rows = _Rows(parts, _rows_of(sample, key))
    whole = rows.row()
    rows.has_nulls = answer(json.dumps({key: [[None, *whole[1:]]]})) is not None
    end = time.monotonic() + _SECONDS
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        for number, body in enumerate(_bodies(rows, sample, key)):
            late = time.monotonic() - end
            if late > _MOST_SECONDS or (late > 0 and number > _FEWEST):
                return
            file.write(json.dumps([body, answer(body)]) + "\n")


def answering(run: Callable[[str], Any]) -> Callable[[str], str | None]:
    """Return the function that gives what `run` returns as the server sends it; None where it raises."""

    def answer(body: str) -> str | None:
        try:
            result = run(body)
            return json.dumps({} if result is None else result)
        except Exception:  # noqa: BLE001 - whatever a model raises: the server says 500 then
            return None

    return answer


def _bodies(rows: _Rows, sample: str, key: str) -> Iterator[str]:
    yield sample
    yield from _odd([rows.row() for _ in range(3)], key)
    most = max(2, _MOST_NUMBERS // rows.width)
    batches = [size for size in _BATCHES if size <= most]
    for number in range(min(_SINGLES, _ALL_NUMBERS // rows.width)):
        yield json.dumps({key: [rows.row(number)]})
        if number % 8 == 5 and batches:  # noqa: PLR2004 - spread over the first part of the singles
            size = batches.pop(0)
            has_nulls = rows.has_nulls and len(batches) % 2 == 0
            yield json.dumps({key: [rows.row(each, has_nulls=has_nulls) for each in range(size)]})


def _odd(rows: list[_Row], key: str) -> Iterator[str]:
    """Give requests that are not as they should be, or are in a way that few think of."""
    row = rows[0]
    whole = [round(each) if abs(each) < 1e15 else 1 for each in row]  # noqa: PLR2004
    name = json.dumps(key)
    values: list[Any] = [
        [],
        [[]],
        row,
        row[0],
        None,
        "text",
        {"a": row},
        [row, row[:-1]],
        [row[:-1]],
        [[*row, 1.0]],
        [[row]],
        [[str(each) for each in row]],
        [[*row[:-1], "1"]],
        [["a", *row[1:]]],
        [[*row[:-1], None]],
        [[None, *row[1:]], row],
        [[None] * len(row)],
        [[True, *row[1:]]],
        [[True] * len(row)],
        [whole],
        [whole, row],
        [whole, [each + 1 for each in whole]],
        [[2**53 + 1, *whole[1:]]],
        [[2**62 + 1, *whole[1:]]],
        [[2**63, *whole[1:]]],
        [[2**64, *whole[1:]]],
        [[-(2**70), *row[1:]]],
        [[1e300, *row[1:]]],
        [[-1e308] * len(row)],
        [[3.5e38, *row[1:]]],
        [[[each] for each in row]],
        [{str(number): each for number, each in enumerate(row)}],
    ]
    yield from (json.dumps({key: value}) for value in values)
    text = json.dumps(rows)
    yield from (
        "",
        "{",
        text,
        json.dumps({key + "x": rows}),
        json.dumps({"other": [1], key: rows, "last": None}),
        json.dumps({key: rows}, indent=3),
        f" {{{name}:[[1]],{name}:{text}}}\n",
        f"{{{name}:[[{','.join(['1e999'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['NaN'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['-Infinity'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['-0'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['-0.0'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['1E2'] * len(row))}]]}}",
        f"{{{name}:[[{','.join(['0.1000000000000000055511151231257827'] * len(row))}]]}}",
        f"{{{name}:{text}}}{text}",
        f"\ufeff{{{name}:{text}}}",
    )


class _Rows:
    """Rows for a model, always the same ones for the same model."""

    def __init__(self, parts: Any, known: list[_Row]) -> None:
        self.width = parts.header["columns"]
        self.has_nulls = False
        self._random = random.Random(20)  # noqa: S311 - nothing secret
        self._known = [each for each in known if len(each) == self.width and all(map(_is_number, each))]
        self._near: list[list[float]] = [[] for _ in range(self.width)]
        if not parts.header["steps"]:
            for feature, threshold in zip(parts.arrays.get("feature", ()), parts.arrays.get("threshold", ())):
                if feature >= 0 and math.isfinite(threshold):
                    self._near[feature].append(threshold)
        self._ranges = [self._range(column, parts) for column in range(self.width)]

    def row(self, number: int = 0, *, has_nulls: bool = True) -> _Row:
        """Return a row; every seventh is of whole numbers, every ninth lacks a value, every eleventh is extreme."""
        if self._known and number % 13 == 1:
            return list(self._random.choice(self._known))
        row = [self._value(column) for column in range(self.width)]
        if number % 7 == 3:  # noqa: PLR2004
            row = [round(each) for each in row]
        if number % 9 == 4 and has_nulls and self.has_nulls:  # noqa: PLR2004
            row[self._random.randrange(self.width)] = None
        if number % 11 == 5:  # noqa: PLR2004
            row[self._random.randrange(self.width)] = self._random.choice(_EXTREMES)
        return row

    def _value(self, column: int) -> Any:
        low, high = self._ranges[column]
        chance = self._random.random()
        near = self._near[column]
        if near and chance < 0.5:  # noqa: PLR2004 - half of the values lie where it matters
            return self._beside(self._random.choice(near))
        value = self._random.uniform(low, high)
        return value if chance < 0.75 else float(f"{value:.4g}")  # noqa: PLR2004 - people send short numbers

    def _beside(self, threshold: float) -> float:
        """Return a threshold, or one of its neighbours among numbers of double or single precision."""
        import numpy as np

        single = np.float32(threshold)
        return self._random.choice(
            [
                threshold,
                float(np.nextafter(threshold, np.inf)),
                float(np.nextafter(threshold, -np.inf)),
                float(single),
                float(np.nextafter(single, np.float32(np.inf))),
                float(np.nextafter(single, np.float32(-np.inf))),
            ]
        )

    def _range(self, column: int, parts: Any) -> tuple[float, float]:
        """Return between what values of a column lie, and a little beyond."""
        values = [*self._near[column], *(each[column] for each in self._known)]
        for operation, name in parts.header["steps"]:
            if operation in {"minus", "fill"}:
                values += [parts.arrays[name][column]]
            if operation == "over":
                spread = abs(parts.arrays[name][column])
                values += [each + sign * 3 * spread for each in values[:1] or [0.0] for sign in (-1, 1)]
        values = [each for each in values if abs(each) < 1e15] or [0.0]  # noqa: PLR2004
        margin = 0.25 * (max(values) - min(values)) or 1.0 + abs(values[0])
        return min(values) - margin, max(values) + margin


def _rows_of(sample: str, key: str) -> list[_Row]:
    """Return the rows in the package's sample request."""
    try:
        rows = json.loads(sample)[key]
    except (ValueError, KeyError, TypeError):
        return []
    return [each for each in rows if isinstance(each, list)] if isinstance(rows, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
