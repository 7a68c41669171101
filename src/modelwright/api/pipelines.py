"""`/pipelines`: published pipelines, and runs of them."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, model_validator

from modelwright.records.plain import plain
from modelwright.store import pipelines

router = APIRouter(prefix="/pipelines", tags=["pipelines"])

# What clients of Azure Machine Learning call the same, and what they send that has no meaning here.
_SAME = {"parameterassignments": "parameters", "experimentname": "experiment"}
_LEFT_OUT = frozenset({"description", "runsource"})


class RunRequest(BaseModel):
    """What a run is started with. Names may be in upper or lower case; one that means nothing is refused."""

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Any] = {}
    tags: dict[str, str | int | float | bool] = {}
    experiment: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named_as_ours(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        lowered = {str(name).lower(): value for name, value in body.items()}
        return {_SAME.get(name, name): value for name, value in lowered.items() if name not in _LEFT_OUT}


@router.get("")
def list_pipelines(request: Request) -> list[dict[str, Any]]:
    """List the published versions, newest first."""
    return [plain(each) for each in pipelines.list_versions(request.app.state.store)]


@router.post("/{name}/runs", status_code=202)
def run_pipeline(name: str, request: Request, wanted: RunRequest | None = None) -> dict[str, Any]:
    """Start a run of a published pipeline: NAME for its newest enabled version, or NAME:VERSION.

    A parameter that the version does not have is refused. The answer has the run's id, and comes once the run is on
    record.
    """
    wanted = wanted or RunRequest()
    run = request.app.state.launcher.launch(
        name,
        actor=request.state.actor,
        overrides=wanted.parameters,
        tags={key: str(value) for key, value in wanted.tags.items()},
        experiment=wanted.experiment,
    )
    return {"Id": run.id, **plain(run)}
