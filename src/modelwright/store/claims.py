"""Who is at work: a claim is a lock that the operating system lets go when its holder ends, kill -9 included.

A run or deployment that is `running` or `starting` and that nobody claims was killed.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from modelwright import records
from modelwright.errors import Busy
from modelwright.store.database import Store


@contextlib.contextmanager
def claim(store: Store, subject: str) -> Iterator[None]:
    """Hold the claim on `subject`, an id or a name, for as long as the block runs. Raises Busy when it is taken."""
    folder = store.folder / "claims"
    folder.mkdir(exist_ok=True)
    path = folder / subject
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise Busy(thing=subject, holder=f"process {handle.read()}", command="the same command") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_claimed(store: Store, subject: str) -> bool:
    """Whether some process holds the claim on `subject`; one that nobody holds is cleared away."""
    path = store.folder / "claims" / subject
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def scratch_folder(store: Store) -> Iterator[Path]:
    """Give an empty folder that is deleted when the block ends, or by `clear_scratch` when its holder was killed."""
    name = records.new_id("scratch")
    folder = store.folder / "scratch" / name
    with claim(store, name):
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(store: Store) -> None:
    """Delete the scratch folders that nobody claims."""
    for folder in (store.folder / "scratch").glob("*"):
        if not is_claimed(store, folder.name):
            shutil.rmtree(folder, ignore_errors=True)
