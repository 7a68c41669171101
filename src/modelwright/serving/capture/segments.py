"""A segment: the file that one process appends records to, and what can be read of it after any crash.

A file is the eight bytes of MAGIC and then records, each with a prefix of twenty bytes: a mark, the length of what
follows, the record's number and a checksum. The first record, of number 0, is JSON that says the format's version and
the segment's id; the others are as `encoding.py` says. What a torn, truncated, flipped or zero-filled file gives is
the records before the first that is not whole, and never one that nobody wrote:

* The checksum covers length, number and content, and begins from the segment's id: neither a flipped bit nor a record
  of another file, which the disk may still hold, passes for one. It is masked, since zeros have the checksum zero.
* Numbers follow one another, so that no record is missed or read twice.
* No record is empty, so that zeros are none. (Frames without all of this took a zero-filled tail for 512 records.)
"""

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from modelwright.native import native

FORMAT_VERSION = 2  # 1 is that of `lines.py`
SUFFIX = ".wal"
MAGIC = b"MWCAPT\r\n"
PREFIX = struct.Struct("<IIQI")
_MARK = 0x9E3C5AD1
_MARKED = _MARK.to_bytes(4, "little")
_HEAD = struct.Struct("<IQ")
_MASK_DELTA = 0xA282EAD8  # as LevelDB and Snappy mask theirs
_MIN_BYTES = 16
_MAX_BYTES = 1 << 31

_NO_SEGMENT = "it does not begin as a segment does"
_NEWER = "a newer release wrote it; pip install -U modelwright"
_UNFINISHED = "it ends within a record"
_NO_RECORD = "what follows is no record"
_CHANGED = "a record is not what was written"


def seed_of(segment_id: str) -> int:
    """Return what the checksums of a segment begin from."""
    return zlib.crc32(segment_id.encode())


def prefix(number: int, content: "bytes | memoryview", *, seed: int) -> bytes:
    """Return what stands before the content of a record."""
    length = len(content)
    checksum = zlib.crc32(content, zlib.crc32(_HEAD.pack(length, number), seed))
    masked = ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF
    return PREFIX.pack(_MARK, length, number, masked)


def framed_slowly(contents: list[bytes], number: int, seed: int) -> bytes:
    """Return records as a segment has them, one after the other, the first of that number."""
    pieces: list[bytes] = []
    for place, content in enumerate(contents, number):
        pieces += (prefix(place, content, seed=seed), content)
    return b"".join(pieces)


framed = framed_slowly if native is None else native.framed


def opening(segment_id: str, endpoint: str) -> bytes:
    """Return what a new segment begins with."""
    facts = {"format": "modelwright-capture", "version": FORMAT_VERSION, "segment": segment_id, "endpoint": endpoint}
    told = json.dumps(facts).encode()
    return MAGIC + prefix(0, told, seed=0) + told


class Scan:
    """A pass over a segment's bytes. When it has ended, `end` is where its valid records end and `reason` why there.

    `is_damaged` tells a file in which something was changed from one that was not finished: whose process was killed
    while it wrote, or whose last blocks never came to the disk.
    """

    def __init__(self, content: bytes) -> None:
        """Look at these bytes of a segment, which may be written to at the same time."""
        self.facts: dict[str, Any] = {}
        self.end = 0
        self.reason = ""
        self.is_damaged = False
        self._content = content

    def records(self) -> Iterator[memoryview]:
        """Give the content of each valid record after the first, which tells the facts."""
        view, size = memoryview(self._content), len(self._content)
        if view[: len(MAGIC)] != MAGIC:
            self._stop(0, _UNFINISHED if MAGIC.startswith(view) else _NO_SEGMENT)
            return
        self.end, number, seed = len(MAGIC), 0, 0
        while self.end < size:
            content = self._record(view, number, seed)
            if content is None:
                return
            if number:
                yield content
            else:
                self.facts = json.loads(bytes(content))
                if self.facts["version"] != FORMAT_VERSION:
                    self._stop(self.end, _NEWER)
                    return
                seed = seed_of(self.facts["segment"])
            self.end, number = self.end + PREFIX.size + len(content), number + 1

    def digest(self) -> str:
        """Return the digest of what is valid, once the scan has ended."""
        from blake3 import blake3

        return blake3(self._content[: self.end]).hexdigest()

    def _record(self, view: memoryview, number: int, seed: int) -> memoryview | None:
        """Return the content of the record at the present end, if it is one."""
        start = self.end + PREFIX.size
        if start > len(view):
            self._stop(self.end, _UNFINISHED)
            return None
        mark, length, found, _ = PREFIX.unpack_from(view, self.end)
        if mark != _MARK or found != number or not _MIN_BYTES <= length <= _MAX_BYTES:
            self._stop(self.end, _NO_RECORD)
            return None
        content = view[start : start + length]
        if len(content) < length:
            self._stop(self.end, _UNFINISHED)
            return None
        if prefix(number, content, seed=seed) != view[self.end : start]:
            self._stop(self.end, _CHANGED)
            return None
        return content

    def _stop(self, place: int, reason: str) -> None:
        self.end, self.reason = place, reason
        rest = self._content[place:]
        # What is unfinished is the last of its file; a length that was changed only seems so, since records follow it.
        is_unfinished = reason == _UNFINISHED and _MARKED not in rest[len(_MARKED) :]
        self.is_damaged = not is_unfinished and any(rest)
