"""One HTTP request and its answer, within one limit of time for all of it: names, connecting, TLS, every byte.

A client of the standard library counts its limit anew for each byte that comes, asks for the address again when it
connects, and goes where it is redirected or where a proxy of the environment is. What goes out by the will of somebody
else must do none of that.
"""

import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import httptools

from modelwright import __version__
from modelwright.errors import SubscriberInvalid
from modelwright.lifecycle.events import addresses

_MOST_ANSWER_BYTES = 16_384
_PIECE_BYTES = 4096
_FINAL = 200
_PORTS = {"http": 80, "https": 443}


@dataclass
class Answer:
    """What a server answered; of its body the beginning."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Limits:
    """What an exchange may take, and whether addresses that are not for everybody may be asked."""

    timeout_seconds: float
    is_private_allowed: bool = False


def checked(url: str, *, is_private_allowed: bool) -> SplitResult:
    """Return the parts of an address that events may go to. Raises SubscriberInvalid."""
    parts, rule = None, ""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        rule = str(error)
    if not (url.isascii() and url.isprintable()) or " " in url:
        rule = "it is to be of visible ASCII characters"
    elif parts and (parts.scheme not in _PORTS or not parts.hostname):
        rule = "it must be an address that begins with https://"
    elif parts and parts.scheme == "http" and not is_private_allowed:
        rule = "without TLS anybody on the way can read it; http:// is for --allow-private"
    elif parts and "@" in parts.netloc:
        rule = "a name and a password in it would be told to everybody who lists subscriptions"
    if rule or parts is None:
        raise SubscriberInvalid(target=url, rule=rule, example="--webhook https://example.org/hooks/models")
    return parts


def exchange(method: str, url: str, *, headers: Mapping[str, str], body: bytes, limits: Limits) -> Answer:
    """Send a request and return what came back.

    Raises SubscriberInvalid, AddressRefused, TimeoutError, OSError for what a network does, and ValueError for an
    answer that is not HTTP.
    """
    deadline = time.monotonic() + limits.timeout_seconds
    parts = checked(url, is_private_allowed=limits.is_private_allowed)
    host = parts.hostname or ""
    connection = addresses.connect(
        host,
        parts.port or _PORTS[parts.scheme],
        deadline=deadline,
        is_private_allowed=limits.is_private_allowed,
    )
    try:
        if parts.scheme == "https":
            connection.settimeout(addresses.remaining(deadline))
            connection = _trusting(_authorities()).wrap_socket(connection, server_hostname=host)
        connection.settimeout(addresses.remaining(deadline))
        connection.sendall(_head(method, parts, headers=headers, size=len(body)) + body)
        return _answer(connection, deadline)
    finally:
        connection.close()


class _Reading:
    """What the parser tells of the answer."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.is_complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.answer.status = self.parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        self.answer.body += piece

    def on_message_complete(self) -> None:
        if self.answer.status < _FINAL:  # 100: the answer itself is still to come
            self.answer = Answer()
        else:
            self.is_complete = True


def _authorities() -> tuple[tuple[str, int], ...]:
    """Return where the system keeps whom it trusts, and when that changed."""
    paths = ssl.get_default_verify_paths()
    return tuple((each, os.stat(each).st_mtime_ns) for each in (paths.cafile, paths.capath) if each)  # noqa: PTH116


@lru_cache(maxsize=1)
def _trusting(_authorities: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    """Return what trusts them: to read them takes 75 ms, so they are read again only when they have changed."""
    return ssl.create_default_context()


def _answer(connection: socket.socket, deadline: float) -> Answer:
    """Read the answer up to its end, or to where there is more of it than anybody wants."""
    reading = _Reading()
    received = 0
    while not reading.is_complete:
        connection.settimeout(addresses.remaining(deadline))
        piece = connection.recv(_PIECE_BYTES)
        if not piece:
            break
        received += len(piece)
        try:
            reading.parser.feed_data(piece)
        except httptools.HttpParserError as error:
            if not reading.is_complete:
                told = f"it does not speak HTTP: {error}"
                raise ValueError(told) from error
        if received > _MOST_ANSWER_BYTES:
            if reading.answer.status < _FINAL:
                told = "the headers of its answer have no end"
                raise ValueError(told)
            break
    if reading.answer.status < _FINAL:
        told = "the connection ended without an answer"
        raise ConnectionError(told)
    return reading.answer


def _head(method: str, parts: SplitResult, *, headers: Mapping[str, str], size: int) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    fields = {
        "Host": host,
        "User-Agent": f"modelwright/{__version__}",
        "Accept": "*/*",
        "Connection": "close",
        "Content-Length": str(size),
        **headers,
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
