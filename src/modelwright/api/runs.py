"""`/runs`: what ran, and how it ended."""

from typing import Any

from fastapi import APIRouter, Request

from modelwright.api.acting import Acting
from modelwright.lifecycle import deletion
from modelwright.records.plain import plain
from modelwright.store import gates, runs

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{run_id}")
def show_run(run_id: str, request: Request) -> dict[str, Any]:
    """Return a run: its status, parameters, metrics, steps, data, artifacts, and what the gate decided."""
    store = request.app.state.store
    return {**plain(runs.get_run(store, run_id)), "verdict": plain(gates.find_verdict(store, run_id))}


@router.delete("/{run_id}")
def delete_run(run_id: str, acting: Acting, *, with_children: bool = False) -> dict[str, Any]:
    """Delete a run that nothing uses, on request with the runs below it; 409 lists what uses it."""
    return {"deleted": [each.id for each in deletion.delete_run(acting, run_id, with_children=with_children)]}
