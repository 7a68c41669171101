"""Writes the code that takes a row apart and prepares it, column by column, as the steps before a model do."""

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from modelwright.models.fusing.arrays import Arrays

# Numbers beyond are left to the model: some of them it refuses, others it rounds in another way on its way to single.
_LARGEST = 1e15
_UNFIT = "a step before it is of other columns"
_FORMS = {
    "minus": "x{0} -= {1!r}",
    "over": "x{0} /= {1!r}",
    "times": "x{0} *= {1!r}",
    "plus": "x{0} += {1!r}",
    "least": "x{0} = {1!r} if x{0} < {1!r} else x{0}",
    "most": "x{0} = {1!r} if x{0} > {1!r} else x{0}",
    "fill": "x{0} = {1!r} if x{0} != x{0} else x{0}",
}


def function(source: str, **names: Any) -> Callable[..., Any]:
    """Return the function `evaluate` that `source` defines.

    It is nothing but text of ours and numbers, as Python writes them: no string of a file becomes code.
    """
    known = {"array": array, "inf": math.inf, "nan": math.nan, "is_usual": _is_usual, **names}
    exec(compile(source, "<arrays>", "exec"), known)  # noqa: S102
    found: Callable[..., Any] = known["evaluate"]
    return found


def lines(given: Arrays, *, is_single: bool) -> list[str]:
    """Return the lines that make x0, x1, … of `row`, rounded to single precision if the model does that.

    They raise TypeError or ValueError when a row is not one of numbers, as many as there are columns, and return None
    for one whose numbers are too large.
    """
    columns = int(given.header["columns"])
    if any(len(given.arrays[name]) != columns for _, name in given.header["steps"]):
        raise ValueError(_UNFIT)
    names = ", ".join(f"x{each}" for each in range(columns))
    kind = "f" if is_single else "d"
    if not given.header["steps"]:
        made = [f"row = array('{kind}', row)"]
    else:
        made = ["row = array('d', row)", f"{names}, = row", *_stepping(given), f"row = array('{kind}', ({names},))"]
    if is_single or given.header["steps"]:
        made += [f"if not (min(row) > -{_LARGEST!r} and max(row) < {_LARGEST!r} or is_usual(row)):", " return None"]
    return [*made, f"{names}, = row"]


def preparation(given: Arrays) -> "Callable[[Sequence[float]], array[float] | None]":
    """Return the function of a row that gives it prepared; None when its numbers are too large."""
    made = [*lines(given, is_single=False), "return row"]
    return function("def evaluate(row):\n" + "".join(f" {line}\n" for line in made))


def _stepping(given: Arrays) -> list[str]:
    return [
        _FORMS[operation].format(column, value)
        for operation, name in given.header["steps"]
        for column, value in enumerate(given.arrays[name])
    ]


def _is_usual(row: Sequence[float]) -> bool:
    return all(-_LARGEST < each < _LARGEST or each != each for each in row)  # noqa: PLR0124 - true of NaN
