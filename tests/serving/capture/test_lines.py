"""What releases of old captured, as lines of JSON, is read and found as ever."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelwright.errors import CaptureDamaged
from modelwright.records import Captured, CaptureRecord, new_request_id
from modelwright.serving.capture import lines, reading

FIELDS = ("request_id", "received_at", "version", "status", "duration_ms", "input", "is_base64", "output")


def record(number: int, *, day: int = 1, text: str = "[1]") -> CaptureRecord:
    return CaptureRecord(
        request_id=str(number),
        received_at=datetime(2026, 1, day, 12, tzinfo=UTC),
        version="diabetes:1",
        status=200,
        duration_ms=1.5,
        input=text,
        is_base64=False,
        output='{"result": [1.0]}',
    )


def write(folder: Path, *records: CaptureRecord) -> Path:
    """Write a file for each day as releases of old did; return the last."""
    folder.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"format": "modelwright-capture", "version": 1}, separators=(",", ":"))
    days: dict[str, list[str]] = {}
    for each in records:
        told = asdict(each) | {"received_at": each.received_at.isoformat()}
        line = json.dumps({name: told[name] for name in FIELDS}, separators=(",", ":"))
        days.setdefault(f"{each.received_at:%Y-%m-%d}", [head]).append(line)
    for day, rows in days.items():
        path = folder / f"{day}-1.jsonl"
        path.write_text("\n".join(rows) + "\n")
    return path


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [record(1), record(2, text='\n"é\u2028'), record(3, day=2)]
    write(tmp_path, *written)
    assert list(reading.read(tmp_path)) == written


def test_every_truncation_gives_exactly_the_whole_records_before_it(tmp_path: Path) -> None:
    file = write(tmp_path, record(1), record(2))
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        expected = max(0, whole[:length].count(b"\n") - 1)
        assert len(list(lines.read(file))) == expected


def test_a_zero_filled_end_is_a_torn_line(tmp_path: Path) -> None:
    file = write(tmp_path, record(1))
    file.write_bytes(file.read_bytes() + b"\0" * 512)
    assert [each.request_id for each in lines.read(file)] == ["1"]


@pytest.mark.parametrize(
    ("line", "content"),
    [
        (1, b'{"format":"modelwright-capture","version":2}\n'),
        (1, b"not json\n"),
        (3, b"not json\n"),
        (3, b"[1]\n"),
        (3, b'{"request_id":"1"}\n'),
        (4, b"\n"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: int, content: bytes) -> None:
    file = write(tmp_path, record(1), record(2), record(3))
    rows = file.read_bytes().splitlines(keepends=True)
    rows[line - 1] = content
    file.write_bytes(b"".join(rows))
    with pytest.raises(CaptureDamaged, match=f"line {line}") as caught:
        list(lines.read(file))
    assert caught.value.facts["file"] == file


BEGUN = datetime(2026, 3, 3, 23, 0, tzinfo=UTC)


def timed(seconds: float, *, took_ms: float = 1.0, request_id: str | None = None) -> CaptureRecord:
    """Return a record of a request that came so many seconds after BEGUN."""
    at = BEGUN + timedelta(seconds=seconds)
    own = new_request_id(milliseconds=int(at.timestamp() * 1000))
    made = record(0)
    return replace(made, request_id=request_id or own, received_at=at, duration_ms=took_ms)


def hurried(folder: Path, request_id: str) -> list[Captured]:
    """Find a request; fail when files had to be read whole for it."""

    def told(_done: int, _all: int) -> None:
        pytest.fail("every file was read")

    return reading.find(folder, request_id, longest_seconds=60, on_file=told)


def test_every_request_is_found_by_the_time_in_its_id(tmp_path: Path) -> None:
    """Over midnight, some slow, so that they were answered after those that came later, at two endpoints."""
    records = [timed(each * 40, took_ms=50_000 if each % 7 == 0 else 1) for each in range(200)]
    answered = sorted(records, key=lambda each: each.received_at + timedelta(milliseconds=each.duration_ms))
    for endpoint in ("churn", "sales"):
        mine = [each for each in answered if (each in records[::2]) == (endpoint == "churn")]
        write(tmp_path / endpoint, *mine)
    assert len(list(tmp_path.glob("*/*.jsonl"))) == 4
    for number, each in enumerate(records):
        (found,) = hurried(tmp_path, each.request_id)
        assert (found.record, found.endpoint) == (each, "sales" if number % 2 else "churn")


def test_an_id_of_the_clients_own_is_found_by_reading_everything_which_is_told(tmp_path: Path) -> None:
    write(tmp_path / "churn", timed(0), timed(1, request_id='or"der é'), timed(2, request_id="order"))
    write(tmp_path / "sales", timed(3, request_id="order"))
    told: list[tuple[int, int]] = []
    found = reading.find(tmp_path, "order", longest_seconds=60, on_file=lambda *each: told.append(each))
    assert [each.endpoint for each in found] == ["churn", "sales"]
    assert told[-1][0] == told[-1][1] > 0
    assert len(reading.find(tmp_path, 'or"der é', longest_seconds=60)) == 1
    assert reading.find(tmp_path, "ord", longest_seconds=60) == []


def test_an_id_that_tells_another_time_is_found_all_the_same(tmp_path: Path) -> None:
    stale = new_request_id(milliseconds=1)
    write(tmp_path / "churn", *(timed(each) for each in range(5)), timed(6, request_id=stale))
    assert len(reading.find(tmp_path, stale, longest_seconds=60)) == 1


def test_what_a_request_asks_is_not_taken_for_an_id(tmp_path: Path) -> None:
    text = '\n{"request_id":"order",'
    write(tmp_path / "churn", replace(timed(0), input=text))
    assert reading.find(tmp_path, "order", longest_seconds=60) == []


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, size: int) -> None:
    records = [timed(each) for each in range(size)]
    file = write(tmp_path / "churn", *records)
    file.write_bytes(file.read_bytes()[:-5])
    for each in records[:-1]:
        assert hurried(tmp_path, each.request_id)
    assert reading.find(tmp_path, records[-1].request_id, longest_seconds=60) == []


def test_a_damaged_line_on_the_way_is_named(tmp_path: Path) -> None:
    records = [timed(each) for each in range(9)]
    file = write(tmp_path / "churn", *records)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[5] = b"not json\n"
    file.write_bytes(b"".join(lines))
    with pytest.raises(CaptureDamaged, match="line 6"):
        reading.find(tmp_path, records[8].request_id, longest_seconds=60)
    file.write_bytes(b"no header\n")
    with pytest.raises(CaptureDamaged, match="line 1"):
        reading.find(tmp_path, records[8].request_id, longest_seconds=60)
