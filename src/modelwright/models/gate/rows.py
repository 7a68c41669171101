"""A guest: values that hold rows, however nested, and the same rows taken from all of them. Standard library only.

Rows are those of tables, arrays, sparse matrices, tensors and plain lists. They may lie in dictionaries, tuples, lists
and dataclasses; whatever has as many rows is taken to hold the same ones.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# A longer list of arrays is a list of rows, such as pictures; a shorter one is a handful of tables.
_MOST_TABLES = 8
# A column of more distinct numbers is cut into as many groups of the same size; of other columns, the largest groups.
_MOST_NUMBERS, _QUANTILES, _MOST_GROUPS = 20, 4, 50


def lengths(value: Any) -> set[int]:
    """Return how many rows the parts of a value have that hold any."""
    return {length for _, _, length in _leaves("", value)}


def taken(value: Any, rows: Mapping[int, Sequence[int]]) -> Any:
    """Return a value with these rows of each part, by how many it has; parts of another length stay as they are."""
    parts = _parts(value)
    if parts is None:
        length = _length(value)
        return value if length is None or length not in rows else _taken(value, rows[length])
    return _rebuilt(value, {name: taken(part, rows) for name, part in parts})


def columns(value: Any, length: int) -> dict[str, Callable[[], list[Any]]]:
    """Return what gives each named column of the parts with so many rows.

    Named are the columns of tables, the fields of records, and a part of one column by its own name or the one that it
    stands under.
    """
    found: dict[str, Callable[[], list[Any]]] = {}
    for name, leaf, rows in _leaves("", value):
        if rows != length:
            continue
        first = leaf[0] if isinstance(leaf, (list, tuple)) else None
        if hasattr(leaf, "columns") or getattr(getattr(leaf, "dtype", None), "names", None):
            named = leaf.columns if hasattr(leaf, "columns") else leaf.dtype.names
            for each in getattr(leaf, "column_names", named):
                found.setdefault(str(each), partial(_column, leaf, each))
        elif isinstance(first, dict):
            for each in first:
                found.setdefault(str(each), partial(_field, leaf, each))
        elif len(getattr(leaf, "shape", (0,))) == 1:
            label = getattr(leaf, "name", None) or name
            if label:
                found.setdefault(str(label), partial(list, leaf))
    return found


def arrays(value: Any, length: int) -> list[Any]:
    """Return the parts with so many rows that have several columns and no names for them."""
    found = [leaf for _, leaf, rows in _leaves("", value) if rows == length and not hasattr(leaf, "columns")]
    return [each for each in found if len(getattr(each, "shape", ())) == 2 and not hasattr(each, "tocsr")]  # noqa: PLR2004 - rows and columns


def grouped(values: list[Any]) -> list[tuple[str, list[int]]]:
    """Return the rows of each group: of each value, or of each quarter of many different numbers."""
    labels = ["none" if each is None or each != each else str(each) for each in values]  # noqa: PLR0124 - NaN
    names = {str(each): f"{each:.6g}" for each in values if isinstance(each, float)}
    there = [each for each, label in zip(values, labels) if label != "none"]  # noqa: B905 - Python 3.9
    if all(map(_is_number, there)) and len(set(there)) > _MOST_NUMBERS:
        ordered = sorted(there)
        edges = sorted(set(statistics.quantiles(ordered, n=_QUANTILES, method="inclusive")))
        ends = ["lowest", *(f"{each:g}" for each in edges), "highest"]
        names = {str(part): "{} to {}".format(*ends[part : part + 2]) for part in range(len(edges) + 1)}
        labels = [
            label if label == "none" else str(sum(value >= edge for edge in edges))
            for value, label in zip(values, labels)  # noqa: B905 - Python 3.9
        ]
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(label, []).append(row)
    largest = sorted(groups, key=lambda label: -len(groups[label]))[:_MOST_GROUPS]
    return [(names.get(label, label), groups[label]) for label in sorted(largest)]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bytes))


def _column(table: Any, name: Any) -> list[Any]:
    column = table[name]
    return list(column.to_pylist() if hasattr(column, "to_pylist") else column)


def _field(records: Sequence[dict[str, Any]], name: Any) -> list[Any]:
    return [each.get(name) for each in records]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any, int]]:
    """Give the parts that hold rows, each with the name that it stands under and its number of rows."""
    parts = _parts(value)
    if parts is None:
        length = _length(value)
        if length:
            yield name, value, length
        return
    for label, part in parts:
        yield from _leaves(label if isinstance(label, str) else name, part)


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    """Return what a container holds, by key, position or field; None for what is no container."""
    if isinstance(value, dict):
        return list(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    if isinstance(value, (list, tuple)) and _holds_tables(value):
        return list(enumerate(value))
    return None


def _holds_tables(value: Any) -> bool:
    if isinstance(value, tuple) and any(isinstance(each, (list, dict)) for each in value):
        return True
    if not any(_is_table(each) for each in value[:_MOST_TABLES]):
        return False
    return isinstance(value, tuple) or len(value) <= _MOST_TABLES


def _is_table(value: Any) -> bool:
    has_rows = hasattr(value, "__getitem__") or hasattr(value, "tocsr")
    return has_rows and len(getattr(value, "shape", ()) or ()) > 0


def _length(value: Any) -> int | None:
    if _is_table(value):
        return int(value.shape[0])
    return len(value) if isinstance(value, (list, tuple)) else None


def _taken(value: Any, rows: Sequence[int]) -> Any:
    if hasattr(value, "iloc"):
        return value.iloc[rows]
    if hasattr(value, "tocsr"):
        return value.tocsr()[rows]
    if type(value).__module__.partition(".")[0] == "pyarrow":
        return value.take(rows)
    if isinstance(value, (list, tuple)):
        some = [value[row] for row in rows]
        return some if isinstance(value, list) else tuple(some)
    return value[rows]


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    if isinstance(value, dict):
        new = copy.copy(value)
        new.update(parts)
        return new
    if isinstance(value, tuple):
        return type(value)(*parts.values()) if hasattr(value, "_fields") else tuple(parts.values())
    if isinstance(value, list):
        return list(parts.values())
    new = copy.copy(value)
    for name, part in parts.items():
        object.__setattr__(new, name, part)  # it may be frozen
    return new
