"""`/runs`: what ran, and how it ended."""

from typing import Any

from fastapi import APIRouter, Request

from modelwright.records.plain import plain
from modelwright.store import gates, runs

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{run_id}")
def show_run(run_id: str, request: Request) -> dict[str, Any]:
    """Return a run: its status, parameters, metrics, steps, data, artifacts, and what the gate decided."""
    store = request.app.state.store
    return {**plain(runs.get_run(store, run_id)), "verdict": plain(gates.find_verdict(store, run_id))}
