"""The process that runs a workspace's schedules, and revives its endpoints, from `wright up` to `wright down`.

`python -m modelwright.lifecycle.scheduler --workspace FOLDER` detaches itself, tells through a pipe that it is there,
takes what comes due, and sees to it that every endpoint that should serve does; what they capture becomes Parquet
meanwhile. Every run is a process of its own under a guard, so that nothing is left running when the scheduler ends, by
kill -9 too. It ends by itself when its workspace is gone.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, records, settings
from modelwright.errors import Busy, ModelwrightError, SchedulerNotStarted
from modelwright.lifecycle import compacting, ticking
from modelwright.lifecycle.reviving import LOG, Reviver
from modelwright.lifecycle.sessions import Session
from modelwright.records import Tick
from modelwright.serving import deployments
from modelwright.store import claims, endpoints, schedules
from modelwright.store.database import Store, open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.scheduler"
_CLAIM = "scheduler"
# How long a new schedule, or new data, may stay unnoticed. Times that are known are met to the moment.
_LOOK_SECONDS = 5.0
# How soon the end of a run is seen.
_WORK_SECONDS = 0.5


def is_running(store: Store) -> bool:
    """Whether the workspace has a scheduler."""
    return claims.holder(store, _CLAIM) is not None


def start(store: Store) -> bool:
    """Start the workspace's scheduler if it has schedules, endpoints or captured requests; return whether it runs.

    Raises SchedulerNotStarted.
    """
    if is_running(store):
        return True
    if not schedules.list_schedules(store) and not endpoints.served(store) and not compacting.is_wanted(store):
        return False
    log = store.folder / LOG
    is_there = processes.detach(_MODULE, ["--workspace", store.folder.absolute()], log=log)
    if not is_there and not is_running(store):
        raise SchedulerNotStarted(log=log)
    return True


def stop(store: Store) -> bool:
    """End the workspace's scheduler and the runs that it started; return whether there was one."""
    return claims.end_holder(store, _CLAIM)


@dataclass
class _Work:
    """A tick that was taken, the claim on its schedule, and its process once it has one."""

    tick: Tick
    claim: contextlib.ExitStack
    process: "subprocess.Popen[bytes] | None" = None


@dataclass
class _Scheduler:
    """The ticks at work and those that wait for a processor."""

    session: Session
    compacting: compacting.Compacting
    reviver: Reviver
    working: list[_Work] = field(default_factory=list)
    waiting: deque[_Work] = field(default_factory=deque)

    def look(self, now: datetime) -> None:
        """Take what is due, start what waits, and see to what has ended."""
        self._reap()
        self.compacting.look(now)
        self.reviver.look(time.monotonic())
        ticking.clear_killed(self.session)
        busy = {work.tick.schedule for work in (*self.working, *self.waiting)}
        for schedule in schedules.list_schedules(self.session.store):
            if schedule.is_enabled and schedule.name not in busy:
                self._take(schedule.name, now)
        while self.waiting and len(self.working) < (os.cpu_count() or 1):
            self._begin(self.waiting.popleft())

    def pause_seconds(self, now: datetime) -> float:
        """Return how long nothing can come due."""
        if self.working:
            return _WORK_SECONDS
        longest = self.reviver.pause_seconds or _LOOK_SECONDS
        due = [each.next_at for each in schedules.list_schedules(self.session.store) if each.next_at]
        wait = min(((each - now).total_seconds() for each in due), default=longest)
        # One that is due and not ours to take: somebody else is at it.
        return min(wait, longest) if wait > 0 else _WORK_SECONDS

    def end(self) -> None:
        """End every run; each records that it was interrupted."""
        self.compacting.close()
        self.reviver.end()
        for work in self.working:
            if work.process:
                processes.end(work.process)
        self._reap()
        for work in self.waiting:
            work.claim.close()
        ticking.clear_killed(self.session)

    def _take(self, name: str, now: datetime) -> None:
        with contextlib.suppress(Busy), contextlib.ExitStack() as claim:
            claim.enter_context(claims.claim(self.session.store, ticking.claimed(name)))
            tick = ticking.take(self.session, name, now=now)
            if tick:
                self.waiting.append(_Work(tick, claim.pop_all()))

    def _begin(self, work: _Work) -> None:
        folder = self.session.store.folder
        command = [*_command(folder), "--tick", work.tick.schedule, work.tick.due_at.isoformat()]
        with (folder / LOG).open("ab") as lines:
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


def _command(folder: Path) -> list[str | Path]:
    """Return what starts a process of ours that does one thing in the workspace."""
    return [sys.executable, "-P", "-m", _MODULE, "--workspace", folder]


def serve(folder: Path, *, report: int) -> None:
    """Run the schedules of the workspace at `folder` until SIGTERM, or until it is gone."""
    store = open_store(folder)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    session = Session(store, settings.actor())
    scheduler = _Scheduler(session, compacting.Compacting(store, folder / LOG), Reviver(store, _command(folder)))
    with contextlib.suppress(Busy), claims.claim(store, _CLAIM):
        os.write(report, b"running")
        os.close(report)
        try:
            while not stopped.is_set() and (folder / "modelwright.db").exists():
                try:
                    scheduler.look(records.now())
                except Exception:  # noqa: BLE001 - what is wrong with one look may be right at the next
                    traceback.print_exc()
                stopped.wait(scheduler.pause_seconds(records.now()))
        finally:
            scheduler.end()
    store.close()


def run_taken(folder: Path, schedule: str, due_at: datetime) -> None:
    """Run a tick that the scheduler has taken."""
    store = open_store(folder)
    found = [each for each in schedules.list_ticks(store, schedule=schedule) if each.due_at == due_at]
    try:
        for tick in found:
            ended = ticking.run_tick(Session(store, f"schedule:{schedule}", why=f"due at {due_at.isoformat()}"), tick)
            _say(f"{schedule} {due_at.isoformat()}: {ended.outcome}")
    finally:
        store.close()


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


def _interrupt(*_: object) -> None:
    # As Ctrl-C: a run that is ended from outside is cancelled, and has not failed.
    raise KeyboardInterrupt


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--report-fd", type=int)
    parser.add_argument("--tick", nargs=2)
    parser.add_argument("--revive")
    options = parser.parse_args()
    if options.tick:
        signal.signal(signal.SIGTERM, _interrupt)
        with contextlib.suppress(KeyboardInterrupt):
            run_taken(options.workspace, options.tick[0], datetime.fromisoformat(options.tick[1]))
    elif options.revive:
        sys.exit(revive(options.workspace, options.revive))
    elif os.fork() == 0:
        os.setsid()
        serve(options.workspace, report=options.report_fd)


if __name__ == "__main__":
    main()
