"""A model version in service: its processes, which share its requests, and their restarts."""

import asyncio
import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError, WorkerFailed
from modelwright.records import DeploymentState, WorkerSpec
from modelwright.serving import capacity
from modelwright.serving.front import memory
from modelwright.serving.front.routes import Route
from modelwright.serving.front.tally import Tally
from modelwright.serving.front.workers import Outcome, Scored, Worker

if TYPE_CHECKING:
    from modelwright.models.fusing.evaluating import ArrayModel

_LOG = logging.getLogger(__name__)

# The first restart follows at once, since most deaths are accidents; then the pauses double up to the longest.
_PAUSES_SECONDS = (0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0)
# A worker that has served this long has recovered; its next death starts the pauses anew.
_STEADY_SECONDS = 60.0
# A process that grows at the speed of memory gets less than a gigabyte further until it is looked at again.
_LOOK_SECONDS = 0.25
_ASK_FOR_MORE = "ask for more with --memory"
# The sample's answer may differ from the expected one by what another number of threads changes in a sum.
_TOLERANCE = 1e-9


class Version:
    """A model version in service. Its workers are started again whenever they end before `close`.

    One that comes to hold more memory than it may is replaced by a new one, and one that holds far more is killed.
    """

    def __init__(self, spec: WorkerSpec, *, log: Path, timeout_ms: int) -> None:
        """Describe the version; `open` starts it."""
        self.spec = spec
        self.tally = Tally()
        self.facts: dict[str, Any] = {}
        self.takes_head = True
        self.arrays: ArrayModel | None = None  # what answers most requests without a process
        self.timeout_ms = timeout_ms
        self.max_wait_ms = 0
        self._log = log
        self._places: list[_Place] = []
        self._launch_seconds = 0.0
        self._is_closed = False
        self._alive: set[Worker] = set()
        self._watching: asyncio.Task[None] | None = None
        self._fresh_bytes = self._outgrown = 0
        self._notice = ""

    @property
    def is_ready(self) -> bool:
        """Whether a request would be scored now."""
        places = self._places
        return places[0].is_ready if len(places) == 1 else any(each.is_ready for each in places)

    @property
    def waiting(self) -> int:
        """How many requests wait for their answers."""
        places = self._places
        if len(places) == 1 and places[0].worker is not None:
            return places[0].worker.waiting
        return sum([each.worker.waiting for each in places if each.worker])

    @property
    def unread_bytes(self) -> int:
        """How much of the requests that wait is held here."""
        return sum([each.worker.unread_bytes for each in self._places if each.worker])

    @property
    def retry_seconds(self) -> int:
        """After how many seconds a request that nobody could answer now is worth sending again."""
        if self.is_ready:
            return 1
        moment = asyncio.get_running_loop().time()
        back_in = min((each.back_at - moment for each in self._places), default=0.0)
        return max(1, math.ceil(max(back_in, self._launch_seconds)))

    @property
    def state(self) -> DeploymentState:
        """What there is to tell of it."""
        tally = self.tally
        return DeploymentState(
            name=self.spec.deployment,
            version=self.spec.version,
            is_ready=self.is_ready,
            worker_pids=tuple(each.worker.pid or 0 for each in self._places if each.is_ready and each.worker),
            workers=len(self._places),
            restarts=sum(each.restarts for each in self._places),
            waiting=self.waiting,
            requests=tally.requests,
            errors=tally.errors,
            mean_ms=tally.milliseconds / tally.requests if tally.requests else 0.0,
            latency=tuple(tally.latency),
            reason=next((each.reason for each in self._places if each.reason), ""),
            id=self.spec.id,
            script=str(self.spec.script) if self.spec.is_local else "",
            memory_bytes=sum(each.worker.held_bytes for each in self._places if each.worker),
            memory_limit_bytes=self.spec.memory_bytes,
            outgrown=self._outgrown,
            notice=self._notice,
        )

    @property
    def has_room(self) -> bool:
        """Whether the machine has memory for one more of its processes."""
        return capacity.available_bytes() > self._fresh_bytes

    def be_patient(self, *, timeout_ms: int, max_wait_ms: int) -> None:
        """Let `run()` take so long from now on, and requests wait so long for it to begin."""
        self.timeout_ms, self.max_wait_ms = timeout_ms, max_wait_ms
        for each in self._places:
            if each.worker is not None:
                each.worker.be_patient(timeout_ms=timeout_ms, max_wait_ms=max_wait_ms)

    async def open(self, *, timeout_seconds: float) -> str | None:
        """Start the version, score its sample and return the answer.

        Raises WorkerFailed, after which nothing of it is left.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                first = await self._launch(self._on_end)
                self._places.append(_Place(self, first))
                answer = await _try_sample(first, self.spec) if self.spec.sample is not None else None
                await self._check_memory(first, "its sample")
                await self._grow(self.spec.workers)
        except TimeoutError as error:
            await self.close(drain_seconds=0)
            reason = f"init() and the sample took longer than {timeout_seconds:g} s"
            raise WorkerFailed(version=self.spec.version, reason=reason) from error
        except BaseException:
            await self.close(drain_seconds=0)
            raise
        return answer

    def score(self, route: int, body: bytes, *, head: bytes, request_id: str, done: Callable[[Scored], None]) -> None:
        """Score one request; `done` is called once with what came of it, possibly before this returns."""
        places = self._places
        worker = places[0].worker if len(places) == 1 else self._least_busy()
        if worker is None:
            done(Scored(Outcome.DROPPED))
        else:
            worker.score(route, body, head=head, request_id=request_id, done=done)

    async def scale(self, workers: int) -> None:
        """Have it served by so many processes. Raises WorkerFailed, and then it is served as before."""
        before = len(self._places)
        try:
            await self._grow(workers)
        except BaseException:
            await self._shrink(before, drain_seconds=0)
            raise
        await self._shrink(workers, drain_seconds=self.timeout_ms / 1000 + 1)
        self.spec = replace(self.spec, workers=workers)

    async def restart(self) -> None:
        """Replace one process after the other by a new one; requests go on being answered. Raises WorkerFailed."""
        for each in list(self._places):
            await each.renew()

    async def close(self, *, drain_seconds: float) -> None:
        """Let it finish what it owes, for at most `drain_seconds`, and end it."""
        self._is_closed = True
        places, self._places = self._places, []
        await asyncio.gather(*(each.close(drain_seconds=drain_seconds) for each in places))
        if self._watching is not None:
            self._watching.cancel()

    async def _grow(self, workers: int) -> None:
        missing = range(workers - len(self._places))
        launched = await asyncio.gather(*(self._launch(self._on_end) for _ in missing), return_exceptions=True)
        self._places += [_Place(self, each) for each in launched if isinstance(each, Worker)]
        failed = [each for each in launched if isinstance(each, BaseException)]
        if failed:
            raise failed[0]

    async def _shrink(self, workers: int, *, drain_seconds: float) -> None:
        leaving, self._places = self._places[workers:], self._places[:workers]
        await asyncio.gather(*(each.close(drain_seconds=drain_seconds) for each in leaving))

    def _least_busy(self) -> Worker | None:
        ready = [each.worker for each in self._places if each.worker is not None and not each.worker.has_ended]
        return min(ready, key=lambda each: each.waiting, default=None)

    async def _launch(self, on_end: Callable[[Worker], None]) -> Worker:
        clock = asyncio.get_running_loop().time
        begun = clock()
        worker = await Worker.launch(self.spec, log=self._log, timeout_ms=self.timeout_ms, on_end=on_end)
        worker.be_patient(timeout_ms=self.timeout_ms, max_wait_ms=self.max_wait_ms)
        self._watch_memory(worker)
        try:
            self.facts = await asyncio.shield(worker.ready)
            self._fresh_bytes = await self._check_memory(worker, "init()")
        except BaseException:
            await worker.end()
            raise
        if worker.has_ended:
            raise WorkerFailed(version=self.spec.version, reason="its process ended right after init()")
        if self._is_closed:
            await worker.end()
            raise WorkerFailed(version=self.spec.version, reason="it was taken out of service meanwhile")
        self._launch_seconds = clock() - begun
        self.takes_head = bool(self.facts.get("takes_head", True))
        if self.spec.memory_bytes is not None and worker.pid is not None:
            memory.bound(worker.pid, self.spec.memory_bytes)
        return worker

    def _watch_memory(self, worker: Worker) -> None:
        if self.spec.memory_bytes is None or worker.has_ended:
            return
        self._alive.add(worker)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look(self.spec.memory_bytes))

    async def _look(self, limit: int) -> None:
        """Look again and again what each process holds, those that start or finish too, and end what holds too much."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._measure(limit)
            for worker in self._alive.copy():
                if worker.held_bytes > limit * memory.MOST:
                    told = f"{memory.told(worker.held_bytes, limit)} and was killed"
                    self.note_outgrown(told)
                    worker.kill(was_running=True, reason=f"it held {told}; {_ASK_FOR_MORE}")
                elif worker.held_bytes > limit:
                    for each in self._places:
                        if each.worker is worker:
                            each.outgrow(f"{memory.told(worker.held_bytes, limit)} and was replaced")

    async def _measure(self, limit: int) -> None:
        alive = {each.group: each for each in self._alive}
        for group, size in (await asyncio.to_thread(memory.held, alive, limit=limit)).items():
            alive[group].held_bytes = size

    async def _check_memory(self, worker: Worker, after: str) -> int:
        """Return what the process holds before it has served anybody. Raises WorkerFailed when that is too much."""
        limit = self.spec.memory_bytes
        if limit is None:
            return 0
        await self._measure(limit)
        if worker.held_bytes > limit:
            reason = f"it holds {memory.told(worker.held_bytes, limit)} after {after}; {_ASK_FOR_MORE}"
            raise WorkerFailed(version=self.spec.version, reason=reason)
        return worker.held_bytes

    def note_outgrown(self, told: str) -> None:
        """Take note of a process that held as much as is told."""
        self._outgrown += 1
        self._notice = f"a worker held {told}"
        _LOG.error("the worker of %s held %s", self.spec.version, told)

    def _on_end(self, worker: Worker) -> None:
        self._alive.discard(worker)
        for each in self._places:
            if each.worker is worker:
                each.note_end()


class _Place:
    """One of the processes of a version, and the next when it ends or has outgrown its memory."""

    def __init__(self, version: Version, worker: Worker) -> None:
        self.worker: Worker | None = None
        self.restarts = 0
        self.reason = ""
        self.back_at = 0.0
        self._version = version
        self._deaths = 0
        self._ready_at = 0.0
        self._coming: asyncio.Task[None] | None = None
        self._leaving: dict[Worker, asyncio.Task[None]] = {}
        self._is_closed = False
        self._take(worker)

    @property
    def is_ready(self) -> bool:
        return self.worker is not None and not self.worker.has_ended

    def note_end(self) -> None:
        """Start the process again."""
        if not self._is_closed:
            _LOG.error("a process of %s ended; it is started again", self._version.spec.version)
            self._have_next()

    def outgrow(self, told: str) -> None:
        """Have the process, which holds as much as is told, replaced by a new one."""
        self._have_next(told)

    async def renew(self) -> None:
        """Take a new process, and let the old one finish what it owes."""
        worker = await self._version._launch(self._version._on_end)  # noqa: SLF001 - they are one
        coming, before = self._coming, self.worker
        self._take(worker)
        if coming is not None:
            await asyncio.gather(coming, return_exceptions=True)
        if before in self._leaving:
            await asyncio.wait([self._leaving[before]])

    async def close(self, *, drain_seconds: float) -> None:
        self._is_closed = True
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)
        leaving, tasks = set(self._leaving), list(self._leaving.values())
        if self.worker is not None:
            leaving.add(self.worker)
        # Those that have begun to finish may have been given longer than there is now.
        await asyncio.gather(*(_finish(each, self._version, drain_seconds=drain_seconds) for each in leaving), *tasks)
        self.worker = None

    def _have_next(self, told: str = "") -> None:
        if self._coming is None and not self._is_closed:
            self._coming = asyncio.create_task(self._bring(told))

    def _take(self, worker: Worker) -> None:
        """Have the process answer from now on, and the present one finish; no other one needs to come now."""
        old, self.worker, self.reason = self.worker, worker, ""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        if old is not None:
            self._leave(old)
        self._ready_at = asyncio.get_running_loop().time()
        if worker.has_ended:
            self.note_end()

    def _leave(self, worker: Worker) -> asyncio.Task[None]:
        drain_seconds = self._version.timeout_ms / 1000 + 1
        task = asyncio.create_task(_finish(worker, self._version, drain_seconds=drain_seconds))
        self._leaving[worker] = task
        task.add_done_callback(lambda _: self._leaving.pop(worker, None))
        return task

    async def _bring(self, told: str) -> None:
        """Bring the next process, with pauses from the second on; an old one that answers goes on if there is room."""
        old, version, worker = self.worker, self._version, None
        if asyncio.get_running_loop().time() - self._ready_at > _STEADY_SECONDS:
            self._deaths = 0
        while worker is None:
            if old is not None and old.has_ended:
                await old.end()
            await self._pause()
            if old is not None and self.is_ready and not version.has_room:
                version.note_outgrown(told)
                told, self.worker = "", None
                await asyncio.wait([self._leave(old)])
            try:
                worker = await version._launch(version._on_end)  # noqa: SLF001 - they are one
            except (ModelwrightError, OSError) as error:
                self.reason = str(error)
                _LOG.error("%s did not start again: %s", version.spec.version, error)
        if told and self.is_ready:  # else it was killed meanwhile, and that was noted
            version.note_outgrown(told)
        self._coming = None
        self._take(worker)
        self.restarts += 1
        _LOG.info("%s serves again", version.spec.version)

    async def _pause(self) -> None:
        loop, pause = asyncio.get_running_loop(), _PAUSES_SECONDS[min(self._deaths, len(_PAUSES_SECONDS) - 1)]
        self._deaths += 1
        self.back_at = loop.time() + pause + self._version._launch_seconds  # noqa: SLF001 - they are one
        await asyncio.sleep(pause)


async def _finish(worker: Worker, version: Version, *, drain_seconds: float) -> None:
    try:
        async with asyncio.timeout(drain_seconds):
            await worker.drain()
    except TimeoutError:
        _LOG.warning("%s still owed %d answers when it was ended", version.spec.version, worker.waiting)
    await worker.end()


async def _try_sample(worker: Worker, spec: WorkerSpec) -> str:
    """Score the sample. Raises WorkerFailed when there is no answer, or another than expected."""
    future: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
    headers = {"Content-Type": "application/json", "X-Ms-Request-Id": "sample"}

    def done(scored: Scored) -> None:
        if not future.done():
            future.set_result(scored)

    head = json.dumps({"headers": headers, "method": "POST", "path": "/score", "query": ""}).encode()
    worker.score(Route.SCORE, (spec.sample or "").encode(), head=head, request_id="sample", done=done)
    scored = await future
    answer = scored.body.decode(errors="replace")
    if scored.outcome is not Outcome.ANSWERED:
        raise WorkerFailed(version=spec.version, reason=f"its sample request was not answered: {scored.outcome.value}")
    if scored.status >= 400:  # noqa: PLR2004 - HTTP's border between answers and errors
        reason = f"it answered its sample with status {scored.status}: {_short(answer)}"
        raise WorkerFailed(version=spec.version, reason=reason)
    if spec.expected is not None and not is_expected(answer, spec.expected):
        reason = f"it answered its sample with {_short(answer)}, expected was {_short(spec.expected)}"
        raise WorkerFailed(version=spec.version, reason=reason)
    return answer


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"  # noqa: PLR2004 - what fits a message


def is_expected(answer: str, expected: str | None) -> bool:
    """Return whether an answer is the expected one, if one is; numbers in JSON to within the tolerance."""
    try:
        return expected is None or answer == expected or agree(json.loads(answer), json.loads(expected))
    except (ValueError, OverflowError, RecursionError):  # a script answers in any form, and with numbers of any size
        return False


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
