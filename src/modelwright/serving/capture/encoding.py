"""An exchange as the content of a segment's record: a few numbers, then texts and bodies as they are.

In the front this is most of what capture costs, so that nothing is translated: bodies stay bytes, and what is the same
in every request of a deployment is encoded once.
"""

import base64
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from modelwright.records import CaptureRecord, Exchange

# Time received, milliseconds taken, status, lengths of: the id, the trace, what is said of the deployment, the
# headers, the input. The output is the rest.
_NUMBERS = struct.Struct("<ddHHHHII")
_IN_ABOUT = "\0"
_ABOUT_FIELDS = 6
_LONGEST = 65535


def encoded(exchange: Exchange, headers: Mapping[str, str]) -> bytes:
    """Return an exchange as bytes, with these of its headers."""
    number = exchange.request_id.encode("utf-8", "replace")[:_LONGEST]
    trace = exchange.trace.encode("utf-8", "replace")[:_LONGEST]
    about = about_of(exchange)
    kept = _headers(headers) if headers else b""
    numbers = _NUMBERS.pack(
        exchange.received_at,
        exchange.duration_ms,
        exchange.status,
        len(number),
        len(trace),
        len(about),
        len(kept),
        len(exchange.input),
    )
    return b"".join((numbers, number, trace, about, kept, exchange.input, exchange.output))


def encoded_plainly(
    times: tuple[float, float], status: int, number: bytes, about: bytes, bodies: tuple[bytes, bytes]
) -> bytes:
    """Return an exchange without trace and headers as bytes.

    Of it are given when it came and how many milliseconds it took, and what came in and what went out.
    """
    asked, answered = bodies
    numbers = _NUMBERS.pack(*times, status, len(number), 0, len(about), 0, len(asked))
    return b"".join((numbers, number, about, asked, answered))


def about_of(exchange: Exchange) -> bytes:
    """Return what a record says of the version that was asked, and how."""
    return _about(
        exchange.version,
        exchange.deployment,
        exchange.input_type,
        exchange.output_type,
        exchange.shadow_of,
        exchange.path,
    )


@lru_cache(maxsize=4096)
def _about(*fields: str) -> bytes:
    return _IN_ABOUT.join(each.replace(_IN_ABOUT, "") for each in fields).encode("utf-8", "replace")[:_LONGEST]


def _headers(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}\0{value}\0" for name, value in headers.items()).encode("utf-8", "replace")


def has_id(content: "bytes | memoryview", request_id: bytes) -> bool:
    """Whether a record is that of a request, without reading the rest of it."""
    length = _NUMBERS.unpack_from(content)[3]
    return length == len(request_id) and content[_NUMBERS.size : _NUMBERS.size + length] == request_id


def decoded(content: "bytes | memoryview") -> Exchange:
    """Return the exchange of a record whose checksum was right; of its headers those that were kept."""
    received_at, duration_ms, status, *lengths = _NUMBERS.unpack_from(content)
    parts, place = [], _NUMBERS.size
    for length in lengths:
        parts.append(bytes(content[place : place + length]))
        place += length
    number, trace, about, headers, body = parts
    version, deployment, input_type, output_type, shadow_of, path = _texts(about)
    told = headers.decode().split("\0")
    kept = dict(zip(told[:-1:2], told[1::2], strict=True))
    if input_type:
        kept["content-type"] = input_type
    if trace:
        kept["traceparent"] = trace.decode("utf-8", "replace")
    return Exchange(
        request_id=number.decode("utf-8", "replace"),
        received_at=received_at,
        version=version,
        deployment=deployment,
        path=path,
        status=status,
        duration_ms=duration_ms,
        headers=kept,
        input=body,
        output=bytes(content[place:]),
        output_type=output_type,
        shadow_of=shadow_of,
    )


@lru_cache(maxsize=4096)
def _texts(about: bytes) -> list[str]:
    texts = about.decode("utf-8", "replace").split(_IN_ABOUT)
    return (texts + [""] * _ABOUT_FIELDS)[:_ABOUT_FIELDS]


def record_of(exchange: Exchange) -> CaptureRecord:
    """Return what people read of an exchange."""
    input_text, is_base64 = body_as_text(exchange.input)
    output_text, is_output_base64 = body_as_text(exchange.output)
    return CaptureRecord(
        request_id=exchange.request_id,
        received_at=datetime.fromtimestamp(exchange.received_at, UTC),
        version=exchange.version or None,
        status=exchange.status,
        duration_ms=exchange.duration_ms,
        input=input_text,
        is_base64=is_base64,
        output=output_text,
        is_output_base64=is_output_base64,
        deployment=exchange.deployment,
        path=exchange.path,
        headers=dict(exchange.headers),
        output_type=exchange.output_type,
        shadow_of=exchange.shadow_of,
    )


def exchange_of(record: CaptureRecord) -> Exchange:
    """Return the exchange that a record was read from."""
    return Exchange(
        request_id=record.request_id,
        received_at=record.received_at.timestamp(),
        version=record.version or "",
        deployment=record.deployment,
        path=record.path,
        status=record.status,
        duration_ms=record.duration_ms,
        headers=record.headers,
        input=_body_as_bytes(record.input, is_base64=record.is_base64),
        output=_body_as_bytes(record.output, is_base64=record.is_output_base64),
        output_type=record.output_type,
        shadow_of=record.shadow_of,
    )


def body_as_text(body: bytes) -> tuple[str, bool]:
    """Return a body as text, and whether that is base64 because the body is not UTF-8."""
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _body_as_bytes(text: str, *, is_base64: bool) -> bytes:
    """Return the body that `body_as_text` gave as text."""
    return base64.b64decode(text) if is_base64 else text.encode()
