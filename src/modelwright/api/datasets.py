"""`/datasets`: the end of their versions."""

from typing import Any

from fastapi import APIRouter

from modelwright.api.acting import Acting
from modelwright.lifecycle import deletion

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.delete("/{name}/versions/{version}")
def delete_version(name: str, version: int, acting: Acting) -> dict[str, Any]:
    """Delete a version that nothing uses; 409 lists what uses it."""
    return {"deleted": [each.reference for each in deletion.delete_dataset(acting, f"{name}:{version}")]}
