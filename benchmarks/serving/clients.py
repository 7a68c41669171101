"""Clients of an endpoint as the world has them: hasty, slow, wrong, impatient; each keeps a record of what it got.

What was acknowledged is what arrived here as a whole answer. Nothing in this module knows how the server does it.
"""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_ANSWER_SECONDS = 60.0
_RETRY_SECONDS = 0.05
_OK = frozenset({200})
_HEAD_END = b"\r\n\r\n"
Rows = list[list[float]]
Expected = dict[str, list[float]]  # by version


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request from a client's point of view; `failure` is empty for an answer that was to be expected."""

    id: str
    kind: str
    sent_at: float
    ended_at: float
    status: int
    version: str
    failure: str = ""


@dataclass
class Record:
    """All that the clients saw."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Keep one."""
        self.outcomes.append(outcome)
        self.counts[outcome.kind] += 1


class Line:
    """A connection that is made when it is needed and made again when it broke."""

    def __init__(self, place: Callable[[], tuple[str, int]]) -> None:
        """Connect to wherever `place` says at the time."""
        self._place = place
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place())
        self._streams[1].write(data)
        await self._streams[1].drain()

    async def receive(self) -> Answer:
        """Return the next answer. Raises OSError or EOFError when the connection ends before it is whole."""
        assert self._streams is not None  # noqa: S101 - something was sent
        reader = self._streams[0]
        head = await reader.readuntil(_HEAD_END)
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (each.partition(":") for each in lines if each)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.hang_up()
        return Answer(int(status.split(" ", 2)[1]), headers, body)

    def hang_up(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


@dataclass(frozen=True)
class Asked:
    """A request to be sent: its bytes without the id, which answers are to be expected, the numbers in a right one."""

    method: str
    path: str
    body: bytes
    statuses: frozenset[int] = _OK
    numbers: Callable[[object], object] | None = None
    expected: Expected = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    is_scored: bool = True  # a request to a model, which is recorded; not one for a page that is not there

    def data(self, request_id: str) -> bytes:
        """Return the bytes to send."""
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "X-Request-Id": request_id,
            **dict(self.headers),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body

    def fault(self, answer: Answer) -> str:
        """Return what is wrong with an answer; empty when nothing is."""
        if answer.status not in self.statuses:
            return f"status {answer.status}: {answer.body[:120].decode(errors='replace')}"
        if self.numbers is None or answer.status not in _OK:
            return ""
        version = answer.headers.get("x-modelwright-version", "")
        right = self.expected.get(version)
        if right is None:
            return f"it names the version {version!r}"
        try:
            given = self.numbers(json.loads(answer.body))
        except (ValueError, KeyError, TypeError, IndexError):
            return f"no answer: {answer.body[:120]!r}"
        return "" if given == right else f"another answer than that of {version}: {answer.body[:120]!r}"


class Client:
    """One user with one connection."""

    def __init__(self, name: str, place: Callable[[], tuple[str, int]], record: Record) -> None:
        """Keep what happens in `record`; ids begin with `name`."""
        self.line = Line(place)
        self._record = record
        self._ids = (f"{name}-{number}" for number in itertools.count())

    async def ask(
        self, kind: str, asked: Asked, send: "Callable[[Line, bytes], Awaitable[None]] | None" = None
    ) -> Answer | None:
        """Send a request, wait for its answer, and keep what came of it."""
        request_id = self._next_id()
        sent_at, answer, failure = time.time(), None, ""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await (send or Line.send)(self.line, asked.data(request_id))
                answer = await self.line.receive()
            failure = asked.fault(answer)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            failure = f"{type(error).__name__}: {error}"
            self.line.hang_up()
        status = answer.status if answer else 0
        version = answer.headers.get("x-modelwright-version", "") if answer else ""
        self._record.add(Outcome(request_id, kind, sent_at, time.time(), status, version, failure))
        if answer is None:
            await asyncio.sleep(_RETRY_SECONDS)
        return answer

    async def leave(self, kind: str, asked: Asked, *, share: float) -> None:
        """Send a part of a request, or all of it, and go away without an answer."""
        data = asked.data(self._next_id())
        with contextlib.suppress(OSError):
            await self.line.send(data[: int(len(data) * share)])
        self.line.hang_up()
        self._record.counts[kind] += 1

    async def pipeline(self, kind: str, asked: Asked, *, count: int) -> None:
        """Send several requests at once; their answers must come in this order."""
        ids = [self._next_id() for _ in range(count)]
        sent_at = time.time()
        for number, request_id in enumerate(ids):
            answer, failure = None, ""
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    if number == 0:
                        await self.line.send(b"".join(map(asked.data, ids)))
                    answer = await self.line.receive()
                told = answer.headers.get("x-request-id", "")
                failure = asked.fault(answer) or ("" if told == request_id else f"it is the answer to {told}")
            except (OSError, EOFError, TimeoutError, ValueError, AssertionError) as error:
                failure = f"{type(error).__name__}: {error}"
                self.line.hang_up()
            status = answer.status if answer else 0
            version = answer.headers.get("x-modelwright-version", "") if answer else ""
            self._record.add(Outcome(request_id, kind, sent_at, time.time(), status, version, failure))

    def _next_id(self) -> str:
        request_id = next(self._ids)
        self._record.sent.add(request_id)
        return request_id


async def in_pieces(line: Line, data: bytes, *, pieces: int = 5, pause_seconds: float = 0.2) -> None:
    """Send slowly."""
    step = len(data) // pieces + 1
    for start in range(0, len(data), step):
        await line.send(data[start : start + step])
        await asyncio.sleep(pause_seconds * random.random() * 2)  # noqa: S311 - nothing is to be kept secret
