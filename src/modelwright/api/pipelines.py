"""`/pipelines`: publish, run, compare, switch on and off, delete."""

from typing import Annotated, Any

from fastapi import Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, model_validator

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import FILE, TAR, Files, Scratch, blob, one_of
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import Deleted, fields
from modelwright.lifecycle import comparing, deletion, publishing
from modelwright.projects.manifest import read_manifest
from modelwright.records import PipelineVersion, Role, Run
from modelwright.runs.pipelines import Step
from modelwright.store import pipelines

router = Router("/pipelines")
_contributor = [needs(Role.CONTRIBUTOR)]

# What clients of Azure Machine Learning call the same, and what they send that has no meaning here.
_SAME = {"parameterassignments": "parameters", "experimentname": "experiment"}
_LEFT_OUT = frozenset({"description", "runsource"})

PipelineShown = Annotated[
    dict[str, Any],
    joined("PipelineVersionShown", PipelineVersion, steps=list[Step], parent=str | None, published_by=str),
]
RunStarted = Annotated[dict[str, Any], joined("RunStarted", Run, Id=str)]


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
def list_pipelines(reading: Reading, page: Paged, name: str | None = None) -> list[PipelineVersion]:
    """List the published versions of all pipelines, or of one, newest first."""
    return page.cut(pipelines.list_versions(reading, pipeline=name), lambda each: each.reference)


@router.post("", status_code=201, dependencies=_contributor, openapi_extra=TAR)
def publish_pipeline(files: Files, acting: Acting, name: str | None = None, description: str = "") -> PipelineVersion:
    """Freeze the project in an archive as the pipeline's next version; unchanged, it stays the same.

    The archive is of the project's folder, whose `wright.toml` is at its top.
    """
    return publishing.publish(acting, read_manifest(files), name=name, description=description)


@router.get("/{reference}")
def show_pipeline(reference: str, reading: Reading) -> PipelineShown:
    """Show a version, NAME:VERSION or NAME for the newest: parameters, steps, files, parent, who published it."""
    return publishing.describe(reading, reference).told()


@router.delete("/{reference}", dependencies=_contributor)
def delete_pipeline(reference: str, acting: Acting) -> Deleted:
    """Delete a published version that no run, schedule or clone uses; 409 lists what uses it."""
    return Deleted(deletion.delete_pipeline(acting, reference).reference)


@router.post("/{reference}/runs", status_code=202, dependencies=_contributor)
def run_pipeline(reference: str, request: Request, acting: Acting, wanted: RunRequest | None = None) -> RunStarted:
    """Start a run of a published pipeline: NAME for its newest enabled version, or NAME:VERSION.

    A parameter that the version does not have is refused. The answer has the run's id, and comes once the run is on
    record, which takes longer where its environment is not built yet; `GET /runs/RUN` tells how it goes.
    """
    wanted = wanted or RunRequest()
    run = request.app.state.launcher.launch(
        reference,
        actor=acting.actor,
        why=acting.why,
        overrides=wanted.parameters,
        tags={key: str(value) for key, value in wanted.tags.items()},
        experiment=wanted.experiment,
    )
    return {"Id": run.id} | fields(run)


@router.post("/{reference}/enable", dependencies=_contributor)
def enable_pipeline(reference: str, acting: Acting) -> list[PipelineVersion]:
    """Let a pipeline, or one version of it, run again; the answer has all its versions."""
    return publishing.switched(acting, reference, is_enabled=True)


@router.post("/{reference}/disable", dependencies=_contributor)
def disable_pipeline(reference: str, acting: Acting) -> list[PipelineVersion]:
    """Let a pipeline, or one version of it, not run until it is enabled again; schedules included."""
    return publishing.switched(acting, reference, is_enabled=False)


@router.get("/{reference}/diff/{other}")
def compare_pipelines(reference: str, other: str, reading: Reading) -> comparing.Differences:
    """Compare two versions: parameters and packages side by side, files as a diff."""
    return comparing.compare(reading, reference, other)


@router.get("/{reference}/files/{path:path}", responses=FILE)
def download_pipeline_file(reference: str, path: str, reading: Reading, scratch: Scratch) -> FileResponse:
    """Download a file of a version's project, every byte verified."""
    found = pipelines.find_version(reading, reference)
    file = one_of(found.files, path, thing=found.reference)
    return blob(reading, file.digest, name=path, scratch=scratch)
