"""An endpoint's log: read by request and level, followed, and put aside before it fills the disk."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelwright.records import FrontLimits
from modelwright.serving import logs
from modelwright.serving.front.logs import KEPT, LogFile, older

MOMENT = "2026-01-02T03:04:05.678Z"
TEXT = f"""\
{MOMENT} - front info endpoint churn listens
{MOMENT} one churn:2 info printed
{MOMENT} one churn:2 error WARNING:root:logged
{MOMENT} one churn:2 error Traceback (most recent call last):
{MOMENT} an id of words churn:2 info printed
past Python
"""


def test_lines_say_when_for_whom_by_whom_and_how_bad() -> None:
    assert [(each.request_id, each.version, each.level) for each in map(logs.parse, TEXT.splitlines())] == [
        ("", "front", "info"),
        ("one", "churn:2", "info"),
        ("one", "churn:2", "warning"),
        ("one", "churn:2", "error"),
        ("an id of words", "churn:2", "info"),
        ("", "", "info"),
    ]


def test_a_request_and_a_level_are_picked_from_all_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    older(log, 1).write_text(TEXT)
    log.write_text(f"{MOMENT} two churn:2 error later\n")

    def texts(most: int = 100, **wanted: str | None) -> list[str]:
        picked = logs.wanted(**({"request_id": None, "level": None} | wanted))
        return [each.text for each in logs.read(log, most=most, is_wanted=picked)]

    assert texts(request_id="one") == ["printed", "WARNING:root:logged", "Traceback (most recent call last):"]
    assert texts(level="error") == ["Traceback (most recent call last):", "later"]
    assert texts(2) == ["past Python", "later"]
    assert logs.read(tmp_path / "none", most=1, is_wanted=lambda _: True) == []


@pytest.fixture
def followed(tmp_path: Path) -> tuple[Path, Callable[[], str]]:
    log = tmp_path / "log"
    older(log, 1).write_text("before\n")
    log.write_text("unwanted\nlast\n")
    following = logs.follow(log, most=1, is_wanted=lambda line: line.text != "unwanted")
    assert next(following).text == "last"
    return log, lambda: next(following).text


def put_aside(log: Path) -> None:
    for age in range(KEPT - 1, -1, -1):
        path = older(log, age) if age else log
        if path.exists():
            path.replace(older(log, age + 1))


def append(log: Path, text: str) -> None:
    with log.open("a") as stream:
        stream.write(text)


def test_a_log_that_is_put_aside_is_followed(followed: tuple[Path, Callable[[], str]]) -> None:
    log, following = followed
    append(log, "unwanted\nfirst\n")
    put_aside(log)
    append(log, "second\n")
    assert [following(), following()] == ["first", "second"]
    append(older(log, 1), "by a worker that has not noticed\n")
    assert following() == "by a worker that has not noticed"


def test_a_log_that_is_put_aside_twice_at_once_is_followed(followed: tuple[Path, Callable[[], str]]) -> None:
    log, following = followed
    for text in ("first", "second", "third"):
        put_aside(log)
        append(log, f"{text}\n")
    assert [following(), following(), following()] == ["first", "second", "third"]


def test_of_a_log_that_is_removed_the_new_one_is_followed(followed: tuple[Path, Callable[[], str]]) -> None:
    log, following = followed
    log.unlink()
    append(log, "anew\n")
    assert following() == "anew"


def test_what_is_written_while_its_reader_is_kept_waiting_is_not_lost(
    followed: tuple[Path, Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, following = followed
    moment = 0.0
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: moment, sleep=time.sleep))
    put_aside(log)
    append(log, "second\n")
    assert following() == "second"
    append(older(log, 1), "by a worker that has not noticed\nand was killed in the middle of a li")
    moment = 60.0
    assert [following(), following()] == ["by a worker that has not noticed", "and was killed in the middle of a li"]


def test_a_file_that_goes_on_while_they_are_looked_through_is_read_once(
    followed: tuple[Path, Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, following = followed
    put_aside(log)
    append(log, "first\n")
    path_open = Path.open

    def opened(path: Path, mode: str) -> Any:
        stream = path_open(path, mode)
        monkeypatch.undo()
        put_aside(log)
        append(log, "second\n")
        return stream

    monkeypatch.setattr(Path, "open", opened)
    assert [following(), following()] == ["first", "second"]


def test_a_log_that_is_just_being_put_aside_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    older(log, 1).write_text("one\ntwo\n")
    following = logs.follow(log, most=1, is_wanted=lambda _: True)
    assert next(following).text == "two"
    append(log, "three\n")
    assert next(following).text == "three"
    assert list(logs.follow(tmp_path / "none", most=1, is_wanted=lambda _: True)) == []


def test_lines_before_are_taken_from_older_files_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    older(log, 1).write_text("one\ntwo\n")
    log.write_text("three\n")
    following = logs.follow(log, most=2, is_wanted=lambda _: True)
    assert [next(following).text, next(following).text] == ["two", "three"]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[tuple[Path, int, LogFile]]:
    log = tmp_path / "log"
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    yield log, descriptor, LogFile(log, descriptors=[descriptor])
    os.close(descriptor)


def test_files_are_put_aside_and_the_oldest_go(written: tuple[Path, int, LogFile]) -> None:
    log, descriptor, file = written
    for each in range(KEPT + 3):
        os.write(descriptor, f"{each:09d}\n".encode())
        file.check(10)
    assert [older(log, age).read_text().strip() for age in range(1, KEPT + 1)] == [
        "000000005",
        "000000004",
        "000000003",
    ]
    assert sorted(path.name for path in log.parent.iterdir()) == ["log", "log.1", "log.2", "log.3"]
    assert log.read_text() == ""


def test_who_does_not_follow_is_cut_off_and_a_log_that_is_gone_is_made_again(
    written: tuple[Path, int, LogFile],
) -> None:
    log, descriptor, file = written
    with log.open("ab", buffering=0) as deaf:
        os.write(descriptor, b"x" * 10)
        file.check(10)
        deaf.write(b"y" * 20)
        file.check(10)
        assert older(log, 1).stat().st_size == 0
    log.unlink()
    file.check(10)
    os.write(descriptor, b"here\n")
    assert log.read_text() == "here\n"


def test_a_chatty_script_cannot_fill_the_disk_and_loses_no_line(served: Any) -> None:
    served.start(limits=FrontLimits(max_log_bytes=40_000))
    served.deploy(
        """
        import time
        def init(): pass
        def run(data):
            for each in range(int(data)):
                print("line", each, "x" * 100)
            return data
        """
    )
    folder = served.log.parent
    count = 0
    while not older(served.log, 2).exists():
        assert served.ask(body="20", headers={"x-request-id": f"r{count}"}).status == 200
        count += 1
        served.wait_for(served.log.exists, "the log is there")
    served.wait_for(lambda: older(served.log, 1).exists() and served.log.exists(), "all have moved on")
    files = sorted(folder.iterdir())
    assert sum(path.stat().st_size for path in files) < 40_000 * (KEPT + 1) * 2
    # Whatever is kept is whole lines, each of one request.
    for path in files:
        for line in path.read_text().splitlines():
            assert logs.parse(line).time, line


def test_a_guest_follows_the_log_by_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""
import sys
from modelwright.models.guest import logs
logs.take_over("churn:2", {str(log)!r})
print("one")
import os
os.rename({str(log)!r}, {str(log)!r} + ".1")
logs.LogStream.is_ours_until = 0
print("two")
print("three", file=sys.stderr)
os.write(2, b"past Python\\n")
"""
    with log.open("ab") as stream:
        subprocess.run([sys.executable, "-c", script], stdout=stream, stderr=stream, check=True)
    assert [logs.parse(line).text for line in older(log, 1).read_text().splitlines()] == ["one"]
    assert [logs.parse(line).text for line in log.read_text().splitlines()] == ["two", "three", "past Python"]
