"""`/sweeps`: many trials of one project."""

from modelwright.api.acting import Reading
from modelwright.api.routing import Router
from modelwright.records import Sweep
from modelwright.store import sweeps

router = Router("/sweeps")


@router.get("/{run_id}")
def show_sweep(run_id: str, reading: Reading) -> Sweep:
    """Show a sweep: what it tries, and its trials, `ranked` with the best first."""
    return sweeps.get_sweep(reading, run_id)
