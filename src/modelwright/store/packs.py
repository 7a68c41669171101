"""Packs: thousands of small blobs in one file, so that keeping them costs one flush and one name.

A pack is named by the digest of its bytes. Its index, written last, says where each blob lies in it; a pack is there
when its index is.
"""

import os
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FOLDER = "packs"
# A blob up to this size is packed; the names of larger ones cost little beside their bytes.
PACKED_BYTES = 1 << 17

_ENTRY = struct.Struct("<32sQQ")


@dataclass(frozen=True)
class Slice:
    """Where a blob lies in a pack. Its bytes are for reading only, and unverified."""

    pack: Path
    offset: int
    size_bytes: int

    def read(self) -> bytes:
        """Return the bytes that lie there; fewer than there should be when the pack was cut."""
        with self.pack.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size_bytes)


@dataclass
class Writer:
    """A pack being written at `partial`; nothing of it is seen before `publish`."""

    partial: str
    entries: dict[str, tuple[int, int]] = field(default_factory=dict)
    size_bytes: int = 0
    _file: IO[bytes] | None = None
    _whole: Any = None

    def add(self, digest: str, content: bytes) -> None:
        """Add a blob whose digest is known, unless it is in the pack."""
        from blake3 import blake3

        if digest in self.entries:
            return
        if self._file is None:
            self._file, self._whole = Path(self.partial).open("xb"), blake3()  # noqa: SIM115 - `discard` closes it
        self._file.write(content)
        self._whole.update(content)
        self.entries[digest] = (self.size_bytes, len(content))
        self.size_bytes += len(content)

    def add_checked(self, digest: str, content: bytes) -> None:
        """Add a blob if it is what its digest says. Raises ValueError."""
        from blake3 import blake3

        if blake3(content).hexdigest() != digest:
            message = f"blob {digest} in it is damaged"
            raise ValueError(message)
        self.add(digest, content)

    @property
    def name(self) -> str | None:
        """The digest of what was written, by which the pack goes."""
        return self._whole.hexdigest() if self._whole else None

    def publish(self, folder: Path) -> None:
        """Put the pack and its index into the folder of the blobs, on the disk when this returns."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        packs = folder / FOLDER
        packs.mkdir(exist_ok=True)
        place = packs / self._whole.hexdigest()
        entries = [_ENTRY.pack(bytes.fromhex(digest), *at) for digest, at in self.entries.items()]
        index = Path(f"{self.partial}-index")
        with index.open("xb") as file:
            file.write(b"".join(entries))
            file.flush()
            os.fsync(file.fileno())
        Path(self.partial).chmod(0o444)
        Path(self.partial).replace(place)
        index.replace(place.with_suffix(".index"))
        for each in (packs, folder):
            descriptor = os.open(each, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def discard(self) -> None:
        """Delete what was not published."""
        if self._file is not None:
            self._file.close()
        for path in (Path(self.partial), Path(f"{self.partial}-index")):
            path.unlink(missing_ok=True)


def slices(folder: Path) -> dict[str, Slice]:
    """Return where each blob lies that is in some pack of the blobs' folder."""
    return {digest: each for index in _indexes(folder) for digest, each in _read(index).items()}


def unfinished(folder: Path) -> list[Path]:
    """Return the packs that have no index, because whoever wrote or deleted them was killed: nothing in them is seen.

    For a moment that is any pack that is being published, so nobody may be adding blobs meanwhile.
    """
    return [each for each in (folder / FOLDER).glob("*") if not each.suffix and not each.with_suffix(".index").exists()]


def discard(folder: Path, doomed: AbstractSet[str], *, partial: str) -> list[str]:
    """Delete the packed blobs of these digests; return what is to be known of packs that stayed as they were.

    A pack whose other blobs are needed is written anew without them, at `partial`, and is on the disk before the old
    one goes: killed in between, both are there, which is one too many and no harm.
    """
    kept = []
    for index in _indexes(folder):
        entries = _read(index)
        if not entries.keys() & doomed:
            continue
        written = Writer(partial)
        try:
            for digest, each in entries.items():
                if digest not in doomed:
                    written.add_checked(digest, each.read())
            written.publish(folder)
        except ValueError as error:
            kept.append(f"pack {index.stem[:12]} stays as it is: {error}")
            continue
        finally:
            written.discard()
        if written.name != index.stem:
            index.unlink()
            index.with_suffix("").unlink(missing_ok=True)
    return kept


def _indexes(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.index"))


def _read(index: Path) -> dict[str, Slice]:
    content, pack = index.read_bytes(), index.with_suffix("")
    whole = len(content) - len(content) % _ENTRY.size
    return {
        digest.hex(): Slice(pack, offset, size_bytes)
        for digest, offset, size_bytes in _ENTRY.iter_unpack(content[:whole])
    }
