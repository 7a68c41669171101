"""Events that nothing happened for, to try a subscriber with."""

from datetime import datetime
from typing import Any

from modelwright import records
from modelwright.lifecycle.events import types
from modelwright.records import Event, EventFilter

_RUN = {"experiment": "sample", "kind": "pipeline", "tags": {"area": "sample"}, "properties": {"project": "sample"}}
_MODEL = {"model": "sample", "version": 1, "tags": {"area": "sample"}, "properties": {}, "metrics": {"mse": 0.5}}
_DEPLOYMENT = {"endpoint": "sample", "name": "sample:1", "version": "sample:1", "models": ["sample:1"], "workers": 1}
_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "model.registered": ("models/sample:1", _MODEL),
    "run.started": ("runs/run_sample", _RUN | {"status": "running"}),
    "run.succeeded": ("runs/run_sample", _RUN | {"status": "succeeded", "reason": ""}),
    "run.failed": ("runs/run_sample", _RUN | {"status": "failed", "reason": "this is a sample"}),
    "deployment.healthy": (
        "endpoints/sample",
        _DEPLOYMENT | {"status": "healthy", "reason": "", "tags": {"area": "sample"}, "properties": {}},
    ),
    "drift.detected": (
        "datadrifts/sample/runs/run_sample",
        {
            "monitor_id": "sample",
            "monitor": "sample",
            "run": "run_sample",
            "baseline": "sample:1",
            "window": "sample:2",
            "coefficient": 0.4,
            "start_at": "2026-01-01T00:00:00+00:00",
            "end_at": "2026-01-02T00:00:00+00:00",
        },
    ),
}


def sample(wish: EventFilter, *, at: datetime) -> Event:
    """Return an event of a type that is wanted; `data.is_test` says that it is none."""
    kind = next(
        (each for each in (*_SAMPLES, *sorted(types.OURS)) if types.are_wanted(types.names_of(each), wish.types)),
        "model.registered",
    )
    subject, data = _SAMPLES.get(kind, (f"{kind.partition('.')[0]}s/sample", {}))
    return Event(0, records.new_id("event"), kind, subject, at, data | {"is_test": True})
