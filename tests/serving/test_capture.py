"""Every request is on disk before its answer is sent, and what is on disk can be trusted."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import CaptureDamaged, CaptureNotWritten
from modelwright.records import CaptureRecord, new_request_id
from modelwright.serving.capture import lines

ECHO = """
def init():
    pass

def run(raw_data):
    if raw_data == "raise":
        raise ValueError
    return raw_data
"""


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
    writer = lines.Writer(folder)
    for each in records:
        writer.append(each)
    writer.close()
    return max(folder.glob("*.jsonl"))


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = [record(1), record(2, text='\n"é\u2028'), record(3, day=2)]
    write(tmp_path, *written)
    assert list(lines.read(tmp_path)) == written
    assert len(list(tmp_path.glob("2026-01-0?-*.jsonl"))) == 2


def test_a_file_begins_with_its_format_and_version(tmp_path: Path) -> None:
    first = write(tmp_path, record(1)).read_text().splitlines()[0]
    assert json.loads(first) == {"format": "modelwright-capture", "version": 1}


def test_a_second_writer_of_the_same_process_id_does_not_touch_the_first_file(tmp_path: Path) -> None:
    first = write(tmp_path, record(1))
    before = first.read_bytes()
    write(tmp_path, record(2))
    assert first.read_bytes() == before
    assert sorted(each.request_id for each in lines.read(tmp_path)) == ["1", "2"]


def test_every_truncation_gives_exactly_the_whole_records_before_it(tmp_path: Path) -> None:
    file = write(tmp_path, record(1), record(2))
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        expected = max(0, whole[:length].count(b"\n") - 1)
        assert len(list(lines.read(tmp_path))) == expected


def test_a_zero_filled_end_is_a_torn_line(tmp_path: Path) -> None:
    file = write(tmp_path, record(1))
    file.write_bytes(file.read_bytes() + b"\0" * 512)
    assert [each.request_id for each in lines.read(tmp_path)] == ["1"]


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
        list(lines.read(tmp_path))
    assert caught.value.facts["file"] == file


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "capture").write_text("a file is in the way")
    with pytest.raises(CaptureNotWritten, match="capture"):
        lines.Writer(tmp_path / "capture").append(record(1))


def test_a_full_disk_leaves_no_part_of_a_record(tmp_path: Path) -> None:
    """A limit on the size of files acts as a full disk does: the write that crosses it takes a part only."""
    program = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from modelwright.errors import CaptureNotWritten
from modelwright.serving.capture import lines
from tests_record import record
writer = lines.Writer(Path({str(tmp_path / "capture")!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
written = []
for number in range(10):
    try:
        writer.append(record(number))
    except CaptureNotWritten:
        break
    written.append(number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append(record(99))
print(*written, 99)
"""
    (tmp_path / "tests_record.py").write_text(Path(__file__).read_text())
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    written = finished.stdout.split()
    assert 1 < len(written) < 10
    assert [each.request_id for each in lines.read(tmp_path / "capture")] == written
    assert all(file.read_bytes().endswith(b"\n") for file in (tmp_path / "capture").iterdir())


def test_every_request_is_captured_with_its_answer(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    answers: dict[str, tuple[int, str, str]] = {}

    def client(name: int) -> None:
        connection = served.connect()
        for number in range(25):
            body = f"{name}-{number}"
            connection.request("POST", "/score", body=body)
            response = connection.getresponse()
            answers[response.headers["x-request-id"]] = (response.status, body, response.read().decode())
        connection.close()

    threads = [threading.Thread(target=client, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert {each.request_id: (each.status, each.input, each.output) for each in served.captured()} == answers
    assert {each.version for each in served.captured()} == {"diabetes:1"}


def test_failures_and_bodies_that_are_not_text_are_captured(served: Any) -> None:
    served.start()
    served.ask(body="nobody serves yet")
    served.deploy(ECHO)
    served.ask(body="raise")
    served.ask(body=b"\xff")
    served.ask("GET", "/score?a=1")
    served.ask("PUT", "/score", body="never scored")
    told = [(each.status, each.version, each.input, each.is_base64) for each in served.captured()]
    assert told == [
        (503, None, "nobody serves yet", False),
        (500, "diabetes:1", "raise", False),
        (400, "diabetes:1", "/w==", True),
        (200, "diabetes:1", '{"a": 1}', False),
    ]


def test_what_cannot_be_recorded_is_not_answered(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    (served.folder / "capture").mkdir()
    (served.folder / "capture" / served.name).write_text("a file is in the way")
    given = served.ask(body="x", headers={"x-request-id": "lost"})
    assert given.status == 503
    assert given.headers["retry-after"] == "1"
    assert json.loads(given.body)["message"] == "The request could not be recorded. Check the logs for more info."
    assert any(" lost front refused" in line for line in served.log.read_text().splitlines())
    (served.folder / "capture" / served.name).unlink()
    assert served.ask(body="x").status == 200
    assert [each.input for each in served.captured()] == ["x"]


BEGUN = datetime(2026, 3, 3, 23, 0, tzinfo=UTC)


def timed(seconds: float, *, took_ms: float = 1.0, request_id: str | None = None) -> CaptureRecord:
    """Return a record of a request that came so many seconds after BEGUN."""
    at = BEGUN + timedelta(seconds=seconds)
    own = new_request_id(milliseconds=int(at.timestamp() * 1000))
    made = record(0)
    return replace(made, request_id=request_id or own, received_at=at, duration_ms=took_ms)


def hurried(folder: Path, request_id: str) -> list[lines.Found]:
    """Find a request; fail when files had to be read whole for it."""

    def told(_done: int, _all: int) -> None:
        pytest.fail("every file was read")

    return lines.find(folder, request_id, longest_seconds=60, on_file=told)


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
    found = lines.find(tmp_path, "order", longest_seconds=60, on_file=lambda *each: told.append(each))
    assert [each.endpoint for each in found] == ["churn", "sales"]
    assert told[-1][0] == told[-1][1] > 0
    assert len(lines.find(tmp_path, 'or"der é', longest_seconds=60)) == 1
    assert lines.find(tmp_path, "ord", longest_seconds=60) == []


def test_an_id_that_tells_another_time_is_found_all_the_same(tmp_path: Path) -> None:
    stale = new_request_id(milliseconds=1)
    write(tmp_path / "churn", *(timed(each) for each in range(5)), timed(6, request_id=stale))
    assert len(lines.find(tmp_path, stale, longest_seconds=60)) == 1


def test_what_a_request_asks_is_not_taken_for_an_id(tmp_path: Path) -> None:
    text = '\n{"request_id":"order",'
    write(tmp_path / "churn", replace(timed(0), input=text))
    assert lines.find(tmp_path, "order", longest_seconds=60) == []


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, size: int) -> None:
    records = [timed(each) for each in range(size)]
    file = write(tmp_path / "churn", *records)
    file.write_bytes(file.read_bytes()[:-5])
    for each in records[:-1]:
        assert hurried(tmp_path, each.request_id)
    assert lines.find(tmp_path, records[-1].request_id, longest_seconds=60) == []


def test_a_damaged_line_on_the_way_is_named(tmp_path: Path) -> None:
    records = [timed(each) for each in range(9)]
    file = write(tmp_path / "churn", *records)
    rows = file.read_bytes().splitlines(keepends=True)
    rows[5] = b"not json\n"
    file.write_bytes(b"".join(rows))
    with pytest.raises(CaptureDamaged, match="line 6"):
        lines.find(tmp_path, records[8].request_id, longest_seconds=60)
    file.write_bytes(b"no header\n")
    with pytest.raises(CaptureDamaged, match="line 1"):
        lines.find(tmp_path, records[8].request_id, longest_seconds=60)
