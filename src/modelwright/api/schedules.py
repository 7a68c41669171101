"""`/schedules`: pipelines that run by themselves."""

from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from modelwright import records
from modelwright.api.acting import Acting, Reading, demand, needs
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import Deleted
from modelwright.api.waiting import Accepted, Patient
from modelwright.lifecycle import scheduling, ticking
from modelwright.records import Missed, Role, Schedule, Tick, Trigger, TriggerKind
from modelwright.store import schedules

router = Router("/schedules")
_contributor = [needs(Role.CONTRIBUTOR)]

ScheduleShown = Annotated[dict[str, Any], joined("ScheduleShown", Schedule, next=list[str], ticks=list[Tick])]


class When(BaseModel):
    """When a schedule is due: a cron expression, an interval as 15m, a path to watch, or a dataset to get a version."""

    model_config = ConfigDict(extra="forbid")

    kind: TriggerKind
    value: str = Field(max_length=4096)
    time_zone: str = Field("UTC", description="What a cron expression is read in, as Europe/Berlin.")


class NewSchedule(BaseModel):
    """What is to run by itself, and when."""

    model_config = ConfigDict(extra="forbid")

    name: str
    pipeline: str = Field(description="NAME:VERSION, or NAME for the newest that is enabled.")
    when: When
    parameters: dict[str, Any] = {}
    missed: Literal["skip", "once", "all"] = Field("once", description="What becomes of times that nobody could take.")


@router.get("")
def list_schedules(reading: Reading, page: Paged) -> list[Schedule]:
    """List the schedules by name."""
    return page.cut(schedules.list_schedules(reading), lambda each: each.name)


@router.post("", status_code=201, dependencies=_contributor)
def add_schedule(wanted: NewSchedule, request: Request, acting: Acting) -> Schedule:
    """Let a published pipeline run by itself, which `wright up` does in the background; a path to watch takes an owner.

    The path is one of the workspace's machine.
    """
    if wanted.when.kind is TriggerKind.PATH:
        demand(request, Role.OWNER)
    return scheduling.add(
        acting,
        wanted.name,
        pipeline=wanted.pipeline,
        trigger=Trigger(**vars(wanted.when)),
        parameters=wanted.parameters,
        missed=Missed(wanted.missed),
        now=records.now(),
    )


@router.get("/{name}")
def show_schedule(name: str, reading: Reading) -> ScheduleShown:
    """Show a schedule: its next times, its last ticks and their runs."""
    return scheduling.describe(reading, name).told()


@router.delete("/{name}", dependencies=_contributor)
def remove_schedule(name: str, acting: Acting) -> Deleted:
    """Delete a schedule; the runs that it started stay."""
    scheduling.remove(acting, name)
    return Deleted(name)


@router.post("/{name}/enable", dependencies=_contributor)
def enable_schedule(name: str, acting: Acting) -> Schedule:
    """Let a schedule be due again, from now on; what it missed while disabled is not made up for."""
    return scheduling.set_enabled(acting, name, is_enabled=True, now=records.now())


@router.post("/{name}/disable", dependencies=_contributor)
def disable_schedule(name: str, acting: Acting) -> Schedule:
    """Let a schedule not be due until it is enabled again; a run that goes on is left alone."""
    return scheduling.set_enabled(acting, name, is_enabled=False, now=records.now())


@router.post("/{name}/runs", dependencies=_contributor)
def run_schedule_now(name: str, acting: Acting, patient: Patient) -> Tick | Accepted:
    """Run a schedule's pipeline at once, due or not; answered with the tick when the run has ended."""
    return patient.wait(ticking.run_now, acting, name, now=records.now(), look=f"/schedules/{name}")
