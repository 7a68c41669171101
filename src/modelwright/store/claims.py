"""Who is at work: a claim is a lock that the operating system lets go when its holder ends, kill -9 included.

A run or deployment that is `running` or `starting` and that nobody claims was killed.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from blake3 import blake3

from modelwright import records
from modelwright.errors import Busy
from modelwright.store.database import Store

_POLL_SECONDS = 0.02
# Who only looks whether a claim is held has its lock for a moment, and has not written who he is.
_MOMENT_SECONDS = 1.0
_FITTING = re.compile(r"(?!\.)[\w.:@-]{1,200}", re.ASCII)


@contextlib.contextmanager
def claim(store: Store, subject: str) -> Iterator[None]:
    """Hold the claim on `subject`, an id or a name, for as long as the block runs. Raises Busy when it is taken."""
    path, holder = _file(store, subject), os.getpid()
    path.parent.mkdir(exist_ok=True)
    with _locked(path, subject) as handle:
        if os.fstat(handle.fileno()).st_size:  # to empty an empty file makes closing it wait for the disk
            handle.truncate(0)
        handle.write(str(holder))
        handle.flush()
        try:
            yield
        finally:
            if os.getpid() == holder:  # a fork that ends takes its copy of this block along
                path.unlink(missing_ok=True)


def is_claimed(store: Store, subject: str) -> bool:
    """Whether some process holds the claim on `subject`; one that nobody holds is cleared away."""
    path = _file(store, subject)
    try:
        with path.open() as handle:
            if not _lock(handle, fcntl.LOCK_EX):
                return True
            if _is_at(path, handle):
                path.unlink()
    except FileNotFoundError:
        pass
    return False


def is_abandoned(store: Store, subject: str) -> bool:
    """Whether the process that held the claim on `subject` was killed, and nobody has cleared the claim away."""
    path = _file(store, subject)
    try:
        with path.open() as handle:
            return _lock(handle, fcntl.LOCK_SH) and _is_at(path, handle)
    except FileNotFoundError:
        return False


def holder(store: Store, subject: str) -> int | None:
    """Return the id of the process that holds the claim on `subject`; None when nobody does."""
    try:
        with _file(store, subject).open() as handle:
            return None if _lock(handle, fcntl.LOCK_SH) else _written(handle)
    except FileNotFoundError:
        return None


def end_holder(store: Store, subject: str, *, patience_seconds: float = 20.0) -> bool:
    """Ask the process that holds the claim to end, then make it; return whether there was one."""
    process = holder(store, subject)
    if process is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
        deadline = time.monotonic() + patience_seconds
        while holder(store, subject) == process and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    return True


def clear(store: Store) -> None:
    """Clear away the claims and scratch folders of processes that were killed."""
    for path in (store.folder / "claims").glob("*"):
        is_claimed(store, path.name)
    for folder in (store.folder / "scratch").glob("*"):
        if not is_claimed(store, folder.name):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(store: Store) -> Iterator[Path]:
    """Give an empty folder that is deleted when the block ends, or by `clear` when its holder was killed."""
    name = records.new_id("scratch")
    folder = store.folder / "scratch" / name
    with claim(store, name):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _file(store: Store, subject: str) -> Path:
    """Return the file of a claim; of a subject that no file could be called, one by its digest."""
    name = subject if _FITTING.fullmatch(subject) else blake3(subject.encode("utf-8", "surrogatepass")).hexdigest()
    return store.folder / "claims" / name


def _locked(path: Path, subject: str) -> IO[str]:
    """Open and lock the file at `path`; raise Busy, naming the holder, when it is locked."""
    while True:
        handle = path.open("a+")
        if not _lock(handle, fcntl.LOCK_EX):
            with handle:
                raise Busy(thing=subject, holder=f"process {_written(handle)}", command="the same command")
        if _is_at(path, handle):
            return handle
        handle.close()  # between opening and locking somebody cleared the file away: this lock is on nothing


def _lock(handle: IO[str], kind: int) -> bool:
    """Lock the file, and return whether that was to be had: not while a process that lives has claimed it."""
    deadline = time.monotonic() + _MOMENT_SECONDS
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if _lives(_written(handle)) or time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def _is_at(path: Path, handle: IO[str]) -> bool:
    """Whether the file is the one at `path`. Only who has locked that one may remove it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _written(handle: IO[str]) -> int | None:
    """Return the process that the file names; None while its holder has not written yet, or only looks."""
    handle.seek(0)
    written = handle.read()
    return int(written) if written.isdecimal() else None


def _lives(process: int | None) -> bool:
    if process is None:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True
