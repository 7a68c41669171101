"""The columns that a model takes: rows are put in their order, and what does not fit is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Optional

from .refusals import Refused
from .tables import Table, short

_SIGNATURE = "signature.json"
_SAMPLE = "sample.json"


@dataclass(frozen=True)
class Columns:
    """What is known of a model's columns: names, how many, and the kind of value in each by JSON Schema's words."""

    names: tuple[str, ...] = ()
    count: Optional[int] = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    def name(self, index: int) -> str:
        """Return what a column is called in a message."""
        return f'"{self.names[index]}"' if index < len(self.names) else f"column {index + 1}"

    @property
    def told(self) -> str:
        """The columns for a message."""
        return f"{len(self.names)}: {short(self.names)}" if self.names else str(self.count)

    @cached_property
    def are_numbers(self) -> bool:
        """Whether nothing is known of a column that is not of numbers."""
        return set(self.kinds.values()) <= {"", "number", "integer"}

    def kind(self, index: int) -> str:
        """Return the kind of value of a column; empty when it is not known."""
        name = self.names[index] if index < len(self.names) else ""
        return self.kinds.get(name) or self.kinds.get("*", "")


def described(package: Path) -> dict[str, Any]:
    """Return the signature in a package; empty without one."""
    try:
        found = json.loads((package / _SIGNATURE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sample(package: Path) -> Any:
    """Return the sample request in a package; None without one."""
    try:
        return json.loads((package / _SAMPLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def of_signature(signature: Mapping[str, Any], *, names: Sequence[str] = (), count: Optional[int] = None) -> Columns:
    """Return the columns of a signature, or where it does not tell, those that the model itself knows."""
    row = row_schema(signature.get("inputs"))
    properties = row.get("properties")
    if isinstance(properties, dict):
        kinds = {str(name): str(each.get("type", "")) for name, each in properties.items()}
        # The model knows its order; a signature of the same names is not asked for it.
        order = tuple(names) if set(names) == set(kinds) else tuple(kinds)
        return Columns(order, len(order), kinds)
    kind = (row.get("items") or {}).get("type", "") if isinstance(row.get("items"), dict) else ""
    found = row.get("maxItems", count) if count is None else count
    return Columns(tuple(names), found, {"*": kind} if kind and kind != "array" else {})


def row_schema(schema: Any) -> dict[str, Any]:
    """Return the schema of a row inside that of a request: of the first list whose items are lists or records."""
    if not isinstance(schema, dict):
        return {}
    items = schema.get("items")
    if isinstance(items, dict):
        if items.get("type") in ("array", "object"):
            return items
        return {}
    for each in (schema.get("properties") or {}).values():
        found = row_schema(each)
        if found:
            return found
    return {}


def arrange(table: Table, columns: Columns) -> Any:
    """Return a table as a NumPy array in the model's order of columns: numbers, or objects where there are others.

    Raises Refused, with the row and the column, for what does not fit.
    """
    import numpy as np

    if table.array is not None:
        array = table.array
        if array.ndim == 2 and table.names is None:  # noqa: PLR2004 - rows and columns
            _check_width(array.shape[1], columns)
        return array if table.names is None else array[:, _order(table.names, columns)]
    rows = table.given
    if isinstance(rows[0], dict):
        rows = _of_records(rows, columns)
    elif table.names is not None:
        _check_lists(rows, Columns(tuple(table.names), len(table.names)))
        order = _order(table.names, columns)
        if order != list(range(len(table.names))):
            rows = [[row[index] for index in order] for row in rows]
    try:
        array = np.asarray(rows)
    except ValueError:
        array = None  # rows of different lengths
    if array is not None and array.dtype.kind in "fiub" and array.ndim >= 2 and columns.are_numbers:  # noqa: PLR2004
        if array.ndim == 2:  # noqa: PLR2004
            _check_width(array.shape[1], columns)
        return array
    _check_lists(rows, columns)
    _check_kinds(rows, columns)
    return _mixed(rows)


def blame(row: Sequence[Any], number: int, columns: Columns, error: Exception) -> Refused:
    """Return the refusal of a row that a model did not take: of the one odd value in it, if there is one."""
    reason = str(error).strip().partition("\n")[0]
    odd = [index for index, value in enumerate(row) if _is_odd(value)]
    if len(odd) != 1:
        return Refused(HTTPStatus.BAD_REQUEST, f"The model does not take row {number}: {reason}")
    value = row[odd[0]]
    told = "no value" if value is None or value != value else json.dumps(value, default=str)  # noqa: PLR0124 - NaN
    text = f"Row {number} has {told} in {columns.name(odd[0])}, which the model does not take: {reason}"
    return Refused(HTTPStatus.BAD_REQUEST, text)


def _is_odd(value: Any) -> bool:
    """Return whether a model may well not take a value: none, a text, or a number that is none."""
    return value is None or isinstance(value, str) or (isinstance(value, float) and not math.isfinite(value))


def _order(names: Sequence[str], columns: Columns) -> list[int]:
    """Return where the model's columns are among those of the request. Raises Refused."""
    if not columns.names:
        _check_width(len(names), columns)
        return list(range(len(names)))
    _check_names(names, columns, where="The request")
    places = {name: index for index, name in enumerate(names)}
    return [places[name] for name in columns.names]


def _of_records(rows: Sequence[Any], columns: Columns) -> list[list[Any]]:
    names = columns.names or tuple(rows[0])
    if not columns.names:
        _check_width(len(names), columns)
    wanted = set(names)
    for number, row in enumerate(rows, start=1):
        if row.keys() != wanted:
            _check_names(list(row), replace(columns, names=names), where=f"Row {number}")
    return [[row[name] for name in names] for row in rows]


def _check_names(found: Sequence[str], columns: Columns, *, where: str) -> None:
    known, given = set(columns.names), set(found)
    missing = [name for name in columns.names if name not in given]
    extra = [name for name in found if name not in known]
    if missing:
        many = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        told = f'{where} has no column "{missing[0]}"{many}. The model takes {columns.told}'
        raise Refused(HTTPStatus.BAD_REQUEST, told)
    if extra:
        told = f'{where} has a column "{extra[0]}" that the model does not know. It takes {columns.told}'
        raise Refused(HTTPStatus.BAD_REQUEST, told)


def _check_width(width: int, columns: Columns) -> None:
    if columns.count is not None and width != columns.count:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Row 1 has {width} values, the model takes {columns.told}")


def _check_lists(rows: Sequence[Any], columns: Columns) -> None:
    width = columns.count
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, (list, tuple)):
            text = f"Row {number} is {json.dumps(row, default=str)[:100]}, where a list of values is needed"
            raise Refused(HTTPStatus.BAD_REQUEST, text)
        width = len(row) if width is None else width
        if len(row) != width:
            told = columns.told if columns.count is not None else f"{width} as in the rows before it"
            raise Refused(HTTPStatus.BAD_REQUEST, f"Row {number} has {len(row)} values, the model takes {told}")


def _check_kinds(rows: Sequence[Any], columns: Columns) -> None:
    kinds = [columns.kind(index) for index in range(len(rows[0]))]
    for number, row in enumerate(rows, start=1):
        for index, (kind, value) in enumerate(zip(kinds, row)):
            if value is None or not _is_another(kind, value):
                continue
            told = f"Row {number} has {json.dumps(value, default=str)[:100]} in {columns.name(index)}"
            raise Refused(HTTPStatus.BAD_REQUEST, f"{told}, where a {kind or 'single value'} is needed")


def _is_another(kind: str, value: Any) -> bool:
    if kind in ("number", "integer"):
        return not isinstance(value, (int, float))
    if kind == "string":
        return not isinstance(value, str) and not hasattr(value, "isoformat")
    return isinstance(value, (list, dict))


def _mixed(rows: Sequence[Any]) -> Any:
    """Return rows as numbers, with NaN where there is none; as objects when some are no numbers."""
    import numpy as np

    if all(value is None or isinstance(value, (int, float)) for row in rows for value in row):
        try:
            return np.array(rows, dtype=float)
        except OverflowError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"There is a number that is too large: {error}") from error
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    for number, row in enumerate(rows):
        array[number, :] = row
    return array
