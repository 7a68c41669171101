"""Segments become Parquet once, whatever kills who does it, and nothing is missed or read twice meanwhile."""

import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving.capture.exchanges import exchange

from modelwright.errors import CaptureDamaged
from modelwright.records import CaptureLimits, Exchange
from modelwright.serving.capture import compaction, keeping, merging, partitions, reading
from modelwright.serving.capture.encoding import encoded
from modelwright.serving.capture.journal import Journal
from modelwright.store import capture
from modelwright.store.database import Store, open_store

BEGUN = datetime(2026, 3, 3, 11, 59, 50, tzinfo=UTC)


def spread(number: int, **said: Any) -> Exchange:
    """Return exchanges a second apart, from ten seconds before noon on."""
    return exchange(number, received_at=BEGUN.timestamp() + number, **said)


def write(folder: Path, *given: Exchange, is_sealed: bool = True) -> Journal:
    journal = Journal(folder, CaptureLimits())
    journal.append([encoded(each, each.headers) for each in given], is_flushed=False)
    if is_sealed:
        journal.seal()
    return journal


def in_parquet(folder: Path) -> list[Exchange]:
    """Read what any reader of Parquet would."""
    return [each for file in sorted(folder.glob("dt=*/hh=*/*.parquet")) for each in partitions.read(file)]


def in_order(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return exchanges by their times: segments that were begun in one millisecond have no order."""
    return sorted(exchanges, key=lambda each: each.received_at)


@pytest.fixture
def folder(store: Store) -> Path:
    return store.folder / "capture" / "churn"


SAID = [spread(each, headers={"content-type": "text/csv", "x-tenant": "a"}) for each in range(20)]


def test_a_segment_becomes_a_file_for_each_hour(store: Store, folder: Path) -> None:
    write(folder, *SAID)
    (kept,) = compaction.compact(store, folder, actor="ada")
    assert kept.rows == 20
    assert [each.rpartition("/")[0] for each in kept.files] == ["dt=2026-03-03/hh=11", "dt=2026-03-03/hh=12"]
    assert in_parquet(folder) == SAID
    assert list(reading.exchanges(folder)) == SAID
    assert capture.list_segments(store, "churn") == [kept]
    assert not list(folder.glob("*.wal"))
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.parquet")} == {0o600}


def test_a_segment_that_is_written_to_is_left_alone(store: Store, folder: Path) -> None:
    journal = write(folder, *SAID, is_sealed=False)
    assert compaction.compact(store, folder, actor="ada") == []
    assert list(reading.exchanges(folder)) == SAID
    journal.seal()
    assert len(compaction.compact(store, folder, actor="ada")) == 1


def test_what_a_killed_process_left_is_kept_up_to_where_it_is_whole(store: Store, folder: Path) -> None:
    write(folder, *SAID)
    (path,) = folder.glob("*.wal")
    path.write_bytes(path.read_bytes()[:-7] + bytes(500))
    compaction.compact(store, folder, actor="ada")
    assert in_parquet(folder) == SAID[:-1]


def test_a_damaged_segment_is_kept_beside_what_was_whole_in_it(store: Store, folder: Path) -> None:
    write(folder, *SAID)
    (path,) = folder.glob("*.wal")
    content = bytearray(path.read_bytes())
    content[-400] ^= 1
    path.write_bytes(content)
    compaction.compact(store, folder, actor="ada")
    (damaged,) = folder.glob("*.damaged")
    assert damaged.read_bytes() == content
    assert 0 < len(in_parquet(folder)) < 20


def test_a_segment_without_records_goes(store: Store, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "segment_0.wal").write_bytes(b"")
    assert compaction.compact(store, folder, actor="ada") == []
    assert not list(folder.glob("*.wal"))


def test_a_segment_is_read_once_while_it_is_there_in_both_forms(store: Store, folder: Path) -> None:
    write(folder, *SAID)
    (path,) = folder.glob("*.wal")
    content = path.read_bytes()
    compaction.compact(store, folder, actor="ada")
    path.write_bytes(content)  # as if it had been killed before it could delete it
    assert list(reading.exchanges(folder)) == SAID
    assert len(reading.find(folder.parent, SAID[3].request_id, longest_seconds=60)) == 1
    assert len(reading.find(folder.parent, "of the client's own", longest_seconds=60)) == 0
    assert compaction.compact(store, folder, actor="ada") == []
    assert in_parquet(folder) == SAID
    assert not path.exists()


def test_a_segment_that_becomes_parquet_while_it_is_looked_for_is_read(store, folder, monkeypatch) -> None:
    write(folder, *SAID)
    read_bytes = Path.read_bytes

    def late(path: Path) -> bytes:
        monkeypatch.undo()
        compaction.compact(store, folder, actor="ada")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    assert list(reading.exchanges(folder)) == SAID
    write(folder, spread(50))
    monkeypatch.setattr(Path, "read_bytes", late)
    assert len(reading.find(folder.parent, spread(50).request_id, longest_seconds=60)) == 1


def test_a_time_is_read_alone(store: Store, folder: Path) -> None:
    write(folder, *SAID[:10])
    compaction.compact(store, folder, actor="ada")
    write(folder, *SAID[10:])
    since, until = BEGUN + timedelta(seconds=5), BEGUN + timedelta(seconds=15)
    assert list(reading.exchanges(folder, since=since, until=until)) == SAID[5:15]


def test_the_files_of_an_hour_that_is_over_become_one(store: Store, folder: Path) -> None:
    for begin in (0, 5, 12, 15):
        write(folder, *SAID[begin : {0: 5, 5: 12, 12: 15, 15: 20}[begin]])
    keeping.keep(store, "churn", actor="ada")
    assert [len(partitions.files(hour)) for hour in partitions.hours(folder)] == [1, 1]
    assert in_order(in_parquet(folder)) == SAID == in_order(reading.exchanges(folder))
    assert [each.request_id for each in reading.newest(folder, limit=3, is_wanted=lambda _: True)] == [
        each.request_id for each in SAID[-3:]
    ]
    (found,) = reading.find(folder.parent, SAID[13].request_id, longest_seconds=60)
    assert found.file.rpartition("/")[2].startswith("hour_")
    # A segment that comes late has its hour made anew, and one that is still there is left out until it has gone.
    write(folder, spread(30))
    (late,) = folder.glob("*.wal")
    content = late.read_bytes()
    compaction.compact(store, folder, actor="ada")
    late.write_bytes(content)
    hour = partitions.hours(folder)[1]
    assert merging.merge(hour) is None
    assert in_order(reading.exchanges(folder)) == [*SAID, spread(30)]
    late.unlink()
    merged = merging.merge(hour)
    assert partitions.files(hour) == [merged]
    assert in_order(in_parquet(folder)) == [*SAID, spread(30)]
    assert not merging.is_over(hour, BEGUN + timedelta(minutes=60))
    assert merging.is_over(hour, BEGUN + timedelta(minutes=66))


def test_a_file_that_becomes_part_of_its_hour_while_it_is_read_is_read_once(store, folder, monkeypatch) -> None:
    for part in (SAID[11:14], SAID[14:17], SAID[17:]):
        write(folder, *part)
    segments = {path: path.read_bytes() for path in folder.glob("*.wal")}
    compaction.compact(store, folder, actor="ada")
    (hour,) = partitions.hours(folder)
    reader = reading.exchanges(folder)
    begun = [next(reader)]
    merging.merge(hour)
    assert in_order([*begun, *reader]) == SAID[11:]

    first = min(segments)
    first.write_bytes(segments[first])
    read_bytes = Path.read_bytes

    def late(path: Path) -> bytes:
        first.unlink(missing_ok=True)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", late)
    assert in_order(reading.exchanges(folder)) == SAID[11:]
    for each in SAID[11:]:
        first.write_bytes(segments[first])
        assert len(reading.find(folder.parent, each.request_id, longest_seconds=60)) == 1


def test_a_file_of_parquet_that_is_torn_is_named_and_holds_up_no_other_hour(store: Store, folder: Path) -> None:
    for part in (SAID[:5], SAID[5:10], SAID[10:15], SAID[15:]):
        write(folder, *part)
    compaction.compact(store, folder, actor="ada")
    torn, whole = partitions.hours(folder)
    file = partitions.files(torn)[0]
    file.write_bytes(file.read_bytes()[:-40])
    keeping.keep(store, "churn", actor="ada")
    assert len(partitions.files(whole)) == 1
    with pytest.raises(CaptureDamaged, match=f'"{file}" is damaged: '):
        list(reading.exchanges(folder))


@pytest.mark.parametrize("form", ["segment", "parquet"])
def test_a_request_is_found_by_its_id_in_every_form(store: Store, folder: Path, form: str) -> None:
    write(folder, *SAID, exchange(30, request_id="order 7", shadow_of="diabetes:1"))
    write(folder.with_name("sales"), exchange(31, request_id="order 7"))
    if form == "parquet":
        for each in (folder, folder.with_name("sales")):
            compaction.compact(store, each, actor="ada")
    told: list[tuple[int, int]] = []
    found = reading.find(folder.parent, "order 7", longest_seconds=60, on_file=lambda *each: told.append(each))
    assert [each.endpoint for each in found] == ["churn", "sales"]
    assert found[0].record.shadow_of == "diabetes:1"
    assert told[-1][0] == told[-1][1] > 0
    (one,) = reading.find(folder.parent, SAID[4].request_id, longest_seconds=60)
    assert one.record.input == '{"data": [[4]]}'
    assert one.record.headers == {"content-type": "text/csv", "x-tenant": "a"}


def test_killed_at_every_stage_each_segment_is_kept_once(tmp_path: Path) -> None:
    template = tmp_path / "template"
    open_store(template).close()
    write(template / "capture" / "churn", *SAID)
    write(template / "capture" / "churn", *(spread(each) for each in (20, 21)))
    program = Path(__file__).with_name("killing.py")
    done = subprocess.run([sys.executable, program, template], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
