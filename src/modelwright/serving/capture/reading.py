"""Reads what was captured, in whatever form it lies: JSON lines of old, segments, Parquet.

A segment may become Parquet while it is looked for, and part of its hour's file. So the segments are listed first, what
came of them is passed over, and read only for a segment that is gone when it is to be opened: nothing is missed or read
twice.
"""

import heapq
from collections.abc import Callable, Container, Iterable, Iterator
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
    for hour in reversed(partitions.hours(folder)):
        begin = partitions.hour_of(hour)
        yield (begin + partitions.HOUR if begin else None), _of_hour(hour, names)
    for file in reversed(lines.files(folder)):
        yield None, map(exchange_of, lines.read(file))


def _of_segment(path: Path) -> Iterator[Exchange]:
    """Give what is in a segment, which may have become Parquet meanwhile."""
    content = _content(path)
    if content is not None:
        yield from map(decoded, segments.Scan(content).records())
    else:
        for each in _become_parquet(path):
            yield each.exchange


def _become_parquet(path: Path, request_id: str | None = None) -> Iterator[partitions.Placed]:
    """Give what a segment held that is gone: all of it, or a request."""
    for hour in partitions.hours(path.parent):
        yield from partitions.of_hour(hour, is_wanted=path.stem.__eq__, request_id=request_id)


def _of_hour(hour: Path, names: Container[str]) -> Iterator[Exchange]:
    """Give what there is of an hour but for the segments of these names, which are read themselves."""
    for each in partitions.of_hour(hour, is_wanted=lambda segment: segment not in names):
        yield each.exchange


def _all(folder: Path, *, since: datetime | None, until: datetime | None) -> Iterator[Exchange]:
    ended = sorted(folder.glob(f"*{segments.SUFFIX}"))
    names = {each.stem for each in ended}
    for file in lines.files(folder):
        yield from map(exchange_of, lines.read(file))
    for hour in partitions.hours(folder, since=since, until=until):
        yield from _of_hour(hour, names)
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
        sizes = {path: _size(path) for path in paths}
        done, whole = 0, sum(sizes.values())
        for path, endpoint in paths.items():
            _add(found, path, endpoint, request_id, None)
            done += sizes.get(path, 0)
            on_file(done, whole)
    return sorted(found.values(), key=lambda each: each.record.received_at)


_Window = tuple[datetime, datetime]


def _files(folder: Path, window: _Window | None) -> list[Path]:
    """Return the files, and folders of hours, that may hold a request that was received and answered in a time.

    Segments come first, and those that become Parquet meanwhile are in both forms.
    """
    if window is None:
        return [*sorted(folder.glob(f"*{segments.SUFFIX}")), *lines.files(folder), *partitions.hours(folder)]
    since, until = window
    days = {f"{each:%Y-%m-%d}" for each in (since, since + 2 * _SLACK)}
    return [
        *(each for each in sorted(folder.glob(f"*{segments.SUFFIX}")) if _was_open(each, since, until)),
        *lines.files(folder, days=days),
        *partitions.hours(folder, since=since, until=since + 2 * _SLACK),
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
    for segment, file, each in _search(path, request_id, window):
        key = (endpoint, segment, each.received_at, each.deployment, each.input, each.output)
        found.setdefault(key, Captured(endpoint, str(file), each))


def _search(path: Path, request_id: str, window: _Window | None) -> Iterator[tuple[str, Path, CaptureRecord]]:
    """Give the records of a request, each with its segment and where it is now."""
    if path.suffix == segments.SUFFIX:
        content, name = _content(path), request_id.encode("utf-8", "replace")
        if content is None:
            yield from map(_found, _become_parquet(path, request_id))
        elif name in content:
            for record in segments.Scan(content).records():
                if has_id(record, name):
                    yield path.stem, path, record_of(decoded(record))
    elif path.suffix == lines.SUFFIX:
        since, until = window or (None, None)
        for told in lines.search(path, request_id, since=since, until=until):
            yield path.stem, path, told
    else:
        yield from map(_found, partitions.of_hour(path, request_id=request_id))


def _found(placed: partitions.Placed) -> tuple[str, Path, CaptureRecord]:
    return placed.segment, placed.file, record_of(placed.exchange)


def _size(path: Path) -> int:
    """Return how many bytes a file has, or the files of an hour; 0 when it is gone."""
    try:
        return sum(each.stat().st_size for each in (partitions.files(path) if path.is_dir() else [path]))
    except FileNotFoundError:
        return 0
