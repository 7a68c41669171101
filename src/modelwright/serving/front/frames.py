"""The messages between front and worker, in both directions of one layout.

`models/guest/worker.py` writes and reads the same by itself, since a guest imports nothing of ours. Big-endian: u32
length of all that follows, u32 number, u8 kind, u8 code, u16 small, u32 length of the head, u32 microseconds; then for
a request the id, of `small` bytes; then head and body.

Of a request the microseconds are the milliseconds of the machine's monotonic clock after which it is not to be begun
any more, or 0; `code` is its route and the head a JSON object with the headers for `run()`, or empty when the worker
said that it takes none. Of an answer `code` is the outcome, `small` the HTTP status, the microseconds are what `run()`
took, and the head is a JSON object {"type", "headers"} or empty for plain JSON.
"""

import struct
from collections.abc import Iterator
from time import monotonic
from typing import NamedTuple

_PREFIX = struct.Struct("!IIBBHII")
_LENGTH = struct.Struct("!I")
_SIZE, _pack, _unpack = _PREFIX.size, _PREFIX.pack, _PREFIX.unpack_from
_REST = _PREFIX.size - _LENGTH.size

# From worker to front: ready to score, the head says what it is; cannot serve, the body says why; an answer.
READY = 1
FAILED = 2
ANSWER = 3
# From front to worker: a request.
SCORE = 4

# Outcomes of an answer.
ANSWERED = 0
RAISED = 1
UNSERIALIZABLE = 2
LATE = 3


class Frame(NamedTuple):
    """One message from a worker."""

    number: int
    kind: int
    code: int
    status: int
    microseconds: int
    head: bytes
    body: bytes


def request(number: int, route: int, request_id: bytes, head: bytes, body: bytes, deadline: int = 0) -> bytes:
    """Return the bytes of one request to a worker; `deadline` is as `deadline_in` gives it, or 0."""
    length = _REST + len(request_id) + len(head) + len(body)
    prefix = _pack(length, number, SCORE, route, len(request_id), len(head), deadline)
    return b"".join((prefix, request_id, head, body))


def deadline_in(milliseconds: int) -> int:
    """Return the moment so far from now as a request carries it: by the machine's clock, modulo 2**32, and never 0."""
    return (int(monotonic() * 1000) + milliseconds) & 0xFFFFFFFF or 1


def take(buffer: bytearray) -> Iterator[Frame]:
    """Remove every whole message of a worker from the front of `buffer` and yield it."""
    size = len(buffer)
    if size < _LENGTH.size + int.from_bytes(buffer[: _LENGTH.size], "big"):
        return
    # Copied once there is a whole one: slices of bytes take a third of what those of other buffers do.
    data, start = bytes(buffer), 0
    try:
        while size - start >= _SIZE:
            length, number, kind, code, status, head_length, microseconds = _unpack(data, start)
            end = start + _LENGTH.size + length
            if size < end:
                return
            head_start = start + _SIZE
            body_start = head_start + head_length
            start = end
            yield Frame(number, kind, code, status, microseconds, data[head_start:body_start], data[body_start:end])
    finally:
        del buffer[:start]
