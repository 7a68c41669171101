"""Secrets that must be readable again, such as what webhooks are signed with: files for the user alone.

They are in no row, record, log or event; a copy of the database has none of them.
"""

import os
import tempfile
from functools import lru_cache
from pathlib import Path

from modelwright.store.database import Store

_FOLDER_MODE = 0o700


def put(store: Store, name: str, value: str) -> None:
    """Keep a secret under a name, in the place of the one that was there."""
    folder = store.folder / "secrets"
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=folder, prefix=".")  # for its owner alone, whatever the umask
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(folder / name)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def get(store: Store, name: str) -> str | None:
    """Return the secret of that name; None when there is none."""
    path = f"{store.folder}/secrets/{name}"
    try:
        found = os.stat(path)  # noqa: PTH116 - it is asked for every request, and a Path takes three times as long
        return _read(path, found.st_ino, found.st_mtime_ns)
    except FileNotFoundError:
        return None


def remove(store: Store, name: str) -> None:
    """Forget the secret of that name."""
    (store.folder / "secrets" / name).unlink(missing_ok=True)


@lru_cache(maxsize=256)
def _read(path: str, _inode: int, _changed_at: int) -> str:
    """Return what a file says that is never written to, only put into the place of another."""
    return Path(path).read_text(encoding="utf-8")
