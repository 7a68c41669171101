"""Values as plain data, and how far two of them are apart. Standard library only; also part of generated tests."""

import math
from typing import Any

# Rows and values that a description shows; enough to tell other rows, few enough to read.
SHOWN_ROWS = 2
SHOWN_VALUES = 20
TABLE_DIMENSIONS = 2
# Below this a float is rounding noise around zero, and a relative difference says nothing.
NOISE = 1e-12


def plain(value: Any) -> Any:
    """Return a value as what JSON can hold: arrays and frames as lists of rows; what has no such form as its text."""
    if type(value) in (type(None), bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    # Frames, arrays, sparse arrays and single numbers of numpy, in this order: a frame has some of the others too.
    for method in ("to_numpy", "tolist", "toarray", "item"):
        if hasattr(value, method):
            return plain(getattr(value, method)())
    return str(value)


def certainty(model: Any, rows: Any) -> Any:
    """Return how sure a classifier is of each row; None for a model that does not tell.

    Labels alone do not tell two classifiers apart that agree on every row.
    """
    for method in ("predict_proba", "decision_function"):
        if hasattr(model, method):
            return plain(getattr(model, method)(rows))
    return None


def describe(value: Any) -> Any:
    """Return the length, width, first and last rows of each table inside a value, by its place in it."""
    return {place or "all": _described(leaf) for place, leaf in leaves(value)}


def overlaps(value: Any) -> Any:
    """Return how many rows of each test table also stand in the train table of the same place."""
    tables = dict(leaves(value))
    found = {}
    for place, table in tables.items():
        partner = place.replace("test", "train")
        if partner != place and partner in tables and width(table) and width(tables[partner]):
            known = {repr(row) for row in plain(tables[partner])}
            found[place] = sum(repr(row) in known for row in plain(table))
    return found


def leaves(value: Any, place: str = "") -> Any:
    """Return the tables and other values inside nested dictionaries and tuples, with their places, as "train.X"."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, tuple):
        items = list(enumerate(value))
    else:
        return [(place, value)]
    start = place + "." if place else ""
    return [leaf for key, each in items for leaf in leaves(each, start + str(key))]


def width(table: Any) -> int:
    """Return the number of columns of a table; 0 for a series of single values and for what is no table."""
    shape = getattr(table, "shape", None)
    return int(shape[1]) if shape is not None and len(shape) == TABLE_DIMENSIONS else 0


def _described(value: Any) -> Any:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") or not hasattr(value, "__getitem__"):
        is_number = isinstance(value, (bool, int, float))
        return {"type": type(value).__name__, "value": value if is_number else None}
    length = value.shape[0] if getattr(value, "shape", None) else len(value)
    rows = value.iloc if hasattr(value, "iloc") else value
    try:
        first, last = plain(rows[:SHOWN_ROWS]), plain(rows[max(0, length - SHOWN_ROWS) :])
    except (TypeError, KeyError, IndexError):
        first, last = None, None
    return {"length": length, "width": width(value), "first": _short(first), "last": _short(last)}


def _short(rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    return [row[:SHOWN_VALUES] if isinstance(row, list) else row for row in rows]


def difference(one: Any, other: Any) -> float:
    """Return the largest relative difference of any two numbers in the same places; infinity where shapes differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return math.inf
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return math.inf
        return max((difference(first, second) for first, second in zip(one, other)), default=0.0)  # noqa: B905 - Python 3.9 has no strict
    if _is_number(one) and _is_number(other):
        return _apart(one, other)
    return 0.0 if one == other and type(one) is type(other) else math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _apart(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    largest = max(abs(one), abs(other))
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return 0.0 if largest < NOISE else abs(one - other) / largest
