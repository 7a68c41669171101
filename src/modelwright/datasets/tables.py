"""Tables: those in memory as files that come back the same, and files as pandas frames, whole or in parts."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.datasets import typed_csv
from modelwright.datasets.typed_csv import pandas_of_user
from modelwright.errors import ModuleNotInstalled, NotTabular, TableNotKept, TableUnknown

PARQUET = "table.parquet"
ROWS_A_PART = 1 << 16

_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
}


@dataclass(frozen=True)
class Table:
    """The files of a dataset version as one table: their rows one after another, in the order of the files' names."""

    reference: str
    files: Mapping[str, Path]

    def frame(self) -> Any:
        """Return the table as a pandas frame.

        Raises NotTabular when the files are no tables or differ in their columns, and ModuleNotInstalled.
        """
        if set(self.files) == {typed_csv.TABLE, typed_csv.TYPES}:
            return typed_csv.frame(self.files[typed_csv.TABLE], self.files[typed_csv.TYPES])
        frames = list(self._all_parts(texts=(), rows=None))
        return frames[0] if len(frames) == 1 else pandas_of_user().concat(frames, ignore_index=True)

    def parts(self, *, texts: Sequence[str] = ()) -> Iterator[Any]:
        """Give the table as pandas frames of some ten thousand rows each, as `frame` does.

        `texts` names columns of text files whose cells are taken as they are written.
        """
        if set(self.files) == {typed_csv.TABLE, typed_csv.TYPES}:
            yield from typed_csv.frame(self.files[typed_csv.TABLE], self.files[typed_csv.TYPES], chunksize=ROWS_A_PART)
            return
        yield from self._all_parts(texts=texts, rows=ROWS_A_PART)

    def columns(self) -> list[str]:
        """Return the names of the columns, reading no more than needed."""
        first = next(self.parts(), None)
        return [] if first is None else [str(each) for each in first.columns]

    def _all_parts(self, *, texts: Sequence[str], rows: int | None) -> Iterator[Any]:
        first: tuple[str, list[Any]] | None = None
        for name, path in sorted(self.files.items()):
            for part in self._parts_of(name, path, texts, rows=rows):
                first = first or (name, list(part.columns))
                if list(part.columns) != first[1]:
                    reason = f'file "{name}" has other columns than "{first[0]}"'
                    raise NotTabular(reference=self.reference, reason=reason)
                yield part

    def _parts_of(self, name: str, path: Path, texts: Sequence[str], *, rows: int | None) -> Iterator[Any]:
        """Give a file's rows as frames; all in one when `rows` is None."""
        pd = pandas_of_user()
        kind, compression = _format(name)
        if kind is None:
            raise NotTabular(
                reference=self.reference,
                reason=f'file "{name}" is no table; those have names ending in {", ".join(_SUFFIXES)}',
            )
        try:
            yield from _frames(pd, path, kind, compression=compression, texts=texts, rows=rows)
        except (ValueError, OSError, pd.errors.ParserError) as error:
            reason = f'file "{name}" cannot be read as {kind}: {" ".join(str(error).split())}'
            raise NotTabular(reference=self.reference, reason=reason) from error


def _format(name: str) -> tuple[str | None, str | None]:
    """Return what a file holds and how it is compressed, by its name."""
    suffixes = Path(name.lower()).suffixes
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    rest = suffixes[:-1] if compression else suffixes
    return (_SUFFIXES.get(rest[-1]) if rest else None), compression


def _frames(
    pd: Any, path: Path, kind: str, *, compression: str | None, texts: Sequence[str], rows: int | None
) -> Iterator[Any]:
    if kind == "parquet":
        yield from _parquet(pd, path, rows=rows)
        return
    options: dict[str, Any] = {"chunksize": rows, "compression": compression}
    if kind == "json lines":
        read = pd.read_json(path, lines=True, dtype=dict.fromkeys(texts, "str") or None, **options)
    else:
        separator = "," if kind == "csv" else "\t"
        options |= {"low_memory": False} if rows is None else {}
        read = pd.read_csv(path, sep=separator, dtype=dict.fromkeys(texts, "str"), **options)
    if rows is None:
        yield read
    else:
        with read:
            yield from read


def _parquet(pd: Any, path: Path, *, rows: int | None) -> Iterator[Any]:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotInstalled(module="pyarrow", python=sys.executable, distribution="pyarrow") from error
    if rows is None:
        yield pd.read_parquet(path, engine="pyarrow")
        return
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield batch.to_pandas()


def write(table: Any, folder: Path) -> None:
    """Write a table in memory into an empty folder, and see that it comes back as it was.

    Raises TableUnknown for anything but a frame of pandas or polars or an Arrow table, and TableNotKept.
    """
    kind = f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}"
    match kind:
        case "pandas.DataFrame":
            _write_pandas(table, folder)
        case "polars.DataFrame":
            table.write_parquet(folder / PARQUET)
        case "pyarrow.Table":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, folder / PARQUET)
        case _:
            hint = "; .collect() makes a frame of it" if kind == "polars.LazyFrame" else ""
            raise TableUnknown(kind=kind, hint=hint)


def _write_pandas(frame: Any, folder: Path) -> None:
    pd = pandas_of_user()
    if isinstance(frame.columns, pd.MultiIndex):
        raise TableNotKept(column=frame.columns[0], reason="columns have several levels", remedy="join their names")
    if importlib.util.find_spec("pyarrow"):
        try:
            frame.to_parquet(folder / PARQUET, engine="pyarrow")
        except Exception as error:
            column = next((name for name in frame.columns if str(name) in str(error)), "*")
            raise TableNotKept(column=column, reason=str(error), remedy="make it text or numbers") from error
        back = pd.read_parquet(folder / PARQUET, engine="pyarrow")
    else:
        _write_text(frame, folder)
        back = typed_csv.frame(folder / typed_csv.TABLE, folder / typed_csv.TYPES)
    _compare(frame, back)


def _write_text(frame: Any, folder: Path) -> None:
    index: list[str | None] = []
    if not _is_numbered(frame.index):
        index = list(frame.index.names)
        taken = [f"index {number}" if name is None else name for number, name in enumerate(index)]
        frame = frame.reset_index(names=taken)
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    # What is missing among texts may be None or NaN, and a NaN among them would be taken for a number.
    plain = {
        name: column if column.dtype.kind in "fiubmM" else column.astype(object).where(column.notna(), None)
        for name, column in frame.items()
    }
    rows = zip(*plain.values(), strict=True)
    typed_csv.write(folder, list(frame.columns), rows, dtypes=dtypes, index=index)


def _is_numbered(index: Any) -> bool:
    return bool(type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1 and index.name is None)


def _compare(frame: Any, back: Any) -> None:
    """Raise TableNotKept for the first column that did not come back as it was."""
    pairs = [(name, frame[name], back[name]) for name in frame.columns]
    pairs.append(("index", frame.index.to_frame(index=False), back.index.to_frame(index=False)))
    for name, before, after in pairs:
        if not _is_same(before, after):
            raise TableNotKept(
                column=name,
                reason=f"it does not come back as it was ({getattr(before, 'dtype', 'the index')})",
                remedy="give it a plain type"
                if importlib.util.find_spec("pyarrow")
                else f"{sys.executable} -m pip install pyarrow, or give it a plain type",
            )


def _is_same(before: Any, after: Any) -> bool:
    """Whether cells have the same types, the same ones are missing, and the others are equal."""
    if not bool((before.dtypes == after.dtypes) if before.ndim == 1 else (before.dtypes == after.dtypes).all()):
        return False
    missing = before.isna()
    equal = (before == after).to_numpy(dtype=bool, na_value=False)
    return bool(missing.equals(after.isna()) and (equal | missing.to_numpy()).all())
