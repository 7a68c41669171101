"""The HTTP API of a workspace: an application that any ASGI server can serve."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBasic, HTTPBearer

from modelwright import __version__
from modelwright.api import (
    access,
    audit,
    captures,
    commands,
    confirmations,
    datasets,
    endpoints,
    environments,
    events,
    experiments,
    lineage,
    models,
    page,
    pipelines,
    refusals,
    rollouts,
    runs,
    schedules,
    settings,
    sweeps,
    tokens,
    whoami,
)
from modelwright.api.authentication import Authentication, Surface
from modelwright.api.mlflow import application as mlflow
from modelwright.api.waiting import Works
from modelwright.lifecycle.events import confirming
from modelwright.lifecycle.launching import Launcher
from modelwright.store.database import open_store
from modelwright.store.tokens import Holders

_NOUNS = (
    models,
    runs,
    experiments,
    sweeps,
    pipelines,
    schedules,
    datasets,
    environments,
    endpoints,
    access,
    rollouts,
    captures,
    lineage,
    audit,
    events,
    tokens,
    settings,
    commands,
    whoami,
)


def create_app(workspace: Path, *, trusts_loopback: bool = True) -> FastAPI:
    """Return the application for the workspace at this folder. Runs that it has started end with it.

    `trusts_loopback` unless others are let in: whether the workspace's user needs no token on this machine.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.store = open_store(workspace)
        app.state.holders = Holders(app.state.store)
        app.state.launcher = Launcher(app.state.store)
        app.state.works = Works()
        yield
        app.state.launcher.end()
        app.state.works.end()
        app.state.holders.close()
        app.state.store.close()

    app = FastAPI(
        title="Modelwright",
        version=__version__,
        lifespan=lifespan,
        # For the OpenAPI document alone: `Authentication` has looked before.
        dependencies=[Depends(HTTPBearer(auto_error=False)), Depends(HTTPBasic(auto_error=False))],
        docs_url=None,
        redoc_url=None,
    )
    for each in _NOUNS:
        app.include_router(each.router)
    app.add_api_route("/docs", lambda: HTMLResponse(page.page(app.openapi())), include_in_schema=False)
    confirmations.add(app)
    # First, for every route before them would be tried.
    app.router.routes[:0] = mlflow.routes()
    # What is mounted with error answers of its own has its surface before the last. A command says itself which role
    # it takes.
    others = Surface("", refusals.answer, looks=lambda *asked: asked == ("POST", commands.PATH))
    by_code = Surface(f"{confirming.PATH}/", refusals.answer, is_open=True)
    surfaces = [*mlflow.surfaces(), by_code, others]
    app.add_middleware(Authentication, surfaces=surfaces, trusts_loopback=trusts_loopback)
    refusals.install(app)
    return app
