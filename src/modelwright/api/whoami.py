"""`/whoami`: as whom the server takes whoever asks."""

from fastapi import APIRouter, Request

router = APIRouter(prefix="/whoami", tags=["access"])


@router.get("")
def show(request: Request) -> dict[str, str]:
    """Return in whose name, and in which role, this request came."""
    return {"name": request.state.actor, "role": request.state.role}
