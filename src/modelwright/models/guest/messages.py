"""The messages between a worker and its front; `front/frames.py` reads and writes the same layout.

Big-endian: u32 length of all that follows, u32 number, u8 kind, u8 code, u16 small, u32 length of the head, u32
microseconds. A request's code is its route and its small number the length of the id that follows; an answer's code
is its outcome and its small number its HTTP status. Then come the head and the body. The head of a request is a JSON
object {"headers", "method", "path", "query"}, that of an answer {"type", "headers"} or nothing for plain JSON. The
microseconds of a request are a moment, see `frames.deadline_in`.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from .codes import Kind, Outcome

PREFIX = struct.Struct("!IIBBHII")
_SIZE, _unpack, _pack = PREFIX.size, PREFIX.unpack_from, PREFIX.pack
_LENGTH = 4  # bytes of the first number, which does not count itself
_ANSWER = int(Kind.ANSWER)
_MICROS = 0xFFFFFFFF
# Moments are told modulo 2**32 milliseconds: what is less than half of that ago is past.
_HALF_OF_TIME = 1 << 31


class Told(NamedTuple):
    """What is told of a request besides its body. Names of headers are title-cased, as scripts expect them."""

    headers: dict[str, str]
    method: str
    path: str
    query: str


class Call(NamedTuple):
    """A request. Its head is empty for a plain POST of JSON to a version that said that it takes no head."""

    number: int
    route: int
    id: str
    head: bytes
    body: bytes
    deadline: int = 0

    @property
    def is_late(self) -> bool:
        """Whether it is not to be begun any more: nobody waits for its answer."""
        if not self.deadline:
            return False
        return (int(time.monotonic() * 1000) - self.deadline) & 0xFFFFFFFF < _HALF_OF_TIME

    def told(self) -> Told:
        """Return what its head says."""
        if not self.head:
            return Told({}, "POST", "/score", "")
        head = json.loads(self.head)
        return Told(head["headers"], head["method"], head["path"], head["query"])


class Reply(NamedTuple):
    """What is answered: an empty body of one that did not end well leaves the words to the front."""

    body: bytes
    status: int = 200
    outcome: int = Outcome.ANSWERED
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    micros: int = 0


def take(buffer: bytearray) -> list[Call]:
    """Remove every whole request from the front of `buffer` and return them."""
    calls: list[Call] = []
    # Copied once there is a whole one: slices of bytes take a third of what those of other buffers do.
    if len(buffer) < _LENGTH + int.from_bytes(buffer[:_LENGTH], "big"):
        return calls
    data, start, have = bytes(buffer), 0, len(buffer)
    while have - start >= _SIZE:
        length, number, _kind, code, small, head_length, deadline = _unpack(data, start)
        end = start + _LENGTH + length
        if end > have:
            break
        head = start + _SIZE + small
        body = head + head_length
        request_id = str(data[start + _SIZE : head], "utf-8", "replace")
        calls.append(Call(number, code, request_id, data[head:body], data[body:end], deadline))
        start = end
    del buffer[:start]
    return calls


def pack(number: int, reply: Reply) -> bytes:
    """Return the bytes of an answer."""
    body, status, outcome, content_type, headers, micros = reply
    micros = min(micros, _MICROS)
    if not (content_type or headers):
        return _pack(_SIZE - _LENGTH + len(body), number, _ANSWER, outcome, status, 0, micros) + body
    told: dict[str, Any] = {"type": content_type} if content_type else {}
    head = json.dumps({**told, "headers": headers}).encode()
    size = _SIZE - _LENGTH + len(head) + len(body)
    return _pack(size, number, _ANSWER, outcome, status, len(head), micros) + head + body


def announce(kind: Kind, facts: Mapping[str, object], words: str = "") -> bytes:
    """Return the bytes of a message that answers nothing: what the worker has to say of itself."""
    head, body = json.dumps(facts).encode(), words.encode("utf-8", "replace")
    return PREFIX.pack(PREFIX.size - _LENGTH + len(head) + len(body), 0, kind, 0, 0, len(head), 0) + head + body
