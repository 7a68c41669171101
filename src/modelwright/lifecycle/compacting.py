"""Has captured requests turned into Parquet, and deleted when they are too old, while `wright up` runs.

It is done by a process of low priority that ends when it has: what reads and writes Parquet takes memory and time that
neither that process nor an endpoint's front should pay for.
"""

import importlib.util
import os
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, records, settings
from modelwright.errors import ModelwrightError
from modelwright.serving.capture import compaction, keeping, places
from modelwright.store.database import Store, open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.compacting"
_EVERY = timedelta(minutes=1)
_AT_LEAST_EVERY = timedelta(hours=1)  # so that what is too old goes though nobody asks anything more
_MERGED_FOR = timedelta(days=2)  # an hour is looked into, to make one file of it; `wright capture compact` takes all
_LOW_PRIORITY = 10
_LOOK_SECONDS = 5.0  # how soon its end is seen


def is_wanted(store: Store) -> bool:
    """Whether anything was ever captured here."""
    return places.root(store).is_dir()


class Compacting:
    """The process at work, if there is one, and when the next may be needed."""

    def __init__(self, store: Store, log: Path) -> None:
        """Work on the store's workspace; what goes wrong is told in `log`."""
        self._store = store
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._last = datetime.min.replace(tzinfo=UTC)
        self._is_possible = importlib.util.find_spec("pyarrow") is not None

    def look(self, now: datetime | None = None) -> float:
        """Start the process where there is something to do, and return in how many seconds to look again."""
        if self._process is not None and self._process.poll() is not None:
            self.end()
        self._begin(now or records.now())
        return _LOOK_SECONDS

    def _begin(self, now: datetime) -> None:
        if self._process is not None or now - self._last < _EVERY or not is_wanted(self._store):
            return
        if now - self._last < _AT_LEAST_EVERY and not (self._is_possible and self._has_ended_segments()):
            return
        self._last = now
        folder = self._store.folder
        command: list[str | Path] = [sys.executable, "-P", "-m", _MODULE, folder]
        with self._log.open("ab") as lines:
            environment = settings.own_environment()
            self._process = processes.start(
                command, folder=Path("/"), environment=environment, stdout=lines.fileno(), stderr=lines.fileno()
            )

    def end(self) -> None:
        """End the process. What it has not finished is done the next time, as after kill -9."""
        process, self._process = self._process, None
        if process is not None:
            processes.end(process)

    def _has_ended_segments(self) -> bool:
        return any(compaction.has_ended(path) for path in places.root(self._store).glob("*/*.wal"))


def main(folder: Path) -> None:
    """Compact the workspace at `folder`, once."""
    os.nice(_LOW_PRIORITY)
    store = open_store(folder)
    try:
        keeping.keep(store, actor=settings.actor(), merged_since=records.now() - _MERGED_FOR)
    except ModelwrightError:
        traceback.print_exc()
    finally:
        store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
