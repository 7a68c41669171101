"""The process that runs a project's steps: warm, to pay for imports once, and forking, to keep steps apart."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwright import processes
from modelwright.environments import building
from modelwright.records import BuiltEnvironment
from modelwright.settings import child_environment

_WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Worker:
    """A running worker of one project."""

    _channel: socket.socket
    _answers: Iterator[bytes]

    def run(self, request: Mapping[str, object]) -> int:
        """Run one step in a process of its own; return its exit code, or minus the signal that ended it.

        When the worker itself was ended from outside, that is -9 too.
        """
        try:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            return int(next(self._answers))
        except (StopIteration, ConnectionError):
            return -9


@contextlib.contextmanager
def started(
    environment: BuiltEnvironment, *, project: Path, source: Path, modules: tuple[str, ...], log: Path
) -> Iterator[Worker]:
    """Start a worker that has the project's `modules` imported from `source`; end it and its steps with the block."""
    ours, theirs = socket.socketpair()
    with ours, log.open("ab") as lines:
        process = processes.start(
            [environment.python, _WORKER, source, *modules],
            folder=project,
            # The seed makes the order of sets, and so the bytes of values, the same in every run.
            environment=child_environment(building.variables(environment, project) | {"PYTHONHASHSEED": "0"}),
            stdout=theirs.fileno(),
            stderr=lines,
        )
        theirs.close()
        try:
            with ours.makefile("rb") as answers:
                yield Worker(ours, answers)
        finally:
            processes.end(process)
