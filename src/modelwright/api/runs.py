"""`/runs`: what ran, and how it ended."""

from typing import Any

from fastapi import APIRouter, Request

from modelwright.records.plain import plain
from modelwright.store import runs

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{run_id}")
def show_run(run_id: str, request: Request) -> dict[str, Any]:
    """Return a run: its status, parameters, metrics, steps, data and artifacts."""
    run: dict[str, Any] = plain(runs.get_run(request.app.state.store, run_id))
    return run
