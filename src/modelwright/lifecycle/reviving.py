"""Starts the endpoints again whose front has ended though it should serve: killed, or crashed.

Each is started by a process of its own, `python -m modelwright.lifecycle.reviving`, so that one which takes long keeps
nobody waiting. The first attempt follows at once; while they fail, or the front does not last, the pauses between them
double.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, records, settings
from modelwright.errors import ModelwrightError
from modelwright.records import DeploymentStatus
from modelwright.serving import control, deployments
from modelwright.settings import runtime_folder
from modelwright.store import endpoints
from modelwright.store.database import Store, open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.reviving"
# How soon the end of a front is seen, and that there is one at all.
_LOOK_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
# One that has served this long has recovered; its next end starts the pauses anew.
_STEADY_SECONDS = 60.0


@dataclass
class _Patient:
    """An endpoint that was started again: since when, and how long to wait before the next time."""

    process: "subprocess.Popen[bytes] | None"
    since: float
    pause_seconds: float = _FIRST_PAUSE_SECONDS


@dataclass
class Reviver:
    """The endpoints of a workspace; `command` begins what starts one of them, which tells in `log` how it went."""

    store: Store
    log: Path
    command: Sequence[str | Path] = (sys.executable, "-P", "-m", _MODULE)
    _patients: dict[str, _Patient] = field(default_factory=dict)

    def look(self, moment: float | None = None) -> float:
        """Start what has ended and should serve, unless it is too soon after the last time.

        Return in how many seconds to look again.
        """
        moment = time.monotonic() if moment is None else moment
        self._reap()
        healthy = {each.endpoint for each in endpoints.list_deployments(self.store, status=DeploymentStatus.HEALTHY)}
        folder = runtime_folder(self.store.folder)
        ended = [each for each in healthy if not control.is_running(each, runtime_folder=folder)]
        if ended:
            wanted = endpoints.served(self.store)
            for each in ended:
                if each in wanted and self._is_time(each, moment):
                    self._revive(each, moment)
        return _LOOK_SECONDS if healthy else _IDLE_SECONDS

    def end(self) -> None:
        """End the attempts that are under way."""
        for each in self._patients.values():
            if each.process:
                processes.end(each.process)

    def _is_time(self, endpoint: str, moment: float) -> bool:
        known = self._patients.get(endpoint)
        return known is None or (known.process is None and moment - known.since >= known.pause_seconds)

    def _revive(self, endpoint: str, moment: float) -> None:
        known = self._patients.get(endpoint)
        pause = _FIRST_PAUSE_SECONDS
        if known and moment - known.since < _STEADY_SECONDS + known.pause_seconds:
            pause = min(known.pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        with self.log.open("ab") as lines:
            process = processes.start(
                [*self.command, "--workspace", self.store.folder, "--endpoint", endpoint],
                folder=Path("/"),
                environment=settings.own_environment(),
                stdout=lines.fileno(),
                stderr=lines.fileno(),
            )
        self._patients[endpoint] = _Patient(process, moment, pause)

    def _reap(self) -> None:
        for each in self._patients.values():
            if each.process and each.process.poll() is not None:
                processes.end(each.process)
                each.process = None


def revive(folder: Path, endpoint: str) -> int:
    """Start an endpoint whose front has ended; return the exit code."""
    store = open_store(folder)
    try:
        if deployments.revive(store, endpoint, actor=settings.actor(), why="its process had ended"):
            _say(f'endpoint "{endpoint}" is up again')
    except ModelwrightError as error:
        _say(f'endpoint "{endpoint}" is not up: {error}')
        return 1
    finally:
        store.close()
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{records.now().isoformat(timespec='seconds')} {line}\n")


def main() -> None:
    """Start the endpoint that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    sys.exit(revive(options.workspace, options.endpoint))


if __name__ == "__main__":
    main()
