"""The processes that run a project's steps: warm, to pay for imports once, and forking, to keep steps apart."""

import contextlib
import json
import select
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelwright import processes
from modelwright.environments import building
from modelwright.records import BuiltEnvironment
from modelwright.settings import child_environment

_WORKER = Path(__file__).with_name("worker.py")
_KILLED = -9
# What numerical libraries read the number of their threads from.
_THREADS = (
    "LOKY_MAX_CPU_COUNT",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True)
class Ended:
    """The end of a step's process: its exit code, or minus the signal that ended it."""

    id: str
    code: int


@dataclass
class Worker:
    """A running worker of one environment, and the steps that it is at with the numbers of their processes."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    running: dict[str, int] = field(default_factory=dict)
    left: bytes = b""
    is_over: bool = False

    def read(self) -> list[Ended]:
        """Return the steps that have ended; all of them, when the worker itself was ended from outside."""
        try:
            got = self.channel.recv(1 << 16)
        except ConnectionError:
            got = b""
        if not got:
            self.is_over = True
            return [Ended(name, _KILLED) for name in self.running]
        *lines, self.left = (self.left + got).split(b"\n")
        ended = []
        for line in lines:
            told = json.loads(line)
            if "pid" in told:
                self.running[told["id"]] = told["pid"]
            else:
                ended.append(Ended(told["id"], told["code"]))
        return ended


class Pool:
    """Workers by environment, each started when a first step needs it."""

    def __init__(
        self, *, project: Path, source: Path, modules: tuple[str, ...], log: Path, threads: int | None = None
    ) -> None:
        """Take the folder that steps run in, the modules to import from `source`, and how many threads they may use."""
        self._variables = dict.fromkeys(_THREADS, str(threads)) if threads else {}
        self._project = project
        self._source = source
        self._modules = modules
        self._log = log
        self._workers: dict[str, Worker] = {}

    def submit(self, environment: BuiltEnvironment, request: Mapping[str, object]) -> None:
        """Let a step begin in a process of its own; its request has an `id`."""
        digest = environment.lock.digest
        if digest not in self._workers:
            self._workers[digest] = self._start(environment)
        worker = self._workers[digest]
        worker.running[str(request["id"])] = 0
        with contextlib.suppress(ConnectionError):  # that it is gone is told by `wait`
            worker.channel.sendall(json.dumps(request).encode() + b"\n")

    def wait(self, seconds: float) -> list[Ended]:
        """Return the steps that have ended within this time."""
        # Also of those that have nothing to do: one that was ended is to be given no step.
        names = {each.channel: digest for digest, each in self._workers.items()}
        ready, _, _ = select.select(list(names), [], [], seconds)
        ended = []
        for channel in ready:
            worker = self._workers[names[channel]]
            for each in worker.read():
                worker.running.pop(each.id, None)
                ended.append(each)
            if worker.is_over:
                self._end(self._workers.pop(names[channel]))  # the next step gets a new one
        return ended

    def kill(self, name: str) -> None:
        """End a step's process with all that it has started; `wait` tells of it as of any end."""
        import psutil

        number = next((each.running[name] for each in self._workers.values() if each.running.get(name)), 0)
        with contextlib.suppress(psutil.NoSuchProcess):
            if number:
                step = psutil.Process(number)
                for process in [*step.children(recursive=True), step]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def close(self) -> None:
        """End all workers and their steps."""
        while self._workers:
            self._end(self._workers.popitem()[1])

    def _start(self, environment: BuiltEnvironment) -> Worker:
        ours, theirs = socket.socketpair()
        with self._log.open("ab") as lines:
            process = processes.start(
                [environment.python, _WORKER, self._source, *self._modules],
                folder=self._project,
                # The seed makes the order of sets, and so the bytes of values, the same in every run.
                environment=child_environment(
                    building.variables(environment, self._project) | self._variables | {"PYTHONHASHSEED": "0"}
                ),
                stdout=theirs.fileno(),
                stderr=lines,
            )
        theirs.close()
        return Worker(process, ours)

    @staticmethod
    def _end(worker: Worker) -> None:
        worker.channel.close()
        processes.end(worker.process)


@contextlib.contextmanager
def started(
    *, project: Path, source: Path, modules: tuple[str, ...], log: Path, threads: int | None = None
) -> Iterator[Pool]:
    """Give a pool of workers that import the project's `modules` from `source`; they end with the block."""
    pool = Pool(project=project, source=source, modules=modules, log=log, threads=threads)
    try:
        yield pool
    finally:
        pool.close()
