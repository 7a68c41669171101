"""The workspaces that this process tracks runs in: each opened once, and again in a process that was forked."""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelwright import settings
from modelwright.runs.buffering import undisturbed
from modelwright.store.changes import Change, change
from modelwright.store.database import Store, open_store
from modelwright.store.points import Logged, PointLog

_open: dict[Path, "Workspace"] = {}
# What a fork copied of its parent's: it may be neither used nor closed there, for both would reach the parent's files.
_inherited: list["Workspace"] = []


class Workspace:
    """An open workspace, for one process; `known` are the digests of locks and code that it is sure to have."""

    def __init__(self, folder: Path) -> None:
        """Open the workspace at `folder`, or make it."""
        self.folder = folder
        self.store: Store = open_store(folder)
        self.known: set[str] = set()
        self._log = PointLog(self.store)
        self._lock = threading.Lock()

    def log_points(self, points: Sequence[Logged]) -> None:
        """Add points, all or none."""
        with undisturbed(), self._lock:
            self._log.write(points)

    def close(self) -> None:
        """Close its connections."""
        self._log.close()
        self.store.close()

    @contextlib.contextmanager
    def change(self, *, why: str = "") -> Iterator[Change]:
        """Open a transaction in the user's name."""
        with undisturbed(), self._lock, change(self.store, actor=settings.actor(), why=why) as opened:
            yield opened


def open_workspace(folder: Path) -> Workspace:
    """Return the workspace at `folder`, made when there is none."""
    found = _open.get(folder)
    # One that was deleted and made anew, as between two tests, is another one.
    if found is None or not (folder / "modelwright.db").exists():
        found = _open[folder] = Workspace(folder)
    return found


def close_workspaces() -> None:
    """Close all workspaces; what still logs to them opens them again."""
    for each in _open.values():
        each.close()
    _open.clear()


def _forked() -> None:
    _inherited.extend(_open.values())
    _open.clear()


os.register_at_fork(after_in_child=_forked)
