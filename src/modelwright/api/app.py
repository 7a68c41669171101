"""The HTTP API of a workspace: an application that any ASGI server can serve."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from modelwright import __version__
from modelwright.api import datasets, endpoints, environments, models, pipelines, runs
from modelwright.api.mlflow import application
from modelwright.errors import ModelwrightError, TokenUnknown
from modelwright.lifecycle.launching import Launcher
from modelwright.records.plain import plain
from modelwright.store import tokens
from modelwright.store.database import open_store

_bearer = HTTPBearer(auto_error=False)


def create_app(workspace: Path) -> FastAPI:
    """Return the application for the workspace at this folder. Runs that it has started end with it."""
    tracking = application.create_app()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.store = open_store(workspace)
        app.state.launcher = Launcher(app.state.store)
        tracking.state.store = app.state.store
        yield
        app.state.launcher.end()
        app.state.store.close()

    app = FastAPI(
        title="Modelwright", version=__version__, lifespan=lifespan, dependencies=[Depends(_known)], docs_url=None
    )
    for each in (datasets, endpoints, environments, models, pipelines, runs):
        app.include_router(each.router)
    app.router.routes += application.routes(tracking)
    app.add_exception_handler(ModelwrightError, _explained)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def _known(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Let only requests with a token of this workspace through, and say in whose name and role they come."""
    holder = tokens.find_holder(request.app.state.store, credentials.credentials) if credentials else None
    if holder is None:
        raise TokenUnknown
    request.state.actor, request.state.role = holder.name, holder.role


def _explained(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ModelwrightError)  # noqa: S101 - it is registered for these
    return _answer(error.status, error.code, str(error), error.next_command, **plain(error.details()))


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _answer(422, "request-invalid", f'"{place}": {first["msg"]}', "GET /openapi.json tells what is taken")


def _answer(status: int, code: str, message: str, next_command: str, **details: object) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "next_command": next_command} | details}, status)
