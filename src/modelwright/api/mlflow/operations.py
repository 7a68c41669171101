"""Leads requests to operations: reads what a request gives, and carries the operation out beside the loop."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelwright.api.mlflow.answers import answer, failed, refused, told
from modelwright.api.mlflow.calls import Call
from modelwright.errors import KindNotKept, ModelwrightError, ValueRefused
from modelwright.lifecycle.sessions import Session
from modelwright.store import experiments

# A run's inputs may bring a profile of 16 MB each; what is larger is no description of anything.
_LARGEST_BODY = 64 << 20
# As many as the framework has, for which a request would go a longer way. Most operations wait for the disk.
_THREADS = 40
_log = logging.getLogger(__name__)
# What clients know that is not kept here, by the first part of its paths, and what they call to send no more of it.
_KINDS = {
    "traces": ("traces", "mlflow.tracing.disable() stops sending them"),
    "prompts": ("prompts", "log the text as a file of a run: mlflow.log_text(text, path)"),
    "datasets": (
        "evaluation data sets",
        "wright dataset add NAME PATH registers data; mlflow.log_input says what a run read",
    ),
    "scorers": ("scorers", "log what they found as metrics"),
}

Endpoint = Callable[[Request], Awaitable[Response]]


class Operation(NamedTuple):
    """What a client can ask for: `carry_out` gets the call and returns the answer's content."""

    method: str
    path: str
    carry_out: Callable[[Call], dict[str, Any]]
    is_looking: bool = False


def reading(method: str, path: str, carry_out: Callable[[Call], dict[str, Any]]) -> Operation:
    """Return an operation that changes nothing, which every holder of a token may ask for, whatever its method."""
    return Operation(method, path, carry_out, is_looking=True)


class Dispatcher:
    """The application that carries operations out, found by method and path without trying one after the other."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Take all that can be asked for."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mlflow")
        self._fixed: dict[tuple[str, str], Operation] = {}
        # Of a path with names in braces: by its method, its first part and how many parts it has.
        self._named: dict[tuple[str, str, int], Operation] = {}
        for each in operations:
            parts = each.path.split("/")
            if "{" in each.path:
                self._named[each.method, parts[0], len(parts)] = each
            else:
                self._fixed[each.method, each.path] = each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whose path goes on after `/mlflow/`."""
        await (await _answered(self._endpoint, Request(scope, receive)))(scope, receive, send)

    async def _endpoint(self, request: Request) -> Response:
        path = request.scope["path"].partition("/mlflow/")[2]
        operation, named = self._find(request.method, path)
        if operation is None:
            refuse_kind(path.partition("/")[0])
            told = f'this server has no "{request.method} {path}" of MLflow\'s'
            return refused(404, "ENDPOINT_NOT_FOUND", told)
        body, loop = await _body(request), asyncio.get_running_loop()
        context = contextvars.copy_context()  # which knows how many events led here
        return await loop.run_in_executor(self._threads, context.run, _carried_out, operation, request, named, body)

    def _find(self, method: str, path: str) -> tuple[Operation | None, dict[str, str]]:
        found = self._fixed.get((method, path))
        if found is None:
            parts = path.split("/")
            found = self._named.get((method, parts[0], len(parts)))
            if found is not None:
                names = found.path.split("/")
                return found, {name[1:-1]: part for name, part in zip(names, parts, strict=True) if name[0] == "{"}
        return found, {}


def refuse_kind(name: str) -> None:
    """Refuse what is of a kind that is not kept here. Raises KindNotKept."""
    if name in _KINDS:
        kind, remedy = _KINDS[name]
        raise KindNotKept(kind=kind, remedy=remedy)


def explaining(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with its errors told in MLflow's shape."""

    async def told_of(request: Request) -> Response:
        return await _answered(endpoint, request)

    return told_of


async def _answered(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except ModelwrightError as error:
        return told(error)
    except ClientDisconnect:
        return refused(400, "CANCELLED", "the request broke off")
    except Exception:  # noqa: BLE001 - whatever it is, the client is to hear of it in its own shape
        _log.exception("%s %s", request.method, request.scope["path"])
        return failed()


def session(request: Request) -> Session:
    """Return the session in which the request acts: `Authentication` has found out whose it is."""
    return Session(request.app.state.store, request.state.actor)


def _carried_out(operation: Operation, request: Request, named: Mapping[str, str], body: bytes) -> Response:
    acting = session(request)
    state = request.app.state
    if not getattr(state, "has_default", False):
        if not experiments.has_default(acting.store):
            with acting.change() as opened:
                experiments.ensure_default(opened)
        state.has_default = True
    return answer(operation.carry_out(Call(acting, {**_given(request, body), **named})))


def _given(request: Request, body: bytes) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if request.scope["query_string"]:
        query = request.query_params
        given = {name: each[0] if len(each := query.getlist(name)) == 1 else each for name in query}
    if body:
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValueRefused(name="the body", rule=f"it is JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueRefused(name="the body", rule=f"it is an object, not {type(content).__name__}")
        given |= content
    return given


async def _body(request: Request) -> bytes:
    """Return the whole body. Raises ValueRefused for one that no client of good will sends."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise ValueRefused(name="the body", rule=f"it has at most {_LARGEST_BODY >> 20} MB")
    return bytes(body)
