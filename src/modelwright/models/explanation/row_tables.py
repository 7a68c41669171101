"""Rows as a model takes them, column by column: frames, arrays, CSV files and requests, all in one form.

A guest, loaded by path in the model's own environment.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any


class UnfitError(Exception):
    """Rows that cannot be given to the model; the text says why."""


class Table:
    """Rows of named columns, and how they are put together for the model: as a frame, or as one array."""

    def __init__(self, names: list[str], columns: list[Any], kinds: list[Any] | None) -> None:
        """Take equally long columns; `kinds` are a frame's types of them, None for an array."""
        self.names = names
        self.columns = columns
        self.kinds = kinds

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def build(self) -> Any:
        """Return what the model takes."""
        import numpy as np

        if self.kinds is None:
            return np.column_stack(self.columns)
        import pandas as pd

        parts = zip(self.names, self.columns, self.kinds)  # noqa: B905 - Python 3.9 has no strict=
        return pd.DataFrame({name: pd.Series(column, dtype=kind) for name, column, kind in parts})

    def take(self, rows: Any) -> Table:
        """Return the rows of these numbers."""
        return Table(self.names, [each[rows] for each in self.columns], self.kinds)

    def replaced(self, number: int, column: Any) -> Table:
        """Return the same rows with another column in the place of one."""
        return Table(self.names, [*self.columns[:number], column, *self.columns[number + 1 :]], self.kinds)

    def mixed(self, row: Table, is_own: Any) -> Table:
        """Return these rows with the cells of the one `row` wherever `is_own`, by row and column."""
        import numpy as np

        columns = [np.where(is_own[:, number], row.columns[number], each) for number, each in enumerate(self.columns)]
        return Table(self.names, columns, self.kinds)

    def joined(self, other: Table) -> Table:
        """Return these rows and the other's after them."""
        import numpy as np

        pairs = zip(self.columns, other.columns)  # noqa: B905 - as above
        return Table(self.names, [np.concatenate(pair) for pair in pairs], self.kinds)

    def cells(self, number: int) -> list[Any]:
        """Return the cells of one row as JSON can hold them."""
        return [plain(each[number]) for each in self.columns]

    @property
    def digest(self) -> str:
        """The SHA-256 of names and cells; numbers by their bytes, for there may be millions."""
        found = hashlib.sha256(json.dumps(self.names).encode())
        for each in self.columns:
            is_number = each.dtype.kind in "biuf"
            found.update(each.tobytes() if is_number else json.dumps(list(map(plain, each))).encode())
        return found.hexdigest()


def plain(value: Any) -> Any:
    """Return a cell as JSON can hold it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - not a number
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def is_frame(value: Any) -> bool:
    """Whether the value is a frame of pandas."""
    return type(value).__name__ == "DataFrame" and hasattr(value, "iloc")


def width_of(value: Any) -> int | None:
    """Return how many columns a table in memory has; None for what is none."""
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, list) and value and isinstance(value[0], (list, tuple)):
        widths = {len(each) if isinstance(each, (list, tuple)) else -1 for each in value}
        is_plain = len(widths) == 1 and not any(isinstance(cell, (list, tuple, dict)) for cell in value[0])
        return len(value[0]) if is_plain else None
    return int(shape[1]) if isinstance(shape, tuple) and len(shape) == 2 else None  # noqa: PLR2004 - rows and columns


def from_memory(value: Any, names: list[str] | None) -> Table:
    """Return a frame, an array or a list of lists as a table; `names` picks a frame's columns, or names an array's."""
    import numpy as np

    if is_frame(value):
        frame = value if names is None else value[names]
        columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
        return Table(
            [str(each) for each in frame.columns], list(map(_cells_of, columns)), [each.dtype for each in columns]
        )
    array = np.asarray(getattr(value, "toarray", lambda: value)())
    return Table(
        names or [f"column {number}" for number in range(1, array.shape[1] + 1)],
        [array[:, number] for number in range(array.shape[1])],
        None,
    )


def _cells_of(column: Any) -> Any:
    return column.to_numpy() if getattr(column.dtype, "kind", "O") in "biuf" else column.to_numpy(dtype=object)


def read_file(path: Path) -> Any:
    """Return a table file as a frame of pandas; without pandas, CSV as a pair of names and rows of numbers."""
    try:
        import pandas as pd
    except ImportError:
        return _read_numbers(path)
    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except Exception as error:
        told = " ".join(str(error).split())
        message = f"it cannot be read as a table: {told}"
        raise UnfitError(message) from error


def _read_numbers(path: Path) -> tuple[list[str], Any]:
    import numpy as np

    with path.open(encoding="utf-8", newline="") as handle:
        names, *rows = csv.reader(handle, delimiter="\t" if path.suffix == ".tsv" else ",")
    try:
        return names, np.array(rows, dtype=float)
    except ValueError as error:
        message = f"without pandas in the model's environment only numbers are read: {error}"
        raise UnfitError(message) from error


def like(value: Any, pattern: Table) -> Table:
    """Return rows as `pattern` has them: its columns in its order, of its types. Raises UnfitError."""
    import numpy as np

    if isinstance(value, tuple):
        names, array = value
        columns = dict(zip(names, array.T))  # noqa: B905 - as above
    elif is_frame(value):
        columns = {str(name): _cells_of(value[name]) for name in value.columns}
    else:
        rows = [list(each) for each in value]
        if {len(each) for each in rows} != {len(pattern.names)}:
            message = f"its rows have {len(rows[0])} cells, the model takes {len(pattern.names)} columns"
            raise UnfitError(message)
        columns = dict(zip(pattern.names, (np.array(each, dtype=object) for each in zip(*rows))))  # noqa: B905 - as above
    missing = [name for name in pattern.names if name not in columns]
    if missing and pattern.kinds is None and len(columns) == len(pattern.names):
        columns, missing = dict(zip(pattern.names, columns.values())), []  # noqa: B905 - as above
    if missing:
        message = f'it has no column "{missing[0]}"; the model takes {", ".join(pattern.names)}'
        raise UnfitError(message)
    try:
        kinds = [each.dtype for each in pattern.columns]
        wanted = zip(pattern.names, kinds)  # noqa: B905 - as above
        cast = [np.asarray(columns[name]).astype(_wider(kind)) for name, kind in wanted]
        found = Table(pattern.names, cast, pattern.kinds and _kinds(pattern, cast))
        found.build()
    except (TypeError, ValueError) as error:
        message = f"its cells are not of the columns' types: {error}"
        raise UnfitError(message) from error
    return found


def _wider(kind: Any) -> Any:
    # A column that held whole numbers when the model was made may hold fractions or gaps now.
    return float if kind.kind in "iu" else kind


def _kinds(pattern: Table, columns: list[Any]) -> list[Any]:
    pairs = zip(pattern.kinds or [], columns)  # noqa: B905 - as above
    return [column.dtype if getattr(kind, "kind", "O") in "iu" else kind for kind, column in pairs]


def rows_of_request(value: Any) -> Any:
    """Return the rows inside a request, wherever in it they are: lists of cells, or objects as a list of them.

    Raises UnfitError when it holds none.
    """
    found = _rows_in(value)
    if found is None:
        message = "it holds no rows: neither a list of lists nor objects with a value for each column"
        raise UnfitError(message)
    if isinstance(found[0], dict):
        names = list(found[0])
        if any(list(each) != names for each in found):
            message = "its objects differ in their names"
            raise UnfitError(message)
        import numpy as np

        return names, np.array([list(each.values()) for each in found], dtype=object)
    return found


def _rows_in(value: Any) -> list[Any] | None:
    def is_cell(each: Any) -> bool:
        return each is None or isinstance(each, (bool, int, float, str))

    if isinstance(value, list) and value:
        is_list = all(isinstance(each, list) and all(map(is_cell, each)) for each in value)
        is_record = all(isinstance(each, dict) and each and all(map(is_cell, each.values())) for each in value)
        if is_list or is_record:
            return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in parts:
        found = _rows_in(each)
        if found is not None:
            return found
    if isinstance(value, dict) and value and all(map(is_cell, value.values())):
        return [value]
    return None
