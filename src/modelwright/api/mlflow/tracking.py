"""What MLflow's clients log to their runs: metrics, parameters, tags, the data that they read, models."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.api.mlflow import paging
from modelwright.api.mlflow.answers import pairs
from modelwright.api.mlflow.calls import Call, checked_key, checked_text, labels, moment, number, objects, whole
from modelwright.api.mlflow.operations import Operation, reading
from modelwright.api.mlflow.run_shapes import told_point
from modelwright.errors import ValueRefused
from modelwright.records import ModelPoint, Point, RunInput, RunOutput
from modelwright.records.parameter_texts import value_of
from modelwright.store import client_points, client_runs, logged_models, runs
from modelwright.store.changes import Change

# MLflow's own limits. What is longer is cut, as there, so that a value that an autologger found loses no run.
LONGEST_TAG = 8000
_LONGEST_PARAMETER = 6000
_MOST_METRICS = 1000
_MOST_LABELS = 100
_MOST_POINTS = 25_000
_LONGEST_DATASET = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}


def _log_metric(call: Call) -> dict[str, Any]:
    point = _point(call.given, "")
    with call.session.change() as opened:
        client_runs.ensure_open(opened.connection, call.run_id)
        _log_points(opened, call.run_id, [(point, call.given)])
    return {}


def _log_parameter(call: Call) -> dict[str, Any]:
    name, value = call.key(), call.optional("value") or ""
    with call.session.change() as opened:
        client_runs.ensure_open(opened.connection, call.run_id)
        _set_parameters(opened, call.run_id, {name: value})
    return {}


def _log_batch(call: Call) -> dict[str, Any]:
    run_id = call.run_id
    metrics = call.entries("metrics", most=_MOST_METRICS)
    points = [(_point(each, f"metrics[{index}]."), each) for index, each in enumerate(metrics)]
    given = call.entries("params", most=_MOST_LABELS)
    parameters = call.labels("params")
    tags = call.labels("tags", most=_MOST_LABELS)
    if len(parameters) < len(given):
        raise ValueRefused(name="params", rule="a parameter is given once")
    if len(points) + len(parameters) + len(tags) > _MOST_METRICS:
        raise ValueRefused(name="metrics, params and tags", rule=f"there may be {_MOST_METRICS} in one request")
    with call.session.change() as opened:
        client_runs.ensure_open(opened.connection, run_id)
        _set_parameters(opened, run_id, parameters)
        _log_points(opened, run_id, points)
        _set_tags(opened, run_id, tags)
    return {}


def _set_tag(call: Call) -> dict[str, Any]:
    name, value = call.key(), call.optional("value") or ""
    with call.session.change() as opened:
        client_runs.ensure_taggable(opened.connection, call.run_id)
        _set_tags(opened, call.run_id, {name: value})
    return {}


def _delete_tag(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        client_runs.remove_tag(opened, call.run_id, call.text("key"))
    return {}


def _log_inputs(call: Call) -> dict[str, Any]:
    inputs = [_input(each) for each in call.entries("datasets", most=_MOST_METRICS)]
    with call.session.change() as opened:
        client_runs.add_inputs(opened, call.run_id, inputs)
    return {}


def _log_outputs(call: Call) -> dict[str, Any]:
    outputs = [
        RunOutput(checked_text("model_id", each.get("model_id")) or "", whole("step", each.get("step", 0)))
        for each in call.entries("models")
    ]
    with call.session.change() as opened:
        for each in outputs:
            logged_models.ensure_there(opened.connection, each.logged_model_id)
        client_runs.add_outputs(opened, call.run_id, outputs)
    return {}


def _history(call: Call) -> dict[str, Any]:
    limit, offset = call.page_size(default=_MOST_POINTS), paging.offset(call)
    found = client_runs.list_history(call.store, call.run_id, call.text("metric_key"), offset=offset, limit=limit + 1)
    return {"metrics": [told_point(each) for each in found[:limit]]} | paging.next_page(found, offset, limit)


def _point(given: Mapping[str, Any], path: str) -> Point:
    at = given.get("timestamp")
    if at is None or (at := whole(f"{path}timestamp", at)) < 0:
        raise ValueRefused(name=f"{path}timestamp", rule="it is a time in milliseconds since 1970")
    return Point(
        checked_key(f"{path}key", given.get("key")),
        whole(f"{path}step", given.get("step") or 0),
        number(f"{path}value", given.get("value")),
        moment(f"{path}timestamp", at),
    )


def _log_points(opened: Change, run_id: str, points: Sequence[tuple[Point, Mapping[str, Any]]]) -> None:
    client_points.log_client_points(opened, run_id, [point for point, _ in points])
    of_models: dict[str, list[ModelPoint]] = {}
    for point, given in points:
        if given.get("model_id"):
            names = ("dataset_name", "dataset_digest")
            dataset = {name: str(given[name]) for name in names if given.get(name)}
            of_models.setdefault(str(given["model_id"]), []).append(ModelPoint(point, run_id, dataset or None))
    for model_id, measured in of_models.items():
        logged_models.log_points(opened, model_id, measured)


def _set_parameters(opened: Change, run_id: str, parameters: Mapping[str, str]) -> None:
    runs.set_parameters(
        opened, run_id, {name: value_of(value[:_LONGEST_PARAMETER]) for name, value in parameters.items()}
    )


def _set_tags(opened: Change, run_id: str, tags: Mapping[str, str]) -> None:
    runs.set_tags(opened, run_id, {name: value[:LONGEST_TAG] for name, value in tags.items()})


def _input(given: Mapping[str, Any]) -> RunInput:
    dataset = given.get("dataset")
    if not isinstance(dataset, dict):
        raise ValueRefused(name="dataset", rule="it is required")
    for name, longest in _LONGEST_DATASET.items():
        checked_text(f"dataset.{name}", dataset.get(name), longest=longest)
    if not dataset.get("name") or not dataset.get("digest"):
        raise ValueRefused(name="dataset", rule="it has a name and a digest")
    described = {name: dataset[name] for name in ("source_type", "source", "schema", "profile") if name in dataset}
    tags = labels("tags", objects("tags", given.get("tags") or []))
    return RunInput(dataset["name"], dataset["digest"], {"dataset": described, "tags": pairs(tags)})


OPERATIONS = (
    Operation("POST", "runs/log-metric", _log_metric),
    Operation("POST", "runs/log-parameter", _log_parameter),
    Operation("POST", "runs/log-batch", _log_batch),
    Operation("POST", "runs/set-tag", _set_tag),
    Operation("POST", "runs/delete-tag", _delete_tag),
    Operation("POST", "runs/log-inputs", _log_inputs),
    Operation("POST", "runs/outputs", _log_outputs),
    reading("GET", "metrics/get-history", _history),
)
