"""What was asked and what was answered, one line of JSON per request.

A file is `<folder>/<YYYY-MM-DD>-<pid>.jsonl`: a header line that names format and version, then a record per line. A
record is appended with one write(2) before its answer is sent, so kill -9 loses nothing that was answered.

Records are appended as requests are answered, so a file is in the order of its answers: what was received when, plus
how long it took.
"""

import base64
import json
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from modelwright.errors import CaptureDamaged, CaptureNotWritten
from modelwright.records import CaptureRecord, moment_of

_FORMAT = {"format": "modelwright-capture", "version": 1}
# The clock may be set while requests are answered; a request is looked for this long before and after its id's time.
_SLACK = timedelta(seconds=2)


class Writer:
    """Appends records to this process's capture file of the day."""

    def __init__(self, folder: Path) -> None:
        """Write below `folder`, which is made when the first record comes."""
        self._folder = folder
        self._descriptor: int | None = None
        self._day = ""
        self._size = 0

    def append(self, record: CaptureRecord) -> None:
        """Write one record. Raises CaptureNotWritten, and then nothing of it is left in the file."""
        day = f"{record.received_at:%Y-%m-%d}"
        try:
            if self._descriptor is None or day != self._day:
                self._open(day)
            self._write(_line(record))
        except OSError as error:
            self.close()
            raise CaptureNotWritten(folder=self._folder, reason=error.strerror or error) from error

    def close(self) -> None:
        """Close the file; the next record opens another."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self, day: str) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        stem, attempt = f"{day}-{os.getpid()}", 1
        while True:
            # An earlier process with our id may have left a file, even one with a torn end: never append to it.
            name = f"{stem}.jsonl" if attempt == 1 else f"{stem}.{attempt}.jsonl"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                self._descriptor = os.open(self._folder / name, flags, 0o600)
                break
            except FileExistsError:
                attempt += 1
        self._day, self._size = day, 0
        self._write(_encode(_FORMAT))

    def _write(self, line: bytes) -> None:
        descriptor = self._descriptor
        assert descriptor is not None  # noqa: S101 - append() has opened it
        written = 0
        try:
            written = os.write(descriptor, line)
        finally:
            if written < len(line):
                # A part of a line in the middle of a file would spoil it for the reader.
                os.ftruncate(descriptor, self._size)
        if written < len(line):
            raise OSError(None, "the disk took only a part of the record")
        self._size += written


def read(folder: Path) -> Iterator[CaptureRecord]:
    """Yield every record below `folder`, file by file in the order of their names.

    A last line without its newline is the trace of a process that died while writing: that request was never answered,
    and the line is passed over. Anything else that is not a record raises CaptureDamaged.
    """
    for file in sorted(folder.glob("*.jsonl"), key=_order):
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                if number == 1:
                    _check_header(file, line)
                else:
                    yield _parse(file, number, line)


@dataclass(frozen=True)
class Found:
    """A captured request: the endpoint that answered it, the file that its record is in, the record."""

    endpoint: str
    file: Path
    record: CaptureRecord


def find(
    folder: Path,
    request_id: str,
    *,
    longest_seconds: float,
    on_file: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Found]:
    """Return the captured requests of all endpoints below `folder` with this id, oldest first.

    An id of ours carries its time, so that its record is among those that were answered between then and
    `longest_seconds` later, which are found by halving files. Only for other ids, and when nothing is there, every
    file is read, and `on_file` told how many bytes of how many were. A client may give one id to many requests.
    Raises CaptureDamaged where what is looked at is no record.
    """
    needle = b'\n{"request_id":' + json.dumps(request_id).encode() + b","
    moment = moment_of(request_id)
    if moment is not None:
        until = moment + timedelta(seconds=longest_seconds)
        days = {f"{each:%Y-%m-%d}" for each in (moment - _SLACK, moment + _SLACK)}
        files = [file for day in sorted(days) for file in folder.glob(f"*/{day}-*.jsonl")]
        found = [one for file in files for one in _search(file, needle, since=moment - _SLACK, until=until + _SLACK)]
        if found:
            return sorted(found, key=lambda each: each.record.received_at)
    sizes = {file: file.stat().st_size for file in sorted(folder.glob("*/*.jsonl"))}
    found, done, whole = [], 0, sum(sizes.values())
    for file, size in sizes.items():
        found += _search(file, needle)
        done += size
        on_file(done, whole)
    return sorted(found, key=lambda each: each.record.received_at)


def _search(
    file: Path, needle: bytes, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Found]:
    """Give the records of a file that begin with `needle`, of those that were answered in a time or of all."""
    with file.open("rb") as opened:
        header = opened.readline()
        if not header.endswith(b"\n"):
            return
        _check_header(file, header)
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            first = len(header) - 1  # the newline before the first record
            start = _place(file, lines, first, since) if since else first
            end = _place(file, lines, first, until) if until else len(lines)
            while (start := lines.find(needle, start, end)) != -1:
                if lines.find(b"\n", start + 1) == -1:  # its process died while it wrote it
                    return
                yield Found(file.parent.name, file, _record_after(file, lines, start))
                start += 1


def _place(file: Path, lines: mmap.mmap, first: int, moment: datetime) -> int:
    """Return the newline before the first record that was answered at `moment` or later, else the last newline."""
    low, high = first, lines.rfind(b"\n")
    while low < high:
        middle = lines.rfind(b"\n", low, (low + high) // 2 + 1)
        record = _record_after(file, lines, middle)
        if record.received_at + timedelta(milliseconds=record.duration_ms) < moment:
            low = lines.find(b"\n", middle + 1)
        else:
            high = middle
    return low


def _record_after(file: Path, lines: mmap.mmap, newline: int) -> CaptureRecord:
    """Return the record of the line that follows a newline."""
    line = lines[newline + 1 : lines.find(b"\n", newline + 1)]
    try:
        return _parse(file, 0, line)
    except CaptureDamaged:
        return _parse(file, lines[: newline + 1].count(b"\n") + 1, line)


def _order(file: Path) -> tuple[str, int, str]:
    """Return what sorts `x`, `x.2` and `x.10` as they were written."""
    stem, _, attempt = file.stem.partition(".")
    return stem, len(attempt), attempt


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _line(record: CaptureRecord) -> bytes:
    return _encode(
        {
            "request_id": record.request_id,
            "received_at": record.received_at.isoformat(),
            "version": record.version,
            "status": record.status,
            "duration_ms": round(record.duration_ms, 3),
            "input": record.input,
            "is_base64": record.is_base64,
            "output": record.output,
        }
    )


def _check_header(file: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
    except ValueError as error:
        raise CaptureDamaged(file=file, line=1, reason="its header is not JSON") from error
    if header != _FORMAT:
        raise CaptureDamaged(file=file, line=1, reason=f"its header is not {json.dumps(_FORMAT)}")


def _parse(file: Path, number: int, line: bytes) -> CaptureRecord:
    try:
        fields = json.loads(line)
        received_at = datetime.fromisoformat(fields.pop("received_at"))
        return CaptureRecord(received_at=received_at, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CaptureDamaged(file=file, line=number, reason="it is not a record") from error


def body_as_text(body: bytes) -> tuple[str, bool]:
    """Return a request's body as text, and whether that is base64 because the body is not UTF-8."""
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True
