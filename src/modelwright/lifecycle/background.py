"""All that a workspace does by itself, in one process, from `wright up` to `wright down`.

The process takes what comes due, starts endpoints and the watchers of rollouts again that have ended, has what was
captured turned into Parquet, and tells of events. The HTTP API hosts it where that is installed; else `python -m
modelwright.lifecycle.background` does. What is to be done is told by the store alone: another process goes on where
one was killed. It ends by itself when its workspace is gone.
"""

import argparse
import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from modelwright import processes, settings
from modelwright.errors import BackgroundNotStarted, Busy
from modelwright.lifecycle import rollouts
from modelwright.lifecycle.compacting import Compacting
from modelwright.lifecycle.events import pipelines
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.reviving import Reviver
from modelwright.lifecycle.scheduler import Scheduler
from modelwright.lifecycle.sessions import Session
from modelwright.store import api_place, claims
from modelwright.store.database import DATABASE, Store, open_store

LOG = "background.log"
_MODULE = "modelwright.lifecycle.background"
_CLAIM = "background"
_LOOK_SECONDS = 1.0
# How long a rollout may be unwatched; its lease is a multiple of that.
_WATCH_SECONDS = 5.0


class Work(Protocol):
    """One kind of what is done by itself."""

    def look(self) -> float:
        """Do what is to be done now, and return in how many seconds to look again."""

    def end(self) -> None:
        """End what was started."""


class Background:
    """The work of a workspace, each kind in a thread of its own."""

    def __init__(self, store: Store) -> None:
        """Work on the store's workspace, in the name of whoever runs this process."""
        session, log = Session(store, settings.actor()), store.folder / LOG
        kinds: list[Work] = [Scheduler(session, log), Reviver(store, log), Compacting(store, log), _Rewatching(session)]
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(each,), name=type(each).__name__) for each in kinds]
        self._threads.append(threading.Thread(target=self._deliver, args=(Dispatcher(store),), name="Dispatcher"))

    def start(self) -> None:
        """Begin."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End all of it, and what it has started."""
        self._stopped.set()
        for each in self._threads:
            each.join()
        pipelines.end()

    def _deliver(self, dispatcher: Dispatcher) -> None:
        # It waits by itself, for what it has begun as for what is new.
        while not self._stopped.is_set():
            try:
                dispatcher.run(self._stopped)
            except Exception:  # noqa: BLE001 - what is wrong with the workspace now may be right soon
                traceback.print_exc()
                self._stopped.wait(_LOOK_SECONDS)

    def _work(self, kind: Work) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    pause_seconds = kind.look()
                except Exception:  # noqa: BLE001 - what is wrong with one look may be right at the next
                    traceback.print_exc()
                    pause_seconds = _LOOK_SECONDS
                self._stopped.wait(pause_seconds)
        finally:
            kind.end()


class _Rewatching:
    """Starts the watchers of rollouts again that were killed. They outlive this process: a rollout is not to stop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self) -> float:
        rollouts.take_up(self._session)
        return _WATCH_SECONDS

    def end(self) -> None:
        pass


def is_running(store: Store) -> bool:
    """Whether the workspace's work is done."""
    return claims.holder(store, _CLAIM) is not None


def was_killed(store: Store) -> bool:
    """Whether the process has ended without being asked to."""
    return claims.is_abandoned(store, _CLAIM)


def start(store: Store) -> None:
    """Start the process without the HTTP API, unless there is one. Raises BackgroundNotStarted."""
    if is_running(store):
        return
    log = store.folder / LOG
    if not processes.detach(_MODULE, ["--workspace", store.folder.absolute()], log=log) and not is_running(store):
        raise BackgroundNotStarted(log=log)


def stop(store: Store) -> bool:
    """End the process and what it has started, the HTTP API included; return whether there was one."""
    return claims.end_holder(store, _CLAIM)


@contextlib.contextmanager
def hosted(store: Store, *, url: str | None = None) -> Iterator[None]:
    """Do the workspace's work for as long as the block runs; `url` where this process serves its HTTP API.

    Raises Busy when another process does.
    """
    with contextlib.ExitStack() as held:
        held.enter_context(claims.claim(store, _CLAIM))
        if url:
            held.enter_context(api_place.told(store, url))
        background = Background(store)
        background.start()
        held.callback(background.stop)
        yield


def when_gone(store: Store, act: Callable[[], object]) -> None:
    """Call `act` once the workspace is gone."""

    def look() -> None:
        while (store.folder / DATABASE).exists():
            time.sleep(_LOOK_SECONDS)
        act()

    threading.Thread(target=look, daemon=True).start()


def serve(folder: Path, *, report: int) -> None:
    """Do the work of the workspace at `folder` until SIGTERM, or until it is gone."""
    store = open_store(folder)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    when_gone(store, stopped.set)
    with contextlib.suppress(Busy), hosted(store):
        processes.tell(report, b"running")
        stopped.wait()
    store.close()


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    options = parser.parse_args()
    if os.fork() == 0:
        os.setsid()
        serve(options.workspace, report=options.report_fd)


if __name__ == "__main__":
    main()
