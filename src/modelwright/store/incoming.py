"""A blob that arrives in pieces: hashed and written as they come, so that a file of any size takes no more memory."""

import contextlib
import os
import secrets
from pathlib import Path


class Incoming:
    """A file that is being received, below the partial ones of the workspace's blobs.

    To be used inside of `Blobs.batch`, which keeps whoever deletes blobs from taking it for one that a killed process
    left. It is a blob once `finish` returns; `discard` is safe at any time.
    """

    def __init__(self, blobs: Path) -> None:
        """Begin with nothing."""
        from blake3 import blake3

        self._blobs = blobs
        self._partial = blobs / "partial" / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = os.fdopen(os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444), "wb", buffering=0)
        self._hash = blake3()
        self.size_bytes = 0

    def write(self, content: bytes) -> None:
        """Add the next piece."""
        self._hash.update(content)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self.size_bytes += len(content)

    def finish(self) -> str:
        """Make the file a blob that survives a power cut, and return its digest."""
        os.fsync(self._file.fileno())
        self._file.close()
        digest = self._hash.hexdigest()
        folder = self._blobs / digest[:2]
        folder.mkdir(exist_ok=True)
        self._partial.replace(folder / digest[2:])
        for each in (folder, self._blobs):
            _sync_folder(each)
        return digest

    def discard(self) -> None:
        """Delete what is not a blob yet."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._partial.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
