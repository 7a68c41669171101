"""`/endpoints`: what they serve, how requests are shared out, and the end of both."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from modelwright.api.acting import Acting
from modelwright.records import Endpoint
from modelwright.records.plain import plain
from modelwright.serving import deployments, past, sharing, states
from modelwright.store import endpoints
from modelwright.store.database import Store

router = APIRouter(prefix="/endpoints", tags=["endpoints"])


class Shift(BaseModel):
    """What is to change of an endpoint's traffic; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    shares: dict[str, float] = {}
    shadows: dict[str, float] = {}
    default: str | None = None
    control: str | None = None
    sticky_header: str | None = None


@router.get("")
def list_endpoints(request: Request) -> list[dict[str, Any]]:
    """List the endpoints by name, each with its state and the shares of its deployments."""
    store = request.app.state.store
    return [_told(store, each) for each in endpoints.list_endpoints(store)]


@router.get("/{name}")
def show_endpoint(name: str, request: Request) -> dict[str, Any]:
    """Return an endpoint with all that was deployed to it, newest first."""
    store = request.app.state.store
    deployed = endpoints.list_deployments(store, endpoint=name)
    return _told(store, endpoints.get_endpoint(store, name)) | {"deployments": plain(deployed)}


@router.get("/{name}/traffic")
def show_traffic(name: str, request: Request) -> dict[str, Any]:
    """Return how the endpoint's requests are shared out, and among which versions."""
    store = request.app.state.store
    return endpoints.serving(store, endpoints.get_endpoint(store, name)).told()


@router.put("/{name}/traffic")
def change_traffic(name: str, wanted: Shift, acting: Acting) -> dict[str, Any]:
    """Share the requests out otherwise, at once; shares that would sum to more than 100 are refused."""
    shift = sharing.Shift(**wanted.model_dump())
    deployments.shift_traffic(acting.store, name, shift, actor=acting.actor, why=acting.why)
    return endpoints.serving(acting.store, endpoints.get_endpoint(acting.store, name)).told()


@router.get("/{name}/history")
def show_history(name: str, request: Request) -> list[dict[str, Any]]:
    """Return what was done to the endpoint, oldest first."""
    return [plain(each) for each in past.history(request.app.state.store, name)]


@router.delete("/{name}")
def delete_endpoint(name: str, acting: Acting) -> dict[str, Any]:
    """Delete a stopped endpoint; 409 while it runs."""
    deployments.delete(acting.store, name, actor=acting.actor, why=acting.why)
    return {"deleted": name}


@router.delete("/{name}/deployments/{deployment}")
def delete_deployment(
    name: str,
    deployment: str,
    acting: Acting,
    force: Annotated[bool, Query(description="Though it has a share of the requests.")] = False,  # noqa: FBT002 - FastAPI's way
) -> dict[str, Any]:
    """End a deployment and forget it; 409 while it has a share of the requests, unless that is forced."""
    forgotten = deployments.undeploy(
        acting.store, name, deployment, actor=acting.actor, why=acting.why, is_forced=force
    )
    return {"forgotten": plain(forgotten)}


def _told(store: Store, place: Endpoint) -> dict[str, Any]:
    serving, front = endpoints.serving(store, place), deployments.status(store, place.name)
    deployed = endpoints.list_deployments(store, endpoint=place.name)
    state = states.state_of(deployed, serving, front)
    facts = {"serves": serving.version, "state": state.name, "reason": state.reason}
    told: dict[str, Any] = plain(place)
    return told | facts | {"split": serving.traffic.split(), "running": plain(front)}
