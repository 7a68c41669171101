"""Registering data under a name."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.datasets import adding, reading, versions
from modelwright.datasets.adding import Labels
from modelwright.errors import (
    DataNotFound,
    DataNotRegular,
    FileBusy,
    FileNotReadable,
    HardlinkRefused,
    NameInvalid,
    QueryFailed,
    SourceNotReached,
    TableNotKept,
    TableUnknown,
    TimestampInvalid,
)
from modelwright.records import DatasetVersion, Storage
from modelwright.store import blobs, datasets
from modelwright.store.database import Store
from modelwright.store.digests import digests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of all sorts: nested, hidden, empty, equal, with odd names."""
    root = tmp_path / "data"
    for name, content in {
        "a.csv": b"x\n1\n",
        "b.csv": b"x\n2\n",
        "deep/er/c.csv": b"x\n3\n",
        ".hidden": b"h",
        "empty": b"",
        "same": b"x\n1\n",
        "odd name\n\u00e9[1].csv": b"odd",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def _add(store: Store, path: Path | str, name: str = "sales", **options: object) -> DatasetVersion:
    return adding.add_files(store, name, path=path, actor="me", **options)


def _names(version: DatasetVersion) -> set[str]:
    return {each.path for each in version.files}


def test_versions_number_from_1_and_the_same_bytes_are_the_same_version(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("first")
    assert _add(store, path).reference == "sales:1"
    os.utime(path, (1, 1))
    assert _add(store, path).reference == "sales:1"
    path.write_text("other")
    assert _add(store, path).reference == "sales:2"
    path.write_text("first")
    assert _add(store, path).reference == "sales:1"
    assert [each.version for each in datasets.get_dataset(store, "sales").versions] == [1, 2]


def test_a_folder_is_registered_whole(store: Store, folder: Path) -> None:
    version = _add(store, folder)
    wanted = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert _names(version) == set(wanted)
    found = reading.read(store, "sales").paths
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: path.read_bytes() for name, path in wanted.items()
    }


def test_a_pattern_takes_what_it_matches_below_its_fixed_beginning(store: Store, folder: Path) -> None:
    assert _names(_add(store, f"{folder}/*.csv")) == {"a.csv", "b.csv", "odd name\n\u00e9[1].csv"}
    assert _names(_add(store, f"{folder}/**/*.csv")) == {"a.csv", "b.csv", "deep/er/c.csv", "odd name\n\u00e9[1].csv"}


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(store: Store, folder: Path) -> None:
    assert _names(_add(store, folder / "odd name\n\u00e9[1].csv")) == {"odd name\n\u00e9[1].csv"}


def test_a_path_is_relative_to_the_folder_of_the_call(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert _add(store, ".").digest == _add(store, folder, name="again").digest
    assert _names(_add(store, "*.csv")) == _names(_add(store, f"{folder}/*.csv"))


@pytest.mark.parametrize("named", ["gone.csv", "*.parquet", "void"])
def test_data_that_is_not_there_is_refused(store: Store, tmp_path: Path, named: str) -> None:
    (tmp_path / "void" / "below").mkdir(parents=True)
    with pytest.raises(DataNotFound, match=named.replace("*", r"\*")):
        _add(store, f"{tmp_path}/{named}")
    assert datasets.list_datasets(store) == []


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_symbolic_link_is_refused_wherever_it_is(store: Store, folder: Path, is_folder: bool) -> None:
    link = folder / "deep" / "link"
    link.symlink_to(folder if is_folder else folder / "a.csv")
    for path in (folder, link, f"{folder}/deep/*"):
        with pytest.raises(DataNotRegular, match="symbolic link"):
            _add(store, path)


def test_a_link_on_the_way_of_a_pattern_is_refused(store: Store, folder: Path) -> None:
    (folder / "link").symlink_to(folder / "deep" / "er")
    for pattern in ("*/c.csv", "**/c.csv"):
        with pytest.raises(DataNotRegular, match="symbolic link"):
            _add(store, f"{folder}/{pattern}")


def test_a_pipe_is_refused(store: Store, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataNotRegular, match="named pipe"):
        _add(store, folder)


@pytest.mark.parametrize("name", [b"\xff.csv", b"\xff/a.csv"])
def test_a_name_that_is_no_text_is_refused(store: Store, folder: Path, name: bytes) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    odd.parent.mkdir(exist_ok=True)
    odd.write_bytes(b"x")
    with pytest.raises(DataNotRegular, match="not UTF-8"):
        _add(store, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(store: Store, folder: Path) -> None:
    (folder / "a.csv").chmod(0)
    with pytest.raises(FileNotReadable, match=r"a\.csv"):
        _add(store, folder)


def test_the_workspace_itself_is_no_data(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for path in (tmp_path, f"{tmp_path}/**/*"):
        with pytest.raises(DataNotRegular, match="workspace"):
            _add(store, path)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "../x", "-x", "x" * 101])
def test_a_name_that_no_reference_could_have_is_refused(store: Store, folder: Path, name: str) -> None:
    with pytest.raises(NameInvalid):
        _add(store, folder, name=name)


def test_a_hard_link_keeps_nothing_twice(store: Store, folder: Path) -> None:
    version = _add(store, folder / "a.csv", storage=Storage.HARDLINK)
    assert store.blobs.path(version.files[0].digest).samefile(folder / "a.csv")


def test_a_copy_is_independent_of_a_linked_file(store: Store, folder: Path) -> None:
    _add(store, folder / "a.csv", storage=Storage.HARDLINK)
    version = _add(store, folder / "a.csv", storage=Storage.COPY)
    assert version.reference == "sales:1"
    assert version.storage == Storage.COPY
    with (folder / "a.csv").open("ab") as file:
        file.write(b"edited")
    assert reading.read(store, "sales:1").path.read_bytes() == b"x\n1\n"


def test_what_is_copied_stays_copied(store: Store, folder: Path) -> None:
    _add(store, folder)
    assert _add(store, folder, storage=Storage.REFERENCE).storage == Storage.COPY


def test_a_hard_link_across_file_systems_is_refused(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = next((each for each in ("/dev/shm", "/run") if os.access(each, os.W_OK)), None)
    if other is None or Path(other).stat().st_dev == store.folder.stat().st_dev:
        pytest.skip("there is one file system only")
    path = Path(other, f"modelwright-{os.getpid()}")
    path.write_text("x")
    try:
        with pytest.raises(HardlinkRefused, match="another file system"):
            _add(store, path, storage=Storage.HARDLINK)
    finally:
        path.unlink()
    assert datasets.list_datasets(store) == []


def test_a_file_that_is_being_written_is_refused(store: Store, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (2 << 20))
    copy = blobs._copy_large

    def write_meanwhile(source: int, partial: str) -> None:
        with path.open("r+b") as file:
            file.write(b"y")
        copy(source, partial)

    monkeypatch.setattr(blobs, "_copy_large", write_meanwhile)
    with pytest.raises(FileBusy, match="log"):
        _add(store, path)
    assert store.blobs.digests() == set()
    assert list((store.blobs.folder / "partial").iterdir()) == []


def test_a_file_that_grows_is_refused(store: Store, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x")
    look = adding.digests.look

    def write_after(*arguments: object) -> object:
        seen = look(*arguments)
        path.write_bytes(b"longer")
        return seen

    monkeypatch.setattr(adding.digests, "look", write_after)
    with pytest.raises(FileBusy, match="log"):
        _add(store, path)


def test_progress_tells_all_bytes(store: Store, folder: Path) -> None:
    for storage in Storage:
        told: list[tuple[int, int]] = []
        _add(store, folder, name=storage, storage=storage, on_progress=lambda *each, told=told: told.append(each))
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert told[-1] == (total, total)


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from modelwright.datasets import adding
from modelwright.store.database import open_store

store = open_store(Path(sys.argv[1]))
first = threading.Lock()  # threads report as well, and the key is pressed once
def report(done, whole):
    if done * 2 > whole and first.acquire(blocking=False):
        os.kill(os.getpid(), signal.SIGINT)
try:
    storage = adding.Storage(sys.argv[3])
    adding.add_files(store, "sales", path=sys.argv[2], actor="me", storage=storage, on_progress=report)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("storage", list(Storage))
def test_ctrl_c_leaves_nothing_half_registered(store: Store, tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "many").mkdir()
    for number in range(400):
        (tmp_path / "many" / str(number)).write_text(f"{number}")
    command = [sys.executable, "-c", INTERRUPTED, store.folder, tmp_path / "many", storage]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "interrupted\n"
    assert datasets.list_datasets(store) == []
    assert list((store.blobs.folder / "partial").iterdir()) == []
    assert _add(store, tmp_path / "many", storage=storage).reference == "sales:1"


def test_kill_leaves_nothing_half_registered(store: Store, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(100):
        (tmp_path / "many" / str(number)).write_text(f"{number}")
    program = INTERRUPTED.replace("SIGINT", "SIGKILL")
    command = [sys.executable, "-c", program, store.folder, tmp_path / "many", "copy"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert datasets.list_datasets(store) == []
    store.blobs.clear_unfinished()
    assert list((store.blobs.folder / "partial").iterdir()) == []
    assert store.blobs.digests() == set()


def test_two_processes_that_add_at_once_get_versions_of_their_own(store: Store, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from modelwright.datasets import adding
from modelwright.store.database import open_store
store = open_store(Path(sys.argv[1]))
for number in range(10):
    path = Path(sys.argv[2], f"{sys.argv[3]}-{number}")
    path.write_text(path.name)
    adding.add_files(store, "sales", path=path, actor="me")
"""
    both = [
        subprocess.Popen([sys.executable, "-c", program, store.folder, tmp_path, name]) for name in ("first", "second")
    ]
    assert [each.wait(300) for each in both] == [0, 0]
    assert [each.version for each in datasets.get_dataset(store, "sales").versions] == list(range(1, 21))


def test_what_a_run_pins_is_kept_and_comes_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "value.pickle").write_bytes(b"value")
    version = versions.pin(store, "runs", files={"rows": tmp_path / "value.pickle"}, actor="me")
    assert versions.pin(store, "runs", files={"rows": tmp_path / "value.pickle"}, actor="me").id == version.id
    (tmp_path / "value.pickle").unlink()
    assert reading.read(store, version.reference).paths["rows"].read_bytes() == b"value"


def test_adding_files_by_reference_keeps_no_bytes(store: Store, folder: Path) -> None:
    version = _add(store, folder, storage=Storage.REFERENCE)
    assert store.blobs.digests() == set()
    assert {each.location for each in version.files} == {str(path) for path in folder.rglob("*") if path.is_file()}
    assert digests(store, [folder / "a.csv"])[folder / "a.csv"] in {each.digest for each in version.files}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a row of everything that SQLite has."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, price REAL, note TEXT, raw BLOB, empty TEXT)")
        rows = [
            (1, 0.1 + 0.2, 'a\nb,"c"', b"\x00\xff", None),
            (2, None, "", None, None),
            (9007199254740993, 1e300, r"\N", b"", None),
        ]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return tmp_path / "shop.db"


def test_the_rows_of_a_query_come_back_as_they_were(store: Store, database: Path) -> None:
    query = "SELECT * FROM orders WHERE note != ':x %s' ORDER BY id"
    version = adding.add_query(store, "orders", query=query, source=str(database), actor="me")
    frame = reading.read(store, version.reference).frame()
    assert frame["id"].tolist() == [1, 2, 9007199254740993]
    assert frame["price"].tolist()[0] == 0.1 + 0.2
    assert frame["price"].isna().tolist() == [False, True, False]
    assert frame["note"].tolist() == ['a\nb,"c"', "", r"\N"]
    assert frame["raw"].tolist()[::2] == [b"\x00\xff", b""]
    assert frame["empty"].isna().all()


def test_the_same_rows_are_the_same_version_whatever_the_query(store: Store, database: Path) -> None:
    first = adding.add_query(store, "o", query="SELECT id FROM orders ORDER BY id", source=str(database), actor="me")
    url = f"sqlite:///{database}"
    again = adding.add_query(store, "o", query="SELECT id FROM orders ORDER BY 1", source=url, actor="me")
    assert first.id == again.id


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT unknown FROM orders", "no such column"),
        ("DELETE FROM orders", "readonly|returns no rows"),
        ("SELECT 1; SELECT 2", "one statement"),
    ],
)
def test_a_query_that_gives_no_table_is_refused(store: Store, database: Path, query: str, told: str) -> None:
    with pytest.raises(QueryFailed, match=told):
        adding.add_query(store, "o", query=query, source=str(database), actor="me")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    connection.close()
    assert datasets.list_datasets(store) == []


def test_a_query_cannot_write_through_a_url_either(store: Store, database: Path) -> None:
    query = "DELETE FROM orders RETURNING id"
    adding.add_query(store, "o", query=query, source=f"sqlite:///{database}", actor="me")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    connection.close()


def test_a_database_that_cannot_be_opened_is_named_without_its_password(store: Store, tmp_path: Path) -> None:
    for source in (str(tmp_path / "gone.db"), "nosuch://me:secret@host/name", "sqlite:////gone/x.db", "a b://:secret"):
        with pytest.raises(SourceNotReached) as caught:
            adding.add_query(store, "o", query="SELECT 1", source=source, actor="me")
        assert "secret" not in str(caught.value)


def test_a_column_of_several_types_is_refused(store: Store, database: Path) -> None:
    query = "SELECT 1 AS x UNION ALL SELECT 'a'"
    with pytest.raises(TableNotKept, match=r'"x".*integer and text'):
        adding.add_query(store, "o", query=query, source=str(database), actor="me")


def test_two_columns_of_one_name_are_refused(store: Store, database: Path) -> None:
    with pytest.raises(TableNotKept, match='"x"'):
        adding.add_query(store, "o", query="SELECT 1 AS x, 2 AS x", source=str(database), actor="me")


def test_what_is_no_table_is_refused(store: Store) -> None:
    with pytest.raises(TableUnknown, match="list"):
        adding.add_table(store, "t", table=[1, 2], actor="me")


@pytest.mark.parametrize(("column", "told"), [("gone", "day, n"), ("n", "numbers"), ("note", 'row 1 holds "soon"')])
def test_a_timestamp_column_is_tried_when_it_is_stated(store: Store, tmp_path: Path, column: str, told: str) -> None:
    (tmp_path / "t.csv").write_text("day,n,note\n2024-01-01,1,2024-01-01\n2024-01-02,2,soon\n")
    with pytest.raises(TimestampInvalid, match=told):
        _add(store, tmp_path / "t.csv", labels=Labels(timestamp_column=column))
    assert datasets.list_datasets(store) == []


def test_labels_are_set_and_stay_until_others_are(store: Store, folder: Path) -> None:
    _add(store, folder, labels=Labels("what it is", {"area": "eu"}))
    _add(store, folder)
    found = datasets.get_dataset(store, "sales")
    assert (found.description, found.tags) == ("what it is", {"area": "eu"})
    _add(store, folder, labels=Labels("", {"area": "us", "year": "2024"}))
    found = datasets.get_dataset(store, "sales")
    assert (found.description, found.tags) == ("", {"area": "us", "year": "2024"})
