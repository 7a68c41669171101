"""Starts the endpoints again whose front has ended though it should serve: killed, or crashed.

Each is started by a process of its own, so that one which takes long keeps nobody waiting. The first attempt follows at
once; while they fail, or the front does not last, the pauses between them double.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, settings
from modelwright.records import DeploymentStatus
from modelwright.serving import control
from modelwright.settings import runtime_folder
from modelwright.store import endpoints
from modelwright.store.database import Store

if TYPE_CHECKING:
    import subprocess

LOG = "scheduler.log"
# How soon the end of a front is seen.
_LOOK_SECONDS = 1.0
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
    """The endpoints of a workspace; `command` begins what starts one of them."""

    store: Store
    command: Sequence[str | Path]
    pause_seconds: float | None = None
    _patients: dict[str, _Patient] = field(default_factory=dict)

    def look(self, moment: float) -> None:
        """Start what has ended and should serve, unless it is too soon after the last time."""
        self._reap()
        healthy = {each.endpoint for each in endpoints.list_deployments(self.store, status=DeploymentStatus.HEALTHY)}
        self.pause_seconds = _LOOK_SECONDS if healthy else None
        folder = runtime_folder(self.store.folder)
        ended = [each for each in healthy if not control.is_running(each, runtime_folder=folder)]
        if ended:
            wanted = endpoints.served(self.store)
            for each in ended:
                if each in wanted and self._is_time(each, moment):
                    self._revive(each, moment)

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
        with (self.store.folder / LOG).open("ab") as lines:
            process = processes.start(
                [*self.command, "--revive", endpoint],
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
