"""Captured exchanges as Parquet: `dt=2026-03-03/hh=12/SEGMENT.parquet` below an endpoint's folder, by time received.

A segment becomes a file for each hour that it holds requests of, called as the segment is: made again after a crash it
is the same files once more, and never other ones beside them. Any reader of Parquet can take the folder as one table.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from modelwright.errors import ModuleNotInstalled
from modelwright.records import Exchange
from modelwright.serving.capture.journal import flush_folder

FORMAT_VERSION = 2
SUFFIX = ".parquet"
_ROWS_AT_ONCE = 8192
_HOUR = timedelta(hours=1)
_MICROSECONDS = 1_000_000


def pyarrow() -> Any:
    """Return the module `pyarrow`, with `pyarrow.parquet` in it. Raises ModuleNotInstalled."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotInstalled(
            module="pyarrow", python=sys.executable, distribution="'modelwright[capture]'"
        ) from error
    return pyarrow


def write(folder: Path, segment_id: str, exchanges: Iterable[Exchange]) -> tuple[tuple[str, ...], int]:
    """Write the exchanges of a segment; return the files below `folder` and how many rows they have together.

    When this returns the disk has them. Nothing is left of what was not finished.
    """
    parts = _Parts(folder, segment_id)
    rows = 0
    try:
        for each in exchanges:
            parts.add(each)
            rows += 1
        return parts.finish(), rows
    finally:
        parts.clear()


class _Parts:
    """The files that are being made of a segment, by hour."""

    def __init__(self, folder: Path, segment_id: str) -> None:
        self._folder = folder
        self._segment_id = segment_id
        self._rows: dict[str, list[Exchange]] = {}
        self._writers: dict[str, Any] = {}

    def add(self, exchange: Exchange) -> None:
        hour = f"{datetime.fromtimestamp(exchange.received_at, UTC):dt=%Y-%m-%d/hh=%H}"
        rows = self._rows.setdefault(hour, [])
        rows.append(exchange)
        if len(rows) >= _ROWS_AT_ONCE:
            self._write(hour)

    def finish(self) -> tuple[str, ...]:
        """Give the files their names, once the disk has all that is in them."""
        for hour in self._rows:
            self._write(hour)
        made = []
        for hour, writer in sorted(self._writers.items()):
            writer.close()
            begun, place = self._begun(hour), self._folder / hour / f"{self._segment_id}{SUFFIX}"
            with begun.open("rb") as file:
                os.fsync(file.fileno())
            begun.replace(place)
            for folder in (place.parent, place.parent.parent, self._folder):
                flush_folder(folder)
            made.append(f"{hour}/{place.name}")
        return tuple(made)

    def clear(self) -> None:
        for hour, writer in self._writers.items():
            with contextlib.suppress(OSError):
                writer.close()
            self._begun(hour).unlink(missing_ok=True)

    def _begun(self, hour: str) -> Path:
        # Readers of folders pass over what begins with a dot.
        return self._folder / hour / f".{self._segment_id}.begun"

    def _write(self, hour: str) -> None:
        arrow = pyarrow()
        rows = self._rows[hour]
        if not rows:
            return
        if hour not in self._writers:
            self._begun(hour).parent.mkdir(parents=True, exist_ok=True)
            self._begun(hour).touch(mode=0o600)  # what is asked is nobody else's business
            self._writers[hour] = arrow.parquet.ParquetWriter(
                self._begun(hour), _schema(arrow), compression="zstd", use_dictionary=_REPEATED
            )
        self._writers[hour].write_batch(_batch(arrow, rows))
        self._rows[hour] = []


_REPEATED = ["version", "deployment", "path", "output_type", "shadow_of", "headers.key_value.value"]


def _schema(arrow: Any) -> Any:
    text, body = arrow.string(), arrow.binary()
    return arrow.schema(
        [
            ("request_id", text),
            ("received_at", arrow.timestamp("us", tz="UTC")),
            ("version", text),
            ("deployment", text),
            ("path", text),
            ("status", arrow.int16()),
            ("duration_ms", arrow.float64()),
            ("headers", arrow.map_(text, text)),
            ("input", body),
            ("output", body),
            ("output_type", text),
            ("shadow_of", text),
        ],
        metadata={"modelwright.capture": str(FORMAT_VERSION)},
    )


def _batch(arrow: Any, rows: list[Exchange]) -> Any:
    schema = _schema(arrow)
    columns = {
        name: [getattr(each, name) for each in rows] for name in schema.names if name not in {"received_at", "headers"}
    }
    columns["received_at"] = [round(each.received_at * _MICROSECONDS) for each in rows]
    columns["headers"] = [list(each.headers.items()) for each in rows]
    return arrow.record_batch([arrow.array(columns[each.name], type=each.type) for each in schema], schema=schema)


def files(folder: Path, *, since: datetime | None = None, until: datetime | None = None) -> list[Path]:
    """Return the files whose hours lie in a time, in the order of their hours and segments."""
    found: list[Path] = []
    for day, place in days(folder).items():
        # Only what may hold the time is looked into: there may be a file for every minute of years.
        if (since is None or day >= since.astimezone(UTC).date()) and (
            until is None or day <= until.astimezone(UTC).date()
        ):
            for each in place.glob("hh=*"):
                hour = _hour_of(each)
                if hour and (since is None or hour + _HOUR > since) and (until is None or hour <= until):
                    found += (path for path in each.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    return sorted(found)


def of_segment(path: Path) -> list[Path]:
    """Return the files that were made of a segment, which may be gone."""
    return sorted(path.parent.glob(f"dt=*/hh=*/{path.stem}{SUFFIX}"))


def hour_of(path: Path) -> datetime | None:
    """Return the hour of a file by its place; None for a folder that is none of ours."""
    return _hour_of(path.parent)


def _hour_of(folder: Path) -> datetime | None:
    try:
        return datetime.strptime(f"{folder.parent.name} {folder.name} +0000", "dt=%Y-%m-%d hh=%H %z")
    except ValueError:
        return None


def days(folder: Path) -> dict[date, Path]:
    """Return the folders of the days that an endpoint has partitions of."""
    found = {}
    for path in folder.glob("dt=*"):
        with contextlib.suppress(ValueError):
            found[date.fromisoformat(path.name.removeprefix("dt="))] = path
    return dict(sorted(found.items()))


def read(path: Path, *, request_id: str | None = None) -> Iterator[Exchange]:
    """Give the exchanges of a file, or those with this id."""
    with pyarrow().parquet.ParquetFile(path) as file:
        if request_id is None:
            yield from _exchanges(file.iter_batches(batch_size=_ROWS_AT_ONCE))
            return
        for number in range(file.num_row_groups):
            # Ids that carry their time lie close together, so that nearly every file is known by its first and last.
            ids = file.metadata.row_group(number).column(0).statistics
            if ids is None or not ids.has_min_max or ids.min <= request_id <= ids.max:
                group = file.read_row_group(number)
                places = [place for place, each in enumerate(group.column(0).to_pylist()) if each == request_id]
                yield from _exchanges(group.take(places).to_batches() if places else ())


def _exchanges(batches: Iterable[Any]) -> Iterator[Exchange]:
    for batch in batches:
        columns = batch.to_pydict()
        received = columns.pop("received_at")
        headers = columns.pop("headers")
        names = list(columns)
        for at, told, row in zip(received, headers, zip(*columns.values(), strict=True), strict=True):
            yield Exchange(received_at=at.timestamp(), headers=dict(told), **dict(zip(names, row, strict=True)))
