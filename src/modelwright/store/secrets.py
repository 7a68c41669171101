"""Secrets that must be readable again, such as what webhooks are signed with: files for the user alone.

They are in no row, record, log or event; a copy of the database has none of them.
"""

import os
import tempfile
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
    try:
        return (store.folder / "secrets" / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def remove(store: Store, name: str) -> None:
    """Forget the secret of that name."""
    (store.folder / "secrets" / name).unlink(missing_ok=True)
