r"""A table as text that comes back as it was: `table.csv`, and beside it `table.types.json` with its columns' types.

The same rows give the same bytes on every machine, with nothing installed. Missing cells are `\N`; a text that begins
with a backslash has one more; floats are the shortest text that reads back as the same float, bytes are base64.
"""

import base64
import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from modelwright.errors import ModuleNotInstalled, TableNotKept

FORMAT = 1
TABLE = "table.csv"
TYPES = "table.types.json"
MISSING = r"\N"

_EMPTY = "empty"
_EXACT_FLOATS = (3, 1)  # from this release on pandas reads a float as the nearest one without being asked to
_INTEGER_LIMIT = 1 << 63
_QUOTE = '"'
_NEEDS_QUOTES = re.compile(r'^$|[",\r\n]').search
# In this order: True is an integer too, and a time of a day a date.
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "text"),
    (bytes, "bytes"),
    (memoryview, "bytes"),
    (dt.datetime, "datetime"),
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "duration"),
    (Decimal, "decimal"),
)
_SAVED: dict[str, Callable[[Any], str]] = {
    "integer": int.__repr__,
    "number": float.__repr__,
    "boolean": str,
    "text": lambda value: f"\\{value}" if value.startswith("\\") else value,
    "bytes": lambda value: base64.b64encode(value).decode(),
    "datetime": lambda value: value.isoformat(),  # its own: that of pandas has nanoseconds
    "date": lambda value: value.isoformat(),
    "time": lambda value: value.isoformat(),
    "duration": lambda value: repr(value.total_seconds()),
    "decimal": str,
}


def write(
    folder: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    dtypes: Mapping[str, str] | None = None,
    index: Sequence[str | None] = (),
) -> None:
    """Write the rows as they come. Raises TableNotKept for a column whose cells have no one type, or an unknown one.

    `dtypes` says what pandas called the types, and `index` how many of the first columns were a frame's index and what
    it was called.
    """
    _check_names(columns)
    types: list[set[str]] = [set() for _ in columns]
    count = 0
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        file.write(_line(columns))
        for row in rows:
            file.write(_line([_cell(value, seen, name) for value, seen, name in zip(row, types, columns, strict=True)]))
            count += 1
    described = [
        {"name": name, "type": _one_type(name, seen)} | ({"dtype": dtypes[name]} if dtypes else {})
        for name, seen in zip(columns, types, strict=True)
    ]
    told = {"format": FORMAT, "rows": count, "columns": described, "index": list(index)}
    (folder / TYPES).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def described(types: Path) -> dict[str, Any]:
    """Return what `table.types.json` says. Raises TableNotKept when a newer release wrote it."""
    told: dict[str, Any] = json.loads(types.read_text(encoding="utf-8"))
    if told["format"] != FORMAT:
        raise TableNotKept(
            column="*", reason=f"format {told['format']} is of a newer release", remedy="pip install -U modelwright"
        )
    return told


def _check_names(columns: Sequence[str]) -> None:
    for name in columns:
        if not isinstance(name, str):
            raise TableNotKept(column=name, reason="its name is no text", remedy="rename it")
    doubled = next((name for name in columns if list(columns).count(name) > 1), None)
    if doubled is not None:
        raise TableNotKept(column=doubled, reason="another column has the same name", remedy="rename one, with AS")


def _line(cells: Sequence[str]) -> str:
    # The module csv leaves a carriage return unquoted, which every reader takes for the end of a line.
    return ",".join(f'"{each.replace(_QUOTE, _QUOTE * 2)}"' if _NEEDS_QUOTES(each) else each for each in cells) + "\n"


def _cell(value: Any, seen: set[str], column: str) -> str:
    if type(value).__module__ == "numpy" and value.dtype.kind in "biuf":
        value = value.item()
    kind = _kind(value)
    if kind is None:
        return MISSING
    if kind not in _SAVED:
        remedy = "make it text or numbers; a frame with nested values is kept where pyarrow is installed"
        raise TableNotKept(column=column, reason=f'it holds a "{kind}"', remedy=remedy)
    if kind == "integer" and not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        raise TableNotKept(column=column, reason=f"{value} has more than 64 bits", remedy="make it text")
    if kind == "text" and "\0" in value:
        raise TableNotKept(column=column, reason="a text has a NUL character", remedy="make it bytes, or remove it")
    if kind == "text" and not _is_utf8(value):
        raise TableNotKept(column=column, reason="a text cannot be written as UTF-8", remedy="make it bytes")
    seen.add(kind)
    return _SAVED[kind](value)


def _is_utf8(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _kind(value: object) -> str | None:
    """Return the type of a cell as it is named here, None for a missing one, its own name for an unknown one."""
    is_not_itself = isinstance(value, float | Decimal) and value != value  # noqa: PLR0124 - NaN, as pandas has it
    if value is None or is_not_itself or type(value).__name__ in {"NAType", "NaTType"}:
        return None
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def _one_type(column: str, seen: set[str]) -> str:
    if not seen:
        return _EMPTY
    if seen <= {"integer", "number", "decimal"} and len(seen) > 1:
        return "decimal" if "decimal" in seen and "number" not in seen else "number"
    if len(seen) > 1:
        reason = f"it holds {' and '.join(sorted(seen))} at once"
        raise TableNotKept(column=column, reason=reason, remedy="give it one type, in a query with CAST")
    return next(iter(seen))


def frame(table: Path, types: Path, **options: Any) -> Any:
    """Return the table as a pandas frame, or with `chunksize` an iterator of its parts. Raises ModuleNotInstalled."""
    told = described(types)
    pandas = pandas_of_user()
    columns = told["columns"]
    if tuple(map(int, pandas.__version__.split(".")[:2])) < _EXACT_FLOATS:
        options["float_precision"] = "round_trip"
    read = pandas.read_csv(
        table,
        encoding="utf-8",
        keep_default_na=False,
        na_values=[MISSING],
        skip_blank_lines=False,
        dtype={each["name"]: _read_as(each) for each in columns},
        **options,
    )
    if "chunksize" in options:
        return (_restored(each, columns, told["index"]) for each in read)
    return _restored(read, columns, told["index"])


def pandas_of_user() -> Any:
    """Return the module pandas. Raises ModuleNotInstalled."""
    import sys

    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise ModuleNotInstalled(module="pandas", python=sys.executable, distribution="pandas") from error
    return pd


def _read_as(column: Mapping[str, str]) -> str:
    fixed = {"integer": "Int64", "number": "float64", "boolean": "boolean", "duration": "float64"}
    return fixed.get(column["type"], "str")


def _restored(read: Any, columns: Sequence[Mapping[str, str]], index: Sequence[str | None]) -> Any:
    restored = {each["name"]: _column(read[each["name"]], each) for each in columns}
    table = pandas_of_user().DataFrame(restored, copy=False)
    if index:
        table = table.set_index([each["name"] for each in columns[: len(index)]])
        table.index.names = list(index)
    return table


def _column(cells: Any, column: Mapping[str, str]) -> Any:
    """Return a column with the type that it had."""
    pd = pandas_of_user()
    kind, dtype = column["type"], column.get("dtype")
    present = cells.notna()
    match kind:
        case "integer" | "boolean":
            values = cells.astype("int64" if kind == "integer" else "bool") if present.all() else cells
        case "text":
            values = cells.mask(cells.str.startswith("\\").fillna(value=False), cells.str[1:])
        case "bytes":
            values = cells.map(base64.b64decode, na_action="ignore").astype(object)
        case "datetime":
            is_aware = cells[present].str.contains(r"(?:[+-]\d\d:\d\d|Z)$").any()
            values = pd.to_datetime(cells, format="ISO8601", utc=bool(is_aware))
        case "date" | "time":
            read = dt.date.fromisoformat if kind == "date" else dt.time.fromisoformat
            values = cells.astype(object).map(read, na_action="ignore")
        case "duration":
            values = pd.to_timedelta(cells, unit="s")
        case "decimal":
            values = cells.astype(object).map(Decimal, na_action="ignore")
        case _:
            values = cells
    return values.astype(dtype) if dtype and str(values.dtype) != dtype else values
