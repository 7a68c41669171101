"""Digests of files, remembered for as long as a file's size, times and inode stay as they are.

What is remembered lies in a database of its own, which may be deleted at any time: it only saves reading.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import FileNotReadable
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

FILE_NAME = "digests.db"

# A file that changed this shortly before it was read may change again within the same tick of its file system's clock,
# and look the same: git's index calls such an entry racy. Two seconds are the coarsest clock in use, that of FAT.
_RACY_NANOSECONDS = 2_000_000_000
_SMALL_BYTES = 1 << 20
_FILES_A_TASK = 256
_VALUES_A_QUERY = 900  # SQLite once took no more than 999


def digests(store: Store, paths: Sequence[Path], *, on_hashed: Callable[[int], None] | None = None) -> dict[Path, str]:
    """Return the BLAKE3 digest of each file's bytes; only those that may have changed since last time are read.

    `on_hashed` is told the size of each file. Raises FileNotReadable.
    """
    names = {path: str(path.absolute()) for path in paths}
    found = complete(store, look(store, list(names.values())), on_hashed=on_hashed)
    return {path: found[name] for path, name in names.items()}


@dataclass(frozen=True)
class Seen:
    """Files as they were found: what tells that one changed, its size, and the digests that still hold."""

    signatures: Mapping[str, str]
    sizes_bytes: Mapping[str, int]
    known: dict[str, str]
    racy: frozenset[str]


def look(store: Store, paths: Sequence[str]) -> Seen:
    """Look at files, by absolute path, without reading them. Raises FileNotReadable for one that is not there."""
    now = time.time_ns()
    signatures, sizes, racy = {}, {}, set()
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 - thousands of them, and Path takes longer than the system
        except OSError as error:
            raise FileNotReadable(path=path, reason=error.strerror) from error
        signatures[path] = _signature(found)
        sizes[path] = found.st_size
        if max(found.st_mtime_ns, found.st_ctime_ns) > now - _RACY_NANOSECONDS:
            racy.add(path)
    return Seen(signatures, sizes, _recall(store, signatures), frozenset(racy))


def complete(store: Store, seen: Seen, *, on_hashed: Callable[[int], None] | None = None) -> dict[str, str]:
    """Return the digest of each file that was seen, reading those whose digest is not known."""
    fresh = _hash_all([path for path in seen.signatures if path not in seen.known], on_hashed=on_hashed)
    remember(store, seen, fresh)
    return seen.known | fresh


def remember(store: Store, seen: Seen, fresh: Mapping[str, str]) -> None:
    """Remember the digests of files that are still as they were `seen`, before they were read."""
    rows = [(path, seen.signatures[path], bytes.fromhex(fresh[path])) for path in fresh if _is_steady(path, seen)]
    if rows:
        insert = "INSERT OR REPLACE INTO files VALUES (?, ?, ?)"
        _with_database(store, lambda database: database.executemany(insert, rows))


def _signature(found: os.stat_result) -> str:
    # The time of change is among them since the time of modification can be set back, as `touch -d` does.
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}:{found.st_dev}"


def _is_steady(path: str, seen: Seen) -> bool:
    if path in seen.racy:
        return False
    try:
        return _signature(os.stat(path)) == seen.signatures[path]  # noqa: PTH116
    except OSError:
        return False


def _recall(store: Store, signatures: Mapping[str, str]) -> dict[str, str]:
    paths = list(signatures)
    known: dict[str, str] = {}

    def ask(database: sqlite3.Connection) -> None:
        for start in range(0, len(paths), _VALUES_A_QUERY):
            some = paths[start : start + _VALUES_A_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT path, signature, digest FROM files WHERE path IN ({marks})"  # noqa: S608 - marks only
            for path, signature, digest in database.execute(query, some):
                if signature == signatures[path]:
                    known[path] = digest.hex()

    _with_database(store, ask)
    return known


def _with_database(store: Store, work: Callable[[sqlite3.Connection], object]) -> None:
    """Do `work` in one transaction. Whatever is wrong with the database is passed over: nothing is lost but time."""
    path = store.folder / FILE_NAME
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as database, database:
            database.execute("PRAGMA synchronous=OFF")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, signature TEXT, digest BLOB) WITHOUT ROWID"
            )
            work(database)
    except (sqlite3.OperationalError, UnicodeEncodeError):
        return  # it is busy, its folder cannot be written to, or a file's name is no text
    except sqlite3.DatabaseError:
        _discard(path)


def _discard(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(OSError):
            each.unlink()


def _hash_all(paths: Sequence[str], *, on_hashed: Callable[[int], None] | None) -> dict[str, str]:
    """Read and hash the files: large ones one after another, each by all cores; small ones many at a time."""
    tasks = [paths[start : start + _FILES_A_TASK] for start in range(0, len(paths), _FILES_A_TASK)]
    found: dict[str, str] = {}
    with ThreadPoolExecutor(min(len(tasks), os.cpu_count() or 1) or 1) as threads:
        pending = [threads.submit(_hash_some, task, on_hashed) for task in tasks]
        try:
            for each in pending:
                found |= each.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _hash_some(paths: Sequence[str], on_hashed: Callable[[int], None] | None) -> dict[str, str]:
    from blake3 import blake3

    found = {}
    for path in paths:
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                content = file.read(_SMALL_BYTES)
            is_small = len(content) < _SMALL_BYTES
            found[path] = blake3(content).hexdigest() if is_small else digest_of(path)
        except OSError as error:
            raise FileNotReadable(path=path, reason=error.strerror) from error
        if on_hashed:
            on_hashed(len(content) if is_small else os.path.getsize(path))  # noqa: PTH202
    return found
