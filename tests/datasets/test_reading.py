"""Reading a version: only its own bytes, whatever became of the files."""

import datetime as dt
import os
from pathlib import Path

import pandas as pd
import pytest

from modelwright.datasets import adding, reading, windows
from modelwright.datasets.adding import Labels
from modelwright.errors import (
    DatasetChanged,
    DatasetGone,
    DatasetMissing,
    FolderTaken,
    NotTabular,
    ReferenceInvalid,
    TimestampInvalid,
)
from modelwright.records import DatasetVersion, Storage
from modelwright.store.database import Store


def _add(store: Store, path: Path, **options: object) -> DatasetVersion:
    return adding.add_files(store, "sales", path=path, actor="me", **options)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "days.csv"
    path.write_text("day,amount\n2024-01-01,1\n2024-01-02,2\n,9\n2024-01-03,3\n")
    return path


def test_a_reference_names_a_version_or_the_latest(store: Store, table: Path) -> None:
    _add(store, table)
    table.write_text("day,amount\n2024-01-01,7\n")
    _add(store, table)
    assert reading.read(store, "sales:1").version.version == 1
    assert {reading.read(store, each).version.version for each in ("sales", "sales:latest", "sales:2")} == {2}


@pytest.mark.parametrize("reference", ["", ":1", "sales:", "sales:0", "sales:01", "sales:x", "sales@1", "sales:1:2"])
def test_anything_else_is_no_reference(store: Store, table: Path, reference: str) -> None:
    _add(store, table)
    expected = DatasetMissing if reference == "sales@1" else ReferenceInvalid
    with pytest.raises(expected):
        reading.read(store, reference)


@pytest.mark.parametrize("reference", ["sales:2", "nothing", "nothing:latest"])
def test_what_is_not_there_is_missing(store: Store, table: Path, reference: str) -> None:
    _add(store, table)
    with pytest.raises(DatasetMissing, match=reference):
        reading.read(store, reference)


def test_a_copy_is_read_when_the_file_is_gone(store: Store, table: Path) -> None:
    _add(store, table)
    table.unlink()
    assert len(reading.read(store, "sales").frame()) == 4


@pytest.mark.parametrize("storage", [Storage.HARDLINK, Storage.REFERENCE])
@pytest.mark.parametrize("is_hidden", [False, True])
def test_an_edit_in_place_is_refused_by_name(store: Store, table: Path, storage: Storage, is_hidden: bool) -> None:
    version = _add(store, table, storage=storage)
    reading.read(store, "sales")
    before = table.stat()
    with table.open("r+b") as file:
        file.write(b"DAY")
    if is_hidden:
        os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DatasetChanged) as caught:
        reading.read(store, "sales:1")
    facts = caught.value.facts
    assert (facts["reference"], facts["file"], facts["expected"]) == ("sales:1", "days.csv", version.files[0].digest)
    assert facts["found"] != facts["expected"]
    assert f"wright dataset add sales {table}" in caught.value.next_command


def test_a_file_that_is_gone_is_named(store: Store, table: Path) -> None:
    _add(store, table, storage=Storage.REFERENCE)
    table.unlink()
    with pytest.raises(DatasetGone, match=r"days\.csv"):
        reading.read(store, "sales")


def test_a_moved_file_is_found_again_when_it_is_registered_again(store: Store, table: Path) -> None:
    _add(store, table, storage=Storage.REFERENCE)
    moved = table.parent / "elsewhere" / table.name
    moved.parent.mkdir()
    table.rename(moved)
    assert _add(store, moved, storage=Storage.REFERENCE).reference == "sales:1"
    assert reading.read(store, "sales:1").path == moved


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_blob_is_refused_and_mended_by_registering_again(store: Store, table: Path, damage: str) -> None:
    version = _add(store, table)
    blob = store.blobs.path(version.files[0].digest)
    blob.chmod(0o644)
    if damage == "changed":
        blob.write_bytes(b"x" * blob.stat().st_size)
    else:
        blob.unlink()
    with pytest.raises((DatasetChanged, DatasetGone), match=r"days\.csv"):
        reading.read(store, "sales")
    blob.unlink(missing_ok=True)
    _add(store, table)
    assert len(reading.read(store, "sales").frame()) == 4


def test_whoever_records_is_told_before_the_bytes_are_given(store: Store, table: Path) -> None:
    told: list[DatasetVersion] = []
    version = _add(store, table, storage=Storage.REFERENCE)
    assert reading.read(store, "sales", on_read=told.append).version == version
    assert told == [version]
    table.write_text("other")
    with pytest.raises(DatasetChanged):
        reading.read(store, "sales", on_read=told.append)
    assert told == [version]


def test_what_was_written_among_the_files_of_a_version_is_not_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).write_text(name)
    _add(store, tmp_path / "data")
    folder = reading.read(store, "sales").path
    (folder / "c").write_text("not registered")
    (folder / "a").unlink()
    assert sorted(each.name for each in reading.read(store, "sales").path.iterdir()) == ["a", "b"]


def test_a_thorough_check_names_every_fault(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "data" / name).write_text(name)
    version = _add(store, tmp_path / "data", storage=Storage.REFERENCE)
    assert reading.check(store, version, is_thorough=True) == []
    (tmp_path / "data" / "a").unlink()
    (tmp_path / "data" / "c").write_text("C")
    faults = reading.check(store, version, is_thorough=True)
    assert [(each.file, bool(each.found)) for each in faults] == [("a", False), ("c", True)]


def test_an_export_gives_all_files_as_copies(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a").write_bytes(b"a" * (2 << 20))
    (tmp_path / "data" / "b").write_text("b")
    _add(store, tmp_path / "data")
    reading.export(store, "sales", tmp_path / "out" / "put")
    with (tmp_path / "out" / "put" / "deep" / "a").open("ab") as file:
        file.write(b"edited")
    assert (tmp_path / "out" / "put" / "b").read_text() == "b"
    assert reading.read(store, "sales").paths["deep/a"].read_bytes() == b"a" * (2 << 20)


def test_an_export_spares_what_is_there(store: Store, table: Path, tmp_path: Path) -> None:
    _add(store, table)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for target in (tmp_path / "full", table):
        with pytest.raises(FolderTaken):
            reading.export(store, "sales", target)
    (tmp_path / "empty").mkdir()
    reading.export(store, "sales", tmp_path / "empty")
    assert [each.name for each in (tmp_path / "empty").iterdir()] == ["days.csv"]


def test_files_of_one_kind_are_one_table(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in (2, 1):
        pd.DataFrame({"x": [number]}).to_csv(tmp_path / "data" / f"{number}.csv.gz", index=False)
    _add(store, tmp_path / "data")
    assert reading.read(store, "sales").frame()["x"].tolist() == [1, 2]


def test_tables_of_different_columns_are_not_one(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x\n1\n")
    (tmp_path / "data" / "b.csv").write_text("y\n1\n")
    _add(store, tmp_path / "data")
    with pytest.raises(NotTabular, match=r'"b\.csv" has other columns than "a\.csv"'):
        reading.read(store, "sales").frame()


@pytest.mark.parametrize(("name", "content"), [("a.bin", "x"), ("a.csv", ""), ("a.jsonl", "{"), ("a.csv", 'x\n"1')])
def test_what_is_no_table_says_so(store: Store, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    _add(store, tmp_path / name)
    with pytest.raises(NotTabular, match=name):
        reading.read(store, "sales").frame()


DAYS = [dt.datetime(2024, 1, day) for day in (1, 2, 3)]  # noqa: DTZ001 - without a zone, as people write them


@pytest.mark.parametrize(
    ("window", "amounts"),
    [
        (windows.before(DAYS[1]), [1, 2]),
        (windows.before(DAYS[1], include_boundary=False), [1]),
        (windows.after(DAYS[1]), [2, 3]),
        (windows.after(DAYS[1], include_boundary=False), [3]),
        (windows.between(DAYS[0], DAYS[2]), [1, 2, 3]),
        (windows.between(DAYS[0], DAYS[2], include_boundary=False), [2]),
        (windows.recent(dt.timedelta(days=1), now=DAYS[2]), [2, 3]),
        (windows.recent(dt.timedelta(days=1), now=DAYS[2], include_boundary=False), []),
        (windows.after(dt.datetime(2024, 1, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))), [2, 3]),
    ],
)
def test_a_window_of_time_has_its_ends_unless_told(store: Store, table: Path, window, amounts: list[int]) -> None:
    _add(store, table, labels=Labels(timestamp_column="day"))
    assert reading.read(store, "sales").frame(window)["amount"].tolist() == amounts


def test_a_window_needs_a_stated_column(store: Store, table: Path) -> None:
    _add(store, table)
    with pytest.raises(TimestampInvalid, match="without a timestamp column"):
        reading.read(store, "sales").frame(windows.before(DAYS[0]))
    assert _add(store, table, labels=Labels(timestamp_column="day")).reference == "sales:1"
    assert len(reading.read(store, "sales").frame(windows.before(DAYS[0]))) == 1


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    (folder / "deep").mkdir(parents=True)
    for number in range(1000):
        (folder / f"{number}").write_text(f"{number}")
    (folder / "deep" / "large").write_bytes(b"x" * (1 << 18))
    return folder


def test_thousands_of_small_files_are_kept_in_one_and_come_back(store: Store, many: Path) -> None:
    _add(store, many)
    assert len(list(store.blobs.folder.glob("??/*"))) == 1
    for _ in range(2):
        paths = reading.read(store, "sales").paths
        assert {name: path.read_bytes() for name, path in paths.items()} == {
            str(path.relative_to(many)): path.read_bytes() for path in many.rglob("*") if path.is_file()
        }


def test_what_was_edited_where_it_was_laid_out_is_laid_out_again(store: Store, many: Path) -> None:
    _add(store, many)
    path = reading.read(store, "sales").paths["7"]
    path.chmod(0o644)
    path.write_text("x")
    assert reading.read(store, "sales").paths["7"].read_text() == "7"


def test_a_damaged_pack_names_the_files_that_it_spoilt(store: Store, many: Path) -> None:
    version = _add(store, many)
    (pack,) = [each for each in (store.blobs.folder / "packs").iterdir() if not each.suffix]
    at = store.blobs.packed()[next(each.digest for each in version.files if each.path == "7")].offset
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    assert [each.file for each in reading.check(store, version)] == ["7"]
    assert [each.file for each in reading.check(store, version, is_thorough=True)] == ["7"]
    with pytest.raises(DatasetChanged, match='file "7"'):
        reading.read(store, "sales")
    pack.unlink()
    with pytest.raises(DatasetGone, match='file "0"'):
        reading.read(store, "sales")
