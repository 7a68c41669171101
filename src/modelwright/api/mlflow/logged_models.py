"""Models that MLflow's clients log, before anybody registers them."""

from typing import Any

from modelwright.api.mlflow import paging
from modelwright.api.mlflow.answers import milliseconds, pairs
from modelwright.api.mlflow.calls import MOST_ORDERS, MOST_SEARCHED, Call, checked_text
from modelwright.api.mlflow.filtering import Language, read_filter, read_order
from modelwright.api.mlflow.operations import Operation, reading
from modelwright.api.mlflow.run_shapes import told_point
from modelwright.errors import ValueRefused
from modelwright.records import LoggedModel, LoggedModelStatus, ModelPoint, Order, Place
from modelwright.store import logged_models

_STATUSES = {
    LoggedModelStatus.PENDING: "LOGGED_MODEL_PENDING",
    LoggedModelStatus.READY: "LOGGED_MODEL_READY",
    LoggedModelStatus.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}
_STATUS_OF = {name: status for status, name in _STATUSES.items()}
_FORBIDDEN = frozenset("/:.%\"'")
_LONGEST_NAME = 500
_TIMES = {
    "creation_timestamp": ("creation_timestamp", "creation_time", "creation_timestamp_ms"),
    "last_updated_timestamp": ("last_updated_timestamp", "last_updated_time", "last_updated_timestamp_ms"),
}
_ATTRIBUTES = ("name", "model_id", "model_type", "status", "source_run_id")
_LANGUAGE = Language(
    frozenset({Place.METRIC, Place.PARAMETER, Place.TAG, Place.ATTRIBUTE}),
    {name: name for name in _ATTRIBUTES} | {name: ours for ours, names in _TIMES.items() for name in names},
    times=frozenset(_TIMES),
    lists=frozenset(_ATTRIBUTES),
)


def artifact_uri(model: LoggedModel) -> str:
    """Return where clients find the model's files."""
    return f"mlflow-artifacts:/{model.experiment_id}/models/{model.id}/artifacts"


def told(model: LoggedModel) -> dict[str, Any]:
    """Return a logged model in MLflow's shape."""
    return {
        "info": {
            "model_id": model.id,
            "experiment_id": model.experiment_id,
            "name": model.name,
            "creation_timestamp_ms": milliseconds(model.created_at),
            "last_updated_timestamp_ms": milliseconds(model.updated_at),
            "artifact_uri": artifact_uri(model),
            "status": _STATUSES[model.status],
            "model_type": model.kind,
            "source_run_id": model.run_id or "",
            "tags": pairs(model.tags),
        },
        "data": {
            "params": pairs(model.parameters),
            "metrics": [_told_point(each, model.id) for each in model.metrics],
        },
    }


def _told_point(measured: ModelPoint, model_id: str) -> dict[str, Any]:
    of = {"model_id": model_id, "run_id": measured.run_id or ""}
    return told_point(measured.point) | of | (measured.dataset or {})


def _create(call: Call) -> dict[str, Any]:
    name = call.optional("name", longest=_LONGEST_NAME)
    if name == "" or _FORBIDDEN.intersection(name or ""):
        raise ValueRefused(name="name", rule=f"it is not empty and has none of {' '.join(sorted(_FORBIDDEN))}")
    new = logged_models.NewModel(
        experiment_id=call.text("experiment_id"),
        name=name or "model",
        run_id=call.optional("source_run_id") or None,
        kind=call.optional("model_type") or "",
        tags=call.labels("tags"),
        parameters=call.labels("params"),
    )
    with call.session.change() as opened:
        found = logged_models.add_logged_model(opened, new)
    return _found(call, found)


def _get(call: Call) -> dict[str, Any]:
    return _found(call, call.text("model_id"))


def _finalize(call: Call) -> dict[str, Any]:
    model_id, status = call.text("model_id"), call.text("status")
    if status not in _STATUS_OF:
        raise ValueRefused(name="status", rule=f"it is one of {', '.join(_STATUS_OF)}")
    with call.session.change() as opened:
        logged_models.set_status(opened, model_id, _STATUS_OF[status])
    return _found(call, model_id)


def _set_tags(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        logged_models.set_tags(opened, call.text("model_id"), call.labels("tags"))
    return _found(call, call.text("model_id"))


def _delete_tag(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        logged_models.remove_tag(opened, call.text("model_id"), call.text("tag_key"))
    return {}


def _log_parameters(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        logged_models.add_parameters(opened, call.text("model_id"), call.labels("params"))
    return _found(call, call.text("model_id"))


def _delete(call: Call) -> dict[str, Any]:
    with call.session.change() as opened:
        logged_models.delete_logged_model(opened, call.text("model_id"))
    return {}


def _search(call: Call) -> dict[str, Any]:
    limit, start = call.page_size(default=50), paging.offset(call)
    names = ("dataset_name", "dataset_digest")
    datasets = [
        {name: checked_text(name, each[name]) or "" for name in names if each.get(name)}
        for each in call.entries("datasets", most=MOST_ORDERS)
    ]
    found = logged_models.search_logged_models(
        call.store,
        read_filter(call.optional("filter"), _LANGUAGE),
        experiment_ids=call.texts("experiment_ids", most=MOST_SEARCHED),
        datasets=datasets,
        orders=_orders(call),
        offset=start,
        limit=limit + 1,
    )
    return {"models": [told(each) for each in found[:limit]]} | paging.next_page(found, start, limit)


def _orders(call: Call) -> list[Order]:
    found = []
    for each in call.entries("order_by", most=MOST_ORDERS):
        name = checked_text("order_by.field_name", each.get("field_name"))
        if not name:
            raise ValueRefused(name="order_by.field_name", rule="it is required")
        order = read_order(name, _LANGUAGE)
        if order.place not in {Place.METRIC, Place.ATTRIBUTE}:
            raise ValueRefused(name="order_by.field_name", rule="it is an attribute, or metrics.NAME")
        found.append(Order(order.place, order.name, is_descending=not each.get("ascending", True)))
    return found


def _found(call: Call, model_id: str) -> dict[str, Any]:
    return {"model": told(logged_models.find_logged_model(call.store, model_id))}


OPERATIONS = (
    Operation("POST", "logged-models", _create),
    reading("POST", "logged-models/search", _search),
    reading("GET", "logged-models/{model_id}", _get),
    Operation("PATCH", "logged-models/{model_id}", _finalize),
    Operation("DELETE", "logged-models/{model_id}", _delete),
    Operation("PATCH", "logged-models/{model_id}/tags", _set_tags),
    Operation("DELETE", "logged-models/{model_id}/tags/{tag_key}", _delete_tag),
    Operation("POST", "logged-models/{model_id}/params", _log_parameters),
)
