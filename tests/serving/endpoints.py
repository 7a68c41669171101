"""Real endpoints for the tests: a front, a worker in this Python, real sockets."""

import contextlib
import http.client
import socket
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from modelwright.models import guest
from modelwright.records import CaptureRecord, DeployAnswer, FrontLimits, FrontSettings, FrontStatus, WorkerSpec
from modelwright.serving import control
from modelwright.serving.capture import reading

DEADLINE_SECONDS = 120.0


@dataclass
class Answered:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: str
    data: bytes = b""


@dataclass
class Served:
    """One endpoint and what a test asks of it."""

    folder: Path
    runtime_folder: Path
    name: str = "diabetes"
    started: FrontStatus = field(init=False)

    @property
    def log(self) -> Path:
        """The endpoint's log."""
        return self.folder / "logs" / "endpoint.log"

    def start(self, *, port: int | None = None, timeout_ms: int = 60_000, limits: FrontLimits | None = None) -> None:
        """Start the front."""
        self.started = control.start(
            self.name,
            runtime_folder=self.runtime_folder,
            log=self.log,
            capture_folder=self.folder / "capture",
            port=port,
            settings=FrontSettings(timeout_ms=timeout_ms, limits=limits or FrontLimits()),
        )

    def spec(
        self, script: str, *, version: int = 1, sample: str | None = None, expected: str | None = None
    ) -> WorkerSpec:
        """Write a scoring script and describe the version that runs it."""
        folder = self.folder / f"package-{version}"
        model_folder = folder / "azureml-models" / "diabetes" / str(version)
        model_folder.mkdir(parents=True, exist_ok=True)
        (folder / "score.py").write_text(textwrap.dedent(script), encoding="utf-8")
        return WorkerSpec(
            version=f"diabetes:{version}",
            python=Path(sys.executable),
            script=folder / "score.py",
            model_folder=model_folder,
            sample=sample,
            expected=expected,
        )

    def deploy(self, script: str, *, version: int = 1, timeout_seconds: float = 60, **sample: str) -> DeployAnswer:
        """Put a version with this script into service."""
        worker = self.spec(script, version=version, **sample)
        return control.deploy(
            self.name, runtime_folder=self.runtime_folder, worker=worker, timeout_seconds=timeout_seconds
        )

    def status(self) -> FrontStatus | None:
        """Ask the front."""
        return control.status(self.name, runtime_folder=self.runtime_folder)

    def worker_pid(self) -> int:
        """Return the process that runs the script."""
        status = self.status()
        assert status is not None
        (pid,) = status.deployments[0].worker_pids
        return pid

    def stop(self, **options: float) -> bool:
        """Stop the endpoint."""
        return control.stop(self.name, runtime_folder=self.runtime_folder, **options)

    def connect(self, *, timeout_seconds: float = DEADLINE_SECONDS) -> http.client.HTTPConnection:
        """Return a client that keeps its connection."""
        return http.client.HTTPConnection("127.0.0.1", self.started.port, timeout=timeout_seconds)

    def ask(
        self,
        method: str = "POST",
        path: str = "/score",
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Send one request on a connection of its own."""
        client = self.connect()
        try:
            client.request(method, path, body=body, headers=headers or {})
            return self.answered(client.getresponse())
        finally:
            client.close()

    def raw(self) -> socket.socket:
        """Return a connected socket."""
        return socket.create_connection(("127.0.0.1", self.started.port), timeout=DEADLINE_SECONDS)

    def send(self, data: bytes) -> bytes:
        """Send bytes, say that no more will come, and return all that is answered."""
        with self.raw() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return self.read_to_end(client)

    def captured(self) -> list[CaptureRecord]:
        """Return the records that were captured."""
        return list(reading.read(self.folder / "capture" / self.name))

    def family(self) -> list[psutil.Process]:
        """Return the front and every process below it."""
        head = psutil.Process(self.started.pid)
        return [head, *head.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run scoring scripts, without the guards around them."""
        found = []
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if command[2:5] == ["-X", "utf8", str(Path(guest.__file__).with_name("worker.py"))]:
                    found.append(process)
        return found

    @staticmethod
    def wait_for(condition: Callable[[], object], what: str) -> None:
        """Return when `condition` holds; fail when it does not within the deadline."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {DEADLINE_SECONDS} s: {what}")
            pause.wait(0.01)

    @staticmethod
    def answered(response: http.client.HTTPResponse) -> Answered:
        """Read an answer; its headers' names are lower case."""
        headers = {name.lower(): value for name, value in response.getheaders()}
        data = response.read()
        return Answered(response.status, headers, data.decode(errors="replace"), data)

    @staticmethod
    def read_to_end(client: socket.socket) -> bytes:
        """Return what comes until the other side closes."""
        pieces = []
        while piece := client.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    @staticmethod
    def is_alive(process: psutil.Process) -> bool:
        """Return whether the process runs; one that waits to be reaped does not."""
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


@pytest.fixture(scope="module")
def make_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Served]]:
    """Return a maker of endpoints that are stopped at the module's end. The caller starts them."""
    made: list[Served] = []
    with tempfile.TemporaryDirectory(prefix="wr-") as short:

        def make() -> Served:
            folder = tmp_path_factory.mktemp("endpoint")
            served = Served(folder, Path(short) / str(len(made)))
            made.append(served)
            return served

        yield make
        for served in made:
            served.stop(timeout_seconds=1)


@pytest.fixture
def served(make_served: Callable[[], Served]) -> Iterator[Served]:
    """Return an endpoint of one test's own, not yet started."""
    served = make_served()
    yield served
    served.stop(timeout_seconds=1)
