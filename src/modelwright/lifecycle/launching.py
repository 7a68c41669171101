"""Starts a run of a published pipeline in a process of its own, and returns once it is on record.

The process is a child of the one that launches it, under a guard: it ends with it. `Launcher` is for what serves.
"""

import argparse
import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright import processes, records, settings
from modelwright.errors import ModelwrightError, RunMissing, RunNotStarted
from modelwright.lifecycle import publishing
from modelwright.lifecycle.sessions import Session
from modelwright.records import Run
from modelwright.store import hops, runs
from modelwright.store.database import Store, open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.launching"
_LOG = "launches.log"
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 60.0


@dataclass
class Launcher:
    """The runs that this process has started and that have not ended."""

    store: Store
    _working: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def launch(
        self,
        reference: str,
        *,
        actor: str,
        why: str = "",
        overrides: Mapping[str, object],
        tags: Mapping[str, str],
        experiment: str = "",
    ) -> Run:
        """Start a run of the version that `reference` names, in the name and for the reason given, and return it.

        Raises PipelineMissing, PipelineDisabled and PublishedParameterUnknown before anything runs; RunNotStarted.
        """
        run_id = self.start(
            reference,
            records.new_id("run"),
            actor=actor,
            why=why,
            overrides=overrides,
            tags=tags,
            experiment=experiment,
        )
        # The first run in an environment builds it before it is on record, which takes what it takes.
        found = None
        while found is None:
            found = self.seen(run_id, reference, patience_seconds=_LOOK_SECONDS)
        return found

    def start(
        self,
        reference: str,
        run_id: str,
        *,
        actor: str,
        overrides: Mapping[str, object],
        tags: Mapping[str, str],
        experiment: str = "",
        why: str = "",
    ) -> str:
        """Start a run under that id, unless it was started here and goes on, and return the id.

        Raises what `launch` raises before anything runs.
        """
        with self._lock:
            if run_id in self._working and self._working[run_id].poll() is None:
                return run_id
            version = publishing.runnable(self.store, reference, overrides=overrides)
            wanted = {
                "workspace": str(self.store.folder.absolute()),
                "actor": actor,
                "why": why,
                "reference": version.reference,
                "overrides": dict(overrides),
                "tags": dict(tags),
                "experiment": experiment,
                "run_id": run_id,
            }
            self._clear()
            with self._log.open("ab") as lines:
                self._working[run_id] = processes.start(
                    [sys.executable, "-P", "-m", _MODULE, json.dumps(wanted)],
                    folder=Path("/"),
                    environment=settings.own_environment() | hops.variables(hops.present()),
                    stdout=lines.fileno(),
                    stderr=lines.fileno(),
                )
        return run_id

    def seen(self, run_id: str, reference: str, *, patience_seconds: float) -> Run | None:
        """Return the run of that id, which is of `reference`, as soon as it is on record; None if not after so long.

        Raises RunNotStarted when the process that was to run it has ended.
        """
        process = self._working.get(run_id)
        deadline = time.monotonic() + patience_seconds
        while True:
            has_ended = process is None or process.poll() is not None  # a run can be so short that it has ended
            with contextlib.suppress(RunMissing):
                return runs.get_run(self.store, run_id)
            if has_ended:
                raise RunNotStarted(reference=reference, log=self._log)
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)

    @property
    def running(self) -> int:
        """How many runs that were started here go on."""
        with self._lock:
            return sum(process.poll() is None for process in self._working.values())

    def wait(self, run_id: str) -> None:
        """Wait for the end of a run that was started here."""
        if process := self._working.get(run_id):
            process.wait()

    def end(self) -> None:
        """End every run that was started here and goes on."""
        with self._lock:
            for process in self._working.values():
                processes.end(process)
            self._working.clear()

    @property
    def _log(self) -> Path:
        return self.store.folder / _LOG

    def _clear(self) -> None:
        for run_id in [each for each, process in self._working.items() if process.poll() is not None]:
            processes.end(self._working.pop(run_id))


def run(wanted: Mapping[str, object]) -> None:
    """Run what was launched; its end is on record however it ends."""
    store = open_store(Path(str(wanted["workspace"])))
    names = ("overrides", "tags", "experiment", "run_id")
    options = {name: wanted[name] for name in names}
    try:
        session = Session(store, str(wanted["actor"]), why=str(wanted["why"]))
        publishing.run_published(session, str(wanted["reference"]), **options)  # type: ignore[arg-type]
    except ModelwrightError as error:
        sys.stderr.write(f"{wanted['run_id']} [{error.code}] {error}\n")
    finally:
        store.close()


def _interrupt(*_: object) -> None:
    # As Ctrl-C: a run that is ended from outside is cancelled, and has not failed.
    raise KeyboardInterrupt


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wanted", type=json.loads)
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        run(parser.parse_args().wanted)


if __name__ == "__main__":
    main()
