"""Files of a run: artifacts, tables and figures."""

import contextlib
import io
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from modelwright.errors import NotLoggable
from modelwright.records import Artifact
from modelwright.runs.values import plain
from modelwright.store.blobs import Batch

_PNG = b"\x89PNG\r\n\x1a\n"
_FORMAT = 1
_TABLE_ADVICE = 'log a data frame, or columns of one length: log_table("{name}", {{"x": [1, 2], "y": [3, 4]}})'


def outputs(path: Path, *, name: str | None) -> dict[str, Path]:
    """Return the file at `path`, or all files of the folder there, by the paths that a run keeps them at."""
    top = f"outputs/{name or path.absolute().name}"
    check_path(top)
    if path.is_file():
        return {top: path}
    found = {f"{top}/{each.relative_to(path).as_posix()}": each for each in sorted(path.rglob("*")) if each.is_file()}
    if not found:
        reason = "the folder has no files" if path.is_dir() else "there is no such file or folder"
        raise NotLoggable(name=path, noun="an artifact", reason=reason, advice="write it first, then log it")
    return found


def check_path(path: str) -> None:
    """Find out that a run can keep a file at `path`. Raises NotLoggable."""
    if ".." in PurePosixPath(path).parts or path.startswith("/") or "\\" in path:
        advice = 'name it relative to the run: name="plots/loss.png"'
        raise NotLoggable(name=path, noun="an artifact", reason="its name leads out of the run's folder", advice=advice)


@contextlib.contextmanager
def written(path: str, content: bytes) -> Iterator[dict[str, Path]]:
    """Give a file with this content, by the path that a run keeps it at."""
    check_path(path)
    with tempfile.NamedTemporaryFile(prefix="wright-") as file:
        file.write(content)
        file.flush()
        yield {path: Path(file.name)}


def added(batch: Batch, contents: Mapping[str, bytes]) -> list[Artifact]:
    """Add blobs with these contents; return them as artifacts."""
    found = []
    for path, content in contents.items():
        with written(path, content) as files:
            found += [Artifact(name, batch.add(file), len(content)) for name, file in files.items()]
    return found


def table_bytes(name: str, table: Any) -> bytes:
    """Return a table as JSON: its columns by name, each a list of values. Raises NotLoggable."""
    columns = _columns(table)
    if columns is None:
        reason = f"it is of type {type(table).__name__}"
        raise NotLoggable(name=name, noun="a table", reason=reason, advice=_TABLE_ADVICE.format(name=name))
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        reason = "its columns have different lengths: " + ", ".join(
            f"{each} {count}" for each, count in lengths.items()
        )
        raise NotLoggable(name=name, noun="a table", reason=reason, advice=_TABLE_ADVICE.format(name=name))
    whole = {
        "format": _FORMAT,
        "columns": {column: [_cell(each) for each in values] for column, values in columns.items()},
    }
    return json.dumps(whole, ensure_ascii=False).encode()


def _columns(table: Any) -> dict[str, list[Any]] | None:
    """Return the columns of a dictionary, a list of rows, or a frame of pandas, polars or Arrow; None for others."""
    if isinstance(table, Mapping):
        is_made_of_columns = all(hasattr(each, "__iter__") and not isinstance(each, str) for each in table.values())
        return {str(name): list(values) for name, values in table.items()} if is_made_of_columns else None
    if isinstance(table, list) and table and all(isinstance(row, Mapping) for row in table):
        names = dict.fromkeys(str(name) for row in table for name in row)
        return {name: [row.get(name) for row in table] for name in names}
    if hasattr(table, "to_pydict"):  # Arrow
        return dict(table.to_pydict())
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        return {str(name): list(table[name]) for name in table.columns}
    return None


def _cell(value: Any) -> Any:
    """Return a cell as JSON can hold it; NaN is how frames say that there is nothing."""
    return None if isinstance(value, float) and math.isnan(value) else plain(value)


def figure_bytes(name: str, figure: Any) -> tuple[bytes, str]:
    """Return a figure's bytes and the suffix of their format. Raises NotLoggable."""
    if isinstance(figure, bytes):
        if figure.startswith(_PNG):
            return figure, ".png"
        if b"<svg" in figure[:1024]:
            return figure, ".svg"
        reason = "these bytes are neither PNG nor SVG"
    else:
        drawn = getattr(figure, "figure", None) or figure  # what pyplot gives may be the axes
        if hasattr(drawn, "savefig"):
            buffer = io.BytesIO()
            drawn.savefig(buffer, format="png")
            return buffer.getvalue(), ".png"
        reason = f"it is of type {type(figure).__name__}"
    advice = "log a figure of matplotlib, or the bytes of a PNG or SVG; any other file: log_artifact(PATH)"
    raise NotLoggable(name=name, noun="a figure", reason=reason, advice=advice)
