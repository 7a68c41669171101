"""What a request asks for, as far as its head tells; requests with the same plain head ask for the same."""

import json
from functools import lru_cache

from modelwright.serving.front import tracing
from modelwright.serving.front.access import KEY_HEADERS, key_in
from modelwright.serving.front.messages import Answer, Head, error_answer
from modelwright.serving.front.routes import METHODS, OF_FRONT, SCORING, Route, find, model_asked
from modelwright.serving.front.routing import PINS

JSON = "application/json"
_MAX_ID_LENGTH = 100
_PLAIN_TYPES = frozenset({JSON, f"{JSON};charset=utf-8"})
# Forms of an answer that a client must ask for.
_BINARY = ("application/vnd.apache.arrow", "application/x-npy")
_NAME, _TRACE = "X-Ms-Request-Id", "Traceparent"


class Asked:
    """A head's route, the key and the ids in it, what of it is echoed, and what a worker is told of it.

    `refusal` answers those that are not to be taken. Ids that were not given are empty: each request gets its own. A
    plain request is JSON that is posted to be scored and answered as JSON: it needs no head. A usual
    one, besides, has no id or trace of its own, and names no deployment. A
    known one came before with the same head.
    """

    __slots__ = (
        "_begun_heads",
        "echo",
        "is_allowed",
        "is_for_version",
        "is_in_query",
        "is_known",
        "is_nowhere",
        "is_pinned",
        "is_plain",
        "is_scoring",
        "is_usual",
        "key",
        "legacy_id",
        "model",
        "refusal",
        "request_id",
        "route",
        "traceparent",
    )

    def __init__(self, head: Head) -> None:
        """Find it out."""
        headers = head.headers
        found = find(head.path)
        self.is_nowhere = found is None
        self.route = route = Route.HEALTH if found is None else found
        self.refusal: Answer | None = None
        self.key = key_in(headers)
        self.request_id = headers.get("x-request-id", "")
        client = headers.get("x-ms-client-request-id", "")
        self.legacy_id = headers.get("x-ms-request-id", "") or client
        client = client or self.legacy_id
        if len(self.request_id) > _MAX_ID_LENGTH:
            self.refusal = error_answer(431, f"x-request-id must not exceed {_MAX_ID_LENGTH} characters")
            self.request_id = self.legacy_id = client = ""
        elif len(self.legacy_id) > _MAX_ID_LENGTH or len(client) > _MAX_ID_LENGTH:
            text = f"x-ms-request-id and x-ms-client-request-id must not exceed {_MAX_ID_LENGTH} characters"
            self.refusal = error_answer(431, text)
            self.legacy_id = client = ""
        self.echo = _lines(("x-ms-client-request-id", client), ("TraceId", headers.get("traceid", "")))
        method = head.method
        self.is_allowed = method in METHODS[route] and method != "OPTIONS"
        self.is_for_version = self.refusal is None and self.is_allowed and route not in OF_FRONT
        self.is_scoring = route in SCORING
        self.is_in_query = route is Route.SCORE and method == "GET"
        self.is_plain = route is Route.SCORE and _is_plain(head)
        self.is_pinned = any(header in headers for header in PINS)
        self.model = None if route is Route.SCORE else model_asked(head.path)
        self.traceparent = headers.get("traceparent", "")
        self.is_known = False
        self.is_usual = self.is_plain and not (self.request_id or self.legacy_id or self.traceparent or self.is_pinned)
        self._begun_heads: dict[bool, str] = {}

    def head(self, head: Head, legacy_id: str, *, trace: str, hides_keys: bool) -> bytes:
        """Return what a worker is told of the request besides its body, as JSON that ends in what is its own.

        That is the id it goes by and its place in a trace. Scripts log what they get: keys are hidden from them.
        """
        begun = self._begun_heads.get(hides_keys)
        if begun is None:
            begun = self._begun_heads[hides_keys] = _begun_head(head, hides_keys=hides_keys)
        return f'{begun}"{_NAME}":{json.dumps(legacy_id)},"{_TRACE}":"{trace}"}}}}'.encode()


def asked(head: Head) -> Asked:
    """Return what a request with this head asks for; for a plain head that is found out once."""
    found = head.meaning
    if isinstance(found, Asked):
        found.is_known = True
        return found
    found = Asked(head)
    if head.data:
        head.meaning = found
    return found


def _is_plain(head: Head) -> bool:
    headers = head.headers
    return (
        head.method == "POST"
        and not head.query
        and headers.get("content-type", JSON).lower().replace(" ", "") in _PLAIN_TYPES
        and "content-encoding" not in headers
        and not headers.get("accept", JSON).startswith(_BINARY)
    )


def _begun_head(head: Head, *, hides_keys: bool) -> str:
    headers = {_title(name): value for name, value in head.headers.items()}
    # The cloud's front end used to add the first where it was missing; scripts log their requests by it.
    for name in (_NAME, _TRACE, *(KEY_HEADERS if hides_keys else ())):
        headers.pop(name, None)
    # The state belongs to a trace that goes on.
    if tracing.given(head.headers.get("traceparent", "")) is None:
        headers.pop("Tracestate", None)
    told = {"method": head.method, "path": head.path, "query": head.query, "headers": headers}
    text = json.dumps(told, separators=(",", ":"))[:-2]
    return f"{text}," if headers else text


def _lines(*headers: tuple[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers if value])


@lru_cache(maxsize=1024)
def _title(name: str) -> str:
    return name.title()
