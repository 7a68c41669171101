"""`/pipelines`: published pipelines, and runs of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from modelwright.records.plain import plain
from modelwright.store import pipelines

router = APIRouter(prefix="/pipelines", tags=["pipelines"])

# The names that Azure Machine Learning's clients send, and ours; neither minds upper and lower case.
_NAMES = {
    "parameterassignments": "parameters",
    "parameters": "parameters",
    "tags": "tags",
    "experimentname": "experiment",
    "experiment": "experiment",
}


@router.get("")
def list_pipelines(request: Request) -> list[dict[str, Any]]:
    """List the published versions, newest first."""
    return [plain(each) for each in pipelines.list_versions(request.app.state.store)]


@router.post("/{name}/runs", status_code=202)
def run_pipeline(name: str, request: Request, body: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
    """Start a run of a published pipeline: NAME for its newest enabled version, or NAME:VERSION.

    The body may have `parameters`, `tags` and `experiment`. A parameter that the version does not have is refused. The
    answer has the run's id, and comes once the run is on record.
    """
    given = {_NAMES[key.lower()]: value for key, value in (body or {}).items() if key.lower() in _NAMES}
    run = request.app.state.launcher.launch(
        name,
        overrides=given.get("parameters") or {},
        tags={str(key): str(value) for key, value in (given.get("tags") or {}).items()},
        experiment=str(given.get("experiment") or ""),
    )
    return {"Id": run.id, **plain(run)}
