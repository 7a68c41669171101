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
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_abandoned(store: Store, subject: str) -> bool:
    """Whether the process that held the claim on `subject` was killed, and nobody has cleared the claim away."""
    try:
        with _file(store, subject).open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def holder(store: Store, subject: str) -> int | None:
    """Return the id of the process that holds the claim on `subject`; None when nobody does."""
    try:
        with _file(store, subject).open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                written = handle.read()
                return int(written) if written.isdecimal() else None
    except FileNotFoundError:
        pass
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
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                return handle
            # Between opening and locking somebody cleared the file away: this lock is on nothing. Once more.
        except BlockingIOError as error:
            handle.seek(0)
            holder = f"process {handle.read()}"
            handle.close()
            raise Busy(thing=subject, holder=holder, command="the same command") from error
        handle.close()
