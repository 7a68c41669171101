"""Runs in MLflow's shape."""

from typing import Any

from modelwright.api.mlflow.answers import milliseconds, number, pairs
from modelwright.records import Point, Run, RunDetails, RunInput, Status
from modelwright.records.parameter_texts import text_of

NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"

_STATUSES = {
    Status.QUEUED: "SCHEDULED",
    Status.RUNNING: "RUNNING",
    Status.SUCCEEDED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "KILLED",
}
STATUSES = {name: status for status, name in _STATUSES.items()}


def told(details: RunDetails) -> dict[str, Any]:
    """Return a whole run."""
    run = details.run
    return {
        "info": told_info(details),
        "data": {
            "metrics": [told_point(each) for each in details.points],
            "params": [{"key": name, "value": text_of(value)} for name, value in run.parameters.items()],
            "tags": pairs(_tags(run)),
        },
        "inputs": {"dataset_inputs": [_told_input(each) for each in details.inputs]},
        "outputs": {
            "model_outputs": [{"model_id": each.logged_model_id, "step": each.step} for each in details.outputs]
        },
    }


def told_info(details: RunDetails) -> dict[str, Any]:
    """Return what a run is, without what was logged to it."""
    run = details.run
    info: dict[str, Any] = {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.tags.get(NAME_TAG, run.id),
        "experiment_id": details.experiment_id,
        "user_id": run.tags.get(USER_TAG, run.actor),
        "status": _STATUSES[run.status],
        "start_time": milliseconds(run.started_at),
        "artifact_uri": f"mlflow-artifacts:/{details.experiment_id}/{run.id}/artifacts",
        "lifecycle_stage": "active" if details.deleted_at is None else "deleted",
    }
    return info | ({"end_time": milliseconds(run.finished_at)} if run.finished_at else {})


def told_point(point: Point) -> dict[str, Any]:
    """Return a value of a metric."""
    return {
        "key": point.name,
        "value": number(point.value),
        "timestamp": milliseconds(point.recorded_at),
        "step": point.step,
    }


def _tags(run: Run) -> dict[str, str]:
    return run.tags if NAME_TAG in run.tags else run.tags | {NAME_TAG: run.id}


def _told_input(given: RunInput) -> dict[str, Any]:
    dataset = {"name": given.name, "digest": given.digest, **given.description.get("dataset", {})}
    return {"tags": given.description.get("tags", []), "dataset": dataset}
