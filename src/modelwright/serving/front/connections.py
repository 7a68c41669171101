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
from modelwright.serving.front.messages import Answer, Head, Request, encode, error_answer
from modelwright.serving.front.reading import Heads, Reader

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

    def __init__(self, handle: Callable[[Request, Callable[[Answer], None]], None], limits: FrontLimits) -> None:
        """Pass each whole request to `handle` with the function that answers it."""
        self.handle = handle
        self.limits = limits
        self.heads = Heads()
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


class _Slot:
    """A request's place in the order of answers. Without a head it is a refusal's, the last."""

    __slots__ = ("_connection", "answer", "head", "must_close")

    def __init__(self, connection: "Connection", head: Head | None) -> None:
        self._connection = connection
        self.head = head
        self.answer: Answer | None = None
        self.must_close = head is None or not head.keeps_connection

    def respond(self, answer: Answer) -> None:
        """Take the answer; it is sent as soon as those before it are."""
        if self.answer is None:
            self.answer = answer
            self._connection.flush()

    def encode(self, answer: Answer) -> bytes:
        """Return the answer as this request's client is to get it."""
        head = self.head
        said = "close" if self.must_close else "" if head is None or head.is_current else "keep-alive"
        return encode(answer, has_body=head is None or head.method != "HEAD", connection=said)


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_clients",
        "_deadline",
        "_has_client_ended",
        "_is_closing",
        "_is_deaf",
        "_is_fresh",
        "_is_last_said",
        "_is_lingering",
        "_is_read_paused",
        "_is_receiving",
        "_is_write_paused",
        "_loop",
        "_progress",
        "_reader",
        "_slots",
        "_transport",
        "_unread_bytes",
    )

    def __init__(self, clients: Clients) -> None:
        """Be one of `clients` while open."""
        self._clients = clients
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(clients.heads)
        self._transport: asyncio.Transport | None = None
        self._slots: list[_Slot] = []
        self._progress = self._reader.progress
        self._unread_bytes = sys.maxsize
        self._deadline = 0.0
        self._is_fresh = True  # something happened since the last check; what, costs more to tell than to forget
        self._is_receiving = False
        self._is_deaf = False
        self._is_last_said = False
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
        beyond = len(connections) - self._clients.limits.max_connections
        connections.add(self)
        if beyond >= _MAX_TURNED_AWAY:
            self._transport.abort()
        elif beyond >= 0:
            self._refuse(error_answer(503, "Too many connections. Try again soon.", ("retry-after", "1")))
            self.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client; answers that are still to come are dropped."""
        self._transport = None
        self._is_deaf = True
        self._reader.end()
        self._clients.forget(self)

    def data_received(self, data: bytes) -> None:
        """Hand on each request that became whole."""
        if self._is_deaf:
            return
        reader = self._reader
        requests = reader.feed(data, self._clients.limits)
        if requests:
            self._is_fresh = True
            # So that answers given at once are sent together.
            self._is_receiving = True
            for request in requests:
                self._hand_on(request)
            self._is_receiving = False
        if reader.is_ended:
            self._is_deaf = True
            if reader.refusal is not None:
                self._refuse(reader.refusal)
            elif self._slots:
                self._slots[-1].must_close = True
        elif reader.is_within and reader.progress != self._progress:
            self._progress = reader.progress
            limits = self._clients.limits
            seconds = limits.body_seconds if reader.is_within_body else limits.header_seconds
            self._deadline = self._loop.time() + seconds
        self.flush()

    def eof_received(self) -> bool:
        """Stay open while answers are owed to a client that has said all it will."""
        self._has_client_ended = self._is_deaf = True
        self._reader.end()
        return bool(self._slots)

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
            self.flush()
        elif not self._slots:
            transport.close()

    def close_when_idle(self) -> None:
        """Close as soon as every answer that is owed has been sent."""
        self._is_closing = True
        if not self._slots and not self._reader.is_within and self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Send the answers whose turn has come."""
        transport = self._transport
        if transport is None or self._is_receiving or self._is_lingering:
            return
        ready = self._take_ready()
        if ready:
            self._is_fresh = True
            transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        slots = self._slots
        if not slots:
            if self._is_last_said:
                self._linger(transport)
            elif self._has_client_ended:
                transport.close()
            elif self._reader.owes_continue:
                self._reader.owes_continue = False
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._is_read_paused or len(slots) >= _MAX_PIPELINED:
            self._steer_reading()

    # --- inside ---

    def _take_ready(self) -> list[bytes]:
        """Return the answers whose turn has come, and forget their requests; after the last of all, forget the rest."""
        slots = self._slots
        ready: list[bytes] = []
        for slot in slots:
            answer = slot.answer
            if answer is None:
                break
            if self._is_closing and slot is slots[-1] and not self._reader.is_within:
                slot.must_close = True
            ready.append(slot.encode(answer))
            if slot.must_close:
                self._is_last_said = True
                slots.clear()
                return ready
        del slots[: len(ready)]
        return ready

    def _hand_on(self, request: Request) -> None:
        slot = _Slot(self, request.head)
        self._slots.append(slot)
        try:
            self._clients.handle(request, slot.respond)
        except Exception:  # noqa: BLE001 - a mistake of ours, or of a plugged-in part, must not cost the client its answer
            _LOG.exception("a request could not be handled")
            slot.respond(error_answer(500, "An unexpected internal error occurred. Check the logs for more info."))

    def _refuse(self, answer: Answer) -> None:
        """Answer last of all, and read no further: where the next request would begin is not known."""
        self._is_deaf = True
        self._reader.end()
        slot = _Slot(self, None)
        slot.answer = answer
        self._slots.append(slot)

    def _linger(self, transport: asyncio.Transport) -> None:
        """Close our half, and take what the client still sends for a moment, so that it can read the answer."""
        self._reader.end()
        self._is_deaf = self._is_lingering = True
        self._unread_bytes = sys.maxsize
        if self._has_client_ended or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
        self._steer_reading()

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
        must_pause = not self._is_deaf and (self._is_write_paused or len(self._slots) >= _MAX_PIPELINED)
        if must_pause != self._is_read_paused:
            self._is_read_paused = must_pause
            if must_pause:
                transport.pause_reading()
            else:
                transport.resume_reading()
