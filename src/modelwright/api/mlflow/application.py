"""Where MLflow's clients are answered."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from modelwright import __version__
from modelwright.api.authentication import Surface
from modelwright.api.mlflow import artifacts, experiments, logged_models, registered, runs, searches, tracking, versions
from modelwright.api.mlflow.answers import told
from modelwright.api.mlflow.operations import Dispatcher

# What the client takes for a server of its own kind is told by the version of the protocol, not by this number.
_PREFIXES = ("/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0")
_OPERATIONS = (
    *experiments.OPERATIONS,
    *runs.OPERATIONS,
    *tracking.OPERATIONS,
    *searches.OPERATIONS,
    *logged_models.OPERATIONS,
    *registered.OPERATIONS,
    *versions.OPERATIONS,
)
# Though they are a POST: what is looked for would not fit into an address.
_LOOKING = {
    (each.method, f"{prefix}/mlflow/{each.path}") for prefix in _PREFIXES for each in _OPERATIONS if each.is_looking
}


def routes() -> list[BaseRoute]:
    """Return where files are, and what MLflow's clients ask to find out whether somebody is there."""
    files = artifacts.routes()
    return [
        *(Mount(f"{prefix}/mlflow-artifacts", routes=files) for prefix in _PREFIXES),
        Route("/health", _healthy),
        Route("/version", _version),
    ]


def surfaces() -> list[Surface]:
    """Return where MLflow's operations are carried out, and how refused requests are told there and where files are.

    Which operations change nothing though they are a POST is said too.
    """
    dispatcher = Dispatcher(_OPERATIONS)
    return [
        *(
            Surface(f"{prefix}/mlflow/", told, looks=lambda *asked: asked in _LOOKING, answering=dispatcher)
            for prefix in _PREFIXES
        ),
        *(Surface(prefix, told) for prefix in _PREFIXES),
    ]


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("OK")


async def _version(_request: Request) -> Response:
    return PlainTextResponse(__version__)
