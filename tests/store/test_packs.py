"""Packs: many small blobs in one file."""

from pathlib import Path

import pytest

from modelwright.errors import BlobDamaged
from modelwright.store import packs
from modelwright.store.blobs import Blobs, digest_of


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def _files(tmp_path: Path, *contents: bytes) -> list[Path]:
    paths = [tmp_path / f"{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def _add(blobs: Blobs, paths: list[Path], *, is_packed: bool = True) -> list[str]:
    with blobs.batch() as batch:
        return batch.add_all(paths, is_packed=is_packed)


def test_small_blobs_share_a_file_named_by_its_content(blobs: Blobs, tmp_path: Path) -> None:
    paths = _files(tmp_path, b"one", b"", b"two", b"one", b"x" * (packs.PACKED_BYTES + 1))
    digests = _add(blobs, paths)
    assert digests == [digest_of(path) for path in paths]
    assert blobs.digests() == set(digests)
    assert [each.parent.parent for each in blobs.folder.glob("??/*")] == [blobs.folder]
    (pack,) = [each for each in (blobs.folder / packs.FOLDER).iterdir() if not each.suffix]
    assert digest_of(pack) == pack.name
    for path, digest in zip(paths, digests, strict=True):
        blobs.export(digest, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert list((blobs.folder / "partial").iterdir()) == []


def test_what_is_packed_is_not_kept_again(blobs: Blobs, tmp_path: Path) -> None:
    paths = _files(tmp_path, b"one", b"two")
    _add(blobs, paths)
    _add(blobs, paths)
    assert len(list((blobs.folder / packs.FOLDER).iterdir())) == 2


def test_a_blob_that_is_added_alone_has_a_path_though_it_is_packed(blobs: Blobs, tmp_path: Path) -> None:
    paths = _files(tmp_path, b"one", b"two")
    digests = _add(blobs, paths)
    _add(blobs, paths[:1], is_packed=False)
    assert blobs.path(digests[0]).read_bytes() == b"one"


def _discard(blobs: Blobs, doomed: set[str]) -> list[str]:
    with blobs.alone() as alone:
        return alone.discard(doomed)


def _packs(blobs: Blobs) -> list[Path]:
    return [each for each in (blobs.folder / packs.FOLDER).iterdir() if not each.suffix]


def test_a_pack_is_written_anew_without_what_is_deleted(blobs: Blobs, tmp_path: Path) -> None:
    one, two, empty = _add(blobs, _files(tmp_path, b"one", b"two", b""))
    assert _discard(blobs, {one}) == []
    assert blobs.digests() == {two, empty}
    (pack,) = _packs(blobs)
    assert (pack.name, pack.read_bytes()) == (digest_of(pack), b"two")
    blobs.export(two, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"two"
    assert _discard(blobs, {empty}) == []  # which leaves the bytes, and so the name, of the pack as they were
    assert blobs.digests() == {two}
    assert _packs(blobs) == [pack]
    assert _discard(blobs, {two}) == []
    assert blobs.digests() == set()
    assert list((blobs.folder / packs.FOLDER).iterdir()) == []
    assert list((blobs.folder / "partial").iterdir()) == []


def test_what_lies_in_two_packs_is_deleted_from_both(blobs: Blobs, tmp_path: Path) -> None:
    """As when the process was killed that was writing a pack anew."""
    one, two = _add(blobs, _files(tmp_path, b"one", b"two"))
    old = {each: each.read_bytes() for each in (blobs.folder / packs.FOLDER).iterdir()}
    _discard(blobs, {one})
    for path, content in old.items():
        path.write_bytes(content)
    assert blobs.digests() == {one, two}
    _discard(blobs, {one})
    assert blobs.digests() == {two}
    assert len(_packs(blobs)) == 1


def test_a_damaged_pack_is_not_written_anew(blobs: Blobs, tmp_path: Path) -> None:
    one, two = _add(blobs, _files(tmp_path, b"one", b"two"))
    (pack,) = _packs(blobs)
    pack.chmod(0o644)
    pack.write_bytes(b"onetwO")
    (told,) = _discard(blobs, {one})
    assert told == f"pack {pack.name[:12]} stays as it is: blob {two} in it is damaged"
    assert blobs.digests() == {one, two}


def test_a_pack_without_its_index_is_cleared(blobs: Blobs, tmp_path: Path) -> None:
    _add(blobs, _files(tmp_path, b"one"))
    next((blobs.folder / packs.FOLDER).glob("*.index")).unlink()
    assert blobs.digests() == set()
    assert blobs.clear_unfinished() == 1
    assert _packs(blobs) == []


@pytest.mark.parametrize("damage", [b"onE", b"o"])
def test_a_damaged_pack_is_found_on_reading(blobs: Blobs, tmp_path: Path, damage: bytes) -> None:
    (digest,) = _add(blobs, _files(tmp_path, b"one"))
    (pack,) = [each for each in (blobs.folder / packs.FOLDER).iterdir() if not each.suffix]
    pack.chmod(0o644)
    pack.write_bytes(damage)
    with pytest.raises(BlobDamaged, match=digest):
        blobs.export(digest, tmp_path / "back")
