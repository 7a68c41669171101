"""Registered models and their aliases, as MLflow's clients ask for them."""

from typing import Any

from modelwright.api.mlflow import paging
from modelwright.api.mlflow.answers import milliseconds, pairs
from modelwright.api.mlflow.calls import Call
from modelwright.api.mlflow.filtering import Language, read_filter
from modelwright.api.mlflow.operations import Operation, reading, refuse_kind
from modelwright.api.mlflow.searches import orders
from modelwright.api.mlflow.versions import checked_stage, told_version
from modelwright.lifecycle import labelling
from modelwright.models.registry import check_name
from modelwright.records import Model, Place
from modelwright.store import deletion, models, named_models

_TIMES = {
    "creation_timestamp": "creation_timestamp",
    "last_updated_timestamp": "last_updated_timestamp",
    "timestamp": "last_updated_timestamp",
}
_LANGUAGE = Language(
    frozenset({Place.TAG, Place.ATTRIBUTE}),
    {"name": "name"} | _TIMES,
    times=frozenset(_TIMES.values()),
    lists=frozenset({"name"}),
)
_LONGEST_DESCRIPTION = 100_000


def _create(call: Call) -> dict[str, Any]:
    name = check_name(call.text("name"), way='as "name"')
    description, tags = call.optional("description", longest=_LONGEST_DESCRIPTION) or "", call.labels("tags")
    if tags.get(named_models.PROMPT_TAG) == "true":
        refuse_kind("prompts")
    with call.session.change() as opened:
        named_models.add_model(opened, name, description=description, tags=tags)
    return _found(call, name)


def _get(call: Call) -> dict[str, Any]:
    return _found(call, call.text("name"))


def _search(call: Call) -> dict[str, Any]:
    limit, start = call.page_size(default=100), paging.offset(call)
    found = named_models.search_models(
        call.store,
        read_filter(call.optional("filter"), _LANGUAGE),
        orders=orders(call, _LANGUAGE),
        offset=start,
        limit=limit + 1,
    )
    shown = [_told(call, each) for each in found[:limit]]
    return {"registered_models": shown} | paging.next_page(found, start, limit)


def _update(call: Call) -> dict[str, Any]:
    model = _model(call)
    with call.session.change() as opened:
        description = call.optional("description", longest=_LONGEST_DESCRIPTION) or ""
        named_models.describe_model(opened, model, description)
    return _found(call, model.name)


def _rename(call: Call) -> dict[str, Any]:
    return {
        "registered_model": _told(call, labelling.rename_model(call.session, call.text("name"), call.text("new_name")))
    }


def _delete(call: Call) -> dict[str, Any]:
    model = _model(call)
    with call.session.change() as opened:
        deletion.delete_model_line(opened, model)
    return {}


def _set_tag(call: Call) -> dict[str, Any]:
    model, name, value = _model(call), call.key(), call.optional("value") or ""
    with call.session.change() as opened:
        named_models.set_model_tag(opened, model, name, value=value)
    return {}


def _delete_tag(call: Call) -> dict[str, Any]:
    model, name = _model(call), call.key()
    if name in model.tags:  # of one that it does not have the client makes nothing
        with call.session.change() as opened:
            named_models.remove_model_tag(opened, model, name)
    return {}


def _latest_versions(call: Call) -> dict[str, Any]:
    model, stages = _model(call), [checked_stage(each) for each in call.texts("stages")]
    newest = named_models.newest_by_stage(call.store, model.name)
    return {
        "model_versions": [told_version(each) for each in newest if not stages or named_models.stage_of(each) in stages]
    }


def _set_alias(call: Call) -> dict[str, Any]:
    alias = check_name(call.text("alias"), noun="alias", way='as "alias"')
    version = models.find_version(call.store, f"{_model(call).name}:{call.whole('version')}")
    with call.session.change() as opened:
        models.move_alias(opened, version, alias=alias)
    return {}


def _get_alias(call: Call) -> dict[str, Any]:
    return {"model_version": told_version(models.find_version(call.store, f"{call.text('name')}@{call.text('alias')}"))}


def _delete_alias(call: Call) -> dict[str, Any]:
    model, alias = _model(call), call.text("alias")
    if alias in model.aliases:
        with call.session.change() as opened:
            models.remove_alias(opened, model.name, alias=alias)
    return {}


def _model(call: Call) -> Model:
    return named_models.find_model(call.store, call.text("name"))


def _found(call: Call, name: str) -> dict[str, Any]:
    return {"registered_model": _told(call, named_models.find_model(call.store, name))}


def _told(call: Call, model: Model) -> dict[str, Any]:
    """Return a model in MLflow's shape."""
    return {
        "name": model.name,
        "creation_timestamp": milliseconds(model.created_at),
        "last_updated_timestamp": milliseconds(model.updated_at),
        "description": model.description,
        "latest_versions": [told_version(each) for each in named_models.newest_by_stage(call.store, model.name)],
        "tags": pairs(model.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()],
    }


OPERATIONS = (
    Operation("POST", "registered-models/create", _create),
    reading("GET", "registered-models/get", _get),
    reading("GET", "registered-models/search", _search),
    Operation("PATCH", "registered-models/update", _update),
    Operation("POST", "registered-models/rename", _rename),
    Operation("DELETE", "registered-models/delete", _delete),
    Operation("POST", "registered-models/set-tag", _set_tag),
    Operation("DELETE", "registered-models/delete-tag", _delete_tag),
    reading("GET", "registered-models/get-latest-versions", _latest_versions),
    reading("POST", "registered-models/get-latest-versions", _latest_versions),
    Operation("POST", "registered-models/alias", _set_alias),
    reading("GET", "registered-models/alias", _get_alias),
    Operation("DELETE", "registered-models/alias", _delete_alias),
)
