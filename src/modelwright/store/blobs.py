"""Files by content: a blob is named by the BLAKE3 digest of its bytes, written once and never changed."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import BlobDamaged, FolderNotWritable


def digest_of(path: Path) -> str:
    """Return the BLAKE3 digest of a file's bytes, 64 hexadecimal digits."""
    from blake3 import blake3

    return blake3().update_mmap(path).hexdigest()


@dataclass(frozen=True)
class Batch:
    """Blobs being added. They are safe from `sweep` until the batch ends, so commit the rows that name them before."""

    _folder: Path

    def add(self, path: Path) -> str:
        """Copy the file at `path` in and return its digest."""
        digest = digest_of(path)
        target = _place(self._folder, digest)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            partial = self._folder / "partial" / f"{os.getpid()}-{digest}"
            try:
                with path.open("rb") as source, partial.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
                    copy.flush()
                    os.fsync(copy.fileno())
                partial.chmod(0o444)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            _sync_folder(target.parent)
        return digest

    def take(self, path: Path) -> str:
        """Move the file at `path` in and return its digest.

        For what can be made again, such as the values that pass between steps: nothing is copied, and nothing waits for
        the disk. What a power cut takes of it is found damaged or missing, and made again.
        """
        digest = digest_of(path)
        target = _place(self._folder, digest)
        if target.exists():
            path.unlink()
        else:
            target.parent.mkdir(exist_ok=True)
            path.chmod(0o444)
            path.replace(target)
        return digest


@dataclass(frozen=True)
class Blobs:
    """The blobs of one workspace."""

    folder: Path

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Add blobs. Any number of processes may do so at once; a sweep waits for all of them."""
        try:
            (self.folder / "partial").mkdir(parents=True, exist_ok=True)
            with _lock(self.folder, fcntl.LOCK_SH):
                yield Batch(self.folder)
        except PermissionError as error:
            raise FolderNotWritable(folder=self.folder, reason=error.strerror, option="--workspace") from error

    def path(self, digest: str) -> Path:
        """Return where the blob is, or would be. It is read-only, and never to be written to."""
        return _place(self.folder, digest)

    def export(self, digest: str, target: Path, *, is_executable: bool = False) -> None:
        """Write the blob to `target`, verified. Raises BlobDamaged when its bytes are not what its name says."""
        source = _place(self.folder, digest)
        if not source.exists():
            raise BlobDamaged(digest=digest, found="gone")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        found = digest_of(target)
        if found != digest:
            target.unlink()
            raise BlobDamaged(digest=digest, found=found)
        target.chmod(0o755 if is_executable else 0o644)

    def digests(self) -> set[str]:
        """Return the digests of all blobs."""
        return {path.parent.name + path.name for path in self.folder.glob("??/*")}

    def sweep(self, reachable: Callable[[], Collection[str]]) -> int:
        """Delete every blob that `reachable()` does not name, and every unfinished copy; return how many.

        Does nothing while another process is adding blobs: the rows that name them may not be committed yet.
        """
        if not self.folder.is_dir():
            return 0
        try:
            with _lock(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                doomed = [_place(self.folder, digest) for digest in self.digests() - set(reachable())]
                doomed += (self.folder / "partial").glob("*")
                for path in doomed:
                    path.unlink(missing_ok=True)
                return len(doomed)
        except BlockingIOError:
            return 0


@contextlib.contextmanager
def _lock(folder: Path, operation: int) -> Iterator[None]:
    with (folder / "lock").open("a") as handle:
        fcntl.flock(handle, operation)
        yield


def _place(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / digest[2:]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
