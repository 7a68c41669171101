"""New data at a path."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelwright.lifecycle import watching

START = datetime(2026, 1, 1, tzinfo=UTC)


class Watch:
    """Looks at a pattern every ten seconds."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.now = START
        self.state = watching.begin(pattern)

    def look(self, seconds: float = 10) -> list[str]:
        self.now += timedelta(seconds=seconds)
        found = watching.look(self.pattern, self.state, now=self.now)
        self.state = found.state
        return [Path(each).name for each in found.new]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "old.csv").write_text("old")
    return folder


def test_what_is_there_at_the_beginning_is_not_new(data: Path) -> None:
    watch = Watch(str(data))
    assert [watch.look() for _ in range(3)] == [[], [], []]


def test_a_file_is_new_once_two_looks_found_it_the_same(data: Path) -> None:
    watch = Watch(str(data))
    (data / "deep" / "new.csv").write_text("new")
    assert [watch.look() for _ in range(3)] == [[], ["new.csv"], []]


def test_a_file_that_grows_is_left_until_it_is_whole(data: Path) -> None:
    watch = Watch(str(data))
    for size in range(1, 4):
        (data / "big.csv").write_text("x" * size)
        assert watch.look() == []
    assert watch.look() == ["big.csv"]


def test_two_looks_at_once_are_not_two(data: Path) -> None:
    watch = Watch(str(data))
    (data / "new.csv").write_text("new")
    assert watch.look() == []
    assert watch.look(seconds=1) == []
    assert watch.look(seconds=4) == ["new.csv"]


def test_a_changed_file_is_new_and_a_touched_one_is_not(data: Path) -> None:
    watch = Watch(str(data))
    os.utime(data / "old.csv", ns=(1, 1))
    assert [watch.look() for _ in range(3)] == [[], [], []]
    (data / "old.csv").write_text("new")
    assert [watch.look() for _ in range(3)] == [[], ["old.csv"], []]


def test_a_deleted_file_is_nothing_new_and_new_when_it_comes_again(data: Path) -> None:
    watch = Watch(str(data))
    (data / "old.csv").unlink()
    assert watch.look() == []
    (data / "old.csv").write_text("old")
    assert [watch.look() for _ in range(3)] == [[], ["old.csv"], []]


def test_a_glob_takes_what_it_says_and_hidden_files_are_left(data: Path) -> None:
    watch = Watch(f"{data}/**/*.csv")
    for name in ("a.csv", "b.txt", ".c.csv", "deep/d.csv"):
        (data / name).write_text(name)
    assert watch.look() == []
    assert watch.look() == ["a.csv", "d.csv"]
    folder = Watch(str(data))
    (data / ".part").write_text("half")
    assert [folder.look() for _ in range(2)] == [[], []]


def test_a_single_file_that_is_not_there_yet_can_be_watched(data: Path) -> None:
    watch = Watch(str(data / "one.csv"))
    assert watch.look() == []
    (data / "one.csv").write_text("1")
    assert [watch.look() for _ in range(2)] == [[], ["one.csv"]]
