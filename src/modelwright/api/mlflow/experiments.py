"""Experiments, as MLflow's clients make, find and put them away."""

from typing import Any

from modelwright.api.mlflow.answers import milliseconds, pairs
from modelwright.api.mlflow.calls import Call
from modelwright.api.mlflow.operations import Operation, reading
from modelwright.errors import TagMissing, ValueRefused
from modelwright.records import Experiment
from modelwright.store import experiments

_LONGEST_NAME = 500
_LONGEST_TAG = 20_000


def told(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment in MLflow's shape."""
    return {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": f"mlflow-artifacts:/{experiment.id}",
        "lifecycle_stage": "active" if experiment.deleted_at is None else "deleted",
        "creation_time": milliseconds(experiment.created_at),
        "last_update_time": milliseconds(experiment.updated_at),
        "tags": pairs(experiment.tags),
    }


def _create(call: Call) -> dict[str, Any]:
    name = call.text("name", longest=_LONGEST_NAME)
    if call.optional("artifact_location"):
        rule = "files are kept in the workspace; leave it out"
        raise ValueRefused(name="artifact_location", rule=rule)
    tags = call.labels("tags", longest=_LONGEST_TAG)
    with call.session.change() as opened:
        return {"experiment_id": experiments.add_experiment(opened, name, tags=tags)}


def _get(call: Call) -> dict[str, Any]:
    return {"experiment": told(experiments.find_experiment(call.store, call.text("experiment_id")))}


def _get_by_name(call: Call) -> dict[str, Any]:
    return {"experiment": told(experiments.find_by_name(call.store, call.text("experiment_name")))}


def _update(call: Call) -> dict[str, Any]:
    name = call.optional("new_name", longest=_LONGEST_NAME)
    with call.session.change() as opened:
        if name:
            experiments.rename_experiment(opened, call.text("experiment_id"), name)
    return {}


def _delete(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        experiments.put_away_experiment(opened, call.text("experiment_id"))
    return {}


def _restore(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        experiments.restore_experiment(opened, call.text("experiment_id"))
    return {}


def _set_tag(call: Call) -> dict[str, Any]:
    key, value = call.key(), call.optional("value", longest=_LONGEST_TAG) or ""
    with call.session.change() as opened:
        experiments.set_experiment_tag(opened, call.text("experiment_id"), key, value=value)
    return {}


def _delete_tag(call: Call) -> dict[str, Any]:
    found, key = call.text("experiment_id"), call.text("key")
    with call.session.change() as opened:
        if not experiments.delete_experiment_tag(opened, found, key):
            raise TagMissing(name=key, thing=f"experiment {found}")
    return {}


OPERATIONS = (
    Operation("POST", "experiments/create", _create),
    reading("GET", "experiments/get", _get),
    reading("GET", "experiments/get-by-name", _get_by_name),
    Operation("POST", "experiments/update", _update),
    Operation("POST", "experiments/delete", _delete),
    Operation("POST", "experiments/restore", _restore),
    Operation("POST", "experiments/set-experiment-tag", _set_tag),
    Operation("POST", "experiments/delete-experiment-tag", _delete_tag),
)
