"""Reads what was captured, in whatever form it lies: JSON lines of old, segments, Parquet.

A segment may become Parquet while it is looked for. So the segments are listed first, their Parquet is passed over, and
only that of a segment which is gone when it is to be opened is read in its place: nothing is missed or read twice.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelwright.records import Captured, CaptureRecord, Exchange, moment_of
from modelwright.serving.capture import lines, partitions, segments
from modelwright.serving.capture.encoding import decoded, exchange_of, has_id, record_of

# The clock may be set while requests are answered; a request is looked for this long before and after its id's time.
_SLACK = timedelta(seconds=2)


def read(folder: Path, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[CaptureRecord]:
    """Give the records of an endpoint's folder that were received in a time, from `since` until before `until`.

    They come file by file, roughly in the order of their times. Raises CaptureDamaged, ModuleNotInstalled.
    """
    for each in exchanges(folder, since=since, until=until):
        yield record_of(each)


def exchanges(folder: Path, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[Exchange]:
    """Give the same as exchanges, whose bodies are bytes."""
    begin = since.timestamp() if since else float("-inf")
    end = until.timestamp() if until else float("inf")
    for each in _all(folder, since=since, until=until):
        if begin <= each.received_at < end:
            yield each


def newest(folder: Path, *, limit: int, is_wanted: Callable[[Exchange], bool]) -> list[CaptureRecord]:
    """Return the newest records of an endpoint's folder that are wanted, oldest first, reading no more than needed."""
    found: list[tuple[float, int, Exchange]] = []
    count = 0
    for hour, given in _backwards(folder):
        if len(found) == limit and hour is not None and hour.timestamp() < found[0][0]:
            break
        for each in given:
            if is_wanted(each):
                count += 1
                (heapq.heappush if len(found) < limit else heapq.heappushpop)(found, (each.received_at, count, each))
    return [record_of(each) for _, _, each in sorted(found, key=lambda one: one[:2])]


def _backwards(folder: Path) -> Iterator[tuple[datetime | None, Iterable[Exchange]]]:
    """Give what there is, the newest first as far as that is known, each with the end of its hour."""
    ended = sorted(folder.glob(f"*{segments.SUFFIX}"))
    names = {each.stem for each in ended}
    for path in reversed(ended):
        yield None, _of_segment(path)
    for file in reversed(partitions.files(folder)):
        if file.stem not in names:
            hour = partitions.hour_of(file)
            yield (hour + timedelta(hours=1) if hour else None), partitions.read(file)
    for file in reversed(lines.files(folder)):
        yield None, map(exchange_of, lines.read(file))


def _of_segment(path: Path) -> Iterator[Exchange]:
    """Give what is in a segment, which may have become Parquet meanwhile."""
    content = _content(path)
    if content is not None:
        yield from map(decoded, segments.Scan(content).records())
    else:
        for file in partitions.of_segment(path):
            yield from partitions.read(file)


def _all(folder: Path, *, since: datetime | None, until: datetime | None) -> Iterator[Exchange]:
    ended = sorted(folder.glob(f"*{segments.SUFFIX}"))
    names = {each.stem for each in ended}
    for file in lines.files(folder):
        yield from map(exchange_of, lines.read(file))
    for file in partitions.files(folder, since=since, until=until):
        if file.stem not in names:
            yield from partitions.read(file)
    for path in ended:
        yield from _of_segment(path)


def _content(path: Path) -> bytes | None:
    """Return what is in a segment now; None when it became Parquet meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def find(
    folder: Path,
    request_id: str,
    *,
    longest_seconds: float,
    on_file: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Captured]:
    """Return the captured requests of all endpoints below `folder` with this id, oldest first.

    An id of ours carries its time, so that its record is among those that were answered between then and
    `longest_seconds` later. Only for other ids, and when nothing is there, every file is read, and `on_file` told how
    many bytes of how many were. A client may give one id to many requests. Raises CaptureDamaged, ModuleNotInstalled.
    """
    moment = moment_of(request_id)
    places = sorted(each for each in folder.glob("*/") if each.is_dir())
    found: dict[tuple[object, ...], Captured] = {}
    if moment is not None:
        window = (moment - _SLACK, moment + timedelta(seconds=longest_seconds) + _SLACK)
        for place in places:
            for path in _files(place, window):
                _add(found, path, place.name, request_id, window)
    if not found:
        paths = {path: place.name for place in places for path in _files(place, None)}
        sizes = {path: path.stat().st_size for path in paths if path.exists()}
        done, whole = 0, sum(sizes.values())
        for path, endpoint in paths.items():
            _add(found, path, endpoint, request_id, None)
            done += sizes.get(path, 0)
            on_file(done, whole)
    return sorted(found.values(), key=lambda each: each.record.received_at)


_Window = tuple[datetime, datetime]


def _files(folder: Path, window: _Window | None) -> list[Path]:
    """Return the files of an endpoint that may hold a request that was received and answered in a time.

    Segments come first, and those that become Parquet meanwhile are in both forms.
    """
    if window is None:
        return [*sorted(folder.glob(f"*{segments.SUFFIX}")), *lines.files(folder), *partitions.files(folder)]
    since, until = window
    days = {f"{each:%Y-%m-%d}" for each in (since, since + 2 * _SLACK)}
    return [
        *(each for each in sorted(folder.glob(f"*{segments.SUFFIX}")) if _was_open(each, since, until)),
        *lines.files(folder, days=days),
        *partitions.files(folder, since=since, until=since + 2 * _SLACK),
    ]


def _was_open(path: Path, since: datetime, until: datetime) -> bool:
    """Whether a segment may have been written to in a time: by its name, which tells its begin, and its last change."""
    begun = moment_of(path.stem)
    try:
        ended = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return True
    return (begun is None or begun <= until) and ended >= since


def _add(
    found: dict[tuple[object, ...], Captured],
    path: Path,
    endpoint: str,
    request_id: str,
    window: _Window | None,
) -> None:
    """Add the records of a request that a file has, unless they were found in the segment that it was made of."""
    for each in _search(path, request_id, window):
        # A segment and the Parquet of it are called the same.
        key = (endpoint, path.stem, each.received_at, each.deployment, each.input, each.output)
        found.setdefault(key, Captured(endpoint, str(path), each))


def _search(path: Path, request_id: str, window: _Window | None) -> Iterator[CaptureRecord]:
    if path.suffix == partitions.SUFFIX:
        yield from map(record_of, partitions.read(path, request_id=request_id))
    elif path.suffix == segments.SUFFIX:
        content, name = _content(path), request_id.encode("utf-8", "replace")
        if content is None:
            for file in partitions.of_segment(path):
                yield from map(record_of, partitions.read(file, request_id=request_id))
        elif name in content:
            for record in segments.Scan(content).records():
                if has_id(record, name):
                    yield record_of(decoded(record))
    else:
        since, until = window or (None, None)
        yield from lines.search(path, request_id, since=since, until=until)
