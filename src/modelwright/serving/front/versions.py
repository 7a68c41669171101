"""A model version in service: its worker process, the requests it owes answers to, and its restarts."""

import asyncio
import json
import logging
import math
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from modelwright import processes, settings
from modelwright.errors import ModelwrightError, WorkerFailed
from modelwright.records import WorkerSpec
from modelwright.serving.front import frames

if TYPE_CHECKING:
    import subprocess

_WORKER = Path(__file__).parent.with_name("guest") / "worker.py"
_LOG = logging.getLogger(__name__)

# The first restart follows at once, since most deaths are accidents; then the pauses double up to the longest.
_PAUSES_SECONDS = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0)
# A worker that has served this long has recovered; its next death starts the pauses anew.
_STEADY_SECONDS = 60.0
_END_GRACE_SECONDS = 3.0
# The sample's answer may differ from the expected one by what another number of threads changes in a sum.
_TOLERANCE = 1e-9


class Outcome(Enum):
    """How a request to a version ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNSERIALIZABLE = "unserializable"
    TIMED_OUT = "timed out"
    DIED = "died"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Scored:
    """A version's answer: the body that `run` gave, and how long `run` took."""

    outcome: Outcome
    body: bytes = b""
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    number: int
    request_id: str
    done: Callable[[Scored], None]


class Worker(asyncio.Protocol):
    """One process that runs a scoring script, one request at a time, in the order in which they came."""

    def __init__(self, spec: WorkerSpec, *, timeout_ms: int, on_end: "Callable[[Worker], None]") -> None:
        """Call `on_end` once, when the process can answer no more."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pid: int | None = None
        self.has_ended = False
        self._spec = spec
        self._timeout_ms = timeout_ms
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._waiting: deque[_Waiting] = deque()
        self._number = 0
        self._running_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def launch(cls, spec: WorkerSpec, *, log: Path, timeout_ms: int, on_end: "Callable[[Worker], None]") -> Self:
        """Start the process; `ready` tells when it can score. Raises CommandMissing when its Python is gone."""
        worker = cls(spec, timeout_ms=timeout_ms, on_end=on_end)
        ours, theirs = socket.socketpair()
        try:
            with theirs, log.open("ab") as lines:
                # The guard hands on standard streams only, so the socket goes as standard output; the worker moves it.
                command: list[str | Path] = [
                    spec.python,
                    "-I",
                    "-X",
                    "utf8",
                    _WORKER,
                    "--fd",
                    "1",
                    "--script",
                    spec.script,
                ]
                if spec.bytecode:
                    command[2:2] = ["-X", f"pycache_prefix={spec.bytecode}"]
                command += ["--model-dir", spec.model_folder, "--version", spec.version]
                worker._process = processes.start(
                    command,
                    folder=spec.script.parent,
                    environment=settings.child_environment(),
                    stdout=theirs.fileno(),
                    stderr=lines,
                )
            await worker._loop.create_unix_connection(lambda: worker, sock=ours)
        except BaseException:
            ours.close()
            await worker.end()
            raise
        return worker

    @property
    def waiting(self) -> int:
        """How many requests it owes an answer to."""
        return len(self._waiting)

    def score(
        self, body: bytes, *, headers: Mapping[str, str], request_id: str, done: Callable[[Scored], None]
    ) -> None:
        """Have `run` called with `body` and `headers`; `done` is called once with what came of it."""
        if self._transport is None or self.has_ended:
            done(Scored(Outcome.DROPPED))
            return
        self._number = (self._number + 1) & 0xFFFFFFFF
        if not self._waiting:
            self._start_clock()
        self._waiting.append(_Waiting(self._number, request_id, done))
        self._idle.clear()
        header = {"id": request_id, "headers": headers}
        self._transport.write(frames.pack(self._number, frames.SCORE, header=header, body=body))

    async def drain(self) -> None:
        """Wait until every request has its answer."""
        await self._idle.wait()

    async def end(self) -> None:
        """End the process and everything it started."""
        self._lose()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(processes.end, process, grace_seconds=_END_GRACE_SECONDS)

    def kill(self, *, was_running: bool) -> None:
        """End the process at once, whatever it is doing; `was_running` says whether a waiting request is inside it."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._lose(was_running=was_running)

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way to the process."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - asyncio's own types are looser
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Take note that the process is gone."""
        self._lose()

    def data_received(self, data: bytes) -> None:
        """Hand out answers."""
        self._buffer += data
        for frame in frames.take(self._buffer):
            if frame.kind == frames.ANSWER:
                self._answer(frame)
            elif frame.kind == frames.READY and not self.ready.done():
                self.pid = int(frame.header["pid"])
                self.ready.set_result(None)
            elif frame.kind == frames.FAILED and not self.ready.done():
                self.ready.set_exception(WorkerFailed(version=self._spec.version, reason=frame.body.decode()))

    # --- inside ---

    def _answer(self, frame: frames.Frame) -> None:
        if not self._waiting or self._waiting[0].number != frame.id:
            return
        waiting = self._waiting.popleft()
        if self._waiting:
            self._start_clock()
        else:
            self._idle.set()
        waiting.done(Scored(Outcome(frame.header["outcome"]), frame.body, frame.header.get("ms", 0.0)))

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
            "run() took longer than %d ms; its process is replaced", self._timeout_ms, extra=_id(late.request_id)
        )
        late.done(Scored(Outcome.TIMED_OUT))
        self.kill(was_running=False)

    def _lose(self, *, was_running: bool = True) -> None:
        """Settle every request that is still owed an answer: none will come."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()
        if not self.ready.done():
            self.ready.set_exception(
                WorkerFailed(version=self._spec.version, reason="its process ended before init() had returned")
            )
        # Whoever waits for readiness may have been cancelled; the exception is not to be reported as forgotten.
        self.ready.exception()
        waiting, self._waiting = self._waiting, deque()
        self._idle.set()
        for index, each in enumerate(waiting):
            # Only the first was inside run(); the others are known not to have been started.
            each.done(Scored(Outcome.DIED if was_running and index == 0 else Outcome.DROPPED))
        self._on_end(self)


class Version:
    """A model version in service. Its worker is started again whenever it ends before `close`."""

    def __init__(self, spec: WorkerSpec, *, log: Path, timeout_ms: int) -> None:
        """Describe the version; `open` starts it."""
        self.spec = spec
        self.restarts = 0
        self._log = log
        self._timeout_ms = timeout_ms
        self._worker: Worker | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._deaths = 0
        self._ready_at = 0.0
        self._is_closed = False

    @property
    def is_ready(self) -> bool:
        """Whether a request would be scored now."""
        return self._worker is not None and not self._worker.has_ended

    @property
    def waiting(self) -> int:
        """How many requests wait for their answers."""
        return self._worker.waiting if self._worker else 0

    @property
    def worker_pid(self) -> int | None:
        """The process that runs the script, while there is one."""
        return self._worker.pid if self._worker and self.is_ready else None

    async def open(self, *, timeout_seconds: float) -> str | None:
        """Start the version, score its sample and return the answer.

        Raises WorkerFailed, after which nothing of it is left.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                self._worker = await self._launch()
                answer = await self._try_sample(self._worker) if self.spec.sample is not None else None
        except TimeoutError as error:
            await self.close(drain_seconds=0)
            reason = f"init() and the sample took longer than {timeout_seconds:g} s"
            raise WorkerFailed(version=self.spec.version, reason=reason) from error
        except BaseException:
            await self.close(drain_seconds=0)
            raise
        return answer

    def score(
        self, body: bytes, *, headers: Mapping[str, str], request_id: str, done: Callable[[Scored], None]
    ) -> None:
        """Score one request; `done` is called once with what came of it, possibly before this returns."""
        if self._worker is None:
            done(Scored(Outcome.DROPPED))
        else:
            self._worker.score(body, headers=headers, request_id=request_id, done=done)

    async def close(self, *, drain_seconds: float) -> None:
        """Let it finish what it owes, for at most `drain_seconds`, and end it."""
        self._is_closed = True
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        worker = self._worker
        if worker is not None:
            try:
                async with asyncio.timeout(drain_seconds):
                    await worker.drain()
            except TimeoutError:
                _LOG.warning("%s still owed %d answers when it was ended", self.spec.version, worker.waiting)
            await worker.end()
            self._worker = None

    async def _launch(self) -> Worker:
        worker = await Worker.launch(self.spec, log=self._log, timeout_ms=self._timeout_ms, on_end=self._on_end)
        try:
            await asyncio.shield(worker.ready)
        except BaseException:
            await worker.end()
            raise
        if worker.has_ended:
            raise WorkerFailed(version=self.spec.version, reason="its process ended right after init()")
        self._ready_at = asyncio.get_running_loop().time()
        return worker

    def _on_end(self, worker: Worker) -> None:
        if self._is_closed or worker is not self._worker:
            return
        _LOG.error("the process of %s ended; it is started again", self.spec.version)
        self._restarting = asyncio.create_task(self._restart(worker))

    async def _restart(self, dead: Worker) -> None:
        await dead.end()
        loop = asyncio.get_running_loop()
        if loop.time() - self._ready_at > _STEADY_SECONDS:
            self._deaths = 0
        while True:
            pause = _PAUSES_SECONDS[min(self._deaths, len(_PAUSES_SECONDS) - 1)]
            self._deaths += 1
            await asyncio.sleep(pause)
            try:
                self._worker = await self._launch()
            except (ModelwrightError, OSError) as error:
                _LOG.error("%s did not start again: %s", self.spec.version, error)
            else:
                self.restarts += 1
                _LOG.info("%s serves again", self.spec.version)
                return

    async def _try_sample(self, worker: Worker) -> str:
        """Score the sample. Raises WorkerFailed when there is no answer, or another than expected."""
        future: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        headers = {"Content-Type": "application/json", "X-Ms-Request-Id": "sample"}

        def done(scored: Scored) -> None:
            if not future.done():
                future.set_result(scored)

        worker.score((self.spec.sample or "").encode(), headers=headers, request_id="sample", done=done)
        scored = await future
        if scored.outcome is not Outcome.ANSWERED:
            reason = f"its sample request was not answered: {_WHY[scored.outcome]}"
            raise WorkerFailed(version=self.spec.version, reason=reason)
        answer = scored.body.decode()
        if self.spec.expected is not None and not agree(json.loads(answer), json.loads(self.spec.expected)):
            reason = f"it answered its sample with {_short(answer)}, expected was {_short(self.spec.expected)}"
            raise WorkerFailed(version=self.spec.version, reason=reason)
        return answer


_WHY = {
    Outcome.FAILED: "run() raised",
    Outcome.UNSERIALIZABLE: "what run() returned is not JSON",
    Outcome.TIMED_OUT: "run() took too long",
    Outcome.DIED: "the process ended",
    Outcome.DROPPED: "the process ended",
}


def _id(request_id: str) -> dict[str, str]:
    return {"request_id": request_id}


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"  # noqa: PLR2004 - what fits a message


def agree(one: object, other: object) -> bool:
    """Return whether two JSON values are equal, numbers to within the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_TOLERANCE) or (math.isnan(one) and math.isnan(other))
    return one == other
