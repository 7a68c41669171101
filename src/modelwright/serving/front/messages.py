"""Requests and answers, whole, and an answer's form on the wire."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any, Protocol

_PHRASES = {each.value: each.phrase for each in HTTPStatus}


class Short(Protocol):
    """A short way for the requests with one head."""

    @property
    def is_open(self) -> bool:
        """Whether it may still be taken."""

    def take(self, connection: Any, head: "Head", body: bytes) -> bool:
        """Answer a request that came from a connection; False when it is to go the usual way."""


# Heads, requests and answers are not frozen: making a frozen object of slots costs five times as much, 0.9 us.
@dataclass(slots=True, eq=False)
class Head:
    """What a request said before its body.

    Requests with the same plain head share one object, so that what was found out about a head once can be kept under
    it: its `meaning`, and its `express`, the short way for such requests. Names of headers are lower case; repeated
    ones are joined by a comma. `length` is what it says of its body, `data` its own bytes if it is plain. It is current
    if it is HTTP/1.1.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    length: int = 0
    data: bytes = b""
    keeps_connection: bool = True
    is_current: bool = True
    meaning: object = None
    express: "Short | None" = None


# Of a request that was made, not read.
NO_HEAD = Head("", "", "", {}, keeps_connection=False)


@dataclass(slots=True, eq=False)
class Request:
    """A whole request."""

    head: Head
    body: bytes


@dataclass(slots=True)
class Answer:
    """A whole answer. Length, date and connection are added when it is sent.

    `lines` are more headers, as they are written: each with its end of line.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    lines: str = ""


def error_answer(status: int, text: str, *headers: tuple[str, str], run_failed: bool = False) -> Answer:
    """Return an answer that says what is wrong, in the form that clients of scoring servers know."""
    told = ("x-ms-run-function-failed", str(run_failed))
    return Answer(status, json.dumps({"message": text}).encode(), (told, *headers))


def encode(answer: Answer, *, has_body: bool = True, connection: str = "") -> bytes:
    """Return the answer's bytes, with the header `connection` when it is given."""
    lines = answer.lines
    if answer.headers:
        lines += "".join([_line(name, value) for name, value in answer.headers])
    if connection:
        lines += f"connection: {connection}\r\n"
    begun = beginning(answer.status, answer.content_type)
    head = f"{begun}{len(answer.body)}\r\ndate: {http_date()}\r\n{lines}\r\n".encode("latin-1", "replace")
    return head + answer.body if has_body else head


@lru_cache(maxsize=256)
def beginning(status: int, content_type: str) -> str:
    """Return an answer's head up to the number of its body's bytes."""
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{_line('content-type', content_type)}content-length: "


def _line(name: str, value: str) -> str:
    """Return a header as it is written; scripts choose values, and must not end a line before we do."""
    line = f"{name}: {value}"
    return f"{line}\r\n" if line.isprintable() else f"{''.join(max(each, ' ') for each in line)}\r\n"


def with_connection(whole: bytes, connection: str) -> bytes:
    """Return an answer's bytes with the header `connection` added."""
    return whole.replace(b"\r\n\r\n", f"\r\nconnection: {connection}\r\n\r\n".encode(), 1)


_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """Return the present second as HTTP writes it; formatting it costs more than the rest of an answer's head."""
    global _date  # noqa: PLW0603 - a cache of one value
    second = int(time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]
