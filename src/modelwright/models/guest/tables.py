"""The rows of a request, whatever form they came in: lists, records, columns or an array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Optional

from .refusals import Refused

_NO_ROWS = "There are no rows in the request. {wanted}"
_MIXED = "Row {number} is {kind}, the rows before it are not"
_FORMS = (
    'Send {"data": [[...], ...]}, {"columns": [...], "data": [[...], ...]}, {"data": [{name: value, ...}, ...]}, '
    "or one of dataframe_split, dataframe_records, instances, inputs and Inputs."
)


class Table:
    """Rows with or without names for their columns, or an array of any number of dimensions.

    `named` are the values by name when they came so: of several tensors, or of columns.
    """

    __slots__ = ("array", "given", "named", "names")

    def __init__(
        self,
        given: Sequence[Any] = (),
        *,
        names: Optional[Sequence[str]] = None,
        named: Optional[Mapping[str, Any]] = None,
        array: Any = None,
    ) -> None:
        """Hold rows that were `given`, lists or records, or an `array`."""
        self.given = given
        self.names = list(names) if names is not None else None
        self.named = named
        self.array = array

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.given if self.array is None else self.array)

    def rows(self) -> list[Any]:
        """Return the rows as lists, in the order of the names if there are any."""
        if self.array is not None:
            found: list[Any] = self.array.tolist()
            return found
        if self.given and isinstance(self.given[0], dict):
            names = self.names or list(self.given[0])
            return [[row.get(name) for name in names] for row in self.given]
        return list(self.given)

    def records(self) -> list[Any]:
        """Return the rows as records; as lists when nobody said what their columns are called."""
        if self.array is None and self.given and isinstance(self.given[0], dict):
            return list(self.given)
        names = self.names
        return [dict(zip(names, row)) for row in self.rows()] if names else self.rows()


def of_rows(rows: Any, *, names: Optional[Sequence[str]] = None) -> Table:
    """Return rows that are lists or records, or single values, as a table. Raises Refused."""
    if not isinstance(rows, list) or not rows:
        raise Refused(HTTPStatus.BAD_REQUEST, _NO_ROWS.format(wanted=_FORMS))
    if isinstance(rows[0], dict):
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise Refused(HTTPStatus.BAD_REQUEST, _MIXED.format(number=number, kind="no record"))
        return Table(rows, names=[str(name) for name in rows[0]])
    check_names(names or ())
    return Table(rows, names=names)


def check_names(names: Sequence[str]) -> None:
    """Compare the names of columns with each other. Raises Refused when one is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Refused(HTTPStatus.BAD_REQUEST, f'There are several columns "{twice[0]}"')


def of_columns(columns: Mapping[str, Any]) -> Table:
    """Return values by the name of their column as a table. Raises Refused when they are not of one length."""
    lengths = {name: len(values) if isinstance(values, (list, tuple)) else -1 for name, values in columns.items()}
    if not lengths or not any(lengths.values()):
        raise Refused(HTTPStatus.BAD_REQUEST, _NO_ROWS.format(wanted=_FORMS))
    first = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length < 0:
            raise Refused(HTTPStatus.BAD_REQUEST, f'The column "{name}" is no list of values')
        if length != first:
            text = f'The column "{name}" has {length} values, "{next(iter(lengths))}" has {first}'
            raise Refused(HTTPStatus.BAD_REQUEST, text)
    flat = {name: [_only(each) for each in values] for name, values in columns.items()}
    return Table([list(row) for row in zip(*flat.values())], names=list(columns), named=flat)


def of_array(array: Any, *, names: Optional[Sequence[str]] = None) -> Table:
    """Return an array of NumPy as a table; one of one dimension is a column. Raises Refused for one without rows."""
    if not array.shape or not array.size:
        raise Refused(HTTPStatus.BAD_REQUEST, _NO_ROWS.format(wanted="Send an array of at least one row."))
    return Table(array=array.reshape(-1, 1) if array.ndim == 1 else array, names=names)


def of_split(value: Any) -> Table:
    """Return `{"columns": names, "data": rows}` as a table. Raises Refused."""
    if not isinstance(value, dict) or "data" not in value:
        raise Refused(HTTPStatus.BAD_REQUEST, 'There is no "data" beside "columns"')
    columns = value.get("columns")
    if columns is not None and not isinstance(columns, list):
        raise Refused(HTTPStatus.BAD_REQUEST, '"columns" is no list of names')
    return of_rows(value["data"], names=None if columns is None else [str(each) for each in columns])


def of_json(value: Any) -> Table:
    """Return the rows of a JSON body in any of the forms that are served. Raises Refused."""
    if isinstance(value, list):
        return of_rows(value)
    if not isinstance(value, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, _NO_ROWS.format(wanted=_FORMS))
    for key in ("dataframe_split", "dataframe_records", "instances", "inputs", "input_data", "Inputs", "data"):
        if key in value:
            return of_split(value) if key == "data" else _of_value(value[key], key=key)
    raise Refused(HTTPStatus.BAD_REQUEST, _NO_ROWS.format(wanted=_FORMS))


def _of_value(value: Any, *, key: str) -> Table:
    if key == "dataframe_split":
        return of_split(value)
    if key == "dataframe_records" or isinstance(value, list):
        return of_rows(value)
    if not isinstance(value, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, f'"{key}" holds no rows')
    if key == "instances":
        raise Refused(HTTPStatus.BAD_REQUEST, '"instances" is no list of rows')
    if "data" in value and set(value) <= {"columns", "index", "data"}:
        return of_split(value)
    if key == "Inputs" and len(value) == 1:
        return of_rows(next(iter(value.values())))
    return of_columns(value)


def _only(value: Any) -> Any:
    """Return the one value of a list of one: columns may come as one tensor of one column each."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def short(names: Iterable[object], most: int = 20) -> str:
    """Return names for a message."""
    told = [str(each) for each in names]
    return ", ".join(told[:most]) + (f", ... ({len(told)} in all)" if len(told) > most else "")
