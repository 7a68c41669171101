"""Runs a workspace's schedules: takes what comes due, and starts a process for each run of it.

Every such process, `python -m modelwright.lifecycle.scheduler`, is under a guard, so that nothing is left running when
the one that started it ends, by kill -9 too.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, records, settings
from modelwright.errors import Busy
from modelwright.lifecycle import ticking
from modelwright.lifecycle.sessions import Session
from modelwright.records import Tick
from modelwright.store import claims, schedules
from modelwright.store.database import open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.scheduler"
# How long a new schedule, or new data, may stay unnoticed. Times that are known are met to the moment.
_LOOK_SECONDS = 5.0
# How soon the end of a run is seen.
_WORK_SECONDS = 0.5


@dataclass
class _Work:
    """A tick that was taken, the claim on its schedule, and its process once it has one."""

    tick: Tick
    claim: contextlib.ExitStack
    process: "subprocess.Popen[bytes] | None" = None


@dataclass
class Scheduler:
    """The ticks at work and those that wait for a processor. What goes wrong is told in `log`."""

    session: Session
    log: Path
    working: list[_Work] = field(default_factory=list)
    waiting: deque[_Work] = field(default_factory=deque)

    def look(self) -> float:
        """Take what is due, start what waits, see to what has ended; return for how long nothing can come due."""
        now = records.now()
        self._reap()
        ticking.clear_killed(self.session)
        busy = {work.tick.schedule for work in (*self.working, *self.waiting)}
        for schedule in schedules.list_schedules(self.session.store):
            if schedule.is_enabled and schedule.name not in busy:
                self._take(schedule.name, now)
        while self.waiting and len(self.working) < (os.cpu_count() or 1):
            self._begin(self.waiting.popleft())
        return self._pause_seconds(records.now())

    def end(self) -> None:
        """End every run; each records that it was interrupted."""
        for work in self.working:
            if work.process:
                processes.end(work.process)
        self._reap()
        for work in self.waiting:
            work.claim.close()
        ticking.clear_killed(self.session)

    def _pause_seconds(self, now: datetime) -> float:
        if self.working:
            return _WORK_SECONDS
        due = [each.next_at for each in schedules.list_schedules(self.session.store) if each.next_at]
        wait = min(((each - now).total_seconds() for each in due), default=_LOOK_SECONDS)
        # One that is due and not ours to take: somebody else is at it.
        return min(wait, _LOOK_SECONDS) if wait > 0 else _WORK_SECONDS

    def _take(self, name: str, now: datetime) -> None:
        with contextlib.suppress(Busy), contextlib.ExitStack() as claim:
            claim.enter_context(claims.claim(self.session.store, ticking.claimed(name)))
            tick = ticking.take(self.session, name, now=now)
            if tick:
                self.waiting.append(_Work(tick, claim.pop_all()))

    def _begin(self, work: _Work) -> None:
        folder = self.session.store.folder
        taken = (work.tick.schedule, work.tick.due_at.isoformat())
        command: list[str | Path] = [sys.executable, "-P", "-m", _MODULE, "--workspace", folder, "--tick", *taken]
        with self.log.open("ab") as lines:
            environment = settings.own_environment()
            work.process = processes.start(
                command, folder=Path("/"), environment=environment, stdout=lines.fileno(), stderr=lines.fileno()
            )
        self.working.append(work)

    def _reap(self) -> None:
        for work in list(self.working):
            if work.process and work.process.poll() is not None:
                processes.end(work.process)
                self.working.remove(work)
                work.claim.close()


def run_taken(folder: Path, schedule: str, due_at: datetime) -> None:
    """Run a tick that the scheduler has taken."""
    store = open_store(folder)
    found = [each for each in schedules.list_ticks(store, schedule=schedule) if each.due_at == due_at]
    try:
        for tick in found:
            ended = ticking.run_tick(Session(store, f"schedule:{schedule}", why=f"due at {due_at.isoformat()}"), tick)
            at = records.now().isoformat(timespec="seconds")
            sys.stderr.write(f"{at} {schedule} {due_at.isoformat()}: {ended.outcome}\n")
    finally:
        store.close()


def _interrupt(*_: object) -> None:
    # As Ctrl-C: a run that is ended from outside is cancelled, and has not failed.
    raise KeyboardInterrupt


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--tick", nargs=2, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        run_taken(options.workspace, options.tick[0], datetime.fromisoformat(options.tick[1]))


if __name__ == "__main__":
    main()
