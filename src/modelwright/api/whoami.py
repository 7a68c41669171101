"""`/whoami`: as whom the server takes whoever asks."""

from fastapi import Request

from modelwright.api.routing import Router

router = Router("/whoami", tag="tokens")


@router.get("")
def show_holder(request: Request) -> dict[str, str]:
    """Return in whose name, and in which role, this request came."""
    return {"name": request.state.actor, "role": request.state.role}
