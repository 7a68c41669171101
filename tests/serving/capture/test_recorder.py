"""A request is answered when its record is as safe as the mode says; what cannot be kept is heard of."""

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving.capture.exchanges import exchange, read_back, until

from modelwright.records import CaptureLimits, CaptureMode, CaptureSettings
from modelwright.serving.capture.recorder import Recorder


def recording(
    folder: Path, number: int = 20, limits: CaptureLimits | None = None, **said: Any
) -> tuple[list[bool], Any]:
    """Record so many exchanges and close; return what was answered to each and the counts."""

    async def main() -> tuple[list[bool], Any]:
        recorder = Recorder(folder / "churn", CaptureSettings(**said), limits=limits)
        answers: list[bool] = []
        for each in range(number):
            recorder.record(exchange(each), answers.append)
            if each % 7 == 0:
                await asyncio.sleep(0)
        await recorder.close()
        return answers, recorder.counts

    return asyncio.run(main())


@pytest.mark.parametrize("mode", [CaptureMode.DURABLE, CaptureMode.FAST])
def test_what_was_recorded_is_read_back_in_its_order(tmp_path: Path, mode: CaptureMode) -> None:
    answers, counts = recording(tmp_path, mode=mode)
    assert answers == [True] * 20
    assert read_back(tmp_path / "churn") == [exchange(each) for each in range(20)]
    assert (counts.kept, counts.pending) == (20, 0)


def test_a_durable_record_is_flushed_before_its_request_is_answered(tmp_path, monkeypatch) -> None:
    seen: list[str] = []
    flush, write = os.fdatasync, os.pwrite
    gate = threading.Event()

    def gated(descriptor: int) -> None:
        assert gate.wait(120)
        flush(descriptor)
        seen.append("flushed")

    monkeypatch.setattr(os, "fdatasync", gated)
    monkeypatch.setattr(os, "pwrite", lambda *given: (seen.append("written"), write(*given))[1])

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        recorder.record(exchange(0), lambda _: seen.append("answered"))
        await until(lambda: "written" in seen)
        assert "answered" not in seen
        assert recorder.counts.pending == 1
        gate.set()
        await recorder.close()

    asyncio.run(main())
    assert seen[-2:] == ["flushed", "answered"]


def test_what_comes_while_the_disk_is_at_work_is_one_group(tmp_path, monkeypatch) -> None:
    flushes: list[int] = []
    flush = os.fdatasync
    gate = threading.Event()

    def counted(descriptor: int) -> None:
        assert gate.wait(120)
        flushes.append(descriptor)
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        recorder.record(exchange(0), lambda _: None)
        for _ in range(5):
            await asyncio.sleep(0)
        for each in range(1, 50):
            recorder.record(exchange(each), lambda _: None)
        gate.set()
        await recorder.close()

    asyncio.run(main())
    assert len(flushes) == 2
    assert len(read_back(tmp_path / "churn")) == 50


@pytest.mark.parametrize("size", [1, 20])
def test_a_quick_disk_is_not_waited_for_by_a_thread(tmp_path, monkeypatch, size: int) -> None:
    """The first flush tells that the disk is quick; one that is slow sends the next to the thread again."""
    flushed_by: list[bool] = []
    clock = [0.0]

    def flush(_descriptor: int) -> None:
        flushed_by.append(threading.current_thread() is threading.main_thread())
        clock[0] += 0.01 if len(flushed_by) == 3 else 0.0001

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr("modelwright.serving.capture.recorder.monotonic", lambda: clock[0])

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        answers: list[bool] = []
        for group in range(4):
            for number in range(group * size, (group + 1) * size):
                recorder.record(exchange(number), answers.append)
            await until(lambda group=group: len(answers) == (group + 1) * size)
        await recorder.close()

    asyncio.run(main())
    assert flushed_by == [False, True, True, False]
    assert read_back(tmp_path / "churn") == [exchange(each) for each in range(4 * size)]


def test_who_is_alone_is_recorded_at_once_and_others_together(tmp_path, monkeypatch) -> None:
    writes: list[int] = []
    write = os.pwrite
    clock = [1.0]
    monkeypatch.setattr(os, "pwrite", lambda *given: (writes.append(1), write(*given))[1])
    monkeypatch.setattr("modelwright.serving.capture.recorder.monotonic", lambda: clock[0])

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn", CaptureSettings(mode=CaptureMode.FAST))
        answers: list[bool] = []
        for number in range(20):
            recorder.record(exchange(number), answers.append)
            await until(lambda number=number: len(answers) == number + 1)
        clock[0] += 0.001
        recorder.record(exchange(20), answers.append)
        assert len(answers) == 21
        before = len(writes)
        for number in range(21, 30):
            recorder.record(exchange(number), answers.append)
        assert len(answers) == 21
        await until(lambda: len(answers) == 30)
        assert len(writes) == before + 1
        await recorder.close()

    asyncio.run(main())
    assert read_back(tmp_path / "churn") == [exchange(each) for each in range(30)]


def test_a_sample_keeps_its_share_and_counts_the_rest(tmp_path: Path) -> None:
    answers, counts = recording(tmp_path, 1000, mode=CaptureMode.SAMPLE, rate=0.3)
    assert answers == [True] * 1000
    assert counts.kept + counts.skipped == 1000
    assert 200 < counts.kept < 400
    assert len(read_back(tmp_path / "churn")) == counts.kept


def test_nothing_is_kept_when_capture_is_off(tmp_path: Path) -> None:
    answers, counts = recording(tmp_path, mode=CaptureMode.OFF)
    assert answers == [True] * 20
    assert counts.skipped == 20
    assert not (tmp_path / "churn").exists()


def test_the_mode_changes_between_two_requests(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        for each, mode in enumerate([CaptureMode.DURABLE, CaptureMode.FAST, CaptureMode.OFF, CaptureMode.DURABLE]):
            recorder.configure(CaptureSettings(mode=mode))
            recorder.record(exchange(each), lambda _: None)
        await recorder.close()

    asyncio.run(main())
    assert read_back(tmp_path / "churn") == [exchange(each) for each in (0, 1, 3)]


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    recording(tmp_path, limits=CaptureLimits(segment_bytes=600), mode=CaptureMode.FAST)
    assert len(list((tmp_path / "churn").glob("*.wal"))) == 3
    assert len(read_back(tmp_path / "churn")) == 20


def test_a_segment_ends_in_time_though_nothing_more_is_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = Recorder(tmp_path / "churn", limits=CaptureLimits(segment_seconds=0.01))
        done = asyncio.Event()
        recorder.record(exchange(0), lambda _: done.set())
        await asyncio.wait_for(done.wait(), 120)
        (path,) = (tmp_path / "churn").glob("*.wal")
        await until(lambda: not path.read_bytes().endswith(b"\0"))
        await recorder.close()

    asyncio.run(main())


def failing(call: Callable[..., Any], number: int, *, after: int = 0, times: int = 1) -> Callable[..., Any]:
    """Return a system call that fails with an error number, once it was called `after` times."""
    calls = [0]

    def stand_in(*given: Any) -> Any:
        calls[0] += 1
        if after < calls[0] <= after + times:
            raise OSError(number, os.strerror(number))
        return call(*given)

    return stand_in


FAULTS = [
    ("pwrite", errno.ENOSPC, 0),
    ("pwrite", errno.ENOSPC, 2),
    ("pwrite", errno.EIO, 2),
    ("fdatasync", errno.EIO, 0),
    ("fsync", errno.EIO, 0),
]


@pytest.mark.parametrize(("name", "number", "after"), FAULTS)
@pytest.mark.parametrize("is_refusing", [True, False])
def test_a_failure_is_answered_as_declared_and_counted(
    tmp_path, monkeypatch, caplog, name: str, number: int, after: int, is_refusing: bool
) -> None:
    """The first group fails; what comes after is recorded, and nothing of the first is."""
    monkeypatch.setattr(os, name, failing(getattr(os, name), number, after=after))
    answers: list[bool] = []

    async def main() -> Any:
        recorder = Recorder(tmp_path / "churn", CaptureSettings(is_refusing=is_refusing))
        for each in range(3):
            recorder.record(exchange(each), answers.append)
        await until(lambda: len(answers) == 3)
        recorder.record(exchange(3), answers.append)
        await recorder.close()
        return recorder.counts

    with caplog.at_level(logging.ERROR):
        counts = asyncio.run(main())
    assert answers == [not is_refusing] * 3 + [True]
    assert (counts.lost, counts.failed) == ((0, 3) if is_refusing else (3, 0))
    assert counts.kept == 1
    assert os.strerror(number) in counts.failure
    assert os.strerror(number) in caplog.text
    assert read_back(tmp_path / "churn") == [exchange(3)]
    assert not list((tmp_path / "churn").glob(".*"))


def test_a_disk_too_full_to_write_ahead_keeps_what_it_has_room_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "pwrite", failing(os.pwrite, errno.ENOSPC, after=1))
    assert recording(tmp_path)[0] == [True] * 20
    assert len(read_back(tmp_path / "churn")) == 20


def test_a_descriptor_that_failed_to_flush_is_never_used_again(tmp_path, monkeypatch) -> None:
    used: list[tuple[str, int]] = []
    failed: list[int] = []
    flush, write = os.fdatasync, os.pwrite

    def flushed(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        used.append(("flush", inode))
        if not failed:
            failed.append(inode)
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    def wrote(descriptor: int, content: bytes, at: int) -> int:
        used.append(("write", os.fstat(descriptor).st_ino))
        return write(descriptor, content, at)

    monkeypatch.setattr(os, "fdatasync", flushed)
    monkeypatch.setattr(os, "pwrite", wrote)

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        answers: list[bool] = []
        recorder.record(exchange(0), answers.append)
        await until(lambda: answers)
        recorder.record(exchange(1), answers.append)
        await recorder.close()
        assert answers == [False, True]

    asyncio.run(main())
    after = used[used.index(("flush", failed[0])) + 1 :]
    assert failed[0] not in {inode for _, inode in after}


def test_a_write_that_is_taken_in_part_is_gone_on_with(tmp_path, monkeypatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, content, at: write(descriptor, bytes(content)[:100], at))
    recording(tmp_path, mode=CaptureMode.FAST)
    assert read_back(tmp_path / "churn") == [exchange(each) for each in range(20)]


@pytest.mark.parametrize("is_refusing", [True, False])
def test_more_than_may_wait_is_refused_or_lost(tmp_path, monkeypatch, is_refusing: bool) -> None:
    gate = threading.Event()
    flush = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (gate.wait(120), flush(descriptor)))
    answers: dict[int, bool] = {}

    async def main() -> Any:
        recorder = Recorder(
            tmp_path / "churn", CaptureSettings(is_refusing=is_refusing), limits=CaptureLimits(max_pending=5)
        )
        for each in range(8):
            recorder.record(exchange(each), lambda is_kept, each=each: answers.update({each: is_kept}))
        assert answers == dict.fromkeys([5, 6, 7], not is_refusing)
        gate.set()
        await recorder.close()
        return recorder.counts

    counts = asyncio.run(main())
    assert counts.kept == 5
    assert counts.lost + counts.failed == 3


def test_a_request_that_cannot_be_answered_keeps_nobody_waiting(tmp_path, caplog) -> None:
    answers: list[bool] = []

    def broken(_: bool) -> None:
        raise ValueError("the client is gone")

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        for number, done in enumerate([answers.append, broken, answers.append]):
            recorder.record(exchange(number), done)
        await recorder.close()

    asyncio.run(main())
    assert answers == [True, True]
    assert "the client is gone" in caplog.text


def test_only_chosen_headers_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = Recorder(tmp_path / "churn", CaptureSettings(headers=("X-Tenant",)))
        said = {"x-tenant": "acme", "authorization": "Bearer secret"}
        recorder.record(exchange(0, headers=said), lambda _: None)
        await recorder.close()

    asyncio.run(main())
    assert read_back(tmp_path / "churn")[0].headers == {"x-tenant": "acme"}
    assert b"secret" not in next((tmp_path / "churn").glob("*.wal")).read_bytes()


def test_failures_and_shadows_are_recorded_too(tmp_path: Path) -> None:
    said = [
        exchange(0, status=500, output=b"An unexpected error"),
        exchange(1, version="", status=503),
        exchange(2, shadow_of="diabetes:1"),
    ]

    async def main() -> None:
        recorder = Recorder(tmp_path / "churn")
        for each in said:
            recorder.record(each, lambda _: None)
        await recorder.close()

    asyncio.run(main())
    assert read_back(tmp_path / "churn") == said


SECRET = "ann@example.org"


@pytest.mark.parametrize(
    "body",
    [
        '{"data": [{"email": "%s", "age": 3}]}',
        '{"customer": {"email": "%s"}, "age": 3}',
        '{"dataframe_split": {"columns": ["email", "age"], "data": [["%s", 3]]}}',
        '{"inputs": [{"name": "email", "shape": [1], "datatype": "BYTES", "data": ["%s"]}]}',
        '{"email": {"0": "%s"}, "age": {"0": 3}}',
        "email,age\n%s,3\n",
        '{"email": "%s", "age": 3',
    ],
)
@pytest.mark.parametrize("way", ["hashed", "left_out"])
def test_what_may_not_be_kept_is_never_written(tmp_path: Path, body: str, way: str) -> None:
    async def main() -> None:
        recorder = Recorder(tmp_path / "churn", CaptureSettings(**{way: ("email",)}, headers=("email",)))
        said = exchange(
            0,
            input=(body % SECRET).encode(),
            output=(body % SECRET).encode(),
            path=f"/score?email={SECRET}",
            headers={"email": SECRET},
        )
        recorder.record(said, lambda _: None)
        await recorder.close()

    asyncio.run(main())
    (kept,) = read_back(tmp_path / "churn")
    content = next((tmp_path / "churn").glob("*.wal")).read_bytes()
    assert SECRET.encode() not in content
    if b"withheld" not in kept.input:
        assert (b"hash:" in kept.input) == (way == "hashed")
        assert b"3" in kept.input or b"age" not in body.encode()


def test_equal_values_have_equal_hashes_in_one_workspace_only(tmp_path: Path) -> None:
    async def one(folder: Path) -> bytes:
        recorder = Recorder(folder / "churn", CaptureSettings(hashed=("email",)))
        recorder.record(exchange(0, input=b'{"email": "a"}'), lambda _: None)
        await recorder.close()
        return read_back(folder / "churn")[-1].input

    first, again = asyncio.run(one(tmp_path / "here")), asyncio.run(one(tmp_path / "here"))
    assert first == again != asyncio.run(one(tmp_path / "there"))
    assert (tmp_path / "here" / "salt").stat().st_mode & 0o777 == 0o600
