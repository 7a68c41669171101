"""The scoring contract: which requests an endpoint takes, and in what form it answers.

Clients and scripts written for Azure's inference server rely on these routes, headers, statuses and texts. Ours is
deliberately better in this: HTTP/1.1 requests need a Host; a `run()` that hangs is ended even inside C code; a
dead worker gives 503 with Retry-After; `X-Ms-Request-Id` is always among the headers that `run()` gets.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import perf_counter
from urllib.parse import parse_qsl

from modelwright import __version__
from modelwright.errors import CaptureNotWritten
from modelwright.records import CaptureRecord, new_request_id, now
from modelwright.serving.capture.lines import Writer, body_as_text
from modelwright.serving.front.connections import Answer, Request, error_answer
from modelwright.serving.front.versions import Outcome, Scored, Version

_LOG = logging.getLogger(__name__)
_MAX_ID_LENGTH = 100
_SCORE_METHODS = ("GET", "POST", "OPTIONS")
_RETRY = ("retry-after", "1")
_SERVER = ("x-ms-server-version", f"modelwright/{__version__}")
_SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."


@dataclass(frozen=True, slots=True)
class _Ids:
    """The ids by which a request is found again: ours, the one of old clients, the client's own."""

    request: str
    legacy: str
    client: str

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that echo the ids; an id that was not given, or was too long, is left out."""
        named = (
            ("x-request-id", self.request),
            ("x-ms-request-id", self.legacy),
            ("x-ms-client-request-id", self.client),
        )
        return tuple((name, value) for name, value in named if value)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request to `/score` on its way."""

    request: Request
    ids: _Ids
    respond: Callable[[Answer], None]
    received_at: datetime
    started: float
    input: bytes
    version: Version | None


class Scoring:
    """Answers requests with whatever version is in service."""

    def __init__(self, *, writer: Writer, timeout_ms: int, max_waiting: int) -> None:
        """Record through `writer`; refuse when `max_waiting` requests wait already."""
        self.version: Version | None = None
        self.answered = 0
        self._writer = writer
        self._timeout_ms = timeout_ms
        self._max_waiting = max_waiting

    @property
    def is_healthy(self) -> bool:
        """Whether a request would be scored now."""
        return self.version is not None and self.version.is_ready

    def handle(self, request: Request, respond: Callable[[Answer], None]) -> None:
        """Answer one request, at once or later."""
        ids, refusal = _identify(request.headers)
        if refusal is None and request.path == "/score":
            if request.method in ("GET", "POST"):
                self._score(request, ids, respond)
                return
            refusal = _answer_without_scoring(request.method)
        elif refusal is None:
            refusal = self._answer_elsewhere(request)
        respond(_finish(refusal, request, ids, None))

    def _answer_elsewhere(self, request: Request) -> Answer:
        if request.path != "/":
            return error_answer(404, "The requested URL was not found on the server.")
        if request.method not in ("GET", "HEAD"):
            return error_answer(405, "The method is not allowed for the requested URL.", ("allow", "GET, HEAD"))
        if self.is_healthy:
            return Answer(200, b"Healthy", content_type="text/plain; charset=utf-8")
        return Answer(503, b"Unhealthy", (_RETRY,), content_type="text/plain; charset=utf-8")

    def _score(self, request: Request, ids: _Ids, respond: Callable[[Answer], None]) -> None:
        version = self.version
        call = _Call(request, ids, respond, now(), perf_counter(), request.body, version)
        body = request.body
        try:
            if request.method == "GET":
                body = _query_as_json(request.query).encode()
            else:
                body.decode()
        except UnicodeDecodeError as error:
            self._settle(call, body, error_answer(400, f"Input cannot be decoded as UTF-8: {error}"))
            return
        except RecursionError:
            self._settle(call, body, error_answer(400, "The query's values are nested too deeply."))
            return
        if version is None:
            self._settle(call, body, error_answer(503, "No model version is deployed here.", _RETRY))
            return
        if not version.is_ready:
            self._settle(call, body, error_answer(503, "The model is being started again. Try again soon.", _RETRY))
            return
        if version.waiting >= self._max_waiting:
            self._settle(call, body, error_answer(503, "Too many requests are waiting. Try again soon.", _RETRY))
            return
        version.score(
            body,
            headers=_headers_for_run(request.headers, ids),
            request_id=ids.request,
            done=lambda scored: self._settle(call, body, self._translate(scored, ids)),
        )

    def _translate(self, scored: Scored, ids: _Ids) -> Answer:
        """Return the answer to the client for what came of `run`."""
        match scored.outcome:
            case Outcome.ANSWERED:
                told = (("x-ms-run-function-failed", "False"), ("x-ms-run-fn-exec-ms", f"{scored.milliseconds:.3f}"))
                return Answer(200, scored.body, told)
            case Outcome.FAILED:
                return error_answer(500, _SCRIPT_FAILED, run_failed=True)
            case Outcome.UNSERIALIZABLE:
                return error_answer(500, _INTERNAL)
            case Outcome.TIMED_OUT:
                return error_answer(500, f"Scoring timeout after {self._timeout_ms} ms", run_failed=True)
            case Outcome.DIED:
                _LOG.error("the process ended inside run()", extra={"request_id": ids.request})
                text = "The model's process ended while it answered. Check the logs for more info."
                return error_answer(503, text, _RETRY, run_failed=True)
            case Outcome.DROPPED:
                return error_answer(503, "The model is being started again. Try again soon.", _RETRY)

    def _settle(self, call: _Call, body: bytes, answer: Answer) -> None:
        """Record the request, and only then answer it."""
        version = call.version.spec.version if call.version else None
        text, is_base64 = body_as_text(body)
        record = CaptureRecord(
            request_id=call.ids.request,
            received_at=call.received_at,
            version=version,
            status=answer.status,
            duration_ms=(perf_counter() - call.started) * 1000,
            input=text,
            is_base64=is_base64,
            output=answer.body.decode(),
        )
        try:
            self._writer.append(record)
        except CaptureNotWritten as error:
            # What is answered is recorded: a model that serves unseen is worse than one that says it cannot.
            _LOG.error("refused, since it cannot be recorded: %s", error, extra={"request_id": call.ids.request})
            answer = error_answer(503, "The request could not be recorded. Check the logs for more info.", _RETRY)
        self.answered += 1
        call.respond(_finish(answer, call.request, call.ids, version))


def _identify(headers: Mapping[str, str]) -> tuple[_Ids, Answer | None]:
    """Return the request's ids, and a refusal when one of them is too long to be echoed and logged."""
    request = headers.get("x-request-id") or new_request_id()
    if len(request) > _MAX_ID_LENGTH:
        text = f"x-request-id must not exceed {_MAX_ID_LENGTH} characters"
        return _Ids("", "", ""), error_answer(431, text)
    client = headers.get("x-ms-client-request-id", "")
    legacy = headers.get("x-ms-request-id", "")
    if legacy:
        client = client or legacy
    else:
        legacy = client or request
    if len(legacy) > _MAX_ID_LENGTH or len(client) > _MAX_ID_LENGTH:
        text = f"x-ms-request-id and x-ms-client-request-id must not exceed {_MAX_ID_LENGTH} characters"
        return _Ids(request, "", ""), error_answer(431, text)
    return _Ids(request, legacy, client), None


def _answer_without_scoring(method: str) -> Answer:
    if method == "OPTIONS":
        return Answer(200, b"", (("x-ms-run-function-failed", "False"), ("allow", ", ".join(_SCORE_METHODS))))
    return error_answer(405, "Method not allowed", ("allow", ", ".join(_SCORE_METHODS)))


def _finish(answer: Answer, request: Request, ids: _Ids, version: str | None) -> Answer:
    """Return the answer with the headers that every answer has."""
    headers = [*answer.headers, *ids.headers(), _SERVER]
    trace = request.headers.get("traceid")
    if trace is not None:
        headers.append(("TraceId", trace))
    if version is not None:
        headers.append(("x-modelwright-version", version))
    return Answer(answer.status, answer.body, tuple(headers), answer.content_type)


@lru_cache(maxsize=1024)
def _title(name: str) -> str:
    return name.title()


def _headers_for_run(headers: Mapping[str, str], ids: _Ids) -> dict[str, str]:
    """Return the headers as scripts expect them: `X-Ms-Request-Id`, `Traceparent`."""
    titled = {_title(name): value for name, value in headers.items()}
    # The cloud's front end used to add this one; scripts log their requests by it.
    titled.setdefault("X-Ms-Request-Id", ids.legacy)
    return titled


def _query_as_json(query: str) -> str:
    """Return a query as the JSON object that `run` gets: values read as JSON where they are, repeated keys as lists."""
    values: dict[str, list[object]] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        values.setdefault(key, []).append(value)
    return json.dumps({key: each[0] if len(each) == 1 else each for key, each in values.items()})
