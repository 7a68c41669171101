"""`/runs`: search, show, compare, label, cancel, delete; their metrics and artifacts."""

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import FileResponse
from pydantic import Field

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import FILE, Scratch, Tags, Text, blob, filters, one_of
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import Gone, Logged, fields
from modelwright.api.waiting import Accepted, Patient
from modelwright.lifecycle import deletion, labelling, training
from modelwright.records import Artifact, Role, Run, Verdict
from modelwright.runs.comparing import RunComparison, compare_runs
from modelwright.runs.searching import find_runs
from modelwright.store import gates, runs

router = Router("/runs")
_contributor = [needs(Role.CONTRIBUTOR)]

RunShown = Annotated[dict[str, Any], joined("RunShown", Run, children=list[str], verdict=Verdict | None)]
Filters = Annotated[
    list[Annotated[str, Field(max_length=500)]],  # with ten of them in any script, still an address that servers read
    Query(max_length=10, description="As 'mse < 3000 and alpha = 0.5'; all, if repeated."),
]


@router.get("")
def list_runs(
    reading: Reading,
    page: Paged,
    where: Filters = [],  # noqa: B006 - FastAPI copies it
    tags: Tags = [],  # noqa: B006
    *,
    experiment: str | None = None,
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None,
    order: Annotated[
        str | None, Query(description="A metric, parameter or attribute; -NAME for the largest first.")
    ] = None,
) -> list[Run]:
    """List the runs, newest first unless `order` says otherwise; those that answer to all that is asked.

    A filter compares metrics, parameters, tags and attributes with = != < <= > >= contains; and, or, brackets.
    """
    found = find_runs(
        reading,
        where,
        experiment=experiment,
        status=status,
        tags=filters(tags),
        order=order,
        limit=page.limit + 1,
        after=page.after,
    )
    return page.first(found, lambda each: each.id)


@router.get("/{run_id}")
def show_run(run_id: str, reading: Reading) -> RunShown:
    """Show a run: its status, parameters, metrics, steps, data, artifacts, and what the gate decided."""
    found = runs.get_run(reading, run_id)
    children = [each.id for each in runs.list_runs(reading, parent_id=found.id)]
    return fields(found) | {"children": children, "verdict": gates.find_verdict(reading, found.id)}


@router.delete("/{run_id}", dependencies=_contributor)
def delete_run(run_id: str, acting: Acting, *, with_children: bool = False) -> Gone:
    """Delete a run that nothing uses, on request with the runs below it; 409 lists what uses it."""
    return Gone([each.id for each in deletion.delete_run(acting, run_id, with_children=with_children)])


@router.get("/{run_id}/diff/{other}")
def compare_two_runs(run_id: str, other: str, reading: Reading) -> RunComparison:
    """Compare two runs: parameters, metrics, data, and what differs in packages and code."""
    return compare_runs(reading, run_id, other)


@router.patch("/{run_id}/tags", dependencies=_contributor)
def set_run_tags(run_id: str, tags: dict[str, str], acting: Acting) -> Run:
    """Set tags of a run, whether or not it has ended."""
    return labelling.tag_run(acting, run_id, tags)


@router.put("/{run_id}/note", dependencies=_contributor)
def note_run(run_id: str, wanted: Text, acting: Acting) -> Run:
    """Write what is to be said about a run, in place of what was said before."""
    return labelling.note_run(acting, run_id, wanted.text)


@router.post("/{run_id}/cancel", dependencies=_contributor)
def cancel_run(run_id: str, acting: Acting, patient: Patient) -> Run | Accepted:
    """End a running run with all its steps; answered when it has ended."""
    return patient.wait(training.cancelled, acting, run_id, look=f"/runs/{run_id}")


@router.post("/{run_id}/resume", dependencies=_contributor)
def resume_run(
    run_id: str,
    acting: Acting,
    patient: Patient,
    gated: Annotated[bool, Query(description="Whether it has to beat the champion.")] = True,  # noqa: FBT002 - FastAPI's way
) -> training.Trained | Accepted:
    """Let a run go on that failed, was cancelled or killed; its finished steps are not repeated.

    It goes on with the code and the parameters that it was started with. Answered when it has ended, or with 202.
    """
    return patient.wait(training.resume, acting, run_id, is_gated=gated, look=f"/runs/{run_id}")


@router.get("/{run_id}/metrics")
def list_run_metrics(
    run_id: str,
    reading: Reading,
    page: Paged,
    name: Annotated[str | None, Query(description="Only the points of this metric.")] = None,
) -> list[Logged]:
    """List all values of a run's metrics as they were logged, in their order."""
    points = runs.list_points(reading, runs.get_run(reading, run_id).id)
    found = [Logged(number, *vars(each).values()) for number, each in points if name in {None, each.name}]
    return page.cut(found, lambda each: str(each.sequence))


@router.get("/{run_id}/artifacts")
def list_run_artifacts(run_id: str, reading: Reading, page: Paged) -> list[Artifact]:
    """List the files that a run wrote."""
    return page.cut(runs.get_run(reading, run_id).artifacts, lambda each: each.path)


@router.get("/{run_id}/artifacts/{path:path}", responses=FILE)
def download_run_artifact(run_id: str, path: str, reading: Reading, scratch: Scratch) -> FileResponse:
    """Download a file that a run wrote, every byte verified."""
    found = runs.get_run(reading, run_id)
    file = one_of(found.artifacts, path, thing=found.id)
    return blob(reading, file.digest, name=path, scratch=scratch)
