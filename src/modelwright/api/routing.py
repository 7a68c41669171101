"""How a route is made of a function: its answer and the document's word on it come from what the function returns."""

import functools
import inspect
import json
from collections.abc import Callable, Coroutine
from typing import Any, Union, get_args
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from modelwright.api.refusals import MOST_BYTES, Refusal
from modelwright.api.shapes import shape
from modelwright.api.waiting import Accepted, Going
from modelwright.records import Role
from modelwright.records.plain import plain

_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "The request has no token that counts."},
    "4XX": {"model": Refusal, "description": "What was asked for is refused; the answer says why and what to do."},
    "5XX": {"model": Refusal, "description": "The machine could not do it, such as when a file is damaged."},
}


class _Asked(Request):
    """A request whose JSON is read strictly: no NaN, no half of a surrogate pair, nothing nested without end."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > MOST_BYTES:
                    raise HTTPException(413)  # what else is raised here becomes a 400
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        return orjson.loads(await self.body())


class _Route(APIRoute):
    """A route that reads requests as `_Asked` does, and says in its answer where the next page is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            asked = _Asked(request.scope, request.receive)
            answer = await handler(asked)
            following = getattr(asked.state, "next_page", None)
            if following:
                answer.headers["Link"] = f'<{following}>; rel="next"'
            return answer

        return handle


class Router(APIRouter):
    """The routes of a noun. What a function returns, a record or what holds some, is answered as `plain` tells it."""

    def __init__(self, prefix: str, *, tag: str = "") -> None:
        """Take the path that all its routes begin with."""
        super().__init__(prefix=prefix, tags=[tag or prefix.strip("/")], route_class=_Route)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route whose schema is that of the function's annotation, and whose description has its role."""
        kind = inspect.signature(endpoint).return_annotation
        is_own = isinstance(kind, type) and issubclass(kind, Response)
        role = next(
            (each.dependency.role for each in options.get("dependencies") or () if _has_role(each)), Role.READER
        )
        said = inspect.getdoc(endpoint) or ""
        answers = dict(options.get("responses") or {})
        if not is_own:
            answers = _answers(kind, options.get("status_code") or 200) | answers
        super().add_api_route(
            path,
            endpoint if is_own else _told(endpoint, options.get("status_code") or 200),
            **options
            | {
                "summary": said.partition("\n")[0].partition(";")[0].rstrip(".") + ".",
                "description": f"{said}\n\nTakes the role **{role}**.",
                "response_model": None,
                # The framework would call refusals what such an answer is: pages, files.
                "response_class": Response if is_own else JSONResponse,
                "responses": answers | _REFUSALS,
                "operation_id": endpoint.__name__,
            },
        )


def _answers(kind: Any, status: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of a function's answers: of work that may go on, there are two."""
    if Accepted not in get_args(kind):
        return {status: {"model": shape(kind), "description": "It is done."}}
    done: Any = Union[tuple(each for each in get_args(kind) if each is not Accepted)]  # noqa: UP007 - of a list of types
    going = {"model": shape(Accepted), "description": "It goes on; the answer says where to look."}
    return _answers(done, status) | {202: going}


def _has_role(dependency: Depends) -> bool:
    return hasattr(dependency.dependency, "role")


def _told(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    def tell(*arguments: Any, **named: Any) -> Response:
        return _answer(endpoint(*arguments, **named), status)

    @functools.wraps(endpoint)
    async def wait(*arguments: Any, **named: Any) -> Response:
        found = await run_in_threadpool(endpoint, *arguments, **named)
        return await run_in_threadpool(_answer, await found.answered() if isinstance(found, Going) else found, status)

    return wait if Accepted in get_args(inspect.signature(endpoint).return_annotation) else tell


def _answer(found: Any, status: int) -> Response:
    if isinstance(found, Response):
        return found
    headers = {"Location": quote(found.look, safe="/:@?=")} if isinstance(found, Accepted) else None
    code = 202 if isinstance(found, Accepted) else status
    return Response(_json(plain(found)), code, headers, media_type="application/json")


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str)
    except TypeError:  # a parameter may be a number of more than 64 bits, which few programs read
        return json.dumps(value, default=str).encode()
