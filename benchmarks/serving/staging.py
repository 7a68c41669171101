"""An endpoint on which everything is done that can be done to one, by the functions that the commands call."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from dialects import Material
from ground import SCIENCE, Ground
from workspaces import ACTOR, WHY, Workspace

from modelwright.records import CaptureMode, DeploymentState, FrontStatus, Placement
from modelwright.serving import configuring, control, deployments
from modelwright.serving.sharing import Shift
from modelwright.settings import runtime_folder
from modelwright.store import endpoints, models
from modelwright.store.database import open_store

ENDPOINT = "soak"
MODEL = "ridge"
MAIN, CANARY = "main", "canary"
# Versions 1 and 2 answer differently, and so does 3, the canary's; 4 is 1 in another environment.
FIRST, SECOND, OTHER, FIRST_ELSEWHERE = 1, 2, 3, 4
_MODELS = {FIRST: "r1", SECOND: "r2", OTHER: "r3", FIRST_ELSEWHERE: "r1"}
_OTHER_SCIENCE = (*SCIENCE[:1], "numpy==2.2.5", *SCIENCE[2:])
_BACK_SECONDS = 60.0
_PAUSE_SECONDS = 0.02


class Stage:
    """One endpoint with two deployments, of versions that answer differently."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        """Make a workspace in `folder` and register the versions."""
        self._workspace = Workspace(folder)
        environments = [
            self._workspace.environment("science"),
            self._workspace.environment("other-science", _OTHER_SCIENCE),
        ]
        for number, model in _MODELS.items():
            environment = environments[number == FIRST_ELSEWHERE]
            self._workspace.register(ground.model(model), name=MODEL, environment=environment)
        folders = {f"{MODEL}:{number}": ground.model(model) for number, model in _MODELS.items()}
        self.material = Material.of(folders, endpoint=ENDPOINT, model=MODEL)
        self.runtime = runtime_folder(self._workspace.place)
        self._store = open_store(self._workspace.place)
        self._port = 0
        self.tried = 0  # how often a deployment was asked for its sample, at the endpoint's own address

    @property
    def place(self) -> tuple[str, int]:
        """Where requests go."""
        return "127.0.0.1", self._port

    def start(self) -> None:
        """Deploy the first version, and another one beside it, with no requests yet."""
        for placed, number in ((Placement(name=MAIN), FIRST), (Placement(name=CANARY, share=0.0), OTHER)):
            version = models.find_version(self._store, f"{MODEL}:{number}")
            with deployments.deploying(
                self._store, version, endpoint=ENDPOINT, actor=ACTOR, why=WHY, placement=placed
            ) as deployment:
                deployments.smoke_test(self._store, deployment)
            self.tried += 1
        self._port = endpoints.get_endpoint(self._store, ENDPOINT).port or 0

    def update(self, name: str, number: int) -> None:
        """Have a deployment serve another version."""
        version = models.find_version(self._store, f"{MODEL}:{number}")
        self.tried += 1
        deployments.update(self._store, ENDPOINT, name, version, actor=ACTOR, why=WHY)

    def restart(self, name: str) -> None:
        """Replace a deployment's processes."""
        deployments.restart(self._store, ENDPOINT, name, actor=ACTOR, why=WHY)

    def scale(self, name: str, workers: int) -> None:
        """Give a deployment so many processes."""
        deployments.scale(self._store, ENDPOINT, name, workers, actor=ACTOR, why=WHY)

    def share_out(self, canary: float) -> None:
        """Give the canary so many percent of the requests and the other deployment the rest."""
        deployments.shift_traffic(self._store, ENDPOINT, Shift(shares={CANARY: canary}), actor=ACTOR, why=WHY)

    def capture(self, mode: CaptureMode) -> None:
        """Have requests recorded in another mode."""
        configuring.set_capture(self._store, ENDPOINT, {"mode": mode}, is_anew=True, actor=ACTOR, why=WHY)

    def compact(self) -> None:
        """Have what was recorded so far written as Parquet."""
        self._workspace.wright("capture", "compact")

    def status(self) -> FrontStatus | None:
        """Return what the endpoint says of itself."""
        return control.status(ENDPOINT, runtime_folder=self.runtime)

    def split(self) -> dict[str, float]:
        """Return the percentages on record, by version."""
        serving = endpoints.serving(self._store, endpoints.get_endpoint(self._store, ENDPOINT))
        return {serving.names[name].version: share for name, share in serving.traffic.split().items()}

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
        """Kill the process that owns the port, wait until it and its workers are gone, and bring the endpoint back."""
        status = self.status()
        assert status is not None  # noqa: S101 - it runs
        family = [psutil.Process(status.pid), *psutil.Process(status.pid).children(recursive=True)]
        os.kill(status.pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=_BACK_SECONDS)
        deployments.up(self._store, actor=ACTOR, why=WHY)

    def stop(self) -> None:
        """End the endpoint."""
        with contextlib.suppress(RuntimeError):
            self._workspace.wright("endpoint", "stop", ENDPOINT, "--why", WHY)
        self._store.close()

    def captured(self) -> Iterator[tuple[str, int, str]]:
        """Give id, status and version of every request that was recorded."""
        from modelwright.serving.capture import reading

        for record in reading.read(self._workspace.place / "capture" / ENDPOINT):
            yield record.request_id, record.status, record.version or ""

    def _state(self, name: str) -> DeploymentState:
        status = self.status()
        assert status is not None  # noqa: S101 - it runs
        return next(each for each in status.deployments if each.name == name)
