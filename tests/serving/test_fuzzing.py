"""Plain heads mean what the parser says that they mean, whatever comes before, between and after them."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.fuzzing import LIMITS, check, hear

from modelwright.serving.front.heads import plain_head

NAMES = st.text("AZaz09!#$%&'*+.^_`|~-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
SPECIAL = st.sampled_from(["Connection", "Content-Length", "Expect", "Host", "Transfer-Encoding", "Upgrade"])


def test_streams_are_read_alike_with_the_parser_and_around_it() -> None:
    async def read() -> None:
        for number in range(2000):
            check(random.Random(f"suite-{number}"))

    asyncio.run(read())


@settings(max_examples=150, deadline=None)
@given(
    fields=st.lists(st.tuples(NAMES | SPECIAL, VALUES), max_size=5),
    separator=st.sampled_from([": ", ":", ":  ", " : "]),
)
def test_any_fields_are_read_alike(fields: list[tuple[str, str]], separator: str) -> None:
    lines = ["POST /score HTTP/1.1", "Host: x", *(name + separator + value for name, value in fields), "", ""]
    pieces = ["\r\n".join(lines).encode("latin-1"), b"x" * LIMITS.max_body_bytes]

    async def read() -> None:
        assert hear(pieces, plain=True) == hear(pieces, plain=False)

    asyncio.run(read())


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Content-Length: 3",
        b"Content-Length : 3",
        b"Connection: close",
        b"Connection: keep-alive, close",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Host: y",
        b"A : b",
        b"A:b",
        b"A: b ",
        b"A: b\tc",
        b"A: \xff",
        b"A: b\nB: c",
        b" folded",
        b"A",
    ],
)
def test_what_could_be_read_in_two_ways_is_left_to_the_parser(line: bytes) -> None:
    plain = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    assert plain_head(plain, 0) is not None
    assert plain_head(plain[:-2] + line + b"\r\n\r\n", 0) is None
