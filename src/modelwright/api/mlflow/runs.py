"""Runs, as MLflow's clients make and end them, and put them away."""

from typing import Any

from modelwright import records
from modelwright.api.mlflow.calls import Call
from modelwright.api.mlflow.operations import Operation, reading
from modelwright.api.mlflow.run_shapes import NAME_TAG, STATUSES, told, told_info
from modelwright.api.mlflow.tracking import LONGEST_TAG
from modelwright.errors import RunMissing, ValueRefused
from modelwright.records import Kind, Run, RunDetails, Status
from modelwright.store import client_runs, experiments, runs
from modelwright.store.changes import Change

# With what the client says is above this one. One that is not here is told by the tag alone.
_PARENT_TAG = "mlflow.parentRunId"


def _create(call: Call) -> dict[str, Any]:
    experiment_id = call.optional("experiment_id") or experiments.DEFAULT_ID
    tags = {key: value[:LONGEST_TAG] for key, value in call.labels("tags").items()}
    name = call.optional("run_name", longest=LONGEST_TAG)
    if name and tags.setdefault(NAME_TAG, name) != name:
        rule = f'it is "{name}", and the tag {NAME_TAG} says "{tags[NAME_TAG]}"'
        raise ValueRefused(name="run_name", rule=rule)
    with call.session.change() as opened:
        experiment = experiments.load_active(opened.connection, experiment_id)
        run = Run(
            id=records.new_id("run"),
            project="",
            status=Status.RUNNING,
            reason="",
            environment_digest="",
            code_digest="",
            git=None,
            started_at=call.moment("start_time") or opened.at,
            tags=tags,
            kind=Kind.TRACKED,
            experiment=experiment.name,
            parent_id=_parent(opened, tags.get(_PARENT_TAG)),
            actor=opened.actor,
        )
        runs.add_run(opened, run, project_id=None)
    return {"run": told(RunDetails(run, experiment.id, None, points=()))}


def _parent(opened: Change, run_id: str | None) -> str | None:
    if run_id:
        try:
            return runs.load_run(opened.connection, run_id).id
        except RunMissing:
            pass
    return None


def _get(call: Call) -> dict[str, Any]:
    return {"run": told(client_runs.find_details(call.store, call.run_id))}


def _update(call: Call) -> dict[str, Any]:
    run_id, status, name = call.run_id, call.optional("status"), call.optional("run_name", longest=LONGEST_TAG)
    ended_at = call.moment("end_time")
    if status and status not in STATUSES:
        raise ValueRefused(name="status", rule=f"it is one of {', '.join(STATUSES)}")
    with call.session.change() as opened:
        if status or ended_at:
            client_runs.set_status(opened, run_id, STATUSES.get(status or ""), finished_at=ended_at)
        else:
            client_runs.ensure_taggable(opened.connection, run_id)
        if name:
            runs.set_tags(opened, run_id, {NAME_TAG: name})
        return {"run_info": told_info(client_runs.load_head(opened.connection, run_id))}


def _delete(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        client_runs.put_away(opened, call.run_id)
    return {}


def _restore(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        client_runs.restore(opened, call.run_id)
    return {}


OPERATIONS = (
    Operation("POST", "runs/create", _create),
    reading("GET", "runs/get", _get),
    Operation("POST", "runs/update", _update),
    Operation("POST", "runs/delete", _delete),
    Operation("POST", "runs/restore", _restore),
)
