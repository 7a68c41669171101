"""The HTTP API of a workspace: an application that any ASGI server can serve."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from modelwright import __version__
from modelwright.api import commands, datasets, endpoints, environments, models, pipelines, runs, whoami
from modelwright.api.authentication import Authentication, Surface
from modelwright.errors import ModelwrightError
from modelwright.lifecycle.launching import Launcher
from modelwright.records.plain import plain
from modelwright.store.database import open_store


def create_app(workspace: Path, *, trusts_loopback: bool = True) -> FastAPI:
    """Return the application for the workspace at this folder. Runs that it has started end with it.

    `trusts_loopback` unless others are let in: whether the workspace's user needs no token on this machine.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.store = open_store(workspace)
        app.state.launcher = Launcher(app.state.store)
        yield
        app.state.launcher.end()
        app.state.store.close()

    app = FastAPI(
        title="Modelwright",
        version=__version__,
        lifespan=lifespan,
        # For the OpenAPI document alone: `Authentication` has looked before.
        dependencies=[Depends(HTTPBearer(auto_error=False))],
        docs_url=None,
        redoc_url=None,
    )
    for each in (commands, datasets, endpoints, environments, models, pipelines, runs, whoami):
        app.include_router(each.router)
    # A command says itself which role it takes. What is mounted with error answers of its own has its surface first.
    app.add_middleware(
        Authentication,
        surfaces=[Surface("", explained, looks=lambda path: path == commands.PATH)],
        trusts_loopback=trusts_loopback,
    )
    app.add_exception_handler(ModelwrightError, _explained)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def explained(error: ModelwrightError) -> JSONResponse:
    """Return the answer that tells of an error."""
    return _answer(error.status, error.code, str(error), error.next_command, **plain(error.details()))


def _explained(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ModelwrightError)  # noqa: S101 - it is registered for these
    return explained(error)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _answer(422, "request-invalid", f'"{place}": {first["msg"]}', "GET /openapi.json tells what is taken")


def _answer(status: int, code: str, message: str, next_command: str, **details: object) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "next_command": next_command} | details}, status)
