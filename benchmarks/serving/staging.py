"""An endpoint on which everything is done that can be done to one, by the functions that the commands call."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
from dialects import Material
from ground import APPS, SCIENCE, VARIABLES, Ground

from modelwright.records import (
    CaptureMode,
    CaptureSettings,
    DeploymentState,
    FrontSettings,
    FrontStatus,
    Traffic,
    WorkerSpec,
)
from modelwright.serving import control
from modelwright.store.database import open_store

ENDPOINT = "soak"
MODEL = "ridge"
MAIN, CANARY = "main", "canary"
VERSIONS = (1, 2, 3)
_WRIGHT = Path(sys.executable).with_name("wright")
_BACK_SECONDS = 60.0
_PAUSE_SECONDS = 0.02
# The same packages but one: what "the environment was changed" means.
_OTHER_SCIENCE = (*SCIENCE[:1], "numpy==2.2.5", *SCIENCE[2:])


class Stage:
    """One endpoint with two deployments, of versions that answer differently."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        """Lay out the packages in `folder`."""
        self.folder = folder
        self._pythons = [
            ground.environment("science", SCIENCE) / "bin/python",
            ground.environment("other-science", _OTHER_SCIENCE) / "bin/python",
        ]
        self._runtime = Path(tempfile.mkdtemp(prefix="stage-"))  # a socket's path must be short
        self._workspace = folder / ".wright"
        open_store(self._workspace).close()
        self.log = self._workspace / "logs" / "endpoint.log"
        folders = {f"{MODEL}:{number}": ground.model(f"r{number}") for number in VERSIONS}
        self.material = Material.of(folders, endpoint=ENDPOINT, model=MODEL)
        self._specs: dict[str, WorkerSpec] = {}
        self.traffic = Traffic(default=MAIN)
        self.settings = FrontSettings(capture=CaptureSettings(mode=CaptureMode.DURABLE))
        self._port: int | None = None
        for number, source in zip(VERSIONS, folders.values(), strict=True):
            place = self._model_folder(number)
            place.mkdir(parents=True)
            (place / "model.pkl").write_bytes((source / "model.pkl").read_bytes())

    @property
    def place(self) -> tuple[str, int]:
        """Where requests go."""
        assert self._port is not None  # noqa: S101 - it was started
        return "127.0.0.1", self._port

    def start(self) -> None:
        """Start the endpoint, or bring it back with all that it had, on the port that it had."""
        status = control.start(
            ENDPOINT,
            runtime_folder=self._runtime,
            log=self.log,
            capture_folder=self._workspace / "capture",
            port=self._port,
            settings=self.settings,
        )
        self._port = status.port
        for spec in self._specs.values():
            control.deploy(ENDPOINT, runtime_folder=self._runtime, worker=spec, is_replacing=False)
        if self._specs:
            control.share_out(ENDPOINT, self.traffic, runtime_folder=self._runtime)

    def deploy(self, name: str, version: int, *, is_other_environment: bool = False) -> None:
        """Have a deployment serve this version, whatever it served before."""
        spec = WorkerSpec(
            version=f"{MODEL}:{version}",
            python=self._pythons[is_other_environment],
            script=APPS / "score.py",
            model_folder=self._model_folder(version),
            name=name,
            workers=self._specs[name].workers if name in self._specs else 1,
        )
        control.deploy(ENDPOINT, runtime_folder=self._runtime, worker=spec, is_replacing=False)
        self._specs[name] = spec

    def restart(self, name: str) -> None:
        """Replace a deployment's processes."""
        control.restart(ENDPOINT, name, runtime_folder=self._runtime)

    def scale(self, name: str, workers: int) -> None:
        """Give a deployment so many processes."""
        control.scale(ENDPOINT, name, workers, runtime_folder=self._runtime)
        self._specs[name] = replace(self._specs[name], workers=workers)

    def share_out(self, canary: float) -> None:
        """Give the canary so many percent of the requests and the other deployment the rest."""
        traffic = Traffic(shares={CANARY: canary}, default=MAIN, control=MAIN)
        control.share_out(ENDPOINT, traffic, runtime_folder=self._runtime)
        self.traffic = traffic

    def capture(self, mode: CaptureMode) -> None:
        """Have requests recorded in another mode."""
        settings = replace(self.settings, capture=CaptureSettings(mode=mode))
        control.configure(ENDPOINT, settings, runtime_folder=self._runtime)
        self.settings = settings

    def compact(self) -> None:
        """Have what was recorded so far written as Parquet."""
        variables = {**VARIABLES, "WRIGHT_WORKSPACE": str(self._workspace), "WRIGHT_ACTOR": "benchmark"}
        command = ["nice", str(_WRIGHT), "capture", "compact", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)  # noqa: S603 - ours
        if done.returncode:
            raise RuntimeError(done.stderr)

    def status(self) -> FrontStatus | None:
        """Return what the endpoint says of itself."""
        return control.status(ENDPOINT, runtime_folder=self._runtime)

    def split(self) -> dict[str, float]:
        """Return the percentages by version."""
        return {self._specs[name].version: share for name, share in self.traffic.split().items()}

    def kill_worker(self, name: str) -> None:
        """Kill a deployment's processes and wait until all of it is there again."""
        before = self._state(name).worker_pids
        for pid in before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _BACK_SECONDS
        while time.monotonic() < deadline:
            state = self._state(name)
            if state.is_ready and len(state.worker_pids) >= state.workers and not set(before) & set(state.worker_pids):
                return
            time.sleep(_PAUSE_SECONDS)
        raise TimeoutError(name)

    def kill_front(self) -> None:
        """Kill the process that owns the port, wait until it and its workers are gone, and start the endpoint again."""
        status = self.status()
        assert status is not None  # noqa: S101 - it runs
        family = [psutil.Process(status.pid), *psutil.Process(status.pid).children(recursive=True)]
        os.kill(status.pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=_BACK_SECONDS)
        self.start()

    def stop(self) -> None:
        """End the endpoint."""
        control.stop(ENDPOINT, runtime_folder=self._runtime)
        with contextlib.suppress(OSError):
            self._runtime.rmdir()

    def captured(self) -> Iterator[tuple[str, int, str]]:
        """Give id, status and version of every request that was recorded."""
        from modelwright.serving.capture import reading

        for record in reading.read(self._workspace / "capture" / ENDPOINT):
            yield record.request_id, record.status, record.version or ""

    def _state(self, name: str) -> DeploymentState:
        status = self.status()
        assert status is not None  # noqa: S101 - it runs
        return next(each for each in status.deployments if each.name == name)

    def _model_folder(self, version: int) -> Path:
        return self.folder / "packages" / str(version) / "azureml-models" / MODEL / str(version)
