"""`/endpoints`: what they serve, how requests are shared out, what was done, and the end of them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, Reading, demand, needs
from modelwright.api.asking import REQUEST, Body
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import AuditRecord, Deleted, audited
from modelwright.api.waiting import Accepted, Patient
from modelwright.errors import RequestTooLarge
from modelwright.lifecycle import deploying
from modelwright.records import (
    Deployment,
    Endpoint,
    FrontStatus,
    LogLine,
    Placement,
    Role,
    ScoringAnswer,
    Traffic,
)
from modelwright.serving import access, configuring, deployments, logs, past, seeing, sharing
from modelwright.store import endpoints

router = Router("/endpoints")
deployer = [needs(Role.DEPLOYER)]

_SEEN: dict[str, Any] = {
    "serves": str | None,
    "state": str,
    "reason": str,
    "split": dict[str, float],
    "running": FrontStatus | None,
}
EndpointSeen = Annotated[dict[str, Any], joined("EndpointSeen", Endpoint, **_SEEN)]
EndpointShown = Annotated[dict[str, Any], joined("EndpointShown", Endpoint, **_SEEN, deployments=list[Deployment])]
Level = Literal["debug", "info", "warning", "error", "critical"]
Percent = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True)
class Served:
    """How requests are shared out, as set and as it comes out, and among which versions."""

    traffic: Traffic
    split: dict[str, float]
    deployments: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Forgotten:
    """The deployments that are no more."""

    forgotten: list[Deployment]


class Shift(BaseModel):
    """What is to change of an endpoint's traffic; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    shares: dict[str, float] = {}
    shadows: dict[str, float] = {}
    default: str | None = None
    control: str | None = None
    sticky_header: str | None = None


class NewDeployment(BaseModel):
    """A version, and how it is put behind the endpoint; without `share` and `shadow` it takes all requests."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(description="MODEL:VERSION, or MODEL@ALIAS.")
    name: str = Field("", description="What traffic calls it; by default the version.")
    share: Percent | None = Field(None, description="Beside what serves there, with so many percent.")
    shadow: Percent | None = Field(None, description="Beside it, with copies of so many percent only.")
    is_control: bool = False
    workers: int = Field(1, ge=1, le=10_000)
    memory_gb: float | None = Field(
        None, gt=0, le=1e6, description="What each worker may hold; one that holds more is replaced."
    )
    companions: tuple[str, ...] = Field((), description="Further versions that its scoring script needs.")
    port: int | None = Field(None, ge=1, le=65535)
    host: str | None = Field(
        None, description="Where it listens: takes an owner; by default as before, else this machine alone."
    )


class Replacement(BaseModel):
    """The version that is to take a deployment's place."""

    model_config = ConfigDict(extra="forbid")

    version: str


class Size(BaseModel):
    """How many processes answer for a deployment, by default the default one."""

    model_config = ConfigDict(extra="forbid")

    workers: int = Field(ge=1, le=10_000)
    deployment: str | None = None


@router.get("")
def list_endpoints(reading: Reading, page: Paged) -> list[EndpointSeen]:
    """List the endpoints by name, each with its state and the shares of its deployments."""
    return [each.told() for each in page.cut(seeing.see_all(reading), lambda each: each.place.name)]


@router.get("/{name}")
def show_endpoint(name: str, reading: Reading) -> EndpointShown:
    """Show an endpoint: its addresses and state, its traffic, and all that was deployed to it, newest first."""
    seen = seeing.see(reading, name)
    return seen.told() | {"deployments": seen.deployed}


@router.delete("/{name}", dependencies=deployer)
def delete_endpoint(name: str, acting: Acting) -> Deleted:
    """Delete a stopped endpoint; 409 while it runs."""
    deployments.delete(acting.store, name, actor=acting.actor, why=acting.why)
    return Deleted(name)


@router.post("/{name}/deployments", status_code=201, dependencies=deployer)
def deploy(
    name: str, wanted: NewDeployment, request: Request, acting: Acting, patient: Patient
) -> deploying.Deployed | Accepted:
    """Put a model version behind an endpoint; what serves there goes on until this one has answered its sample.

    Answered when it serves, or has failed to; where that takes longer than `wait`, with 202.
    """
    if wanted.host is not None:
        demand(request, Role.OWNER)
    told = wanted.model_dump(exclude={"version"})
    return patient.wait(
        deploying.deploy,
        acting,
        wanted.version,
        endpoint=name,
        placement=Placement(**told),
        look=f"/endpoints/{name}",
    )


@router.put("/{name}/deployments/{deployment}", dependencies=deployer)
def update_deployment(
    name: str, deployment: str, wanted: Replacement, acting: Acting, patient: Patient
) -> Deployment | Accepted:
    """Let a deployment serve another version, with its share of the requests; none is refused meanwhile."""
    return patient.wait(deploying.update, acting, name, deployment, wanted.version, look=f"/endpoints/{name}")


@router.delete("/{name}/deployments/{deployment}", dependencies=deployer)
def delete_deployment(
    name: str,
    deployment: str,
    acting: Acting,
    force: Annotated[bool, Query(description="Though it has a share of the requests.")] = False,  # noqa: FBT002 - FastAPI's way
) -> Forgotten:
    """End a deployment and forget it; 409 while it has a share of the requests, unless that is forced."""
    return Forgotten(
        deployments.undeploy(acting.store, name, deployment, actor=acting.actor, why=acting.why, is_forced=force)
    )


@router.get("/{name}/traffic")
def show_traffic(name: str, reading: Reading) -> Served:
    """Show how the endpoint's requests are shared out, and among which versions."""
    return Served(**endpoints.serving(reading, endpoints.get_endpoint(reading, name)).told())


@router.put("/{name}/traffic", dependencies=deployer)
def change_traffic(name: str, wanted: Shift, acting: Acting) -> Served:
    """Share the requests out otherwise, at once; shares that would sum to more than 100 are refused."""
    shift = sharing.Shift(**wanted.model_dump())
    deployments.shift_traffic(acting.store, name, shift, actor=acting.actor, why=acting.why)
    return show_traffic(name, acting.store)


@router.put("/{name}/workers", dependencies=deployer)
def scale_deployment(name: str, wanted: Size, acting: Acting, patient: Patient) -> Deployment | Accepted:
    """Have a deployment, by default the default one, served by so many processes; no request is refused meanwhile."""
    return patient.wait(
        deployments.scale,
        acting.store,
        name,
        wanted.deployment,
        wanted.workers,
        actor=acting.actor,
        why=acting.why,
        look=f"/endpoints/{name}",
    )


@router.post("/{name}/restart", dependencies=deployer)
def restart_endpoint(
    name: str,
    acting: Acting,
    patient: Patient,
    deployment: Annotated[str | None, Query(description="Only this one.")] = None,
) -> list[Deployment] | Accepted:
    """Replace the processes of a deployment, or of all, one after the other; no request is refused meanwhile."""
    return patient.wait(
        deployments.restart,
        acting.store,
        name,
        deployment,
        actor=acting.actor,
        why=acting.why,
        look=f"/endpoints/{name}",
    )


@router.post("/{name}/rollback", dependencies=deployer)
def roll_endpoint_back(name: str, acting: Acting, patient: Patient) -> Served | Accepted:
    """Bring back an endpoint's traffic, and the versions behind it, from before the last change of it."""

    def back() -> Served:
        return Served(**deploying.roll_back(acting, name).told())

    return patient.wait(back, look=f"/endpoints/{name}")


@router.post("/{name}/stop", dependencies=deployer)
def stop_endpoint(name: str, acting: Acting, patient: Patient) -> EndpointSeen | Accepted:
    """Stop an endpoint; requests in flight are answered first."""

    def stop() -> EndpointSeen:
        deployments.stop(acting.store, name, actor=acting.actor, why=acting.why)
        return seeing.see(acting.store, name).told()

    return patient.wait(stop, look=f"/endpoints/{name}")


@router.post("/{name}/score", dependencies=[needs(Role.CONTRIBUTOR)], openapi_extra=REQUEST)
def score(
    name: str,
    body: Body,
    reading: Reading,
    key: Annotated[str | None, Header(alias="X-Endpoint-Key", description="A key or token of the endpoint.")] = None,
) -> ScoringAnswer:
    """Send the request's body to an endpoint, and return its answer."""
    longest = configuring.settings_of(reading, name).limits.max_body_bytes
    if body.stat().st_size > longest:  # before it is read into memory
        raise RequestTooLarge(limit=longest)
    return deployments.score(reading, name, body=body.read_bytes(), headers=access.key_header(key) if key else None)


@router.get("/{name}/history")
def show_endpoint_history(name: str, reading: Reading, page: Paged) -> list[AuditRecord]:
    """List what was done to an endpoint, oldest first: by whom, the traffic before and after, and why."""
    return page.cut([audited(each) for each in past.history(reading, name)], lambda each: each.key)


@router.get("/{name}/logs")
def show_logs(
    name: str,
    reading: Reading,
    lines: Annotated[int, Query(ge=1, le=10_000, description="How many, from the end.")] = 100,
    request: Annotated[str | None, Query(description="Only what belongs to the request with this id.")] = None,
    level: Annotated[Level | None, Query(description="Only this level and worse.")] = None,
) -> list[LogLine]:
    """Show the end of an endpoint's log: its server's lines and what the scoring script printed."""
    path = deployments.log_file(reading, endpoints.get_endpoint(reading, name).name)
    return logs.read(path, most=lines, is_wanted=logs.wanted(request_id=request, level=level))
