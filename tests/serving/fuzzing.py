"""Streams of bytes that are nearly HTTP, each read twice: with the way around the parser for plain heads, and without.

`python fuzzing.py 1000000` reads so many streams and prints what it found; `make fuzz` runs it.
"""

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import httptools

from modelwright.records import FrontLimits
from modelwright.serving.front import connections, reading
from modelwright.serving.front.messages import Answer, Request

# As long as the shortest plain request, which is to be found inside of bodies.
LIMITS = FrontLimits(max_body_bytes=27)
_READS_PLAIN_HEADS = connections.plain_head
_DATE = re.compile(rb"\r\ndate: [^\r]*")

_METHODS = [
    b"GET",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"DELETE",
    b"CONNECT",
    b"post",
    b"PO",
    b"",
    b"PRI",
    b"PATCH",
    b"M-SEARCH",
]
_TARGETS = [
    b"/", b"*", b"", b"/score?a=1&b=%5B1%5D", b"/a%20b", b"/%zz", b"/sco re", b"/a#b", b"/\xc3\xa9", b"//x", b"/a\tb",
    b"http://x/score?a=1", b"http://", b"score", b'/"<>', b"/a\\b", b"/[1]{2}|^`", b"/a?b?c#d", b"/\x7f", b"x:80",
]  # fmt: skip
_VERSIONS = [
    b"HTTP/1.0",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/01.1",
    b"",
    b"HTTP/0.9",
    b"HTTP/1.",
]
_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\x00\r\n", b""]
_ORDINARY = [
    b"User-Agent: python-requests/2.32.3", b"Accept: */*", b"Accept-Encoding: gzip, deflate", b"accept: text/plain",
    b"Content-Type: application/json", b"content-type: text/csv; charset=utf-8", b"Connection: keep-alive",
    b"connection: Keep-Alive", b"X-Request-Id: 1", b"Authorization: Bearer abc", b"traceparent: 00-aa-bb-01", b"A: b",
    b"Keep-Alive: timeout=5", b"TE: trailers", b"Trailer: a", b"Cookie: a=b; c=d",
]  # fmt: skip
_ODD = [
    b"Host: y", b"host: x", b"Host:", b"Host:x", b"Host : x", b" Host: x", b"Content-Length: +3", b"Content-Length: 03",
    b"Content-Length: 3 ", b"Content-Length:  3", b"Content-Length: 3, 3", b"Content-Length: 0x3", b"Content-Length:",
    b"Content-Length: 3\x0b", b"Content-Length: 3", b"Content-Length: 0", b"content-length: 4", b"Content-Length: -1",
    b"Content-Length: 1_0", b"Content-Length: 99999999999999999999", b"Content-Length: 301", b"Content-Length : 3",
    b"Content-Length: 18446744073709551616", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked",
    b"transfer-encoding:chunked", b"Transfer-Encoding:  chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer_Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive, close", b"Connection: Upgrade", b"Connection: upgrade, keep-alive", b"Connection:",
    b"Upgrade: h2c", b"Upgrade: websocket", b"Proxy-Connection: close", b"Proxy-Connection: keep-alive",
    b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: miracle", b" folded: x", b"\tfolded", b"A : b", b": b",
    b"A", b"A:b", b"A:  b", b"A: b ", b"A: b\t", b"A:\tb", b"A:", b"A: ", b"A: \x00", b"A: b\x01c", b"A: \x80\xff",
    b"A: b\tc", b"A\x7f: b", b"\xc4: b", b"A(b): c", b'A"b: c', b"A/b: c", b"A[b]: c", b"a: b", b"A: b: c",
    b"A: " + b"b" * 90,
    b"A: b\nB: c", b"A: b\rB: c", b"A\x00: b", b"A: \x7f", b"Content-Length: 3\r\n\r\nGET / HTTP/1.1",
]  # fmt: skip


class Wire:
    """A connection's other end, as far as a protocol sees it."""

    def __init__(self) -> None:
        self.written = b""
        self.end = ""

    def write(self, data: bytes) -> None:
        assert not self.end, f"written after {self.end}"
        self.written += data

    def write_eof(self) -> None:
        self.end = "half closed"

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.end = self.end or "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def is_closing(self) -> bool:
        return self.end in ("closed", "aborted")

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Heard:
    """What came of a stream."""

    requests: list[tuple[object, ...]] = field(default_factory=list)
    written: bytes = b""
    end: str = ""


@dataclass
class Oracle:
    """What httptools alone makes of a stream."""

    messages: list[tuple[bytes, bytes, bytes, tuple[tuple[bytes, bytes], ...]]] = field(default_factory=list)
    is_broken: bool = False
    is_upgraded: bool = False
    _url: bytes = b""
    _body: bytes = b""
    _fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    _head: tuple[tuple[bytes, bytes], ...] = ()

    def read(self, data: bytes) -> "Oracle":
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.is_upgraded = True
        except httptools.HttpParserError:
            self.is_broken = True
        return self

    def on_message_begin(self) -> None:
        self._url, self._body, self._fields = b"", b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        self._fields.append((name.lower(), value or b""))

    def on_headers_complete(self) -> None:
        self._head = tuple(self._fields)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.messages.append((self._parser.get_method(), self._url, self._body, self._head))


def stream(chance: random.Random) -> bytes:
    """Return one to four requests, most of them odd in something."""
    data = b"".join(_request(chance) for _ in range(chance.randint(1, 4)))
    if chance.random() < 0.25:
        data = _mutated(chance, data)
    return data


def cut(chance: random.Random, data: bytes) -> list[bytes]:
    """Return the stream as it may arrive: whole, in some pieces, or byte by byte."""
    match chance.randrange(4):
        case 0:
            return [data]
        case 1 if len(data) < 400:
            return [data[place : place + 1] for place in range(len(data))]
        case _:
            places = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 5)))})
            return [data[start:end] for start, end in pairwise(places)]


def hear(pieces: list[bytes], *, plain: bool, answers: random.Random | None = None) -> Heard:
    """Send the pieces to a connection; with `answers`, answer some of its requests later and in another order."""
    heard = Heard()
    wire = Wire()
    owed: list[Callable[[], None]] = []

    def handle(request: Request, respond: Callable[[Answer], None]) -> None:
        headers = tuple(request.head.headers.items())
        heard.requests.append((request.head.method, request.head.path, request.head.query, headers, request.body))
        answer = Answer(200, b"answer %d" % len(heard.requests))
        if answers is not None and answers.random() < 0.5:
            owed.append(lambda: respond(answer))
        else:
            respond(answer)

    reader = _READS_PLAIN_HEADS if plain else _reads_none
    connections.plain_head = reading.plain_head = reader
    connection = connections.Clients(handle, LIMITS).connect()
    connection.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        connection.data_received(piece)
        while owed and answers is not None and answers.random() < 0.5:
            owed.pop(answers.randrange(len(owed)))()
    for each in owed:
        each()
    if not connection.eof_received():
        wire.close()
    heard.written = _DATE.sub(b"", wire.written)
    heard.end = wire.end
    connections.plain_head = reading.plain_head = _READS_PLAIN_HEADS
    return heard


def check(chance: random.Random) -> Heard:
    """Read one stream in all ways; fail where they differ."""
    data = stream(chance)
    pieces = cut(chance, data)
    seed = chance.randrange(1 << 30)
    with_plain = hear(pieces, plain=True, answers=random.Random(seed))
    without = hear(pieces, plain=False, answers=random.Random(seed))
    assert with_plain == without, f"plain heads read otherwise: {pieces!r}"
    whole = hear([data], plain=True)
    assert whole.requests == with_plain.requests, f"read otherwise when whole: {pieces!r}"
    _check_against(Oracle().read(data), whole, data)
    return whole


def _check_against(oracle: Oracle, heard: Heard, data: bytes) -> None:
    """Whatever we hand on, httptools found; whatever it found, we hand on or refuse, or it comes after the last."""
    if oracle.is_upgraded:
        return  # it passes over the bodies of requests for an upgrade, and all that follows
    for request, (method, url, body, fields) in zip(heard.requests, oracle.messages, strict=False):
        names = dict.fromkeys(name for name, _ in fields)
        joined = {name: b",".join(value for other, value in fields if other == name) for name in names}
        expected = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in joined.items())
        assert (request[0], request[3], request[4]) == (method.decode(), expected, body), f"not what was sent: {data!r}"
        assert b"%" in url or not url.startswith(b"/") or url.partition(b"?")[0].decode("latin-1") == request[1], data
    assert len(heard.requests) <= len(oracle.messages), f"requests from nowhere: {data!r}"
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", heard.written) if status != b"100"]
    if statuses[-1:] in ([], [200]) and b"connection: close" not in heard.written:
        assert not oracle.is_broken, f"broken, and not refused: {data!r}"
        assert len(heard.requests) == len(oracle.messages), f"a request was lost: {data!r}"


def _reads_none(_data: bytes, _start: int) -> None:
    return None


def _request(chance: random.Random) -> bytes:
    is_plain = chance.random() < 0.4
    oddness = 0.0 if is_plain else chance.choice([0.02, 0.06, 0.15])
    inner = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    body = chance.choice([b'{"data": [[1, 2]]}', b"", b"x", b"0\r\n\r\n", b"a\r\n\r\nb", inner, b"y" * 28])
    lines = [chance.choice(_ORDINARY) for _ in range(chance.randint(0, 4))]
    lines += [chance.choice(_ODD) for _ in range(4) if chance.random() < oddness * 2]
    if chance.random() >= oddness:
        lines.append(b"Host: x")
    data = body
    if chance.random() < oddness * 2:
        lines.append(b"Transfer-Encoding: chunked")
        data = _chunked(chance, body, oddness)
    elif chance.random() >= oddness and (body or chance.random() < 0.5):
        lines.append(b"Content-Length: %d" % len(body))
    if chance.random() < 0.8:
        lines = list({line.partition(b":")[0].lower(): line for line in lines}.values())
    if not is_plain:
        chance.shuffle(lines)
    method = chance.choice(_METHODS) if chance.random() < oddness else b"POST"
    target = chance.choice(_TARGETS) if chance.random() < oddness * 2 else b"/score"
    version = chance.choice(_VERSIONS) if chance.random() < oddness else b"HTTP/1.1"
    space = chance.choice([b"  ", b"\t", b""]) if chance.random() < oddness / 3 else b" "
    text = b""
    for line in (method + space + target + space + version, *lines, b""):
        text += line + (chance.choice(_ENDS) if chance.random() < oddness / 6 else b"\r\n")
    return text + data


def _chunked(chance: random.Random, body: bytes, oddness: float) -> bytes:
    places = sorted({0, len(body), chance.randrange(len(body) + 1)})
    text = b""
    for start, end in pairwise(places):
        size = b"%x" % (end - start)
        if chance.random() < oddness:
            size = chance.choice([size + b";a=b", b"0" + size, size + b" ", b"+" + size, b"-1", b"", b"g", b"f" * 17])
        text += size + b"\r\n" + body[start:end] + (b"\n" if chance.random() < oddness / 3 else b"\r\n")
    trailer = chance.choice([b"A: b\r\n", b"Content-Length: 9\r\n", b"x\r\n"]) if chance.random() < oddness else b""
    return text + b"0\r\n" + trailer + b"\r\n"


def _mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[place:place] = chance.choice(
                    [b"\r\n", b"\n", b" ", b"\x00", b":", b"\r\n\r\n", b"0", b"\t", b"\r"]
                )
            case 2:
                del changed[place : place + chance.randint(1, 9)]
            case _:
                changed[place:place] = changed[place : place + chance.randint(1, 40)]
    return bytes(changed)


async def main(count: int, seed: int) -> None:
    """Read `count` streams and print what came of them."""
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    for number in range(count):
        heard = check(random.Random(f"{seed}-{number}"))
        outcomes[f"{len(heard.requests)} requests"] += 1
        last = re.findall(rb"HTTP/1\.1 (\d+)", heard.written)[-1:]
        outcomes[f"last answer {b''.join(last).decode() or 'none'}"] += 1
        if (number + 1) % 100_000 == 0:
            print(f"{number + 1:,} streams in {time.monotonic() - started:.0f} s", flush=True)
    for outcome, times in sorted(outcomes.items()):
        print(f"{outcome}: {times:,}")
    print(f"{count:,} streams from seed {seed}: read alike, with the parser and around it, whole and in pieces")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
