"""The scoring contract: which requests an endpoint takes, and in what form it answers.

Clients and scripts written for Azure's inference server rely on these routes, headers, statuses and texts. Ours is
deliberately better in this: HTTP/1.1 requests need a Host; a `run()` that hangs is ended even inside C code, and its
client told 504; a dead worker gives 503 with Retry-After; `X-Ms-Request-Id` is always among the headers that `run()`
gets.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter, time
from urllib.parse import parse_qsl

from modelwright import __version__
from modelwright.records import Exchange, new_request_id
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front.access import Guard
from modelwright.serving.front.connections import Answer, Request, error_answer
from modelwright.serving.front.routes import METHODS, OF_FRONT, SCORING, Route, find, model_asked
from modelwright.serving.front.routing import Pinned, Router
from modelwright.serving.front.versions import Version
from modelwright.serving.front.workers import Outcome, Scored
from modelwright.serving.guest.wordings import FAILED, INTERNAL, error_body

_LOG = logging.getLogger(__name__)
_MAX_ID_LENGTH = 100
_RETRY = ("retry-after", "1")
_SERVER = ("x-ms-server-version", f"modelwright/{__version__}")
_NOBODY = "No model version is deployed here."
_STARTING = "The model is being started again. Try again soon."
_BUSY = "Too many requests are waiting. Try again soon."
_UNRECORDED = "The request could not be recorded. Check the logs for more info."
_JSON = "application/json"
# Forms of an answer that a client must ask for.
_BINARY = ("application/vnd.apache.arrow", "application/x-npy")
_TEXT = "text/plain; charset=utf-8"
_PAGE = Path(__file__).with_name("docs.html")
# What a shadow that hangs may keep of others' memory: so many copies, none of them longer than this.
_SHADOWS_AT_ONCE = 100
_LONGEST_COPY_BYTES = 1 << 20
_OK = 200


class Scoring:
    """Answers the requests of an endpoint."""

    def __init__(self, *, router: Router, recorder: Recorder, guard: Guard, timeout_ms: int, max_waiting: int) -> None:
        """Have requests that pass `guard` answered by whom `router` says, and recorded by `recorder`.

        Requests are refused when `max_waiting` of them wait for the same version already.
        """
        self.router = router
        self.recorder = recorder
        self.guard = guard
        self.timeout_ms = timeout_ms
        self.max_waiting = max_waiting
        self.answered = 0

    @property
    def is_healthy(self) -> bool:
        """Whether a request would be scored now."""
        default = self.router.default
        return default is not None and default.is_ready

    def handle(self, request: Request, respond: Callable[[Answer], None]) -> None:
        """Answer one request, at once or later."""
        ids = _Ids(request.headers)
        route = find(request.path)
        if ids.refusal is not None:
            answer = ids.refusal
        elif route is None:
            answer = error_answer(404, "The requested URL was not found on the server.")
        elif request.method not in METHODS[route] or request.method == "OPTIONS":
            answer = _answer_without_scoring(route, request.method)
        elif route in OF_FRONT:
            answer = self._answer_itself(route)
        else:
            refusal = self.guard.refusal(request)
            if refusal is None:
                _Call(self, request, ids, respond, route).start()
                return
            answer = _in_words_of(route, refusal)
        respond(finish(answer, request, ids, None))

    def _answer_itself(self, route: Route) -> Answer:
        """Answer what is known here: how the endpoint is, by each dialect's name for it, and the page to try it on."""
        if route is Route.DOCS:
            return Answer(200, _PAGE.read_bytes(), content_type="text/html; charset=utf-8")
        if route is Route.VERSION:
            return Answer(200, _SERVER[1].encode(), content_type=_TEXT)
        if route is Route.LIVE:
            return Answer(200, b'{"live": true}')
        if route is Route.READY:
            told = json.dumps({"ready": self.is_healthy}).encode()
            return Answer(200, told) if self.is_healthy else Answer(503, told, (_RETRY,))
        if self.is_healthy:
            return Answer(200, b"Healthy" if route is Route.HEALTH else b"\n", content_type=_TEXT)
        return Answer(503, b"Unhealthy", (_RETRY,), content_type=_TEXT)


class _Ids:
    """The ids by which a request is found again: ours, the one of old clients, the client's own."""

    __slots__ = ("client", "legacy", "refusal", "request")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.refusal: Answer | None = None
        self.request = headers.get("x-request-id") or new_request_id()
        self.client = headers.get("x-ms-client-request-id", "")
        self.legacy = headers.get("x-ms-request-id", "")
        if self.legacy:
            self.client = self.client or self.legacy
        else:
            self.legacy = self.client or self.request
        if len(self.request) > _MAX_ID_LENGTH:
            self.refusal = error_answer(431, f"x-request-id must not exceed {_MAX_ID_LENGTH} characters")
            self.request = self.legacy = self.client = ""
        elif len(self.legacy) > _MAX_ID_LENGTH or len(self.client) > _MAX_ID_LENGTH:
            text = f"x-ms-request-id and x-ms-client-request-id must not exceed {_MAX_ID_LENGTH} characters"
            self.refusal = error_answer(431, text)
            self.legacy = self.client = ""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that echo the ids; an id that was not given, or was too long, is left out."""
        named = (
            ("x-request-id", self.request),
            ("x-ms-request-id", self.legacy),
            ("x-ms-client-request-id", self.client),
        )
        return tuple((name, value) for name, value in named if value)


class _Call:
    """A request to a model on its way: asked, recorded, answered."""

    __slots__ = (
        "answer",
        "body",
        "copies",
        "ids",
        "received_at",
        "request",
        "respond",
        "route",
        "scoring",
        "started",
        "version",
    )

    def __init__(
        self, scoring: Scoring, request: Request, ids: _Ids, respond: Callable[[Answer], None], route: Route
    ) -> None:
        self.scoring = scoring
        self.request = request
        self.body = request.body
        self.ids = ids
        self.respond = respond
        self.route = route
        self.received_at = time()
        self.started = perf_counter()
        self.version: Version | None = None
        self.answer: Answer | None = None
        self.copies: list[tuple[Version, Answer]] = []

    def start(self) -> None:
        """Ask the version whose turn it is, and shadows beside it."""
        request, route = self.request, self.route
        try:
            if route is Route.SCORE and request.method == "GET":
                self.body = _query_as_json(request.query).encode()
            version = self.version = self._picked()
        except RecursionError:
            self.settle(self._error(400, "The query's values are nested too deeply."))
            return
        except Pinned as error:
            self.settle(self._error(404, f'No deployment "{error.name}" is here.'))
            return
        refusal = self.scoring_refusal(version)
        if version is None or refusal is not None:
            self.settle(refusal or self._error(503, _NOBODY, _RETRY))
            return
        head = self._head() if self._needs_head(version) else b""
        if route in SCORING:
            for shadow in self.scoring.router.shadows(version):
                self._ask_shadow(shadow)
        version.score(route, self.body, head=head, request_id=self.ids.request, done=self.finish)

    def _picked(self) -> Version | None:
        """Return the version that is to answer: the one that the path names, if it does. Raises Pinned."""
        router = self.scoring.router
        asked = None if self.route is Route.SCORE else model_asked(self.request.path)
        if asked is not None:
            found = router.serving(asked.name, asked.version)
            # Where all serve the model that is asked for, traffic decides.
            if found and (asked.version is not None or len(found) < len(router.versions)):
                return found[0]
        return router.pick(self.request)

    def _error(self, status: int, text: str, *headers: tuple[str, str], run_failed: bool = False) -> Answer:
        """Return the answer that says what is wrong, where the client's dialect has it."""
        return _in_words_of(self.route, error_answer(status, text, *headers, run_failed=run_failed))

    def scoring_refusal(self, version: Version | None) -> Answer | None:
        """Return the answer when nobody can be asked now."""
        if version is None:
            return self._error(503, _NOBODY, _RETRY)
        if not version.is_ready:
            return self._error(503, _STARTING, _RETRY)
        if version.waiting >= self.scoring.max_waiting:
            return self._error(503, _BUSY, _RETRY)
        return None

    def finish(self, scored: Scored) -> None:
        """Answer with what came of it."""
        self.settle(self._translate(scored))

    def settle(self, answer: Answer) -> None:
        """Record the request, and only then answer it."""
        milliseconds = (perf_counter() - self.started) * 1000
        self.answer = answer
        if self.route not in SCORING:
            self._recorded(may_answer=True)
            return
        if self.version is not None:
            self._count(self.version, answer, milliseconds)
        for shadow, copied in self.copies:
            self._compare(shadow, answer, copied)
        self.scoring.recorder.record(self._exchange(self.version, answer, milliseconds), self._recorded)

    def _recorded(self, may_answer: bool) -> None:  # noqa: FBT001 - what a recorder says
        answer = self.answer
        assert answer is not None  # noqa: S101 - settle() has set it
        if not may_answer:
            answer = self._error(503, _UNRECORDED, _RETRY)
        self.scoring.answered += 1
        self.respond(finish(answer, self.request, self.ids, self.version))

    def _ask_shadow(self, shadow: Version) -> None:
        """Have a copy answered and recorded; the client never hears of it."""
        if shadow.waiting >= _SHADOWS_AT_ONCE or len(self.body) > _LONGEST_COPY_BYTES:
            shadow.tally.shadows_dropped += 1
            return
        shadow.tally.shadow_requests += 1

        def done(scored: Scored) -> None:
            answer = self._translate(scored)
            milliseconds = (perf_counter() - self.started) * 1000
            self._count(shadow, answer, milliseconds)
            if self.answer is None:
                self.copies.append((shadow, answer))
            else:
                self._compare(shadow, self.answer, answer)
            exchange = self._exchange(shadow, answer, milliseconds)
            exchange.shadow_of = self.version.spec.deployment if self.version else ""
            self.scoring.recorder.record(exchange, lambda _may_answer: None)

        head = self._head() if self._needs_head(shadow) else b""
        shadow.score(self.route, self.body, head=head, request_id=self.ids.request, done=done)

    def _count(self, version: Version, answer: Answer, milliseconds: float) -> None:
        version.tally.note(answer.status, milliseconds)
        if answer.status == _OK:
            version.tally.predictions.offer(answer.body, self.started)

    def _compare(self, shadow: Version, given: Answer, copied: Answer) -> None:
        agreement = shadow.tally.agreement
        agreement.take(self.ids.request, (given.status, given.body), (copied.status, copied.body))

    def _needs_head(self, version: Version) -> bool:
        """Return whether the version has to know more than that JSON was posted to be scored."""
        if version.takes_head or self.route is not Route.SCORE or self.request.method != "POST":
            return True
        headers = self.request.headers
        return (
            headers.get("content-type", _JSON) != _JSON
            or "content-encoding" in headers
            or bool(self.request.query)
            or headers.get("accept", _JSON).startswith(_BINARY)
        )

    def _head(self) -> bytes:
        """Return what a worker is told of a request besides its body."""
        request = self.request
        headers = {_title(name): value for name, value in request.headers.items()}
        # The cloud's front end used to add this one; scripts log their requests by it.
        headers.setdefault("X-Ms-Request-Id", self.ids.legacy)
        head: dict[str, object] = {"headers": headers, "method": request.method}
        head |= {"path": request.path, "query": request.query}
        return json.dumps(head, separators=(",", ":")).encode()

    def _translate(self, scored: Scored) -> Answer:
        """Return the answer to the client for what came of the request."""
        match scored.outcome:
            case Outcome.ANSWERED:
                return _answered(scored)
            case Outcome.RAISED:
                return _answered(scored) if scored.body else self._error(500, FAILED, run_failed=True)
            case Outcome.UNSERIALIZABLE:
                return self._error(500, INTERNAL)
            case Outcome.TIMED_OUT:
                return self._error(504, f"Scoring timeout after {self.scoring.timeout_ms} ms", run_failed=True)
            case Outcome.DIED:
                _LOG.error("the process ended inside run()", extra={"request_id": self.ids.request})
                text = "The model's process ended while it answered. Check the logs for more info."
                return self._error(503, text, _RETRY, run_failed=True)
            case Outcome.DROPPED:
                return self._error(503, _STARTING, _RETRY)

    def _exchange(self, version: Version | None, answer: Answer, milliseconds: float) -> Exchange:
        request = self.request
        return Exchange(
            request_id=self.ids.request,
            received_at=self.received_at,
            version=version.spec.version if version else "",
            deployment=version.spec.deployment if version else "",
            path=request.path,
            status=answer.status,
            duration_ms=milliseconds,
            headers=request.headers,
            input=self.body,
            output=answer.body,
            output_type=answer.content_type,
        )


def _answered(scored: Scored) -> Answer:
    failed = str(scored.outcome is Outcome.RAISED)
    told = (("x-ms-run-function-failed", failed), ("x-ms-run-fn-exec-ms", f"{scored.microseconds / 1000:.3f}"))
    if not scored.head:
        return Answer(scored.status, scored.body, told)
    head = json.loads(scored.head)
    given = tuple((str(name), str(value)) for name, value in head.get("headers", ()))
    return Answer(scored.status, scored.body, told + given, head.get("type", _JSON))


def _in_words_of(route: Route, answer: Answer) -> Answer:
    """Return an answer that says what is wrong, where the route's dialect has it."""
    if route is Route.SCORE:
        return answer
    return replace(answer, body=error_body(route, answer.status, json.loads(answer.body)["message"]))


def _answer_without_scoring(route: Route, method: str) -> Answer:
    allow = ("allow", ", ".join(METHODS[route]))
    if route is not Route.SCORE:
        return _in_words_of(route, error_answer(405, "The method is not allowed for the requested URL.", allow))
    if method == "OPTIONS":
        return Answer(200, b"", (("x-ms-run-function-failed", "False"), allow))
    return error_answer(405, "Method not allowed", allow)


def finish(answer: Answer, request: Request, ids: _Ids, version: Version | None) -> Answer:
    """Return the answer with the headers that every answer has."""
    headers = [*answer.headers, *ids.headers(), _SERVER]
    trace = request.headers.get("traceid")
    if trace is not None:
        headers.append(("TraceId", trace))
    if version is not None:
        headers.append(("x-modelwright-version", version.spec.version))
        if version.spec.name:
            headers.append(("x-modelwright-deployment", version.spec.name))
    return Answer(answer.status, answer.body, tuple(headers), answer.content_type)


@lru_cache(maxsize=1024)
def _title(name: str) -> str:
    return name.title()


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
