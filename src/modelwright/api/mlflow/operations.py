"""Turns operations into routes: reads what a request gives, and carries the operation out beside the loop."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelwright.api.mlflow.answers import answer
from modelwright.api.mlflow.calls import Call
from modelwright.errors import ValueRefused
from modelwright.lifecycle.sessions import Session
from modelwright.store import experiments

# A run's inputs may bring a profile of 16 MB each; what is larger is no description of anything.
_LARGEST_BODY = 64 << 20


class Operation(NamedTuple):
    """What a client can ask for: `carry_out` gets the call and returns the answer's content."""

    method: str
    path: str
    carry_out: Callable[[Call], dict[str, Any]]
    is_looking: bool = False


def reading(method: str, path: str, carry_out: Callable[[Call], dict[str, Any]]) -> Operation:
    """Return an operation that changes nothing, which every holder of a token may ask for, whatever its method."""
    return Operation(method, path, carry_out, is_looking=True)


def routed(operations: Iterable[Operation]) -> list[Route]:
    """Return a route for each operation."""
    return [Route(f"/{each.path}", _endpoint(each), methods=[each.method]) for each in operations]


def session(request: Request) -> Session:
    """Return the session in which the request acts: `Authentication` has found out whose it is."""
    return Session(request.app.state.store, request.state.actor)


def _endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answered, operation, request, await _body(request))

    return endpoint


def _answered(operation: Operation, request: Request, body: bytes) -> Response:
    acting = session(request)
    state = request.app.state
    if not getattr(state, "has_default", False):
        if not experiments.has_default(acting.store):
            with acting.change() as opened:
                experiments.ensure_default(opened)
        state.has_default = True
    return answer(operation.carry_out(Call(acting, _given(request, body))))


def _given(request: Request, body: bytes) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.path_params)
    query = request.query_params
    given |= {name: each[0] if len(each := query.getlist(name)) == 1 else each for name in query}
    if body:
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValueRefused(name="the body", rule=f"it is JSON: {error}") from error
        if not isinstance(told, dict):
            raise ValueRefused(name="the body", rule=f"it is an object, not {type(told).__name__}")
        given |= told
    return given


async def _body(request: Request) -> bytes:
    """Return the whole body. Raises ValueRefused for one that no client of good will sends."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise ValueRefused(name="the body", rule=f"it has at most {_LARGEST_BODY >> 20} MB")
    return bytes(body)
