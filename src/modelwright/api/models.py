"""`/models`: versions, what they are, and the end of them."""

from typing import Any

from fastapi import APIRouter, Request

from modelwright.api.acting import Acting
from modelwright.lifecycle import deletion
from modelwright.records import VersionFilter
from modelwright.records.plain import plain
from modelwright.store import endpoints, models

router = APIRouter(prefix="/models", tags=["models"])


@router.get("")
def list_models(request: Request, name: str | None = None) -> list[dict[str, Any]]:
    """List the versions of all models, or of the model `name`, newest first."""
    return [plain(each) for each in models.list_versions(request.app.state.store, VersionFilter(model=name))]


@router.get("/{name}/versions/{version}")
def show_version(name: str, version: int, request: Request) -> dict[str, Any]:
    """Return a version with its deployments."""
    found = models.find_version(request.app.state.store, f"{name}:{version}")
    served = endpoints.list_deployments(request.app.state.store, version_id=found.id)
    return {**plain(found), "deployments": plain(served)}


@router.delete("/{name}/versions/{version}")
def delete_version(name: str, version: int, acting: Acting) -> dict[str, Any]:
    """Delete a version that nothing uses; 409 lists what uses it."""
    return {"deleted": deletion.delete_model(acting, f"{name}:{version}").reference}
