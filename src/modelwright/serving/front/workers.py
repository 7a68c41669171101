"""One process of a model version: the requests it owes answers to, its clock, and its end."""

import asyncio
import json
import logging
import math
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self, cast

from modelwright import processes, settings
from modelwright.errors import WorkerFailed
from modelwright.models import guest
from modelwright.records import WorkerSpec
from modelwright.serving.capture import collecting
from modelwright.serving.front import frames

if TYPE_CHECKING:
    import subprocess

_WORKER = Path(guest.__file__).with_name("worker.py")
_LOG = logging.getLogger(__name__)
_END_GRACE_SECONDS = 3.0


class Outcome(Enum):
    """How a request to a version ended."""

    ANSWERED = "answered"
    RAISED = "run() raised"
    UNSERIALIZABLE = "what run() returned is not JSON"
    TIMED_OUT = "run() took too long"
    DIED = "the process ended inside run()"
    DROPPED = "the process ended before run() was called"
    LATE = "run() was not called in time"


_OUTCOMES = {
    frames.ANSWERED: Outcome.ANSWERED,
    frames.RAISED: Outcome.RAISED,
    frames.UNSERIALIZABLE: Outcome.UNSERIALIZABLE,
    frames.LATE: Outcome.LATE,
}


# Looking up another module's constant takes as long as half the rest of what an answer takes here.
_ANSWER = frames.ANSWER


class Scored(NamedTuple):
    """A version's answer: HTTP status, body and head as the worker gave them, and how long `run` took."""

    outcome: Outcome
    status: int = 0
    body: bytes = b""
    head: bytes = b""
    microseconds: int = 0


class _Waiting(NamedTuple):
    number: int
    request_id: str
    done: Callable[[Scored], None]
    deadline: float


def _forget(_scored: Scored) -> None:
    """Do nothing with what comes too late."""


def _tell(waiting: _Waiting, scored: Scored) -> None:
    """Say what came of a request; if that goes wrong, the others are told of theirs all the same."""
    try:
        waiting.done(scored)
    except Exception:  # noqa: BLE001 - whatever is done with an answer
        _LOG.exception("an answer could not be passed on", extra={"request_id": waiting.request_id})


class Worker(asyncio.Protocol):
    """One process that answers for a version, one request at a time, in the order in which they came."""

    def __init__(self, spec: WorkerSpec, *, timeout_ms: int, on_end: "Callable[[Worker], None]") -> None:
        """Call `on_end` once, when the process can answer no more."""
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.pid: int | None = None
        self.has_ended = False
        self.held_bytes = 0
        self._spec = spec
        self._timeout_ms, self._max_wait_ms = timeout_ms, 0
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._outgoing: list[bytes] = []
        self._waiting: deque[_Waiting] = deque()
        self._number = 0
        self._running_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._late_alarm: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None  # made when somebody waits for it

    @classmethod
    async def launch(cls, spec: WorkerSpec, *, log: Path, timeout_ms: int, on_end: "Callable[[Worker], None]") -> Self:
        """Start the process; `ready` tells when it can score. Raises CommandMissing when its Python is gone."""
        worker = cls(spec, timeout_ms=timeout_ms, on_end=on_end)
        ours, theirs = socket.socketpair()
        try:
            with theirs, log.open("ab") as lines:
                worker._process = _start(spec, theirs, lines)
            await worker._loop.create_unix_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            await worker.end()
            raise
        return worker

    @property
    def group(self) -> int:
        """The process group that it and all processes below it are in, unless they left it; 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def waiting(self) -> int:
        """How many requests it owes an answer to."""
        return len(self._waiting)

    @property
    def unread_bytes(self) -> int:
        """How much of the requests that wait the process has not read yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def be_patient(self, *, timeout_ms: int, max_wait_ms: int) -> None:
        """Let `run()` take so long from now on, and requests to come wait so long for it to begin."""
        self._timeout_ms, self._max_wait_ms = timeout_ms, max_wait_ms
        if self._alarm is not None:
            self._alarm.cancel()
            self._check_clock()

    def score(self, route: int, body: bytes, *, head: bytes, request_id: str, done: Callable[[Scored], None]) -> None:
        """Have a request answered; `done` is called once with what came of it."""
        if self._transport is None or self.has_ended:
            done(Scored(Outcome.DROPPED))
            return
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        if not self._waiting:
            self._start_clock()
        deadline, told = math.inf, 0
        if self._max_wait_ms:
            deadline, told = self._loop.time() + self._max_wait_ms / 1000, frames.deadline_in(self._max_wait_ms)
            if self._late_alarm is None:
                self._late_alarm = self._loop.call_at(deadline, self._refuse_late)
        self._waiting.append(_Waiting(number, request_id, done, deadline))
        if not self._outgoing:
            self._loop.call_soon(self._send)
        self._outgoing.append(frames.request(number, route, request_id.encode(), head, body, told))

    async def drain(self) -> None:
        """Wait until every request has its answer."""
        while self._waiting:
            self._drained = self._drained or asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    async def end(self) -> None:
        """End the process and everything it started."""
        self._lose()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(processes.end, process, grace_seconds=_END_GRACE_SECONDS)

    def kill(self, *, was_running: bool, reason: str = "") -> None:
        """End the process at once, whatever it is doing; `was_running` says whether a waiting request is inside it.

        When it was not ready yet, `reason` is why it cannot serve.
        """
        if reason and not self.ready.done():
            self.ready.set_exception(WorkerFailed(version=self._spec.version, reason=reason))
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._lose(was_running=was_running)

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way to the process."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the process is gone."""
        self._lose()

    def data_received(self, data: bytes) -> None:
        """Hand out answers."""
        self._buffer += data
        first = self._waiting[0] if self._waiting else None
        for number, kind, code, status, microseconds, head, body in frames.take(self._buffer):
            if kind != _ANSWER:
                self._hear(kind, head, body)
            elif self._waiting and self._waiting[0].number == number:
                _tell(self._waiting.popleft(), Scored(_OUTCOMES[code], status, body, head, microseconds))
        if not self._waiting:
            self._rest()
        elif self._waiting[0] is not first:
            self._running_since = self._loop.time()

    # --- inside ---

    def _send(self) -> None:
        """Write all that came in this turn of the loop at once."""
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is not None and not self.has_ended:
            self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))

    def _hear(self, kind: int, head: bytes, body: bytes) -> None:
        """Take note of what the process has to say of itself."""
        if self.ready.done():
            return
        if kind == frames.READY:
            facts = json.loads(head)
            self.pid = int(facts["pid"])
            self.ready.set_result(facts)
        elif kind == frames.FAILED:
            self.ready.set_exception(WorkerFailed(version=self._spec.version, reason=body.decode()))

    def _rest(self) -> None:
        """Tell whoever waits for it that no answer is owed."""
        if self._drained is not None:
            self._drained.set()

    def _refuse_late(self) -> None:
        """Settle requests that have waited long enough behind the first; the process skips them when it gets there."""
        self._late_alarm = None
        moment = self._loop.time()
        for place in range(1, len(self._waiting)):
            each = self._waiting[place]
            if each.deadline <= moment:
                self._waiting[place] = each._replace(done=_forget, deadline=math.inf)
                _tell(each, Scored(Outcome.LATE))
        following = min((each.deadline for each in islice(self._waiting, 1, None)), default=math.inf)
        if following < math.inf:
            self._late_alarm = self._loop.call_at(following, self._refuse_late)

    def _start_clock(self) -> None:
        self._running_since = self._loop.time()
        if self._alarm is None:
            self._alarm = self._loop.call_later(self._timeout_ms / 1000, self._check_clock)

    def _check_clock(self) -> None:
        """End a process that has worked on one request for too long; nothing gentler ends a loop in C."""
        self._alarm = None
        if not self._waiting:
            return
        left = self._running_since + self._timeout_ms / 1000 - self._loop.time()
        if left > 0:
            self._alarm = self._loop.call_later(left, self._check_clock)
            return
        late = self._waiting.popleft()
        _LOG.error(
            "run() took longer than %d ms; its process is replaced",
            self._timeout_ms,
            extra={"request_id": late.request_id},
        )
        _tell(late, Scored(Outcome.TIMED_OUT))
        self.kill(was_running=False)

    def _lose(self, *, was_running: bool = True) -> None:
        """Settle every request that is still owed an answer: none will come."""
        if self.has_ended:
            return
        self.has_ended = True
        for alarm in (self._alarm, self._late_alarm):
            if alarm is not None:
                alarm.cancel()
        if self._transport is not None:
            self._transport.abort()
        if not self.ready.done():
            self.ready.set_exception(
                WorkerFailed(version=self._spec.version, reason="its process ended before init() had returned")
            )
        # Whoever waits for readiness may have been cancelled; the exception is not to be reported as forgotten.
        self.ready.exception()
        waiting, self._waiting = self._waiting, deque()
        self._rest()
        for index, each in enumerate(waiting):
            # Only the first was inside run(); the others are known not to have been started.
            _tell(each, Scored(Outcome.DIED if was_running and index == 0 else Outcome.DROPPED))
        self._on_end(self)


def _start(spec: WorkerSpec, connection: socket.socket, lines: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start the process at the other end of `connection`, with the terminal that we have if it is to have it."""
    folder = spec.script.parent if spec.script else spec.model_folder
    environment = settings.child_environment(_variables(spec))
    if not spec.is_attached:
        # The guard hands on standard streams only, so the socket goes as standard output; the worker moves it.
        command = [*_command(spec), "--fd", "1", "--log", lines.name]
        return processes.start(
            command, folder=folder, environment=environment, stdout=connection.fileno(), stderr=lines
        )
    command = [*_command(spec), "--fd", str(connection.fileno()), "--attached"]
    return processes.start_attached(command, folder=folder, environment=environment, passed=connection.fileno())


def _variables(spec: WorkerSpec) -> dict[str, str]:
    """Return what the process finds in its environment beside what we find in ours."""
    return {collecting.VARIABLE: str(spec.model_data)} if spec.model_data else {}


def _command(spec: WorkerSpec) -> list[str | Path]:
    command: list[str | Path] = [spec.python, "-I"]
    if spec.bytecode:
        command += ["-X", f"pycache_prefix={spec.bytecode}"]
    command += ["-X", "utf8", _WORKER, "--model-dir", spec.model_folder, "--version", spec.version]
    if spec.script:
        command += ["--script", spec.script]
    else:
        command += ["--framework", spec.framework]
    if spec.model_file:
        command += ["--model-file", spec.model_file]
    if spec.package:
        command += ["--package", spec.package]
    return command
