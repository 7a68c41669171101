"""From the bytes of a connection to whole requests.

Parsing is httptools' (llhttp in its strict mode, which refuses what could be read in two ways), except for plain heads.
What is added here are the limits of sizes, `Expect: 100-continue`, and requests for an upgrade.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import httptools

from modelwright.records import FrontLimits
from modelwright.serving.front.heads import path_and_query, plain_head
from modelwright.serving.front.messages import Answer, Head, Request, error_answer

# As gunicorn and nginx allow in all; one field alone may be as long.
_MAX_HEAD_BYTES = 64 * 1024
_MAX_FIELDS = 100
_VERSIONS = ("1.1", "1.0")
# A body that is no longer is read, whoever it is from.
_LITTLE_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class _Message:
    """A request while it comes in."""

    url: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    head_bytes: int = 0
    head: Head | None = None
    body: bytes | bytearray = b""

    def count(self, size: int) -> None:
        """Add to the size of what is not the body."""
        self.head_bytes += size
        if self.head_bytes > _MAX_HEAD_BYTES or len(self.fields) > _MAX_FIELDS:
            raise _Refused(_head_too_large())


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Reader:
    """One connection's requests. After a refusal, or the last request, nothing more can be read."""

    __slots__ = (
        "_admit",
        "_begun",
        "_bytes_without_progress",
        "_limits",
        "_message",
        "_parser",
        "_whole",
        "is_ended",
        "owes_continue",
        "refusal",
    )

    def __init__(self, admit: Callable[[Request], Answer | None]) -> None:
        """Refuse large bodies, before they are read, with what `admit` answers to their heads."""
        self._admit = admit
        self._limits = FrontLimits()
        self._parser: httptools.HttpRequestParser | None = None
        self._message: _Message | None = None
        self._whole: list[tuple[Head, bytes]] = []
        self._bytes_without_progress = 0
        self._begun = 0  # as httptools saw it
        self.is_ended = False
        self.owes_continue = False
        self.refusal: Answer | None = None

    @property
    def is_within(self) -> bool:
        """Whether a request has begun to come in."""
        return self._message is not None

    @property
    def is_within_body(self) -> bool:
        """Whether a request's head is here and its body is not."""
        return self._message is not None and self._message.head is not None

    @property
    def held_bytes(self) -> int:
        """How much of a body waits for the rest of it."""
        return len(self._message.body) if self._message else 0

    @property
    def progress(self) -> tuple[int, int]:
        """What grows with each request that begins and each byte of its body."""
        message = self._message
        return self._begun, -1 if message is None or message.head is None else len(message.body)

    def end(self) -> None:
        """Read no more."""
        self._message = None
        self._parser = None  # it knows us as we know it
        self.owes_continue = False
        self.is_ended = True

    def feed(self, data: bytes, limits: FrontLimits) -> list[tuple[Head, bytes]]:
        """Return head and body of each request that became whole; then look at `is_ended` and `refusal`."""
        whole: list[tuple[Head, bytes]] = []
        size = len(data)
        start = 0
        if self._message is None and not self.is_ended:
            limit = limits.max_body_bytes
            while start < size:
                head = plain_head(data, start)
                if head is None or head.length > limit:
                    break
                end = start + len(head.data)
                if end + head.length > size:
                    break
                start = end + head.length
                whole.append((head, data[end:start]))
        if start < size:
            self._whole = whole
            self._limits = limits
            self._parse(data[start:] if start else data)
        return whole

    # --- inside ---

    def _parse(self, data: bytes) -> None:
        before = len(self._whole), self.progress[1]
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            # What follows the last request is nobody's.
            if not self.is_ended:
                cause = error.__context__
                text = f"Bad request: {error}"
                self.refusal = cause.answer if isinstance(cause, _Refused) else error_answer(400, text)
        if (len(self._whole), self.progress[1]) != before:
            self._bytes_without_progress = 0
        else:
            # Neither a whole request nor a byte of a body: a head, a trailer or a chunk's extension is growing.
            self._bytes_without_progress += len(data)
            if self._bytes_without_progress > _MAX_HEAD_BYTES and self.refusal is None:
                self.refusal = _head_too_large()
        if self.refusal is not None or self.is_ended:
            self.end()

    def _feed(self, data: bytes) -> None:
        if self.is_ended:
            return
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        else:
            return
        if self._message is None:
            # CONNECT is answered, and what follows it would not be HTTP.
            self.is_ended = True
        else:
            self._go_on_without_upgrade(self._message, rest)

    def _go_on_without_upgrade(self, message: _Message, rest: bytes) -> None:
        """Read a request for an upgrade, whose body httptools passes over, as if it had not asked for one.

        HTTP allows that, and Java's client asks for HTTP/2 in this way with every first request.
        """
        fields = [b"%s: %s" % each for each in message.fields if each[0].lower() != b"upgrade"]
        parser = self._parsing()
        beginning = b"%s %s HTTP/%s" % (parser.get_method(), message.url, parser.get_http_version().encode())
        self._message = self._parser = None
        self._feed(b"\r\n".join([beginning, *fields]) + b"\r\n\r\n" + rest)

    def _parsing(self) -> httptools.HttpRequestParser:
        assert self._parser is not None  # noqa: S101 - asked while it parses
        return self._parser

    def _incoming(self) -> _Message:
        if self._message is None:
            raise _Refused(error_answer(400, "Bad request: data after the end of the last request."))
        return self._message

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        """Start a request."""
        self._message = _Message()
        self._begun += 1

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        message = self._incoming()
        message.url += url
        message.count(len(url))

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Take a header, or a trailer after the body, which is counted and goes nowhere."""
        message = self._incoming()
        message.fields.append((name, value or b""))
        message.count(len(name) + len(value or b"") + 4)

    def on_headers_complete(self) -> None:
        """Check the head before any body is taken."""
        message = self._incoming()
        parser = self._parsing()
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise _Refused(error_answer(505, f"HTTP/{version} is not spoken here, but HTTP/1.1."))
        is_current = version != "1.0"
        headers = _headers(message.fields)
        self._check_coding(headers.get("transfer-encoding"), is_current=is_current)
        if is_current and "host" not in headers:
            raise _Refused(_one_host())
        length = int(headers.get("content-length") or 0)
        if length > self._limits.max_body_bytes:
            raise _Refused(self._body_too_large())
        expectation = headers.get("expect", "").lower() if is_current else ""
        if expectation:
            if expectation != "100-continue":
                raise _Refused(error_answer(417, f"The expectation {expectation!r} cannot be met."))
            self.owes_continue = True
        path, query = path_and_query(_origin_form(message.url))
        method = parser.get_method().decode()
        keeps = parser.should_keep_alive()
        message.head = head = Head(method, path, query, headers, length, b"", keeps, is_current)
        if length > _LITTLE_BYTES or "transfer-encoding" in headers:
            refusal = self._admit(Request(head, b""))
            if refusal is not None:
                raise _Refused(refusal)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        message = self._incoming()
        self.owes_continue = False
        if not message.body:
            message.body = data
        else:
            # Not kept as the pieces that it comes in: each of these takes the room of forty bytes more.
            if isinstance(message.body, bytes):
                message.body = bytearray(message.body)
            message.body += data
        if len(message.body) > self._limits.max_body_bytes:
            raise _Refused(self._body_too_large())

    def on_message_complete(self) -> None:
        """Put the request in line."""
        message = self._incoming()
        head = message.head
        assert head is not None  # noqa: S101 - heads are complete before messages are
        if head.method != "CONNECT" and self._parsing().should_upgrade():
            return  # to be read again
        self._whole.append((head, bytes(message.body)))
        self._message = None
        self.owes_continue = False
        self.is_ended = not head.keeps_connection

    @staticmethod
    def _check_coding(coding: str | None, *, is_current: bool) -> None:
        """Refuse a body that is packed for its way, and one in chunks where whoever is between us knows none."""
        if coding is None:
            return
        if coding.lower() != "chunked":
            raise _Refused(error_answer(501, f"The Transfer-Encoding {coding!r} is not known here; chunked is."))
        if not is_current:
            raise _Refused(error_answer(400, "HTTP/1.0 has no Transfer-Encoding."))

    def _body_too_large(self) -> Answer:
        return error_answer(413, f"The body must not exceed {self._limits.max_body_bytes} bytes.")


def _head_too_large() -> Answer:
    return error_answer(431, f"The request's head must not exceed {_MAX_HEAD_BYTES} bytes in {_MAX_FIELDS} fields.")


def _one_host() -> Answer:
    return error_answer(400, "A request needs one Host header.")


@lru_cache(maxsize=1024)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _headers(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in fields:
        key = _lower(name)
        text = value.decode("latin-1")
        if key in headers:
            if key == "host":
                raise _Refused(_one_host())
            text = f"{headers[key]},{text}"
        headers[key] = text
    return headers


def _origin_form(target: bytes) -> bytes:
    """Return a request's target as path and query, without scheme and host."""
    if target.startswith(b"/") or target == b"*":
        return target
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserError:
        raise _Refused(error_answer(400, "The request's target is not a URL.")) from None
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
