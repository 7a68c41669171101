"""HTTP at its edges: pipelining, chunks, limits, slow and broken clients."""

import asyncio
import json
import random
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from modelwright.records import FrontLimits, FrontSettings
from modelwright.serving import control
from modelwright.serving.front.connections import Answer, Clients, Request
from modelwright.serving.front.messages import encode

ECHO = """
def init():
    pass

def run(raw_data, request_headers):
    return [raw_data[:100], request_headers.get("X-Trailer", ""), len(raw_data)]
"""
LIMITS = FrontLimits(max_body_bytes=100_000)


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint with small limits."""
    served = make_served()
    served.start(limits=LIMITS)
    served.deploy(ECHO)
    yield served
    assert served.ask(body="still here").status == 200
    served.stop()


@pytest.fixture
def hurried(endpoint: Any) -> Iterator[Any]:
    """Return the endpoint while its clients have a second for everything."""
    limits = replace(LIMITS, header_seconds=1.0, body_seconds=1.0, idle_seconds=1.5)
    for each in (limits, LIMITS):
        control.configure(endpoint.name, FrontSettings(limits=each), runtime_folder=endpoint.runtime_folder)
        if each is limits:
            yield endpoint


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /score HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def split(data: bytes) -> list[tuple[int, bytes]]:
    """Return status and body of each answer in a stream of them."""
    answers = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        found = re.search(rb"content-length: (\d+)", head)
        length = int(found.group(1)) if found else 0
        answers.append((status, rest[:length]))
        data = rest[length:]
    return answers


def message(answer: tuple[int, bytes]) -> str:
    return str(json.loads(answer[1])["message"])


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Return what runs a coroutine on a loop, each that there is."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run


@asynccontextmanager
async def served_by(
    handle: Callable[[Request, Callable[[Answer], None]], None], limits: FrontLimits | None = None, **options: Any
) -> AsyncIterator[tuple[Clients, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Answer by `handle`, and connect."""
    clients = Clients(handle, limits or FrontLimits(), **options)
    server = await asyncio.get_running_loop().create_server(clients.connect, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield clients, reader, writer
    writer.close()
    server.close()
    clients.close_when_idle()
    await clients.wait_closed(60)


def echo(request: Request, respond: Callable[[Answer], None]) -> None:
    respond(Answer(200, request.body))


def test_pipelined_requests_are_answered_in_order(endpoint: Any) -> None:
    data = b"".join(post(str(number).encode()) for number in range(200)) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = split(endpoint.send(data))
    assert [json.loads(body)[0] for _, body in answers[:-1]] == [str(number) for number in range(200)]
    assert answers[-1] == (200, b"Healthy")


def test_an_early_answer_waits_for_its_turn(endpoint: Any) -> None:
    answers = split(endpoint.send(post(b"a") + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" + post(b"b")))
    assert [status for status, _ in answers] == [200, 404, 200]


def test_a_request_may_come_byte_by_byte(endpoint: Any) -> None:
    with endpoint.raw() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(b"slowly"):
            client.sendall(bytes([byte]))
        client.shutdown(socket.SHUT_WR)
        assert json.loads(split(client.recv(65536))[0][1])[0] == "slowly"


def test_chunked_bodies_are_joined_and_their_trailers_passed_over(endpoint: Any) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"3;note=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: smuggled\r\n\r\n"
    answers = split(endpoint.send(head + body + post(b"next")))
    assert [json.loads(each) for _, each in answers] == [["abcde", "", 5], ["next", "", 4]]


def test_an_expected_continue_is_sent_before_the_body(endpoint: Any) -> None:
    with endpoint.raw() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"body")
        assert json.loads(split(client.recv(65536))[0][1])[0] == "body"


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(endpoint: Any) -> None:
    given = endpoint.send(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
    assert split(given)[0][0] == 413
    assert b"connection: close" in given


def test_a_body_that_is_too_large_is_refused_while_it_is_sent(endpoint: Any) -> None:
    with endpoint.raw() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            client.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        answers = split(client.recv(65536))
    assert answers[0][0] == 413
    assert message(answers[0]) == "The body must not exceed 100000 bytes."


def test_a_body_at_the_limit_is_taken(endpoint: Any) -> None:
    assert json.loads(endpoint.ask(body=b"x" * 100_000).body)[2] == 100_000


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/3.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400),
        (b"POST /score HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\nContent-Length: 1\r\n\r\nx", 417),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * 300_000, 431),
    ],
)
def test_a_bad_request_is_refused_and_the_connection_closed(endpoint: Any, data: bytes, status: int) -> None:
    answers = split(endpoint.send(data))
    assert [each[0] for each in answers] == [status]
    assert message(answers[0])


def test_an_endless_trailer_is_cut_off(endpoint: Any) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert split(endpoint.send(head + b"a: " + b"b" * 300_000))[0][0] == 431


def test_requests_before_a_bad_one_are_answered(endpoint: Any) -> None:
    answers = split(endpoint.send(post(b"good") + b"nonsense\r\n\r\n" + post(b"never read")))
    assert [status for status, _ in answers] == [200, 400]


def test_a_request_for_an_upgrade_is_answered_as_if_it_asked_for_none(endpoint: Any) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert split(endpoint.send(upgrade)) == [(200, b"Healthy")]
    assert split(endpoint.send(upgrade.replace(b"1.1\r\nHost: x", b"1.0"))) == [(200, b"Healthy")]
    long = upgrade.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 200_000)
    assert split(endpoint.send(long))[0][0] == 413
    assert split(endpoint.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"))[0][0] == 400


def test_an_absolute_target_is_its_path(endpoint: Any) -> None:
    assert split(endpoint.send(b"GET http://x/score?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"))[0][0] == 200


def test_old_clients_keep_their_connection_when_they_ask(endpoint: Any) -> None:
    old = b"GET / HTTP/1.0\r\n%s\r\n"
    kept = endpoint.send(old % b"Connection: keep-alive\r\n" + old % b"")
    assert kept.count(b"Healthy") == 2
    assert kept.count(b"connection: keep-alive") == kept.count(b"connection: close") == 1


def test_a_connection_that_says_close_is_closed_after_the_answer(endpoint: Any) -> None:
    with endpoint.raw() as client:
        client.sendall(post(b"x", "Connection: close"))
        data = b""
        while piece := client.recv(65536):
            data += piece
    assert split(data)[0][0] == 200


@pytest.mark.parametrize("beginning", [b"POST /sc", b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"])
def test_a_request_that_does_not_arrive_in_time_is_refused(hurried: Any, beginning: bytes) -> None:
    with hurried.raw() as client:
        client.sendall(beginning)
        assert split(client.recv(65536))[0][0] == 408


def test_an_idle_connection_is_closed_without_a_word(hurried: Any) -> None:
    with hurried.raw() as client:
        client.sendall(post(b"x"))
        assert split(client.recv(65536))[0][0] == 200
        assert client.recv(100) == b""


def test_broken_requests_do_not_break_the_server(endpoint: Any) -> None:
    """Each is a good request with a few bytes changed, doubled, dropped or cut off."""
    chance = random.Random(20)
    good = post(b'{"data": [[1, 2]]}', "X-Request-Id: a", "Expect: 100-continue") + post(b"x")
    chunked = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + good
    statuses = set()
    for _ in range(150):
        data = bytearray(chance.choice([good, chunked]))
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place:place] = data[place : place + chance.randrange(40)]
                case 2:
                    del data[place : place + chance.randrange(10)]
                case _:
                    del data[place + 1 :]
        try:
            statuses |= {status for status, _ in split(endpoint.send(bytes(data)))}
        except ConnectionError:
            continue
    assert {200, 400} <= statuses
    assert not statuses & {500, 503}
    status = endpoint.status()
    assert status.restarts == 0
    assert "Traceback" not in endpoint.log.read_text()


def test_a_body_that_comes_with_a_request_for_an_upgrade_is_scored(endpoint: Any) -> None:
    """Java's client asks for HTTP/2 in this way with its first request."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    chunked = "\r\n".join(["POST /score HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *upgrade]).encode()
    data = post(b"with a length", *upgrade) + chunked + b"\r\n\r\n9\r\nin chunks\r\n0\r\n\r\n" + post(b"the next")
    answers = split(endpoint.send(data))
    assert [json.loads(body)[0] for _, body in answers] == ["with a length", "in chunks", "the next"]


def test_what_a_script_puts_into_headers_cannot_begin_another_answer() -> None:
    text = encode(
        Answer(200, b"", (("a", "b\r\nset-cookie: c=d\r\n\r\nHTTP/1.1 200 OK"),), content_type="x\ny: z")
    ).decode()
    assert text.count("\n") == text.count("\r\n") == 6
    assert "\r\na: b  set-cookie: c=d    HTTP/1.1 200 OK\r\n" in text


def test_a_request_that_makes_the_front_stumble_is_answered_and_the_next_one_too(loop: Any, caplog: Any) -> None:
    def handle(request: Request, respond: Callable[[Answer], None]) -> None:
        if request.body == b"bad":
            raise ZeroDivisionError
        respond(Answer(200, request.body))

    async def ask() -> bytes:
        async with served_by(handle) as (_, reader, writer):
            writer.write(post(b"bad") + post(b"good"))
            writer.write_eof()
            return await reader.read()

    assert [status for status, _ in split(loop(ask()))] == [500, 200]
    assert "ZeroDivisionError" in caplog.text


def test_too_many_clients_are_told_to_come_back(loop: Any) -> None:
    async def ask() -> tuple[bytes, bytes, bytes]:
        async with served_by(echo, FrontLimits(max_connections=1)) as (clients, reader, writer):
            _, (second, other) = None, await asyncio.open_connection(*writer.get_extra_info("peername"))
            refused = await second.read()
            other.close()
            writer.write(post(b"first"))
            first = await reader.readuntil(b"first")
            clients.limits = FrontLimits(max_connections=2)
            third, another = await asyncio.open_connection(*writer.get_extra_info("peername"))
            another.write(post(b"third"))
            answer = await third.readuntil(b"third")
            another.close()
            return refused, first, answer

    refused, first, third = loop(ask())
    assert split(refused)[0][0] == 503
    assert b"retry-after: 1\r\n" in refused
    assert [split(each)[0][0] for each in (first, third)] == [200, 200]


def test_limits_hold_from_when_they_are_changed(loop: Any) -> None:
    async def ask() -> bytes:
        async with served_by(echo) as (clients, reader, writer):
            writer.write(post(b"123456"))
            await reader.readuntil(b"123456")
            clients.limits = FrontLimits(max_body_bytes=5)
            writer.write(post(b"123456"))
            return await reader.read()

    answers = split(loop(ask()))
    assert [status for status, _ in answers] == [413]
    assert message(answers[0]) == "The body must not exceed 5 bytes."


def test_a_client_that_reads_slowly_is_waited_for_and_one_that_stops_is_cut_off(loop: Any) -> None:
    size = 30_000_000

    def handle(_request: Request, respond: Callable[[Answer], None]) -> None:
        respond(Answer(200, b"x" * size))

    async def ask() -> int:
        async with served_by(handle) as (clients, reader, writer):
            writer.write(post(b"", "Connection: close"))
            moment, length = 0.0, 0
            for part in range(1, 4):
                while length < part * size // 6:
                    length += len(await reader.read(1 << 20))
                moment += 50
                clients.sweep(moment)
            assert clients.connections
            while clients.connections:
                moment += 50
                clients.sweep(moment)
                await asyncio.sleep(0)
            return length

    assert loop(ask()) >= size // 2


def test_idle_connections_have_no_parser(loop: Any) -> None:
    async def ask() -> list[object]:
        async with served_by(echo) as (clients, reader, writer):
            for _ in range(3):
                writer.write(post(b"plain"))
                await reader.readuntil(b"plain")
            return [each._reader._parser for each in clients.connections]

    assert loop(ask()) == [None]


def test_a_large_body_of_a_stranger_is_refused_before_it_is_sent(loop: Any) -> None:
    def admit(request: Request) -> Answer | None:
        return None if request.head.headers.get("authorization") else Answer(401, b"a key is needed")

    async def ask(*headers: str) -> bytes:
        async with served_by(echo, admit=admit) as (_, reader, writer):
            writer.write(post(b"x" * 70_000, "Expect: 100-continue", *headers)[:-70_000])
            return await reader.readuntil(b"\r\n\r\n")

    assert loop(ask()).startswith(b"HTTP/1.1 401 ")
    assert loop(ask("Authorization: Bearer key")) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_bodies_that_come_in_together_have_a_limit_together(loop: Any) -> None:
    begun = post(b"x" * 5000)[:-1]

    async def ask() -> tuple[bytes, bytes, int]:
        async with served_by(echo, FrontLimits(max_held_bytes=6000)) as (clients, reader, writer):
            writer.write(begun)
            other, second = await asyncio.open_connection(*writer.get_extra_info("peername"))
            second.write(begun)
            done, waiting = await asyncio.wait(
                [asyncio.create_task(each.read(100)) for each in (reader, other)], return_when=asyncio.FIRST_COMPLETED
            )
            for each in (writer, second):
                each.write(b"x")
            answers = sorted([await each for each in (*done, *waiting)])
            second.close()
            return answers[0], answers[1], clients.held_bytes

    first, refused, held_bytes = loop(ask())
    assert (first[:12], refused[:12], held_bytes) == (b"HTTP/1.1 200", b"HTTP/1.1 503", 0)
