"""`/rollouts`: a version takes over an endpoint step by step, or not at all."""

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import fields
from modelwright.lifecycle import recovery, rollout_page, rollouts
from modelwright.records import Contrast, Role, Rollout, RolloutLimits, RolloutPlan
from modelwright.store import endpoints
from modelwright.store import rollouts as recorded

router = Router("/rollouts")
_deployer = [needs(Role.DEPLOYER)]
_Seconds = Annotated[float, Field(ge=0, le=1e9)]
_Rate = Annotated[float, Field(ge=0, le=1)]

Told = Annotated[dict[str, Any], joined("RolloutTold", Rollout, progress=dict[str, Any])]
Shown = Annotated[dict[str, Any], joined("RolloutShown", Rollout, progress=dict[str, Any], is_watched=bool)]


class Limits(BaseModel):
    """What the new version may do; what is not given is not asked."""

    model_config = ConfigDict(extra="forbid")

    error_rate: _Rate | None = None
    latency_ratio: Annotated[float, Field(gt=0, le=1e9)] | None = None
    prediction_shift: _Rate | None = None
    disagreement: _Rate | None = None
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01


class Plan(BaseModel):
    """How a version takes over: its shares one after the other, how long each lasts, and what must hold."""

    model_config = ConfigDict(extra="forbid")

    steps: list[Annotated[int, Field(ge=0, le=100)]] = [5, 25, 50, 100]
    hold_seconds: _Seconds = 600.0
    min_requests: Annotated[int, Field(ge=0, le=2**53)] = 100
    patience_seconds: _Seconds = 3600.0
    shadow: Annotated[int, Field(ge=0, le=100)] = 0
    asks: bool = False
    lease_seconds: _Seconds = 30.0
    tolerance: _Rate = 0.0
    limits: Limits = Limits()


class NewRollout(BaseModel):
    """Which version is to take over which endpoint, and how."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str
    version: str = Field(description="MODEL:VERSION, or MODEL@ALIAS.")
    plan: Plan = Plan()


@router.get("")
def list_rollouts(reading: Reading, page: Paged) -> list[Told]:
    """List all rollouts, newest first."""
    return [_told(each) for each in page.cut(recorded.list_rollouts(reading), lambda each: each.id)]


@router.post("", status_code=201, dependencies=_deployer)
def start_rollout(wanted: NewRollout, acting: Acting) -> Told:
    """Put a version beside what serves and give it traffic step by step; answered once it has begun."""
    given = wanted.plan.model_dump(exclude={"limits", "steps"})
    plan = RolloutPlan(steps=tuple(wanted.plan.steps), limits=RolloutLimits(**wanted.plan.limits.model_dump()), **given)
    recovery.recover(acting)
    return _told(rollouts.start(acting, wanted.endpoint, wanted.version, plan=plan))


@router.get("/{endpoint}")
def show_rollout(endpoint: str, reading: Reading) -> Shown:
    """Show the endpoint's newest rollout: where it stands, its checks, and what was seen over time."""
    found = _newest(endpoint, reading)
    return _told(found) | {"is_watched": rollouts.is_watched(reading, found)}


@router.post("/{endpoint}/pause", dependencies=_deployer)
def pause_rollout(endpoint: str, acting: Acting) -> Told:
    """Let the rollout stay at its step, still watched, until it is resumed."""
    return _told(rollouts.pause(acting, endpoint))


@router.post("/{endpoint}/resume", dependencies=_deployer)
def resume_rollout(endpoint: str, acting: Acting) -> Told:
    """Let the rollout go on: one that was paused, that waits to be approved, or that nobody watches."""
    return _told(rollouts.resume(acting, endpoint))


@router.post("/{endpoint}/promote", dependencies=_deployer)
def promote_rollout(endpoint: str, acting: Acting) -> Told:
    """Give the new version all of the traffic now, whatever the checks say."""
    return _told(rollouts.promote(acting, endpoint))


@router.post("/{endpoint}/abort", dependencies=_deployer)
def abort_rollout(endpoint: str, acting: Acting) -> Told:
    """Go back to the traffic from before the rollout, and end the new version."""
    return _told(rollouts.abort(acting, endpoint))


@router.get("/{endpoint}/verdict")
def show_verdict(
    endpoint: str,
    reading: Reading,
    metric: Annotated[list[Literal["errors", "latency", "label"]], Query(description="By default all.")] = [],  # noqa: B006 - FastAPI copies it
) -> list[Contrast]:
    """Say which of an endpoint's deployments is better, from what they did side by side since both serve."""
    return rollouts.contrasts(reading, endpoint, metrics=metric or rollouts.METRICS)


@router.get("/{endpoint}/report", responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}})
def show_rollout_page(endpoint: str, reading: Reading) -> HTMLResponse:
    """Show a page with charts of the endpoint's newest rollout."""
    return HTMLResponse(rollout_page.page(_newest(endpoint, reading)))


def _newest(endpoint: str, reading: Reading) -> Rollout:
    return recorded.get_rollout(reading, endpoints.get_endpoint(reading, endpoint).name)


def _told(found: Rollout) -> Told:
    """Return a rollout without what only its watcher needs."""
    told = fields(found)
    progress = told["progress"]
    return told | {"progress": {name: progress[name] for name in ("step", "step_at", "told", "checks", "trail")}}
