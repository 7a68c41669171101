"""The scoring contract: which requests an endpoint takes, and in what form it answers.

Clients and scripts written for Azure's inference server rely on these routes, headers, statuses and texts. Ours is
deliberately better in this: HTTP/1.1 requests need a Host; a `run()` that hangs is ended even inside C code, and its
client told 504; a dead worker gives 503 with Retry-After; `X-Ms-Request-Id` is always among the headers that `run()`
gets.
"""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter, time
from urllib.parse import parse_qsl

from modelwright import __version__
from modelwright.models.guest.wordings import FAILED, INTERNAL, error_body
from modelwright.records import Exchange, FrontSettings, new_request_id
from modelwright.serving.capture.encoding import about_of
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front import tracing
from modelwright.serving.front.access import Guard
from modelwright.serving.front.asking import JSON, Asked, asked
from modelwright.serving.front.connections import Answer, Request, error_answer
from modelwright.serving.front.depth import is_too_deep
from modelwright.serving.front.express import Express, Present, Terms, Words, maker
from modelwright.serving.front.handing import LITTLE_BYTES, Handed, Handing, Within
from modelwright.serving.front.messages import Head, beginning, encode
from modelwright.serving.front.routes import METHODS, Route
from modelwright.serving.front.routing import Pinned, Router
from modelwright.serving.front.tally import Totals
from modelwright.serving.front.tracing import Spans, Trace, Traced
from modelwright.serving.front.versions import Version
from modelwright.serving.front.workers import Outcome, Scored

_LOG = logging.getLogger(__name__)
_RETRY = ("retry-after", "1")
_SERVER_VERSION = f"modelwright/{__version__}"
_SERVER = f"x-ms-server-version: {_SERVER_VERSION}\r\n"
_NOBODY = "No model version is deployed here."
_STARTING = "The model is being started again. Try again soon."
_BUSY = "Too many requests are waiting. Try again soon."
_UNRECORDED = "The request could not be recorded. Check the logs for more info."
_TEXT = "text/plain; charset=utf-8"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = Path(__file__).with_name("docs.html")
# What a shadow that hangs may keep of others' memory: so many copies, none of them longer than this.
_SHADOWS_AT_ONCE = 100
_LONGEST_COPY_BYTES = 1 << 20
_OK = 200
# Looking up a member of an enumeration takes longer than calling a function.
_ANSWERED, _RAISED, _SCORE, _METRICS = Outcome.ANSWERED, Outcome.RAISED, Route.SCORE, Route.METRICS


class Scoring:
    """Answers the requests of an endpoint."""

    def __init__(self, *, router: Router, recorder: Recorder, guard: Guard, settings: FrontSettings) -> None:
        """Have requests that pass `guard` answered by whom `router` says, and recorded by `recorder`."""
        self.router = router
        self.recorder = recorder
        self.guard = guard
        self.timeout_ms = settings.timeout_ms
        self.limits = settings.limits
        self.metrics: Callable[[], bytes] = bytes
        self.spans: Spans | None = None
        self.totals = Totals()
        self._present = Present()

    @property
    def is_healthy(self) -> bool:
        """Whether a request would be scored now."""
        default = self.router.default
        return default is not None and default.is_ready

    def handle(self, request: Request, respond: Callable[[Answer], None]) -> None:
        """Answer one request, at once or later."""
        told = asked(request.head)
        if told.is_for_version:
            refusal = self.guard.refusal(told.key)
            if refusal is None and told.route is not _METRICS:
                _Call(self, request, told, respond).start()
                return
            if refusal is None:
                answer = Answer(200, self.metrics(), content_type=_METRICS_TYPE)
            else:
                answer = _in_words_of(told.route, refusal)
        elif told.refusal is not None:
            answer = replace(told.refusal)
        elif told.is_nowhere:
            answer = error_answer(404, "The requested URL was not found on the server.")
        elif not told.is_allowed:
            answer = _answer_without_scoring(told.route, request.head.method)
        else:
            answer = self._answer_itself(told.route)
        number = told.request_id or ("" if told.refusal else new_request_id())
        respond(_finish(answer, told, number, None))

    def admit(self, request: Request) -> Answer | None:
        """Return the answer to a request that is refused whatever its body says, so that this need not be read."""
        told = asked(request.head)
        refusal = self.guard.refusal(told.key) if told.is_for_version else None
        if refusal is None:
            return None
        return _finish(_in_words_of(told.route, refusal), told, told.request_id or new_request_id(), None)

    def shorten(self, head: Head, told: Asked, version: Version) -> None:
        """Let requests with this head take the short way from now on, if nothing speaks against it."""
        until, model, limits = self.guard.good_until(told.key), version.arrays, self.limits
        if not (head.data and told.is_usual and self.router.is_alone(version)) or (
            head.express and head.express.is_open
        ):
            return
        if self.spans is not None or not self.recorder.is_plain:
            return
        exchange = Exchange(
            "", 0.0, version.spec.version, version.spec.deployment, head.path, _OK, 0.0, head.headers, b"", b""
        )
        words = Words(
            beginning=beginning(_OK, JSON),
            server=_SERVER,
            ending=_version_lines(told, version),
            about=about_of(exchange),
        )
        terms = Terms(
            self._present,
            until,
            limits.max_concurrent or math.inf,
            self.recorder,
            version.tally,
            self.totals,
            unrecorded=lambda number: encode(_finish(error_answer(503, _UNRECORDED, _RETRY), told, number, version)),
        )
        if model is not None:
            head.express = Express(maker(model, words, max_depth=limits.max_depth), terms)
        elif not version.takes_head:
            within = Within(limits.max_waiting, limits.max_depth)
            head.express = Handing(version, words, terms, within, lambda *handed: self._go_on(told, version, *handed))

    def _go_on(self, told: Asked, version: Version, handed: Handed, scored: Scored) -> None:
        """Answer a request that took the short way, as on the long one."""
        call = _Call(self, handed, told, handed.respond)
        call.request_id, call.version = handed.number, version
        call.received_at, call.started = handed.received_at, handed.started
        call.finish(scored)

    def end_short_ways(self) -> None:
        """Have every request looked at from the beginning again: something was changed."""
        self._present.lasts = False
        self._present = Present()

    def _answer_itself(self, route: Route) -> Answer:
        """Answer what is known here: how the endpoint is, by each dialect's name for it, and the page to try it on."""
        if route is Route.DOCS:
            return Answer(200, _PAGE.read_bytes(), content_type="text/html; charset=utf-8")
        if route is Route.VERSION:
            return Answer(200, _SERVER_VERSION.encode(), content_type=_TEXT)
        if route is Route.LIVE:
            return Answer(200, b'{"live": true}')
        if route is Route.READY:
            told = json.dumps({"ready": self.is_healthy}).encode()
            return Answer(200, told) if self.is_healthy else Answer(503, told, (_RETRY,))
        if self.is_healthy:
            return Answer(200, b"Healthy" if route is Route.HEALTH else b"\n", content_type=_TEXT)
        return Answer(503, b"Unhealthy", (_RETRY,), content_type=_TEXT)


class _Call:
    """A request to a model on its way: asked, recorded, answered."""

    __slots__ = (
        "answer",
        "asked",
        "body",
        "copies",
        "head",
        "milliseconds",
        "received_at",
        "request_id",
        "respond",
        "run_seconds",
        "scoring",
        "started",
        "trace",
        "version",
    )

    def __init__(self, scoring: Scoring, request: Request, told: Asked, respond: Callable[[Answer], None]) -> None:
        self.scoring = scoring
        self.head = request.head
        self.body = request.body
        self.asked = told
        self.request_id = told.request_id or new_request_id()
        self.respond = respond
        self.received_at = time()
        self.started = perf_counter()
        self.version: Version | None = None
        self.answer: Answer | None = None
        self.copies: list[tuple[Version, Answer]] | None = None
        self.trace = tracing.given(told.traceparent) if told.traceparent else None
        self.run_seconds = self.milliseconds = 0.0

    def start(self) -> None:
        """Ask the version whose turn it is, and shadows beside it."""
        told, scoring = self.asked, self.scoring
        scoring.totals.in_progress += 1
        try:
            if told.is_in_query:
                self.body = _query_as_json(self.head.query).encode()
            version = self.version = self._picked()
        except RecursionError:
            self.settle(self._error(400, "The query's values are nested too deeply."))
            return
        except Pinned as error:
            self.settle(self._error(404, f'No deployment "{error.name}" is here.'))
            return
        refusal = self._refusal(version)
        if version is None or refusal is not None:
            self.settle(refusal or self._error(503, _NOBODY, _RETRY))
            return
        head = b"" if told.is_plain and not version.takes_head else self._told_head()
        if scoring.router.has_shadows and told.is_scoring:
            for shadow in scoring.router.shadows(version):
                self._ask_shadow(shadow)
        if told.is_usual and told.is_known:
            scoring.shorten(self.head, told, version)
        version.score(told.route, self.body, head=head, request_id=self.request_id, done=self.finish)

    def _picked(self) -> Version | None:
        """Return the version that is to answer: the one that the path names, if it does. Raises Pinned."""
        router, named = self.scoring.router, self.asked.model
        if named is not None:
            found = router.serving(named.name, named.version)
            # Where all serve the model that is asked for, traffic decides.
            if found and (named.version is not None or len(found) < len(router.versions)):
                return found[0]
        return router.pick(self.head) if self.asked.is_pinned else router.draw(self.head)

    def _error(self, status: int, text: str, *headers: tuple[str, str], run_failed: bool = False) -> Answer:
        """Return the answer that says what is wrong, where the client's dialect has it."""
        return _in_words_of(self.asked.route, error_answer(status, text, *headers, run_failed=run_failed))

    def _refusal(self, version: Version | None) -> Answer | None:
        """Return the answer when nobody can be asked now, or not for this."""
        limits = self.scoring.limits
        if version is None:
            return self._error(503, _NOBODY, _RETRY)
        if not version.is_ready:
            return self._error(503, _STARTING, self._retry())
        if version.waiting >= limits.max_waiting or self.scoring.totals.in_progress > limits.max_concurrent > 0:
            return self._error(503, _BUSY, _RETRY)
        if len(self.body) > LITTLE_BYTES and version.unread_bytes > limits.max_held_bytes:
            return self._error(503, _BUSY, _RETRY)
        if len(self.body) > limits.max_depth and is_too_deep(self.body, limits.max_depth):
            return self._error(400, f"The body must not be nested more than {limits.max_depth} deep.")
        return None

    def _retry(self) -> tuple[str, str]:
        """Return the header that says when the version should be back."""
        return ("retry-after", str(self.version.retry_seconds if self.version else 1))

    def finish(self, scored: Scored) -> None:
        """Answer with what came of it."""
        self.run_seconds = scored.microseconds / 1e6
        try:
            self.settle(_answered(scored) if scored.outcome is _ANSWERED else self._translate(scored))
        except Exception:  # noqa: BLE001 - scripts answer anything, and a client that waits is to hear of it
            _LOG.exception("a request could not be answered", extra={"request_id": self.request_id})
            self.answer = self._error(500, INTERNAL)
            self._recorded(may_answer=True)

    def settle(self, answer: Answer) -> None:
        """Record the request, and only then answer it."""
        milliseconds = self.milliseconds = (perf_counter() - self.started) * 1000
        self.answer = answer
        if not self.asked.is_scoring:
            self._recorded(may_answer=True)
            return
        if self.version is not None:
            self.version.tally.note(answer.status, milliseconds, self.body, answer.body)
        if self.copies:
            for shadow, copied in self.copies:
                self._compare(shadow, answer, copied)
        self.scoring.recorder.record(self._exchange(self.version, answer, milliseconds), self._recorded)

    def _recorded(self, may_answer: bool) -> None:  # noqa: FBT001 - what a recorder says
        answer = self.answer
        assert answer is not None  # noqa: S101 - settle() has set it
        if not may_answer:
            answer = self._error(503, _UNRECORDED, _RETRY)
        self.scoring.totals.answered += 1
        self.scoring.totals.in_progress -= 1
        if self.scoring.spans is not None:
            self._trace(self.scoring.spans, answer)
        self.respond(_finish(answer, self.asked, self.request_id, self.version, self.trace))

    def _trace(self, spans: Spans, answer: Answer) -> None:
        """Have the request's spans sent; one that its client did not trace begins a trace."""
        self.trace = self.trace or tracing.new()
        spans.add(
            Traced(
                self.trace,
                self.request_id,
                self.head.method,
                self.head.path,
                answer.status,
                self.version.spec.deployment if self.version else "",
                self.version.spec.version if self.version else "",
                begun_at=self.received_at,
                scored_at=self.received_at + self.milliseconds / 1000,
                answered_at=self.received_at + perf_counter() - self.started,
                run_seconds=self.run_seconds,
            )
        )

    def _ask_shadow(self, shadow: Version) -> None:
        """Have a copy answered and recorded; the client never hears of it."""
        if shadow.waiting >= _SHADOWS_AT_ONCE or len(self.body) > _LONGEST_COPY_BYTES:
            shadow.tally.shadows_dropped += 1
            return
        shadow.tally.shadow_requests += 1

        def done(scored: Scored) -> None:
            answer = self._translate(scored)
            milliseconds = (perf_counter() - self.started) * 1000
            shadow.tally.note(answer.status, milliseconds, self.body, answer.body)
            if self.answer is None:
                self.copies = [*(self.copies or ()), (shadow, answer)]
            else:
                self._compare(shadow, self.answer, answer)
            exchange = self._exchange(shadow, answer, milliseconds)
            exchange.shadow_of = self.version.spec.deployment if self.version else ""
            self.scoring.recorder.record(exchange, lambda _may_answer: None)

        head = b"" if self.asked.is_plain and not shadow.takes_head else self._told_head()
        shadow.score(self.asked.route, self.body, head=head, request_id=self.request_id, done=done)

    def _compare(self, shadow: Version, given: Answer, copied: Answer) -> None:
        agreement = shadow.tally.agreement
        agreement.take(self.request_id, (given.status, given.body), (copied.status, copied.body))

    def _told_head(self) -> bytes:
        """Return what a worker is told of the request besides its body."""
        self.trace = self.trace or tracing.new()
        number = self.asked.legacy_id or self.request_id
        return self.asked.head(self.head, number, trace=self.trace.header, hides_keys=self.scoring.guard.is_required)

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
                _LOG.error("the process ended inside run()", extra={"request_id": self.request_id})
                text = "The model's process ended while it answered. Check the logs for more info."
                return self._error(503, text, self._retry(), run_failed=True)
            case Outcome.DROPPED | Outcome.LATE:
                return self._error(503, _BUSY if scored.outcome is Outcome.LATE else _STARTING, self._retry())

    def _exchange(self, version: Version | None, answer: Answer, milliseconds: float) -> Exchange:
        head = self.head
        return Exchange(  # by place, since by name it takes three times as long
            self.request_id,
            self.received_at,
            version.spec.version if version else "",
            version.spec.deployment if version else "",
            head.path,
            answer.status,
            milliseconds,
            {**head.headers, "traceparent": self.trace.header} if self.trace else head.headers,
            self.body,
            answer.body,
            answer.content_type,
        )


def _answered(scored: Scored) -> Answer:
    lines = _run_lines(scored.microseconds, has_failed=scored.outcome is _RAISED)
    if not scored.head:
        return Answer(scored.status, scored.body, (), JSON, lines)
    head = json.loads(scored.head)
    given = tuple((str(name), str(value)) for name, value in head.get("headers", ()))
    return Answer(scored.status, scored.body, given, str(head.get("type", JSON)), lines)


@lru_cache(maxsize=4096)
def _run_lines(microseconds: int, *, has_failed: bool) -> str:
    """Return the headers that tell how `run` went."""
    milliseconds, thousandths = divmod(microseconds, 1000)
    return f"x-ms-run-function-failed: {has_failed}\r\nx-ms-run-fn-exec-ms: {milliseconds}.{thousandths:03}\r\n"


def _in_words_of(route: Route, answer: Answer) -> Answer:
    """Return an answer that says what is wrong, where the route's dialect has it."""
    if route is _SCORE:
        return answer
    return replace(answer, body=error_body(route, answer.status, json.loads(answer.body)["message"]))


def _answer_without_scoring(route: Route, method: str) -> Answer:
    allow = ("allow", ", ".join(METHODS[route]))
    if route is not Route.SCORE:
        return _in_words_of(route, error_answer(405, "The method is not allowed for the requested URL.", allow))
    if method == "OPTIONS":
        return Answer(200, b"", (("x-ms-run-function-failed", "False"), allow))
    return error_answer(405, "Method not allowed", allow)


def _finish(
    answer: Answer, told: Asked, request_id: str, version: Version | None, trace: Trace | None = None
) -> Answer:
    """Give the answer the headers that every answer has."""
    if trace is not None:
        answer.lines += f"traceparent: {trace.header}\r\n"
    if version is not None:
        legacy_id = told.legacy_id or request_id
        ids = f"x-request-id: {request_id}\r\nx-ms-request-id: {legacy_id}\r\n"
        answer.lines += f"{_SERVER}{ids}{_version_lines(told, version)}"
        return answer
    answer.lines += _SERVER + told.echo
    if request_id:
        answer.lines += f"x-request-id: {request_id}\r\n"
        if told.refusal is None:
            answer.lines += f"x-ms-request-id: {told.legacy_id or request_id}\r\n"
    return answer


def _version_lines(told: Asked, version: Version) -> str:
    """Return what is echoed of the request, and who answered it."""
    name = version.spec.name
    named = f"x-modelwright-deployment: {name}\r\n" if name else ""
    return f"{told.echo}x-modelwright-version: {version.spec.version}\r\n{named}"


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
