"""Captured exchanges as Parquet: `dt=2026-03-03/hh=12/SEGMENT.parquet` below an endpoint's folder, by time received.

A segment becomes a file for each hour that it holds requests of, called as the segment is: made again after a crash it
is the same files once more, and never other ones beside them. Files of an hour that is over become one (`merging`),
which says the segments that its rows came of. Any reader of Parquet can take the folder as one table.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from modelwright.errors import CaptureDamaged, ModuleNotInstalled
from modelwright.records import Exchange
from modelwright.serving.capture.journal import flush_folder

FORMAT_VERSION = 2
SUFFIX = ".parquet"
# In what a file of an hour says of itself: the segments that it was made of, in the order of their rows, and how many.
SPANS = b"modelwright.segments"
# How often the files of an hour are looked for again because one became part of another.
_TRIES = 5
_ROWS_AT_ONCE = 8192
HOUR = timedelta(hours=1)
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
                self._begun(hour), schema(arrow), compression="zstd", use_dictionary=REPEATED
            )
        self._writers[hour].write_batch(_batch(arrow, rows))
        self._rows[hour] = []


REPEATED = ["version", "deployment", "path", "output_type", "shadow_of", "headers.key_value.value"]


def schema(arrow: Any) -> Any:
    """Return the columns of a file, and what it says of itself."""
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
    fields = schema(arrow)
    columns = {
        name: [getattr(each, name) for each in rows] for name in fields.names if name not in {"received_at", "headers"}
    }
    columns["received_at"] = [round(each.received_at * _MICROSECONDS) for each in rows]
    columns["headers"] = [list(each.headers.items()) for each in rows]
    return arrow.record_batch([arrow.array(columns[each.name], type=each.type) for each in fields], schema=fields)


def hours(folder: Path, *, since: datetime | None = None, until: datetime | None = None) -> list[Path]:
    """Return the folders of the hours that lie in a time, in their order."""
    found: list[Path] = []
    for day, place in days(folder).items():
        if (since is None or day >= since.astimezone(UTC).date()) and (
            until is None or day <= until.astimezone(UTC).date()
        ):
            for each in place.glob("hh=*"):
                hour = hour_of(each)
                if hour and (since is None or hour + HOUR > since) and (until is None or hour <= until):
                    found.append(each)
    return sorted(found)


def hour_of(folder: Path) -> datetime | None:
    """Return when the hour of a folder begins; None for a folder that is none of ours."""
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


@dataclass(frozen=True)
class Span:
    """The rows of a file that came of a segment: from `start` until before `end`."""

    segment: str
    start: int
    end: int


class Placed(NamedTuple):
    """An exchange, the segment that it was written to, and the file that it is in now."""

    exchange: Exchange
    segment: str
    file: Path


def files(hour: Path) -> list[Path]:
    """Return the files of an hour's folder, those included that are about to take the place of others."""
    return sorted(hour.glob(f"*{SUFFIX}"))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file of Parquet. Raises FileNotFoundError and CaptureDamaged."""
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(path)
    except arrow.ArrowInvalid as error:
        raise CaptureDamaged(file=path, place="", reason=str(error)) from error
    with file:
        yield file


def spans(file: Any, path: Path) -> list[Span]:
    """Return which rows of an open file came of which segment."""
    told = (file.schema_arrow.metadata or {}).get(SPANS)
    counts = json.loads(told) if told else [[path.stem, file.metadata.num_rows]]
    ends = list(accumulate(count for _, count in counts))
    return [Span(name, end - count, end) for (name, count), end in zip(counts, ends, strict=True)]


def of_hour(
    hour: Path, *, is_wanted: Callable[[str], bool] = lambda _segment: True, request_id: str | None = None
) -> Iterator[Placed]:
    """Give the exchanges in an hour's folder of the segments that are wanted, all of them or those of a request.

    Its files may become one meanwhile. What was not read yet is in another file then, and each segment is read once.
    """
    read: set[str] = set()
    for tries_left in reversed(range(_TRIES)):
        try:
            for path in files(hour):
                with opened(path) as file:
                    wanted = [
                        each for each in spans(file, path) if each.segment not in read and is_wanted(each.segment)
                    ]
                    yield from _of_file(file, path, wanted, request_id)
                    read |= {each.segment for each in wanted}
        except FileNotFoundError:
            if not tries_left:
                raise
        else:
            return


def read(path: Path) -> Iterator[Exchange]:
    """Give the exchanges of a file."""
    with opened(path) as file:
        for each in _of_file(file, path, spans(file, path), None):
            yield each.exchange


def _of_file(file: Any, path: Path, wanted: Sequence[Span], request_id: str | None) -> Iterator[Placed]:
    """Give the exchanges in some of a file's rows."""
    begin = 0
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        within = [each for each in wanted if each.start < begin + rows and each.end > begin]
        if within and (request_id is None or _may_have(file, number, request_id)):
            at = begin
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[number]):
                for each in within:
                    start, end = max(each.start - at, 0), min(each.end - at, batch.num_rows)
                    if start < end:
                        part = _narrowed(batch.slice(start, end - start), request_id)
                        yield from (Placed(exchange, each.segment, path) for exchange in _exchanges(part))
                at += batch.num_rows
        begin += rows


def _may_have(file: Any, group: int, request_id: str) -> bool:
    # Ids that carry their time lie close together, so that nearly every file is known by its first and last.
    ids = file.metadata.row_group(group).column(0).statistics
    return ids is None or not ids.has_min_max or ids.min <= request_id <= ids.max


def _narrowed(batch: Any, request_id: str | None) -> Iterable[Any]:
    """Return the rows of a request in a batch, as none or one, or all of it."""
    if request_id is None:
        return (batch,)
    places = [place for place, each in enumerate(batch.column(0).to_pylist()) if each == request_id]
    return (batch.take(pyarrow().array(places)),) if places else ()


def _exchanges(batches: Iterable[Any]) -> Iterator[Exchange]:
    for batch in batches:
        columns = batch.to_pydict()
        received = columns.pop("received_at")
        headers = columns.pop("headers")
        names = list(columns)
        for at, told, row in zip(received, headers, zip(*columns.values(), strict=True), strict=True):
            yield Exchange(received_at=at.timestamp(), headers=dict(told), **dict(zip(names, row, strict=True)))
