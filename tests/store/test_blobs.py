"""Content-addressed files."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from modelwright.errors import BlobDamaged, Busy
from modelwright.store.blobs import Blobs, digest_of


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def test_a_blob_comes_back_byte_for_byte(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        digest = batch.add(_file(tmp_path, b"model" * 1000))
    blobs.export(digest, tmp_path / "back", is_executable=True)
    assert (tmp_path / "back").read_bytes() == b"model" * 1000
    assert os.access(tmp_path / "back", os.X_OK)


def test_the_same_content_is_kept_once(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        assert batch.add(_file(tmp_path, b"same")) == batch.add(_file(tmp_path, b"same"))
    assert len(blobs.digests()) == 1


def test_an_empty_file_is_a_blob(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        digest = batch.add(_file(tmp_path, b""))
    blobs.export(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_a_changed_byte_is_found_on_reading(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        digest = batch.add(_file(tmp_path, b"model"))
    place = next(blobs.folder.glob("??/*"))
    place.chmod(0o644)
    place.write_bytes(b"modem")
    with pytest.raises(BlobDamaged, match=digest):
        blobs.export(digest, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_only_the_blobs_that_were_named_are_deleted(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        kept = batch.add(_file(tmp_path, b"kept"))
        doomed = batch.add(_file(tmp_path, b"left over"))
    assert blobs.sizes() == {kept: 4, doomed: 9}
    with blobs.alone() as alone:
        assert alone.discard({doomed}) == []
    assert blobs.digests() == {kept}


def test_unfinished_copies_are_cleared_when_nobody_adds_blobs(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.batch() as batch:
        digest = batch.add(_file(tmp_path, b"not named yet"))
        (blobs.folder / "partial" / "1-half").write_bytes(b"half")
        assert blobs.clear_unfinished() == 0
    assert blobs.clear_unfinished() == 1
    assert blobs.digests() == {digest}


def test_there_is_nothing_to_clear_in_a_new_workspace(blobs: Blobs) -> None:
    assert blobs.clear_unfinished() == 0


def test_nobody_is_alone_while_another_adds_or_reads_blobs(blobs: Blobs, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    added = context.Event()
    process = context.Process(target=_add_and_hang, args=(blobs.folder, _file(tmp_path, b"mine"), added))
    process.start()
    assert added.wait(300)
    told: list[str] = []
    with pytest.raises(Busy, match=f"process {process.pid} "), blobs.alone(on_wait=told.append, patience_seconds=0):
        pytest.fail("two at once")
    assert told
    process.kill()
    process.join(300)
    with blobs.held(), pytest.raises(Busy), blobs.alone(patience_seconds=0):
        pytest.fail("two at once")
    with blobs.alone():
        pass


def _add_and_hang(folder: Path, source: Path, added: Event) -> None:
    with Blobs(folder).batch() as batch:
        batch.add(source)
        added.set()
        signal.pause()


def test_a_killed_process_holds_no_lock(blobs: Blobs, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    added = context.Event()
    process = context.Process(target=_add_and_hang, args=(blobs.folder, _file(tmp_path, b"lost"), added))
    process.start()
    assert added.wait(300)
    process.kill()
    process.join(300)
    assert blobs.digests() == {digest_of(tmp_path / "file")}
    with blobs.alone() as alone:
        alone.discard(blobs.digests())
    assert blobs.digests() == set()
