"""What was captured before there were segments, a line of JSON per request: read as ever, written no more.

A file is `<folder>/<YYYY-MM-DD>-<pid>.jsonl`: a header line that names format and version, then a record per line, in
the order of the answers: what was received when, plus how long it took.
"""

import json
import mmap
from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from modelwright.errors import CaptureDamaged
from modelwright.records import CaptureRecord

_FORMAT = {"format": "modelwright-capture", "version": 1}
SUFFIX = ".jsonl"
DAY_LENGTH = len("2026-03-03")


def read(file: Path) -> Iterator[CaptureRecord]:
    """Yield every record of a file.

    A last line without its newline is the trace of a process that died while writing: that request was never answered,
    and the line is passed over. Anything else that is not a record raises CaptureDamaged.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                break
            if number == 1:
                _check_header(file, line)
            else:
                yield _parse(file, number, line)


def files(folder: Path, *, days: Container[str] | None = None) -> list[Path]:
    """Return an endpoint's files in the order in which they were begun; those of some days, or all."""
    found = sorted(folder.glob(f"*{SUFFIX}"), key=_order)
    return [each for each in found if days is None or each.name[:DAY_LENGTH] in days]


def search(
    file: Path, request_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[CaptureRecord]:
    """Give a file's records of a request, of those that were answered in a time or of all.

    Raises CaptureDamaged where what is looked at is no record.
    """
    needle = b'\n{"request_id":' + json.dumps(request_id).encode() + b","
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
                yield _record_after(file, lines, start)
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


def _check_header(file: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
    except ValueError as error:
        raise CaptureDamaged(file=file, place=" in line 1", reason="its header is not JSON") from error
    if header != _FORMAT:
        raise CaptureDamaged(file=file, place=" in line 1", reason=f"its header is not {json.dumps(_FORMAT)}")


def _parse(file: Path, number: int, line: bytes) -> CaptureRecord:
    try:
        fields = json.loads(line)
        received_at = datetime.fromisoformat(fields.pop("received_at"))
        return CaptureRecord(received_at=received_at, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CaptureDamaged(file=file, place=f" in line {number}", reason="it is not a record") from error
