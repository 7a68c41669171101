"""Appends records to a process's present segment, and begins another when that is full, old or cannot be trusted.

Where records are flushed, the file is filled with zeros some way ahead, flushed once, and then written over. A file
that grows changes what the file system knows of it, so that flushing it waits for the system's journal and for all
that others have in it: 0.17 ms where nobody else writes, 4 ms where they do. What is written over needs neither, and
takes 0.09 ms. Readers take zeros for the end; a segment that is ended well is cut where its records end.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from modelwright.errors import CaptureNotWritten
from modelwright.records import CaptureLimits, new_id
from modelwright.serving.capture import segments

# So many zeros ahead, at first and at most: small where few requests come, and seldom where many do.
_LEAST_AHEAD = 1 << 16
_MOST_AHEAD = 1 << 22


class Journal:
    """The segments that this process writes for one endpoint. Called by one thread at a time.

    A segment is locked for as long as it is written to, so that whoever can lock it knows that nothing will be added.
    It gets its name when it is locked and has its beginning.
    """

    def __init__(self, folder: Path, limits: CaptureLimits) -> None:
        """Write below `folder`, which is made when the first record comes and is called as the endpoint is."""
        self._folder = folder
        self._limits = limits
        self._descriptor: int | None = None
        self._seed = 0
        self._number = 0
        self._size = 0
        self._zeroed = 0
        self._opened_at = 0.0
        self._is_listed = False

    @property
    def is_open(self) -> bool:
        """Whether there is a segment that is written to."""
        return self._descriptor is not None

    @property
    def is_due(self) -> bool:
        """Whether there is a segment that has been open for long enough."""
        return self._descriptor is not None and time.monotonic() - self._opened_at >= self._limits.segment_seconds

    def append(self, contents: list[bytes], *, is_flushed: bool) -> None:
        """Write records, and have the disk keep them if they are to be flushed.

        Raises CaptureNotWritten. Then none of them is in the segment, which is ended: what a disk does with pages that
        it once failed to flush is not known, so that a second try on the same file could succeed without them.
        """
        try:
            if self._size >= self._limits.segment_bytes or self.is_due:
                self.seal()
            if self._descriptor is None:
                self._open()
            self._write(contents, is_flushed=is_flushed)
        except OSError as error:
            self.seal()
            raise CaptureNotWritten(folder=self._folder, reason=error.strerror or error) from error

    def seal(self) -> None:
        """End the present segment where its records end; the next record opens another."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # What cannot be cut off holds zeros, or records that were refused and may be read all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, self._size)
        with contextlib.suppress(OSError):  # and fails now only to flush what it never promised to
            os.close(descriptor)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = new_id("segment")
        begun = self._folder / f".{name}.begun"
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opening = segments.opening(name, self._folder.name)
            _write_all(descriptor, opening, at=0)
            begun.rename(self._folder / f"{name}{segments.SUFFIX}")
        except OSError:
            os.close(descriptor)
            begun.unlink(missing_ok=True)
            raise
        self._descriptor, self._number = descriptor, 1
        self._size = self._zeroed = len(opening)
        self._seed, self._opened_at, self._is_listed = segments.seed_of(name), time.monotonic(), False

    def _write(self, contents: list[bytes], *, is_flushed: bool) -> None:
        descriptor, whole = self._descriptor, segments.framed(contents, self._number, self._seed)
        assert descriptor is not None  # noqa: S101 - append() has opened it
        end = self._size + len(whole)
        if is_flushed and end > self._zeroed:
            self._fill(descriptor, end)
        _write_all(descriptor, whole, at=self._size)
        if is_flushed:
            os.fdatasync(descriptor)
            if not self._is_listed:
                # A file is found after a power cut only if its folder was flushed too, and so on upwards.
                for folder in (self._folder, self._folder.parent):
                    flush_folder(folder)
                self._is_listed = True
        self._number, self._size = self._number + len(contents), end

    def _fill(self, descriptor: int, end: int) -> None:
        """Write zeros beyond `end`, for the next records to be written over."""
        ahead = min(max(self._size, _LEAST_AHEAD), _MOST_AHEAD)
        # A disk that is too full for zeros may have room for the records.
        with contextlib.suppress(OSError):
            _write_all(descriptor, bytes(ahead), at=end)
            self._zeroed = end + ahead


def flush_folder(folder: Path) -> None:
    """Have the disk keep which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes, *, at: int) -> None:
    """Write all of `content` at a place, which a disk that is nearly full takes in parts."""
    written = os.pwrite(descriptor, content, at)
    while written < len(content):
        written += os.pwrite(descriptor, memoryview(content)[written:], at + written)
