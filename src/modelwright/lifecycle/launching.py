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
from modelwright.store import runs
from modelwright.store.database import Store, open_store

if TYPE_CHECKING:
    import subprocess

_MODULE = "modelwright.lifecycle.launching"
_LOG = "launches.log"
_POLL_SECONDS = 0.02


@dataclass
class Launcher:
    """The runs that this process has started and that have not ended."""

    store: Store
    _working: list["subprocess.Popen[bytes]"] = field(default_factory=list)
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
        version = publishing.runnable(self.store, reference, overrides=overrides)
        run_id = records.new_id("run")
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
        log = self.store.folder / _LOG
        with log.open("ab") as lines:
            process = processes.start(
                [sys.executable, "-P", "-m", _MODULE, json.dumps(wanted)],
                folder=Path("/"),
                environment=settings.own_environment(),
                stdout=lines.fileno(),
                stderr=lines.fileno(),
            )
        with self._lock:
            self._clear()
            self._working.append(process)
        # The first run in an environment builds it before it is on record, which takes what it takes.
        while process.poll() is None:
            with contextlib.suppress(RunMissing):
                return runs.get_run(self.store, run_id)
            time.sleep(_POLL_SECONDS)
        try:
            return runs.get_run(self.store, run_id)  # so short a run that it has ended
        except RunMissing as error:
            raise RunNotStarted(reference=version.reference, log=log) from error

    def end(self) -> None:
        """End every run that was started here and goes on."""
        with self._lock:
            for process in self._working:
                processes.end(process)
            self._working.clear()

    def _clear(self) -> None:
        for process in [each for each in self._working if each.poll() is not None]:
            processes.end(process)
            self._working.remove(process)


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
