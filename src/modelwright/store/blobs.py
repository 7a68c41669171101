"""Files by content: a blob is named by the BLAKE3 digest of its bytes, written once and never changed."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from modelwright.errors import BlobDamaged, Busy, FileBusy, FileNotReadable, FolderNotWritable, HardlinkRefused
from modelwright.store import packs

# A file up to this size is read once, hashed in memory and written; a larger one is hashed where the system maps it.
_SMALL_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 26
# From here on one flush of the whole file system is quicker than one for each file.
_MANY_FILES = 32
# By then the system has written to the disk whatever it was given, unless its settings are far from usual.
_FLUSHED_SECONDS = 600
# So long whoever deletes blobs waits for those who add some.
_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05
_LONGEST_COMMAND = 60
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def digest_of(path: Path | str) -> str:
    """Return the BLAKE3 digest of a file's bytes, 64 hexadecimal digits."""
    from blake3 import blake3

    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()


def _told_nobody(_size_bytes: int) -> None:
    """Report nothing."""


def _told_no_one(_text: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class _Added:
    """What one call adds: finished copies by the name that they will get, and a pack of small ones."""

    folder: Path
    packed: Mapping[str, packs.Slice]
    pack: packs.Writer | None
    copies: dict[str, str] = field(default_factory=dict)
    recent: set[str] = field(default_factory=set)

    def copy(self, path: Path | str, partial: str, *, known: tuple[str, int] | None) -> tuple[str, int]:
        """Copy the file to `partial`, unless its bytes are here, and plan its move; return its digest and size."""
        if known and self._is_safe(*known):
            return known
        try:
            source = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise FileNotReadable(path=path, reason=error.strerror) from error
        try:
            size_bytes = os.fstat(source).st_size
            if size_bytes <= _SMALL_BYTES:
                return self._copy_small(source, partial)
            digest = known[0] if known else digest_of(path)
            if not self._is_safe(digest, size_bytes):
                self.copies[_name(self.folder, digest)] = partial
                _copy_large(source, partial)
                if digest_of(partial) != digest:
                    raise FileBusy(path=path)
            return digest, size_bytes
        finally:
            os.close(source)

    def _copy_small(self, source: int, partial: str) -> tuple[str, int]:
        from blake3 import blake3

        content = b"".join(iter(lambda: os.read(source, _SMALL_BYTES), b""))
        digest = blake3(content).hexdigest()
        if self._is_safe(digest, len(content)):
            return digest, len(content)
        if self.pack and len(content) <= packs.PACKED_BYTES:
            self.pack.add(digest, content)
        else:
            self.copies[_name(self.folder, digest)] = partial
            with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444), "wb", buffering=0) as copy:
                copy.write(content)
        return digest, len(content)

    def _is_safe(self, digest: str, size_bytes: int) -> bool:
        """Whether the blob is here, or about to be, and is no file of a user's that `link_all` made a blob.

        One that came lately may have come by `Batch.take`, and is flushed when this is published.
        """
        if digest in self.packed:
            return self.packed[digest].size_bytes == size_bytes
        name = _name(self.folder, digest)
        if name in self.copies:
            return True
        try:
            found = os.stat(name)  # noqa: PTH116 - thousands of them, and Path takes longer than the system
        except FileNotFoundError:
            return False
        if time.time() - found.st_mtime < _FLUSHED_SECONDS:
            self.recent.add(name)
        return found.st_nlink == 1 and found.st_size == size_bytes

    def publish(self) -> None:
        """Give finished copies their names, after their bytes are on the disk, and see that the names get there too."""
        if self.copies or self.recent:
            _sync_all(self.folder, [*self.copies.values(), *self.recent])
            folders = {name.rpartition("/")[0] for name in (*self.copies, *self.recent)}
            for folder in folders:
                Path(folder).mkdir(exist_ok=True)
            for name, partial in self.copies.items():
                os.replace(partial, name)  # noqa: PTH105 - thousands of them, and Path takes longer than the system
            _sync_all(self.folder, [*folders, str(self.folder)])
            self.copies.clear()
        if self.pack:
            self.pack.publish(self.folder)

    def discard(self) -> None:
        """Delete the copies that got no name."""
        for partial in self.copies.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial)  # noqa: PTH108 - thousands of them, and Path takes longer than the system
        if self.pack:
            self.pack.discard()


@dataclass(frozen=True)
class Batch:
    """Blobs being added. None is deleted until the batch ends, so commit the rows that name them before."""

    _folder: Path

    def add(self, path: Path) -> str:
        """Copy the file at `path` in and return its digest."""
        return self.add_all([path])[0]

    def add_all(
        self,
        paths: Sequence[Path | str],
        *,
        known: Mapping[str, tuple[str, int]] | None = None,
        is_packed: bool = False,
        on_added: Callable[[int], None] = _told_nobody,
    ) -> list[str]:
        """Copy the files in and return their digests, in their order; `on_added` is told the size of each.

        All are on the disk when this returns, and before that none is seen under its name: they are flushed together,
        which for thousands of small files takes a fraction of the time. With `is_packed` small ones go to one file, a
        pack, and have no `Blobs.path`. `known` has the digests and sizes of files that are certain not to have changed.
        Raises FileBusy when a file changes while it is read.
        """
        prefix = f"{self._folder}/partial/{os.getpid()}-{secrets.token_hex(4)}"
        here = packs.slices(self._folder) if is_packed else {}
        added = _Added(self._folder, here, packs.Writer(f"{prefix}-pack") if is_packed else None)
        digests = []
        known = known or {}
        try:
            for number, path in enumerate(paths):
                digest, size_bytes = added.copy(path, f"{prefix}-{number}", known=known.get(str(path)))
                digests.append(digest)
                on_added(size_bytes)
            added.publish()
        finally:
            added.discard()
        return digests

    def link_all(self, digests: Mapping[str, str]) -> None:
        """Make the user's own files, whose digests are known by path, the blobs of these digests, by hard links.

        Nothing is copied, and whoever edits such a file in place edits the blob. A blob that is here already and intact
        stays. Raises HardlinkRefused where the file system does not allow it.
        """
        links: dict[Path, str] = {}
        for path, digest in digests.items():
            target = _place(self._folder, digest)
            target.parent.mkdir(exist_ok=True)
            if target.exists():
                is_this = target in links or target.samefile(path)
                if is_this or target.stat().st_nlink == 1 or digest_of(target) == digest:
                    continue
                target.unlink()
            try:
                target.hardlink_to(path)
            except OSError as error:
                is_elsewhere = error.errno == errno.EXDEV
                reason = "it lies on another file system than the workspace" if is_elsewhere else error.strerror
                raise HardlinkRefused(path=path, reason=reason) from error
            links[target] = str(target.parent)
        _sync_all(self._folder, [*map(str, links), *set(links.values())])

    def take(self, path: Path) -> str:
        """Move the file at `path` in and return its digest.

        For what can be made again, such as the values that pass between steps: nothing is copied, and nothing waits for
        the disk. What a power cut takes of it is found damaged or missing, and made again.
        """
        digest = digest_of(path)
        target = _place(self._folder, digest)
        target.parent.mkdir(exist_ok=True)
        path.chmod(0o444)
        if target.exists() and digest_of(target) == digest:
            path.unlink()
        else:
            path.replace(target)
        return digest


@dataclass(frozen=True)
class Blobs:
    """The blobs of one workspace."""

    folder: Path

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """Add blobs. Any number of processes may do so at once; whoever deletes some waits for all of them."""
        try:
            (self.folder / "partial").mkdir(parents=True, exist_ok=True)
            with _lock(self.folder, fcntl.LOCK_SH):
                yield Batch(self.folder)
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            raise FolderNotWritable(folder=self.folder, reason=error.strerror, option="--workspace") from error

    def path(self, digest: str) -> Path:
        """Return where the blob of that digest lies, if it is here and not in a pack.

        Its bytes are for reading only, and unverified.
        """
        return _place(self.folder, digest)

    def packed(self) -> dict[str, packs.Slice]:
        """Return where the blobs lie that are in packs."""
        return packs.slices(self.folder)

    def export(self, digest: str, target: Path, *, is_executable: bool = False) -> None:
        """Write the blob to `target`, verified. Raises BlobDamaged when its bytes are not what its name says."""
        source = _place(self.folder, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.held():
            packed = None if source.exists() else self.packed().get(digest)
            if packed:
                target.write_bytes(packed.read())
            elif source.exists():
                shutil.copyfile(source, target)
            else:
                raise BlobDamaged(digest=digest, found="gone")
        found = digest_of(target)
        if found != digest:
            target.unlink()
            raise BlobDamaged(digest=digest, found=found)
        target.chmod(0o755 if is_executable else 0o644)

    def ensure_there(self, digests: AbstractSet[str]) -> None:
        """Refuse digests of which there is no blob. Raises BlobDamaged."""
        absent = {each for each in digests if not self.path(each).exists()}
        for each in absent - self.packed().keys() if absent else ():
            raise BlobDamaged(digest=each, found="gone")

    def digests(self) -> set[str]:
        """Return the digests of all blobs."""
        return {path.parent.name + path.name for path in self.folder.glob("??/*")} | self.packed().keys()

    def sizes(self) -> dict[str, int]:
        """Return the digests of all blobs, with the bytes that each takes."""
        packed = {digest: each.size_bytes for digest, each in self.packed().items()}
        loose = {path.parent.name + path.name: path.stat().st_size for path in self.folder.glob("??/*")}
        return packed | loose

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let every blob stay where it is for as long as the block runs. Any number of processes may do so at once."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "lock").touch()
        except OSError:
            pass  # where nothing can be written nothing is deleted either
        if not (self.folder / "lock").exists():
            yield
            return
        with _lock(self.folder, fcntl.LOCK_SH, mode="r"):
            yield

    @contextlib.contextmanager
    def alone(
        self, *, on_wait: Callable[[str], None] = _told_no_one, patience_seconds: float = _PATIENCE_SECONDS
    ) -> Iterator["Exclusive"]:
        """Have the blobs for oneself: nobody adds any, so every blob that is to stay is named by a committed row.

        Waits for whoever is adding some, and tells `on_wait` who that is. Raises Busy when that takes too long.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + patience_seconds
        with (self.folder / "lock").open("a") as handle:
            while not _is_locked_now(handle):
                holders = _holders(self.folder / "lock")
                on_wait(holders)
                if time.monotonic() > deadline:
                    raise Busy(thing="the folder of the workspace's files", holder=holders, command="wright gc")
                time.sleep(_POLL_SECONDS)
            yield Exclusive(self)

    def clear_unfinished(self) -> int:
        """Delete the copies that killed processes did not finish; return how many files.

        Does nothing while a process is adding blobs, for its copies look the same.
        """
        if not self.folder.is_dir():
            return 0
        with (self.folder / "lock").open("a") as handle:
            if not _is_locked_now(handle):
                return 0
            doomed = [*(self.folder / "partial").glob("*"), *packs.unfinished(self.folder)]
            for path in doomed:
                path.unlink(missing_ok=True)
            return len(doomed)


@dataclass(frozen=True)
class Exclusive:
    """Blobs that nobody adds to meanwhile, so that some can be deleted."""

    _blobs: Blobs

    def discard(self, doomed: AbstractSet[str]) -> list[str]:
        """Delete the blobs of these digests; return what is to be known of those that stayed.

        Interrupted anywhere, it has deleted some of them and nothing else.
        """
        folder = self._blobs.folder
        for digest in sorted(doomed):
            self._blobs.path(digest).unlink(missing_ok=True)
        (folder / "partial").mkdir(exist_ok=True)
        return packs.discard(folder, doomed, partial=f"{folder}/partial/{os.getpid()}-{secrets.token_hex(4)}")


@contextlib.contextmanager
def _lock(folder: Path, operation: int, *, mode: str = "a") -> Iterator[None]:
    with (folder / "lock").open(mode) as handle:
        fcntl.flock(handle, operation)
        yield


def _is_locked_now(handle: IO[str]) -> bool:
    """Lock the file for ourselves alone, unless somebody has locked it; say whether it is ours."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holders(lock: Path) -> str:
    """Return the processes that have the lock's file open, as people call them."""
    import psutil

    found = []
    for process in psutil.process_iter():
        # One that has just ended, or is not ours to look at, raises.
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(Path(each.path) == lock.resolve() for each in process.open_files()):
                found.append(f"process {process.pid} ({' '.join(process.cmdline())[:_LONGEST_COMMAND]})")
    return ", ".join(found) or "a process that cannot be seen from here"


def _place(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / digest[2:]


def _name(folder: Path, digest: str) -> str:
    return f"{folder}/{digest[:2]}/{digest[2:]}"


def _copy_large(source: int, partial: str) -> None:
    """Copy a whole file inside the system, which on some file systems shares the bytes instead."""
    copy = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
    try:
        while _copied(source, copy):
            pass
    finally:
        os.close(copy)


def _copied(source: int, copy: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, copy, _CHUNK_BYTES)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
                raise
    content = os.read(source, _SMALL_BYTES)
    left = memoryview(content)
    while left:
        left = left[os.write(copy, left) :]
    return len(content)


def _sync_all(folder: Path, paths: Collection[str]) -> None:
    """Return when all of `paths`, which lie below `folder`, are on the disk."""
    if len(paths) < _MANY_FILES or not _sync_file_system(folder):
        for path in paths:
            _sync(path)


def _sync_file_system(folder: Path) -> bool:
    """Flush the file system that holds `folder`; False where that cannot be had, as on macOS."""
    import ctypes

    system = ctypes.CDLL(None)
    if not hasattr(system, "syncfs"):
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bool(system.syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def _sync(path: Path | str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
