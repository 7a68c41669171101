"""The messages between front and worker: a length, an id, a kind, a JSON header and a body.

`worker.py` writes and reads the same layout by itself, since a guest imports nothing of ours:
u32 length of all that follows, u32 id, u8 kind, u32 length of the header, header (JSON object), body; big-endian.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LENGTH = struct.Struct("!I")
_HEAD = struct.Struct("!IBI")
_WHOLE = struct.Struct("!IIBI")

# From worker to front: ready to score; cannot serve (the body says why); an answer.
READY = 1
FAILED = 2
ANSWER = 3
# From front to worker: a request.
SCORE = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    id: int
    kind: int
    header: dict[str, Any]
    body: bytes


def pack(number: int, kind: int, *, header: Mapping[str, object], body: bytes) -> bytes:
    """Return the bytes of one message."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _WHOLE.pack(_HEAD.size + len(head) + len(body), number, kind, len(head)) + head + body


def take(buffer: bytearray) -> Iterator[Frame]:
    """Remove every whole message from the front of `buffer` and yield it."""
    start = 0
    try:
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                return
            number, kind, head_length = _HEAD.unpack_from(buffer, start + _LENGTH.size)
            body_start = start + _WHOLE.size + head_length
            header = json.loads(buffer[start + _WHOLE.size : body_start])
            body = bytes(buffer[body_start:end])
            start = end
            yield Frame(number, kind, header, body)
    finally:
        del buffer[:start]
