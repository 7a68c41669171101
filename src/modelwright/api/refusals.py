"""Every refusal in one shape: the error's code, its message, what to do next, and what programs are told besides."""

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from modelwright.errors import (
    DiskFull,
    Fault,
    MethodNotAllowed,
    ModelwrightError,
    RequestInvalid,
    RequestTooLarge,
    RouteMissing,
)
from modelwright.records.plain import plain

MOST_BYTES = 4 * 1024 * 1024  # of a body that is read as JSON; files come as streams


class Told(BaseModel):
    """What is wrong, as words and as a code, and the next command."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    next_command: str


class Refusal(BaseModel):
    """Why a request was refused."""

    error: Told


def install(app: FastAPI) -> None:
    """Have the application answer all that goes wrong in this shape, what the framework refuses too."""
    app.add_exception_handler(ModelwrightError, _explained)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(ClientDisconnect, _broken_off)
    app.add_exception_handler(Exception, _failed)


def answer(error: ModelwrightError, *, headers: dict[str, str] | None = None) -> Response:
    """Return the answer to a request that ended in this error."""
    told = {"code": error.code, "message": str(error), "next_command": error.next_command}
    body = orjson.dumps({"error": told | plain(error.details())}, default=str)
    return Response(body, error.status, headers, media_type="application/json")


def _explained(request: Request, error: Any) -> Response:
    told = answer(error)
    scratch = getattr(request.state, "scratch", None)
    # What was sent is called as it was sent; where it lies meanwhile nobody needs to know.
    for folder in {scratch, scratch.resolve()} if scratch else ():
        told.body = bytes(told.body).replace(orjson.dumps(f"{folder}/")[1:-1], b"")
    told.headers["Content-Length"] = str(len(told.body))
    return told


def _invalid(_request: Request, error: Any) -> Response:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return answer(RequestInvalid(place=place, rule=first["msg"]))


def _unrouted(request: Request, error: Any) -> Response:
    place = request.url.path
    if error.status_code == 404:  # noqa: PLR2004 - HTTP's word for it
        return answer(RouteMissing(path=place))
    if error.status_code == 405:  # noqa: PLR2004 - HTTP's word for it
        headers = {"Allow": ", ".join(_methods(request))}
        return answer(MethodNotAllowed(method=request.method, path=place), headers=headers)
    if error.status_code == 413:  # noqa: PLR2004 - HTTP's word for it
        return answer(RequestTooLarge(limit=MOST_BYTES))
    return answer(RequestInvalid(place="body", rule=error.detail))


def _broken_off(_request: Request, _error: Any) -> Response:
    # Nobody hears it: the framework would tell the log of a fault of ours.
    return answer(RequestInvalid(place="body", rule="it broke off"))


def _methods(request: Request) -> list[str]:
    """Return all methods that mean something at the request's path: the framework names those of one route."""
    routes = request.app.routes
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(each.matches({**request.scope, "method": method})[0] is Match.FULL for each in routes)
    ]


def _failed(_request: Request, error: Any) -> Response:
    # The traceback goes to the log of the process: the framework raises the error again after this answer.
    full = DiskFull.found_in(error) if isinstance(error, OSError) else None
    return answer(full or Fault())
