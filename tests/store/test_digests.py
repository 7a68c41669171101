"""Digests that are remembered as long as a file has certainly not changed."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.errors import FileNotReadable
from modelwright.store import digests as remembered
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store
from modelwright.store.digests import FILE_NAME, digests

Read = list[int]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let ten seconds pass on the clock that is compared with those of files, so that they are no longer racy."""

    def pass_time() -> None:
        at = time.time_ns() + 10_000_000_000
        monkeypatch.setattr(remembered.time, "time_ns", lambda: at)

    return pass_time


def _read(store: Store, *paths: Path) -> Read:
    """Return the sizes of the files that had to be read."""
    sizes: Read = []
    found = digests(store, paths, on_hashed=sizes.append)
    assert found == {path: digest_of(path) for path in paths}
    return sizes


def test_an_unchanged_file_is_read_once(store: Store, tmp_path: Path, later) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    later()
    assert _read(store, path) == [5]
    assert _read(store, path) == []


def test_a_file_that_changed_a_moment_ago_is_not_trusted(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    assert _read(store, path) == [5]
    assert _read(store, path) == [5]


def test_an_edit_of_the_same_size_is_seen(store: Store, tmp_path: Path, later) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    later()
    _read(store, path)
    path.write_bytes(b"12346")
    assert _read(store, path) == [5]


def test_an_edit_that_sets_the_time_back_is_seen(store: Store, tmp_path: Path, later) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    before = path.stat()
    later()
    _read(store, path)
    path.write_bytes(b"12346")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _read(store, path) == [5]


def test_another_file_in_its_place_is_seen(store: Store, tmp_path: Path, later) -> None:
    path, other = tmp_path / "data.csv", tmp_path / "other.csv"
    path.write_bytes(b"12345")
    other.write_bytes(b"54321")
    later()
    _read(store, path, other)
    other.replace(path)
    assert _read(store, path) == [5]


def test_the_database_may_be_deleted(store: Store, tmp_path: Path, later) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    later()
    _read(store, path)
    for each in store.folder.glob(f"{FILE_NAME}*"):
        each.unlink()
    assert _read(store, path) == [5]
    assert _read(store, path) == []


def test_a_damaged_database_is_made_anew(store: Store, tmp_path: Path, later) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    later()
    (store.folder / FILE_NAME).write_bytes(b"no database at all, and longer than a header of one" * 10)
    assert _read(store, path) == [5]
    _read(store, path)
    assert _read(store, path) == []


def test_a_busy_database_is_passed_over(store: Store, tmp_path: Path, later, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"12345")
    later()
    _read(store, path)
    connect = sqlite3.connect
    monkeypatch.setattr(remembered.sqlite3, "connect", lambda database, **_: connect(database, timeout=0))
    holder = connect(store.folder / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    (tmp_path / "other.csv").write_bytes(b"1")
    assert 1 in _read(store, path, tmp_path / "other.csv")
    holder.close()


def test_thousands_of_files_and_large_ones_get_their_own_digests(store: Store, tmp_path: Path, later) -> None:
    paths = [tmp_path / f"{number}.bin" for number in range(2000)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number)
    paths[7].write_bytes(b"x" * (3 << 20))
    paths[8].write_bytes(b"x" * (1 << 20))
    later()
    assert len(_read(store, *paths)) == 2000
    assert _read(store, *paths) == []


def test_a_relative_path_means_another_file_in_another_folder(
    store: Store, tmp_path: Path, later, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text(name)
    later()
    for name in ("a", "b", "a"):
        monkeypatch.chdir(tmp_path / name)
        _read(store, Path("data"))


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotReadable, match=r"gone\.csv"):
        digests(store, [tmp_path / "gone.csv"])
