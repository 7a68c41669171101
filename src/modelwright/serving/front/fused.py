"""A version whose model is arrays: answered in the front itself, without a process, a hop or the model's libraries.

What the arrays do not answer, see `models.fusing.evaluating`, goes to the version's own process, which is started when
it is first needed. So an answer is always the model's, and an error always its own.

Requests are never put together: each is read and evaluated for itself. Those of many rows are evaluated in slices, one
slice in a turn of the loop, so that small requests do not wait for them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, NamedTuple

from modelwright.errors import ArraysInvalid, ModelwrightError, WorkerFailed
from modelwright.models.fusing import fusing
from modelwright.models.fusing.evaluating import Rows
from modelwright.records import DeploymentState, WorkerSpec
from modelwright.serving.front.routes import Route
from modelwright.serving.front.versions import Version, is_expected
from modelwright.serving.front.workers import Outcome, Scored, Worker

_LOG = logging.getLogger(__name__)

# Reading more takes so long that everybody else would wait: the process does it.
_MOST_BYTES = 256 * 1024
# A request of more rows takes its turn with others of its kind.
_FEW_ROWS = 8
_ROWS_A_TURN = 256
_SECONDS_A_TURN = 0.002
# Looking up a member of an enumeration takes longer than calling a function.
_SCORE, _ANSWERED = Route.SCORE, Outcome.ANSWERED
# A process that did not start is not tried again with every request.
_PAUSE_SECONDS = 10.0


class _Asked(NamedTuple):
    """A request that waits for the process to start."""

    route: int
    body: bytes
    head: bytes
    request_id: str
    done: Callable[[Scored], None]


@dataclass(slots=True)
class _Long:
    """A request of many rows, and the values of those that were evaluated."""

    asked: _Asked
    rows: Rows
    values: list[Any] = field(default_factory=list)
    nanoseconds: int = 0


class Fused(Version):
    """A model version in service that is arrays, until they turn out to be something else here."""

    def __init__(self, spec: WorkerSpec, *, log: Path, timeout_ms: int) -> None:
        """Describe the version; `open` loads it."""
        super().__init__(spec, log=log, timeout_ms=timeout_ms)
        self._asked: list[_Asked] = []
        self._long: deque[_Long] = deque()
        self._starting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._has_failed = False

    @property
    def is_ready(self) -> bool:
        """Whether a request would be scored now."""
        return self.arrays is not None or super().is_ready

    @property
    def waiting(self) -> int:
        """How many requests wait for their answers."""
        return len(self._long) + len(self._asked) + (super().waiting if self._places else 0)

    @property
    def unread_bytes(self) -> int:
        """How much of the requests that wait is held here."""
        return sum([len(each.body) for each in self._asked]) + super().unread_bytes

    @property
    def state(self) -> DeploymentState:
        """What there is to tell of it; `workers` are those that it would get if its arrays did not do."""
        if self.arrays is None:
            return super().state
        return replace(super().state, is_fused=True, workers=self.spec.workers)

    async def open(self, *, timeout_seconds: float) -> str | None:
        """Load the arrays, compare them, score the sample and return the answer.

        When they are not what they were, the version is started as any other. Raises WorkerFailed.
        """
        spec = self.spec
        if spec.fused is None:
            return await super().open(timeout_seconds=timeout_seconds)
        try:
            model = await asyncio.to_thread(fusing.load, spec.fused)
        except ArraysInvalid as error:
            _LOG.warning("%s is served by a process, not by the front: %s", spec.version, error.facts["reason"])
            return await super().open(timeout_seconds=timeout_seconds)
        answer = model.answer(spec.sample.encode()) if spec.sample is not None else None
        if spec.sample is not None and answer is None:
            # The process answers it, and stays.
            told = await super().open(timeout_seconds=timeout_seconds)
        else:
            told = answer.decode() if answer is not None else None
            if told and not is_expected(told, spec.expected):
                raise WorkerFailed(version=spec.version, reason=f"its arrays answered its sample with {told[:200]}")
        self.arrays, self.takes_head = model, False
        return told

    def score(self, route: int, body: bytes, *, head: bytes, request_id: str, done: Callable[[Scored], None]) -> None:
        """Score one request; `done` is called once with what came of it, possibly before this returns."""
        model = self.arrays
        if model is None:
            super().score(route, body, head=head, request_id=request_id, done=done)
            return
        if route == _SCORE and not head and len(body) <= _MOST_BYTES:
            started = perf_counter_ns()
            rows = model.rows(body)
            if rows is not None:
                if len(rows) > _FEW_ROWS and model.is_divisible:
                    asked = _Asked(route, body, head, request_id, done)
                    self._take_turns(_Long(asked, rows, nanoseconds=perf_counter_ns() - started))
                    return
                answer = model.answer_rows(rows)
                if answer is not None:
                    done(Scored(_ANSWERED, 200, answer, b"", (perf_counter_ns() - started) // 1000))
                    return
        self._ask_process(_Asked(route, body, head, request_id, done))

    async def scale(self, workers: int) -> None:
        """Have what the arrays do not answer served by so many processes. Raises WorkerFailed."""
        if self.arrays is None or super().is_ready:
            await super().scale(workers)
        self.spec = replace(self.spec, workers=workers)

    async def close(self, *, drain_seconds: float) -> None:
        """Let it finish what it owes, for at most `drain_seconds`, and end it."""
        started = perf_counter()
        while (self._long or self._asked) and perf_counter() - started < drain_seconds:
            await asyncio.sleep(0)
            if self._starting is not None and not self._long:
                await asyncio.wait([self._starting], timeout=drain_seconds)
        self.arrays = None
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        for each in [*(each.asked for each in self._long), *self._asked]:
            each.done(Scored(Outcome.DROPPED))
        self._long.clear()
        self._asked.clear()
        await super().close(drain_seconds=max(0.0, drain_seconds - (perf_counter() - started)))

    # --- requests of many rows ---

    def _take_turns(self, long: _Long) -> None:
        self._long.append(long)
        if len(self._long) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Evaluate as many rows as one turn of the loop may take; let the next long request have the next turn."""
        model = self.arrays
        if model is None or not self._long:
            return
        long = self._long[0]
        started = perf_counter_ns()
        end = started + int(_SECONDS_A_TURN * 1e9)
        most = len(long.values) + _ROWS_A_TURN
        is_ours = True
        while is_ours and len(long.values) < min(most, len(long.rows)) and perf_counter_ns() < end:
            values = model.values(long.rows[len(long.values) : len(long.values) + _FEW_ROWS])
            is_ours = values is not None
            long.values += values or ()
        answer = model.answer_of(long.values) if is_ours and len(long.values) == len(long.rows) else None
        long.nanoseconds += perf_counter_ns() - started
        self._long.popleft()
        if answer is not None:
            long.asked.done(Scored(_ANSWERED, 200, answer, b"", long.nanoseconds // 1000))
        elif is_ours:
            self._long.append(long)
        else:
            self._ask_process(long.asked)
        if self._long:
            asyncio.get_running_loop().call_soon(self._turn)

    # --- what the arrays do not answer ---

    def _ask_process(self, asked: _Asked) -> None:
        if super().is_ready:
            super().score(asked.route, asked.body, head=asked.head, request_id=asked.request_id, done=asked.done)
        elif self._has_failed and perf_counter() < self._not_before:
            asked.done(Scored(Outcome.DROPPED))
        else:
            self._asked.append(asked)
            if self._starting is None or self._starting.done():
                self._starting = asyncio.create_task(self._start_process())

    async def _launch(self, on_end: Callable[[Worker], None]) -> Worker:
        worker = await super()._launch(on_end)
        # Requests that have more to tell than plain JSON are told whole, and never answered here.
        self.takes_head = self.takes_head and self.arrays is None
        return worker

    async def _start_process(self) -> None:
        _LOG.info("%s gets a process, for a request that is not for its arrays", self.spec.version)
        try:
            await self._grow(max(1, self.spec.workers))
            self._has_failed = False
        except (ModelwrightError, OSError) as error:
            _LOG.error("the process of %s did not start: %s", self.spec.version, error)
            self._has_failed, self._not_before = True, perf_counter() + _PAUSE_SECONDS
        asked, self._asked = self._asked, []
        for each in asked:
            super().score(each.route, each.body, head=each.head, request_id=each.request_id, done=each.done)
