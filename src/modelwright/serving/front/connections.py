"""One client's connection: bytes in, whole requests out, answers back in the order in which the requests came.

Parsing is httptools' (llhttp in its strict mode, which refuses what could be read in two ways). What is added here are
the limits of sizes and times, `Expect: 100-continue`, pipelining, and closing so that a refusal is still read.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from time import time
from urllib.parse import unquote_to_bytes

import httptools

from modelwright.records import FrontLimits

# As gunicorn and nginx allow in all; one field alone may be as long.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_FIELDS = 100
# Requests of one connection that wait for their answers before we stop reading from it.
_MAX_PIPELINED = 64
# How long a refused client may go on sending before it is cut off; cut at once, it would not see the refusal.
_LINGER_SECONDS = 2.0
# A client that takes none of its answer for this long holds memory for nothing.
_UNREAD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Names of headers are lower case; repeated ones are joined by a comma."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Length, date and connection are added when it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


@dataclass(slots=True)
class _Slot:
    """A request's place in the order of answers."""

    method: str
    must_close: bool
    says_keep_alive: bool
    data: bytes | None = None


@dataclass(slots=True)
class _Message:
    """A request while it comes in."""

    url: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    head_bytes: int = 0
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    has_head: bool = False


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def error_answer(status: int, text: str, *headers: tuple[str, str], run_failed: bool = False) -> Answer:
    """Return an answer that says what is wrong, in the form that clients of scoring servers know."""
    told = ("x-ms-run-function-failed", str(run_failed))
    return Answer(status, json.dumps({"message": text}).encode(), (told, *headers))


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(
        self,
        handle: Callable[[Request, Callable[[Answer], None]], None],
        *,
        limits: FrontLimits,
        connections: "set[Connection]",
    ) -> None:
        """Pass each whole request to `handle` with the function that answers it; be in `connections` while open."""
        self._handle = handle
        self._limits = limits
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._message: _Message | None = None
        self._complete: list[tuple[Request, _Slot]] = []
        self._slots: deque[_Slot] = deque()
        self._bytes_without_progress = 0
        self._owes_continue = False
        self._is_discarding = False
        self._is_lingering = False
        self._is_write_paused = False
        self._is_closing = False
        self._has_client_ended = False
        self._deadline = self._loop.time() + limits.idle_seconds

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's own types are looser
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client; answers that are still to come are dropped."""
        self._transport = None
        self._connections.discard(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse, and handle each request that became whole."""
        if self._is_discarding:
            return
        progress = self._progress()
        refusal: Answer | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered as if no upgrade had been asked for, as HTTP allows; what follows is not HTTP any more.
            self._is_closing = True
        except httptools.HttpParserError as error:
            cause = error.__context__
            refusal = cause.answer if isinstance(cause, _Refused) else error_answer(400, f"Bad request: {error}")
        if progress == self._progress():
            # Neither a whole request nor a byte of a body: a head, a trailer or a chunk's extension is growing.
            self._bytes_without_progress += len(data)
            if self._bytes_without_progress > _MAX_HEAD_BYTES and not refusal:
                refusal = _head_too_large()
        else:
            self._bytes_without_progress = 0
        self._pass_on()
        if refusal:
            self._refuse(refusal)
        elif self._message and self._message.has_head:
            self._deadline = self._loop.time() + self._limits.body_seconds
        self._flush()

    def eof_received(self) -> bool:
        """Stay open while answers are owed to a client that has said all it will."""
        self._has_client_ended = True
        self._message = None
        return bool(self._slots)

    def pause_writing(self) -> None:
        """Read no more requests from a client that does not read its answers."""
        self._is_write_paused = True
        self._deadline = self._loop.time() + _UNREAD_SECONDS
        self._steer_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._is_write_paused = False
        self._steer_reading()

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """Start a request."""
        self._message = _Message()
        self._deadline = self._loop.time() + self._limits.header_seconds

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        message = self._incoming()
        message.url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Take a header, or a trailer after the body, which is counted and goes nowhere."""
        message = self._incoming()
        message.fields.append((name, value or b""))
        self._count_head(len(name) + len(value or b"") + 4)
        if len(message.fields) > _MAX_FIELDS:
            raise _Refused(_head_too_large())

    def on_headers_complete(self) -> None:
        """Check the head before any body is taken."""
        message = self._incoming()
        message.has_head = True
        headers = message.headers
        for name, value in message.fields:
            key = name.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        is_current = self._parser.get_http_version() != "1.0"
        if is_current and sum(name.lower() == b"host" for name, _ in message.fields) != 1:
            raise _Refused(error_answer(400, "A request needs one Host header."))
        length = headers.get("content-length", "")
        if length and int(length) > self._limits.max_body_bytes:
            raise _Refused(self._body_too_large())
        expectation = headers.get("expect", "").lower()
        if expectation and is_current:
            if expectation != "100-continue":
                raise _Refused(error_answer(417, f"The expectation {expectation!r} cannot be met."))
            self._owes_continue = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        message = self._incoming()
        self._owes_continue = False
        message.body.append(data)
        message.body_bytes += len(data)
        if message.body_bytes > self._limits.max_body_bytes:
            raise _Refused(self._body_too_large())

    def on_message_complete(self) -> None:
        """Put the request in line."""
        message = self._incoming()
        method = self._parser.get_method().decode()
        target = message.url
        if not target.startswith(b"/") and target != b"*":
            try:
                parsed = httptools.parse_url(target)
            except httptools.HttpParserError:
                raise _Refused(error_answer(400, "The request's target is not a URL.")) from None
            target = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
        path, _, query = target.partition(b"?")
        request = Request(
            method=method,
            path=unquote_to_bytes(path).decode("latin-1") if b"%" in path else path.decode("latin-1"),
            query=query.decode("latin-1"),
            headers=message.headers,
            body=message.body[0] if len(message.body) == 1 else b"".join(message.body),
        )
        keeps = self._parser.should_keep_alive()
        slot = _Slot(method, must_close=not keeps, says_keep_alive=self._parser.get_http_version() == "1.0")
        self._message = None
        self._owes_continue = False
        self._complete.append((request, slot))

    # --- what the server calls ---

    def check(self, moment: float) -> None:
        """End the connection if its time is up at `moment`, by the loop's clock."""
        if moment < self._deadline or self._transport is None:
            return
        if self._is_lingering or self._is_write_paused:
            self._transport.abort()
        elif self._message is not None:
            self._refuse(error_answer(408, "The request did not arrive in time."))
            self._flush()
        elif not self._slots:
            self._transport.close()

    def close_when_idle(self) -> None:
        """Close as soon as every answer that is owed has been sent."""
        self._is_closing = True
        if not self._slots and self._message is None and self._transport is not None:
            self._transport.close()

    # --- inside ---

    def _incoming(self) -> _Message:
        if self._message is None:
            raise _Refused(error_answer(400, "Bad request: data after the end of the last request."))
        return self._message

    def _progress(self) -> tuple[int, int]:
        return len(self._complete), self._message.body_bytes if self._message else -1

    def _count_head(self, size: int) -> None:
        message = self._incoming()
        message.head_bytes += size
        if message.head_bytes > _MAX_HEAD_BYTES:
            raise _Refused(_head_too_large())

    def _body_too_large(self) -> Answer:
        return error_answer(413, f"The body must not exceed {self._limits.max_body_bytes} bytes.")

    def _pass_on(self) -> None:
        complete, self._complete = self._complete, []
        for request, slot in complete:
            if self._is_discarding:
                return
            slot.must_close = slot.must_close or (self._is_closing and slot is complete[-1][1])
            self._slots.append(slot)
            self._handle(request, self._responder(slot))
        self._steer_reading()

    def _responder(self, slot: _Slot) -> Callable[[Answer], None]:
        def respond(answer: Answer) -> None:
            if self._is_closing and self._slots and slot is self._slots[-1]:
                slot.must_close = True
            slot.data = _encode(answer, slot)
            self._flush()

        return respond

    def _refuse(self, answer: Answer) -> None:
        """Answer last of all, and read no further: where the next request would begin is not known."""
        if self._is_discarding:
            return
        self._is_discarding = True
        slot = _Slot("", must_close=True, says_keep_alive=False)
        slot.data = _encode(answer, slot)
        self._message = None
        self._slots.append(slot)

    def _flush(self) -> None:
        """Send the answers whose turn has come."""
        transport = self._transport
        if transport is None or self._is_lingering:
            return
        ready: list[bytes] = []
        must_close = False
        while self._slots and not must_close and self._slots[0].data is not None:
            slot = self._slots.popleft()
            ready.append(slot.data or b"")
            must_close = slot.must_close
        if ready:
            transport.write(b"".join(ready))
        if must_close:
            self._linger(transport)
        elif self._owes_continue and not self._slots:
            self._owes_continue = False
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif ready and not self._slots:
            if self._has_client_ended:
                transport.close()
            elif self._message is None:
                self._deadline = self._loop.time() + self._limits.idle_seconds
        self._steer_reading()

    def _linger(self, transport: asyncio.Transport) -> None:
        """Close our half, and take what the client still sends for a moment, so that it can read the answer."""
        self._slots.clear()
        self._message = None
        self._is_discarding = self._is_lingering = True
        self._deadline = self._loop.time() + _LINGER_SECONDS
        if self._has_client_ended or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()

    def _steer_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._is_discarding and (self._is_write_paused or len(self._slots) >= _MAX_PIPELINED):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


def _head_too_large() -> Answer:
    return error_answer(431, f"The request's head must not exceed {_MAX_HEAD_BYTES} bytes in {_MAX_FIELDS} fields.")


_date: tuple[int, str] = (0, "")


def _http_date() -> str:
    """Return the present second as HTTP writes it; formatting it costs more than the rest of an answer's head."""
    global _date  # noqa: PLW0603 - a cache of one value
    second = int(time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]


def _encode(answer: Answer, slot: _Slot) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"content-type: {answer.content_type}",
        f"content-length: {len(answer.body)}",
        f"date: {_http_date()}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if slot.must_close:
        lines.append("connection: close")
    elif slot.says_keep_alive:
        lines.append("connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
    return head if slot.method == "HEAD" else head + answer.body
