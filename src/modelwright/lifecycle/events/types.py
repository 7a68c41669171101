"""The types of events that there are, ours and those of Event Grid."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from modelwright.errors import EventTypeUnknown

GRID = "Microsoft.MachineLearningServices."
RUN_COMPLETED = f"{GRID}RunCompleted"
RUN_STATUS_CHANGED = f"{GRID}RunStatusChanged"
MODEL_REGISTERED = f"{GRID}ModelRegistered"
MODEL_DEPLOYED = f"{GRID}ModelDeployed"
DRIFT_DETECTED = f"{GRID}DatasetDriftDetected"

RUN_STATUSES = ("run.started", "run.resumed", "run.succeeded", "run.failed", "run.cancelled")
# Which of ours Event Grid has a name for. A failed deployment is nobody's ModelDeployed.
GRID_TYPES = {
    **dict.fromkeys(RUN_STATUSES, (RUN_STATUS_CHANGED,)),
    "run.succeeded": (RUN_COMPLETED, RUN_STATUS_CHANGED),
    "model.registered": (MODEL_REGISTERED,),
    "deployment.healthy": (MODEL_DEPLOYED,),
    "drift.detected": (DRIFT_DETECTED,),
}

_FACTS = {
    "alias": "moved removed",
    "approval": "given refused",
    "capture": "deleted labelled",
    "conversion": "imported",
    "dataset": "deleted described kept_again profiled registered tagged",
    "deployment": "deleted failed healthy reloaded replaced restarted rolled_back scaled started stopped unschedulable",
    "drift": "detected",
    "endpoint": "configured created deleted down key_regenerated moved token_made tokens_revoked up",
    "environment": "deleted locked registered",
    "experiment": "created imported put_away renamed restored tagged",
    "garbage": "collected",
    "gate": "passed refused skipped",
    "logged_model": "created deleted failed files_deleted files_kept imported parameters_added pending ready tagged",
    "model": "created dated deleted described equipped explained properties_added registered renamed reproduced staged "
    "tagged",
    "notebook": "converted",
    "pipeline": "deleted disabled enabled published",
    "project": "created moved proven",
    "proof": "imported",
    "rollout": "advanced paused resumed rolled_back started succeeded",
    "run": (
        "artifacts_kept cancelled dataset_read deleted environments_used failed files_deleted imported inputs_read "
        "models_logged noted parameters_added put_away restored resumed started steps_ended succeeded tagged"
    ),
    "schedule": "added disabled enabled removed tick_ended ticked",
    "setting": "changed",
    "subscription": "activated added changed paused removed replayed secret_rotated",
    "step": "cancelled failed reused started succeeded",
    "sweep": "promoted specified",
    "token": "created revoked",
    "traffic": "changed",
    "trial": "ended started",
}
OURS = frozenset(f"{noun}.{fact}" for noun, facts in _FACTS.items() for fact in facts.split())
_KNOWN = tuple(each.lower() for each in (*OURS, *{name for names in GRID_TYPES.values() for name in names}))


def check(pattern: str) -> None:
    """Refuse a type, or a glob such as `model.*`, that no event can have. Raises EventTypeUnknown."""
    if any(fits(pattern, each) for each in _KNOWN):
        return
    from difflib import get_close_matches

    near = get_close_matches(pattern, (*OURS, *GRID_TYPES["run.succeeded"], MODEL_REGISTERED, MODEL_DEPLOYED), n=1)
    # A fact of a later release is let through, a slip of the finger is not.
    if near or pattern.partition(".")[0] not in _FACTS:
        raise EventTypeUnknown(type=pattern, near=f'; did you mean "{near[0]}"?' if near else "")


def names_of(kind: str) -> tuple[str, ...]:
    """Return all names by which events of a type can be asked for."""
    return (kind, *GRID_TYPES.get(kind, ()))


def are_wanted(names: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether one of the names is wanted; no patterns are all of them."""
    return not patterns or any(fits(pattern, name) for pattern in patterns for name in names)


@lru_cache(maxsize=4096)
def fits(pattern: str, name: str) -> bool:
    """Whether a type is the one that is wanted, or among those; upper and lower case are the same."""
    return fnmatchcase(name.lower(), pattern.lower())
