"""Traces of requests: the W3C trace context carried from client to script and back, and spans for OpenTelemetry.

Spans are put aside as they are and made, encoded and sent by a thread, in the format OTLP over HTTP. That needs the
extra `otel` and an address in OTEL_EXPORTER_OTLP_ENDPOINT; the context is carried without either.
"""

import logging
import random
import re
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwright import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_LOG = logging.getLogger(__name__)
_CONTEXT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KNOWN = "00"
_SAMPLED = 1
_FLAGS = 3  # sampled, and drawn at random: the others have no meaning yet, and are not passed on
# What waits for the collector; more is dropped and counted, since memory is for requests.
_MOST_SPANS = 10_000
_AT_ONCE = 512
_PAUSE_SECONDS = 1.0
_SERVER_ERROR = 500


class Trace(NamedTuple):
    """A request's place in a trace: ours is `span_id`, below the client's `parent_id` if it gave one."""

    trace_id: str
    span_id: str
    parent_id: str
    flags: str

    @property
    def header(self) -> str:
        """The trace context for who is called by us. Source: W3C Trace Context, level 2."""
        return f"{_KNOWN}-{self.trace_id}-{self.span_id}-{self.flags}"


class Traced(NamedTuple):
    """A request that was answered: times in seconds since the epoch."""

    trace: Trace
    request_id: str
    method: str
    path: str
    status: int
    deployment: str
    version: str
    begun_at: float
    scored_at: float
    answered_at: float
    run_seconds: float


def given(context: str) -> Trace | None:
    """Return the place of a request whose client gave this trace context; None for a malformed one."""
    found = _CONTEXT.fullmatch(context)
    # Versions to come may say more after the flags.
    if found is None or (found[1] == _KNOWN and found[5]):
        return None
    return Trace(found[2], _digits(16), found[3], f"{int(found[4], 16) & _FLAGS:02x}")


def new() -> Trace:
    """Begin a trace."""
    return Trace(_digits(32), _digits(16), "", "01")


class Spans:
    """Spans on their way to a collector."""

    def __init__(self, endpoint: str) -> None:
        """Send them if an address is set and the extra is installed."""
        self.dropped = self.failed = self.sent = 0
        self._endpoint = endpoint
        self._waiting: deque[Traced] = deque()
        self._wake = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self.is_sending = settings.is_tracing()
        if self.is_sending:
            try:
                import opentelemetry.exporter.otlp.proto.http.trace_exporter
                import opentelemetry.sdk.trace  # noqa: F401 - so that a missing extra is told once, and at the start
            except ImportError:
                self.is_sending = False
                _LOG.warning("traces are not sent: pip install 'modelwright[otel]'")

    def add(self, traced: Traced) -> None:
        """Send the spans of an answered request, unless its client asked not to."""
        if not int(traced.trace.flags, 16) & _SAMPLED:
            return
        if len(self._waiting) >= _MOST_SPANS:
            self.dropped += 1
            return
        self._waiting.append(traced)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send, name="spans", daemon=True)
            self._thread.start()

    def close(self, *, patience_seconds: float) -> None:
        """Send what waits, for at most so long."""
        self._is_closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience_seconds)

    def _send(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import SpanExportResult

        resource = Resource.create({"service.name": self._endpoint, "service.namespace": "modelwright"})
        exporter = OTLPSpanExporter()
        while not (self._is_closed and not self._waiting):
            self._wake.wait(_PAUSE_SECONDS)
            traced: list[Traced] = []
            with suppress(IndexError):
                while len(traced) < _AT_ONCE:
                    traced.append(self._waiting.popleft())
            if not traced:
                continue
            try:
                result = exporter.export([span for each in traced for span in _spans(each, resource)])
            except Exception:  # noqa: BLE001 - a collector's fault must not end the thread
                _LOG.exception("spans were not sent")
                result = SpanExportResult.FAILURE
            if result is SpanExportResult.SUCCESS:
                self.sent += len(traced)
            else:
                self.failed += len(traced)


def _spans(traced: Traced, resource: Any) -> "list[ReadableSpan]":
    """Return the span of a request and, when a script was run for it, that of the run within it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    trace = traced.trace
    flags = TraceFlags(int(trace.flags, 16))

    def context(span_id: str, *, is_remote: bool = False) -> SpanContext:
        return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=flags)

    ours = context(trace.span_id)
    request = ReadableSpan(
        f"{traced.method} {traced.path}",
        context=ours,
        parent=context(trace.parent_id, is_remote=True) if trace.parent_id else None,
        resource=resource,
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR if traced.status >= _SERVER_ERROR else StatusCode.UNSET),
        start_time=_nanoseconds(traced.begun_at),
        end_time=_nanoseconds(traced.answered_at),
        attributes={
            "http.request.method": traced.method,
            "url.path": traced.path,
            "http.response.status_code": traced.status,
            "modelwright.request_id": traced.request_id,
            "modelwright.deployment": traced.deployment,
            "modelwright.version": traced.version,
        },
    )
    if not traced.run_seconds:
        return [request]
    run = ReadableSpan(
        "run",
        context=context(_digits(16)),
        parent=ours,
        resource=resource,
        start_time=_nanoseconds(max(traced.begun_at, traced.scored_at - traced.run_seconds)),
        end_time=_nanoseconds(traced.scored_at),
        attributes={"modelwright.version": traced.version},
    )
    return [request, run]


def _digits(count: int) -> str:
    """Return so many random hexadecimal digits, of which not all are 0: an id needs to be another, not a secret."""
    return f"{random.getrandbits(4 * count) or 1:0{count}x}"


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
