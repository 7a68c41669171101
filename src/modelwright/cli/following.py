"""Follows a run while it goes on: a line for each step that begins or ends, and for each value that it logs."""

import time
from collections.abc import Callable

from modelwright.cli import output
from modelwright.records import Status, StepRun
from modelwright.store import claims, runs
from modelwright.store.database import Store

_POLL_SECONDS = 0.2


def follow(store: Store, run_id: str, *, tell: Callable[[str], None]) -> None:
    """Tell line by line what the run does until it has ended. Raises RunMissing."""
    told: dict[str, tuple[str, int]] = {}
    sequence = 0
    while True:
        # Asked before the rows are read, so that nothing of its end is missed.
        is_over = runs.get_run(store, run_id).status is not Status.RUNNING or not claims.is_claimed(store, run_id)
        for step in runs.get_run(store, run_id).steps:
            state = (step.status.value, step.attempts)
            if told.get(step.name) != state:
                told[step.name] = state
                tell(_line(step))
        for number, point in runs.list_points(store, run_id, after=sequence):
            sequence = number
            tell(f"  {point.name} = {point.value!r}  step {point.step}")
        if is_over:
            return
        time.sleep(_POLL_SECONDS)


def _line(step: StepRun) -> str:
    words = [output.moment(step.finished_at or step.started_at), f"{step.name}: {step.status}"]
    if step.reused_from:
        words.append(f"reused from {step.reused_from}")
    elif step.finished_at:
        words.append(f"{(step.finished_at - step.started_at).total_seconds():.1f} s")
    return "  ".join([*words, step.reason] if step.reason else words)
