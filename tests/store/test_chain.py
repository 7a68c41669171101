"""The chain of audit records: whatever happens to one of them shows."""

import io
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelwright.store import audit, chain, database, datasets, projects
from modelwright.store.changes import change
from modelwright.store.database import DATABASE, Store

COLUMNS = (*chain.Written._fields, "digest")
NAMED = ", ".join(COLUMNS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workspace in which five things happened."""
    folder = tmp_path_factory.mktemp("original") / ".wright"
    store = database.open_store(folder)
    for number in range(5):
        with change(store, actor="ada", why=f"reason {number}") as opened:
            projects.ensure_project(opened, "churn", folder=Path(f"/place/é{number}"))
    store.close()
    return folder


@pytest.fixture
def written(original: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of that workspace."""
    shutil.copytree(original, tmp_path / ".wright")
    opened = database.open_store(tmp_path / ".wright")
    yield opened
    opened.close()


def _exported(store: Store) -> bytes:
    file = io.BytesIO()
    assert not audit.export(store, file.write).fault
    return file.getvalue()


def _check_file(file: bytes, *, head: str | None = None) -> chain.Found:
    return chain.check_file(io.BytesIO(file), head=head)


def _tamper(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.folder / DATABASE)) as connection, connection:
        for each in statements:
            connection.execute(each)


def test_a_whole_chain_is_whole_in_the_database_and_in_a_file(written: Store) -> None:
    found = audit.check(written)
    assert (found.count, found.fault) == (5, "")
    assert _check_file(_exported(written), head=found.head) == found
    assert audit.check(written, head=found.head) == found


def test_files_of_earlier_releases_are_verified() -> None:
    with (Path(__file__).parents[1] / "formats" / "audit-1.jsonl").open("rb") as lines:
        assert chain.check_file(lines) == chain.Found(
            4, "bcecef2579a9522e00b6c3eff194d7d9b7b3c46866df8983dcd8103e3c84e62f"
        )


def test_an_empty_chain_is_whole(store: Store) -> None:
    assert audit.check(store) == chain.Found(0, chain.FIRST)
    assert _check_file(_exported(store)) == chain.Found(0, chain.FIRST)


def test_every_byte_of_a_file_counts(written: Store) -> None:
    file = _exported(written)
    draw = random.Random(0)
    for place in range(len(file)):
        other = file[:place] + bytes([file[place] ^ draw.randrange(1, 256)]) + file[place + 1 :]
        assert _check_file(other).fault, place


def test_every_line_of_a_file_counts(written: Store) -> None:
    lines = _exported(written).splitlines(keepends=True)
    for place in range(len(lines)):
        assert _check_file(b"".join(lines[:place] + lines[place + 1 :])).fault, place
        assert _check_file(b"".join(lines[:place])).fault, place
        assert _check_file(b"".join([*lines[:place], lines[place], *lines[place:]])).fault, place
    assert _check_file(b"".join(lines) + b"\n").fault


def test_every_byte_of_a_record_in_the_database_counts(written: Store) -> None:
    draw = random.Random(1)
    with closing(sqlite3.connect(written.folder / DATABASE)) as connection:
        whole = {row[0]: row for row in connection.execute(f"SELECT {NAMED} FROM audit_records")}
        for _ in range(150):
            sequence, column = draw.randrange(1, 6), draw.choice(COLUMNS[1:])
            kept = str(whole[sequence][COLUMNS.index(column)]).encode()
            place = draw.randrange(len(kept))
            other = kept[:place] + bytes([kept[place] ^ draw.randrange(1, 256)]) + kept[place + 1 :]
            place_it = f"UPDATE audit_records SET {column} = CAST(? AS TEXT) WHERE sequence = ?"
            with connection:
                connection.execute(place_it, (other, sequence))
            found = audit.check(written)
            assert (found.broken_at, found.count) == (sequence, sequence - 1), (column, kept, other)
            assert f"record {sequence} is not what was written" in found.fault
            with connection:
                connection.execute(place_it, (kept, sequence))
    assert not audit.check(written).fault


@pytest.mark.parametrize(
    ("statements", "sequence", "told"),
    [
        (["DELETE FROM audit_records WHERE sequence = 3"], 3, "record 3 was removed"),
        (["DELETE FROM audit_records WHERE sequence < 3"], 1, "records 1 to 2 were removed"),
        (
            [
                "DELETE FROM audit_records WHERE sequence = 2",
                *(f"UPDATE audit_records SET sequence = {each - 1} WHERE sequence = {each}" for each in (3, 4, 5)),
            ],
            2,
            "record 2 is not what was written after record 1",
        ),
        (
            [
                *(f"UPDATE audit_records SET sequence = {each + 1} WHERE sequence = {each}" for each in (5, 4, 3)),
                f"INSERT INTO audit_records ({NAMED}) SELECT 3, {NAMED[9:]} FROM audit_records WHERE sequence = 2",
            ],
            3,
            "record 3 is not what was written after record 2",
        ),
        (["UPDATE audit_records SET undo = NULL WHERE sequence = 4"], 4, "record 4"),
        (["UPDATE audit_records SET actor = CAST('ada' AS BLOB) WHERE sequence = 4"], 4, "record 4"),
        (["DELETE FROM audit_records WHERE sequence > 3"], 4, "records 4 to 5 were cut off from the end"),
    ],
)
def test_what_was_done_to_the_records_is_named(written: Store, statements: list[str], sequence: int, told: str) -> None:
    _tamper(written, *statements)
    found = audit.check(written)
    assert found.broken_at == sequence
    assert told in found.fault


def test_a_chain_written_anew_lacks_the_digest_that_was_noted(written: Store, tmp_path: Path) -> None:
    noted = audit.check(written).head
    shutil.copytree(written.folder, tmp_path / "forged")
    forged = database.open_store(tmp_path / "forged")
    _tamper(forged, "DELETE FROM audit_records", "DELETE FROM sqlite_sequence")
    for number in range(5):
        with change(forged, actor="eve", why=f"reason {number}") as opened:
            projects.ensure_project(opened, "churn", folder=Path(f"/another/{number}"))
    assert not audit.check(forged).fault
    assert f"no record has the digest {noted[:12]}" in audit.check(forged, head=noted).fault
    assert f"no record has the digest {noted[:12]}" in _check_file(_exported(forged), head=noted).fault
    forged.close()


def test_a_broken_chain_is_not_exported_as_whole(written: Store) -> None:
    _tamper(written, "UPDATE audit_records SET why = 'another' WHERE sequence = 3")
    file = io.BytesIO()
    assert audit.export(written, file.write).broken_at == 3
    assert _check_file(file.getvalue()).fault


def test_numbers_that_are_none_are_named_in_records(store: Store) -> None:
    with change(store, actor="ada") as opened:
        opened.record("run.noted", "runs/x", after={"metrics": {"mse": float("nan"), "mae": [float("inf"), 1.5]}})
    assert b"NaN" not in _exported(store)
    (record,) = audit.list_audit_records(store)
    assert record["after"] == {"metrics": {"mse": "nan", "mae": ["inf", 1.5]}}
    assert not audit.check(store).fault


def _write(folder: Path, worker: int) -> None:
    store = database.open_store(folder)
    for number in range(5):
        with change(store, actor=f"worker {worker}") as opened:
            datasets.describe(opened, "sales", f"{worker} {number}")
    store.close()


def test_many_writers_make_one_chain(store: Store, processes: Any) -> None:
    from modelwright.records import DatasetVersion

    with change(store, actor="ada") as opened:
        wanted = DatasetVersion("", "sales", 0, "d" * 64, 0, opened.at)
        datasets.ensure_dataset_version(opened, wanted)
    workers = [processes.Process(target=_write, args=(store.folder, number)) for number in range(32)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(300)
    assert [each.exitcode for each in workers] == [0] * 32
    found = audit.check(store)
    assert (found.count, found.fault) == (161, "")
