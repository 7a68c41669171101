"""The messages between front and worker, in both directions of one layout.

`guest/worker.py` writes and reads the same by itself, since a guest imports nothing of ours. Big-endian: u32 length of
all that follows, u32 number, u8 kind, u8 code, u16 small, u32 length of the head, u32 microseconds; then for a request
the id, of `small` bytes; then head and body.

Of a request `code` is its route and the head the headers for `run()`, a JSON object, or empty when the worker said that
it takes none. Of an answer `code` is the outcome, `small` the HTTP status, the microseconds are what `run()` took, and
the head is a JSON object {"type", "headers"} or empty for plain JSON.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_PREFIX = struct.Struct("!IIBBHII")
_LENGTH = struct.Struct("!I")
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


class Frame(NamedTuple):
    """One message from a worker."""

    number: int
    kind: int
    code: int
    status: int
    microseconds: int
    head: bytes
    body: bytes


def request(number: int, route: int, *, request_id: bytes, head: bytes, body: bytes) -> bytes:
    """Return the bytes of one request to a worker."""
    length = _REST + len(request_id) + len(head) + len(body)
    return b"".join((_PREFIX.pack(length, number, SCORE, route, len(request_id), len(head), 0), request_id, head, body))


def take(buffer: bytearray) -> Iterator[Frame]:
    """Remove every whole message of a worker from the front of `buffer` and yield it."""
    start, size = 0, len(buffer)
    try:
        while size - start >= _PREFIX.size:
            length, number, kind, code, status, head_length, microseconds = _PREFIX.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if size < end:
                return
            head_start = start + _PREFIX.size
            body_start = head_start + head_length
            head, body = bytes(buffer[head_start:body_start]), bytes(buffer[body_start:end])
            start = end
            yield Frame(number, kind, code, status, microseconds, head, body)
    finally:
        del buffer[:start]
