"""Heads in the form in which nearly all clients send them, read without a parser.

A plain head is `POST` or `GET`, one target, `HTTP/1.1`, and lines `Name: value` of printable ASCII with nothing odd
about them: no name twice, nothing that says how the body is framed but one `Content-Length`. What such a head means is
the same for every reader of HTTP, so it is read here, in a fraction of the time; whatever else comes, and be it a
second space, is left to httptools. That both read the same out of a plain head is tested, by the million.

Clients send the same lines, mostly the same heads, again and again; what they mean is remembered.
"""

import re
from functools import lru_cache
from typing import cast
from urllib.parse import unquote_to_bytes

from modelwright.serving.front.messages import Head

_END = b"\r\n\r\n"
_MAX_BYTES = 4096
_MAX_FIELDS = 50
_FIRST_LINE = re.compile(rb"(POST|GET) (/[A-Za-z0-9/_.~:@!$&'()*+,;=?%-]*) HTTP/1\.1")
_FIELD = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+): ([!-~](?:[ -~]*[!-~])?)")
# What steers the framing of bodies or the life of the connection.
_SPECIAL = frozenset(("connection", "expect", "proxy-connection", "transfer-encoding", "upgrade"))
_LENGTH = re.compile(r"0|[1-9][0-9]{0,14}")


def plain_head(data: bytes, start: int) -> Head | None:
    """Return the head that begins at `start`; None when it is not plain, or not all there."""
    end = data.find(_END, start) + len(_END)
    return _read(data[start:end]) if start + len(_END) < end <= start + _MAX_BYTES else None


@lru_cache(maxsize=256)
def _read(data: bytes) -> Head | None:
    """Return what a head means, from its first byte to its empty line."""
    first, *lines = data[: -len(_END)].split(b"\r\n")
    target = _first_line(first)
    if target is None or len(lines) > _MAX_FIELDS:
        return None
    fields = list(map(_field, lines))
    if None in fields:
        return None
    headers = dict(cast("list[tuple[str, str]]", fields))
    length = headers.get("content-length", "0")
    if len(headers) < len(lines) or "host" not in headers or not _LENGTH.fullmatch(length):
        return None
    return Head(*target, headers, int(length), data)


@lru_cache(maxsize=256)
def _first_line(line: bytes) -> tuple[str, str, str] | None:
    match = _FIRST_LINE.fullmatch(line)
    return (match[1].decode(), *path_and_query(match[2])) if match else None


@lru_cache(maxsize=2048)
def _field(line: bytes) -> tuple[str, str] | None:
    match = _FIELD.fullmatch(line.decode("latin-1"))
    if match is None:
        return None
    name = match[1].lower()
    if name in _SPECIAL and (name, match[2].lower()) != ("connection", "keep-alive"):
        return None
    return name, match[2]


def path_and_query(target: bytes) -> tuple[str, str]:
    """Return the two parts of a target, the path without its percent signs."""
    path, _, query = target.partition(b"?")
    return (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"), query.decode("latin-1")
