"""The clients of an endpoint: bytes in, whole requests on, answers back in the order in which the requests came.

What is kept here is the order of answers, the limits of times and of numbers, and closing so that a refusal is still
read. `reading` makes requests of bytes.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import cast

from modelwright.records import FrontLimits
from modelwright.serving.front.heads import plain_head
from modelwright.serving.front.messages import NO_HEAD, Answer, Head, Request, encode, error_answer
from modelwright.serving.front.reading import Reader

__all__ = ["Answer", "Clients", "Connection", "Head", "Request", "error_answer"]

_LOG = logging.getLogger(__name__)
# Requests of one connection that wait for their answers before we stop reading from it.
_MAX_PIPELINED = 64
# How long a refused client may go on sending before it is cut off; cut at once, it would not see the refusal.
_LINGER_SECONDS = 2.0
# A client that takes none of its answer for this long holds memory for nothing.
_UNREAD_SECONDS = 60.0
# Clients beyond those that are allowed who are told so at any time; more are cut off.
_MAX_TURNED_AWAY = 100


class Clients:
    """All connections of an endpoint. `limits` may be set at any time, and hold from then on."""

    def __init__(
        self,
        handle: Callable[[Request, Callable[[Answer], None]], None],
        limits: FrontLimits,
        *,
        admit: Callable[[Request], Answer | None] = lambda _request: None,
        capacity: int = sys.maxsize,
    ) -> None:
        """Pass each whole request to `handle` with the function that answers it.

        A request that `admit` has an answer to is not waited for when its body is large. There are at most `capacity`
        connections, whatever the limits: the system gives a process so many files.
        """
        self.handle = handle
        self.limits = limits
        self.capacity = capacity
        self.admit = admit
        self.held_bytes = 0
        self.connections: set[Connection] = set()
        self._left: asyncio.Future[None] | None = None

    def connect(self) -> "Connection":
        """Return the protocol for a new connection."""
        return Connection(self)

    def forget(self, connection: "Connection") -> None:
        """Take note that a connection is closed."""
        self.connections.discard(connection)
        if self._left is not None and not self.connections and not self._left.done():
            self._left.set_result(None)

    def sweep(self, moment: float) -> None:
        """End the connections whose time is up at `moment`, by the loop's clock."""
        for connection in list(self.connections):
            connection.check(moment)

    def close_when_idle(self) -> None:
        """Close each connection as soon as every answer that is owed on it has been sent."""
        for connection in list(self.connections):
            connection.close_when_idle()

    async def wait_closed(self, timeout_seconds: float) -> None:
        """Wait until all are closed, or the time is up."""
        if self.connections:
            self._left = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._left,), timeout=timeout_seconds)


class Owed(Request):
    """A request in its place in the order of answers."""

    __slots__ = ("connection", "is_last", "is_ready")

    # In place of the constructor above it, which would cost another call.
    def __init__(self, connection: "Connection", head: Head, body: bytes) -> None:
        """Be owed to the client of a connection."""
        self.connection = connection
        self.head = head
        self.body = body
        self.is_last = not head.keeps_connection
        self.is_ready = False

    def encoded(self, connection: str = "") -> bytes:
        """Return the answer's bytes, with the header `connection` when it is given."""
        raise NotImplementedError


class _Received(Owed):
    """A request that the clients' handler has answered."""

    __slots__ = ("_answer",)

    def respond(self, answer: Answer) -> None:
        """Take the answer; it is sent as soon as those before it are."""
        if not self.is_ready:
            self._answer = answer
            self.is_ready = True
            self.connection.flush()

    def encoded(self, connection: str = "") -> bytes:
        """Return the answer's bytes, with the header `connection` when it is given."""
        return encode(self._answer, has_body=self.head.method != "HEAD", connection=connection)


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_clients",
        "_deadline",
        "_has_client_ended",
        "_head",
        "_held_bytes",
        "_is_closing",
        "_is_deaf",
        "_is_easy",
        "_is_fresh",
        "_is_lingering",
        "_is_read_paused",
        "_is_receiving",
        "_is_write_paused",
        "_progress",
        "_reader",
        "_transport",
        "_unread_bytes",
        "_waiting",
    )

    def __init__(self, clients: Clients) -> None:
        """Be one of `clients` while open."""
        self._clients = clients
        self._reader = Reader(clients.admit)
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Owed] = []
        self._head: Head | None = None  # of the request before
        self._progress = self._reader.progress
        self._held_bytes = 0
        self._unread_bytes = sys.maxsize
        self._deadline = 0.0
        # The next byte begins a request, and the connection goes on after it: what is so nearly always, told at once.
        self._is_easy = True
        self._is_fresh = True  # something happened since the last check
        self._is_receiving = False
        self._is_deaf = False
        self._is_lingering = False
        self._is_read_paused = False
        self._is_write_paused = False
        self._is_closing = False
        self._has_client_ended = False

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way back, unless there are too many clients already."""
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        connections = self._clients.connections
        beyond = len(connections) - min(self._clients.limits.max_connections, self._clients.capacity)
        connections.add(self)
        if beyond >= _MAX_TURNED_AWAY:
            self._transport.abort()
        elif beyond >= 0:
            self._refuse(error_answer(503, "Too many connections. Try again soon.", ("retry-after", "1")))

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client; answers that are still to come are dropped."""
        self._transport = None
        self._hear_no_more()
        self._clients.forget(self)

    def data_received(self, data: bytes) -> None:
        """Hand on each request that became whole."""
        if self._is_easy:
            head = self._head
            if head is None or not data.startswith(head.data):
                head = self._head = plain_head(data, 0)
            if (
                head is not None
                and len(data) == len(head.data) + head.length
                and head.length <= self._clients.limits.max_body_bytes
            ):
                body = data[len(head.data) :]
                express = head.express
                if self._waiting or express is None or not express.take(self, head, body):
                    self._hand_on(head, body)
                return
        if not self._is_deaf:
            self._read(data)

    def eof_received(self) -> bool:
        """Stay open while answers are owed to a client that has said all it will."""
        self._has_client_ended = True
        self._hear_no_more()
        return bool(self._waiting)

    def pause_writing(self) -> None:
        """Read no more requests from a client that does not read its answers."""
        self._is_write_paused = True
        self._unread_bytes = sys.maxsize
        self._steer_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._is_write_paused = False
        self._is_fresh = True
        self._steer_reading()

    # --- what the server calls ---

    def check(self, moment: float) -> None:
        """End the connection if its time is up at `moment`, by the loop's clock."""
        transport = self._transport
        if transport is None:
            return
        if self._is_lingering or self._is_write_paused:
            self._check_unread(transport, moment)
        elif self._is_fresh and not self._reader.is_within:
            self._is_fresh = False
            self._deadline = moment + self._clients.limits.idle_seconds
        elif moment < self._deadline:
            return
        elif self._reader.is_within:
            self._refuse(error_answer(408, "The request did not arrive in time."))
        elif not self._waiting:
            transport.close()

    def close_when_idle(self) -> None:
        """Close as soon as every answer that is owed has been sent."""
        self._is_closing = True
        self._is_easy = False
        if not self._waiting and not self._reader.is_within and self._transport is not None:
            self._transport.close()

    # --- inside ---

    def _read(self, data: bytes) -> None:
        """Take what is more, or less, than one plain request."""
        reader = self._reader
        limits = self._clients.limits
        self._is_easy = False
        # So that answers that are given at once are sent together.
        self._is_receiving = True
        for head, body in reader.feed(data, limits):
            self._hand_on(head, body)
        self._is_receiving = False
        self._hold(reader.held_bytes)
        if reader.refusal is not None:
            self._refuse(reader.refusal)
            return
        if reader.held_bytes and self._clients.held_bytes > limits.max_held_bytes:
            self._refuse(error_answer(503, "Too much is being sent at once. Try again soon.", ("retry-after", "1")))
            return
        if reader.is_ended:
            self._is_deaf = True
            if self._waiting:
                self._waiting[-1].is_last = True
        elif not reader.is_within:
            self._is_easy = not self._is_closing
        elif reader.progress != self._progress:
            self._progress = reader.progress
            seconds = limits.body_seconds if reader.is_within_body else limits.header_seconds
            self._deadline = asyncio.get_running_loop().time() + seconds
        self.flush()

    def _hand_on(self, head: Head, body: bytes) -> None:
        request = _Received(self, head, body)
        self.owe(request)
        try:
            self._clients.handle(request, request.respond)
        except Exception:  # noqa: BLE001 - whatever went wrong, this client is to have an answer, and the others too
            _LOG.exception("a request could not be handled")
            request.respond(error_answer(500, "An unexpected internal error occurred. Check the logs for more info."))

    def owe(self, request: Owed) -> None:
        """Give a request its place in the order of answers."""
        self._waiting.append(request)
        if len(self._waiting) >= _MAX_PIPELINED:
            self._steer_reading()

    def flush(self) -> None:
        """Send the answers whose turn has come."""
        waiting = self._waiting
        transport = self._transport
        if self._is_receiving or self._is_lingering or transport is None:
            return
        if self._is_easy and len(waiting) == 1 and waiting[0].head.data and waiting[0].is_ready:
            transport.write(waiting.pop().encoded())
            self._is_fresh = True
            return
        ready = self._take_ready()
        if ready:
            self._is_fresh = True
            transport.write(b"".join(ready))
        if not waiting:
            if self._is_lingering:
                self._linger(transport)
            elif self._has_client_ended:
                transport.close()
            elif self._reader.owes_continue:
                self._reader.owes_continue = False
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._is_read_paused:
            self._steer_reading()

    def _take_ready(self) -> list[bytes]:
        """Return the answers whose turn has come, and forget their requests; after the last of all, forget the rest."""
        waiting = self._waiting
        ready: list[bytes] = []
        for request in waiting:
            if not request.is_ready:
                break
            is_last = request.is_last or (self._is_closing and request is waiting[-1] and not self._reader.is_within)
            said = "close" if is_last else "" if request.head.is_current else "keep-alive"
            ready.append(request.encoded(said))
            if is_last:
                self._is_lingering = True
                waiting.clear()
                return ready
        del waiting[: len(ready)]
        return ready

    def _refuse(self, answer: Answer) -> None:
        """Answer last of all, and read no further: where the next request would begin is not known."""
        self._hear_no_more()
        request = _Received(self, NO_HEAD, b"")
        self._waiting.append(request)
        request.respond(answer)

    def _hear_no_more(self) -> None:
        self._is_deaf = True
        self._is_easy = False
        self._reader.end()
        self._hold(0)

    def _hold(self, held_bytes: int) -> None:
        self._clients.held_bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes

    def _linger(self, transport: asyncio.Transport) -> None:
        """Close our half, and take what the client still sends for a moment, so that it can read the answer."""
        self._hear_no_more()
        self._unread_bytes = sys.maxsize
        if self._has_client_ended or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()

    def _check_unread(self, transport: asyncio.Transport, moment: float) -> None:
        """Cut the client off if it has taken nothing of its answer for long, or all of it and still does not close."""
        unread_bytes = transport.get_write_buffer_size()
        if unread_bytes < self._unread_bytes:
            self._unread_bytes = unread_bytes
            self._deadline = moment + (_UNREAD_SECONDS if unread_bytes else _LINGER_SECONDS)
        elif moment >= self._deadline:
            transport.abort()

    def _steer_reading(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        must_pause = not self._is_deaf and (self._is_write_paused or len(self._waiting) >= _MAX_PIPELINED)
        if must_pause != self._is_read_paused:
            self._is_read_paused = must_pause
            if must_pause:
                transport.pause_reading()
            else:
                transport.resume_reading()
