"""Versions of registered models, as MLflow's clients ask for them. A stage is a tag of ours."""

from typing import Any

from modelwright.api.mlflow import paging
from modelwright.api.mlflow.answers import milliseconds, pairs
from modelwright.api.mlflow.calls import Call
from modelwright.api.mlflow.filtering import Language, read_filter
from modelwright.api.mlflow.operations import Operation, reading
from modelwright.api.mlflow.searches import orders
from modelwright.errors import ValueRefused
from modelwright.lifecycle import deletion, kept
from modelwright.records import ModelVersion, Place, VersionFilter
from modelwright.store import models, named_models
from modelwright.store.named_models import NO_STAGE, STAGE_TAG

_STAGES = {stage.lower(): stage for stage in (NO_STAGE, "Staging", "Production", "Archived")}
_ACTIVE = {"Staging", "Production"}
_TIMES = ("creation_timestamp", "last_updated_timestamp")
_LANGUAGE = Language(
    frozenset({Place.TAG, Place.ATTRIBUTE}),
    {name: name for name in ("name", "version_number", "run_id", "source_path", *_TIMES)},
    times=frozenset(_TIMES),
    numbers=frozenset({"version_number"}),
    lists=frozenset({"name", "run_id"}),
)
_LONGEST_DESCRIPTION = 100_000
_MOST_PER_PAGE = 200_000


def told_version(version: ModelVersion) -> dict[str, Any]:
    """Return a version in MLflow's shape."""
    source = version.source
    return {
        "name": version.model,
        "version": str(version.version),
        "creation_timestamp": milliseconds(version.created_at),
        "last_updated_timestamp": milliseconds(version.updated_at or version.created_at),
        "user_id": version.created_by,
        "current_stage": named_models.stage_of(version),
        "description": version.description,
        "source": source.get("uri") or _artifact_uri(version),
        "run_id": version.run_id or source.get("run", ""),
        "run_link": source.get("run_link", ""),
        "model_id": source.get("logged_model", ""),
        "status": "READY",
        "tags": pairs({name: value for name, value in version.tags.items() if name != STAGE_TAG}),
        "aliases": list(version.aliases),
    }


def checked_stage(text: str) -> str:
    """Return the stage that a text names in whatever case. Raises ValueRefused."""
    if text.lower() not in _STAGES:
        raise ValueRefused(name="stage", rule=f"it is one of {', '.join(_STAGES.values())}")
    return _STAGES[text.lower()]


def _create(call: Call) -> dict[str, Any]:
    wanted = kept.Wanted(
        model=call.text("name"),
        uri=call.text("source"),
        run_id=call.optional("run_id") or "",
        model_id=call.optional("model_id") or "",
        run_link=call.optional("run_link") or "",
        description=call.optional("description", longest=_LONGEST_DESCRIPTION) or "",
        tags=call.labels("tags"),
    )
    _refuse_stage_tag(*wanted.tags)
    return _told(kept.register(call.session, wanted))


def _get(call: Call) -> dict[str, Any]:
    return _told(_version(call))


def _search(call: Call) -> dict[str, Any]:
    limit, start = call.page_size(default=10_000, most=_MOST_PER_PAGE), paging.offset(call)
    found = named_models.search_versions(
        call.store,
        read_filter(call.optional("filter"), _LANGUAGE),
        orders=orders(call, _LANGUAGE),
        offset=start,
        limit=limit + 1,
    )
    return {"model_versions": [told_version(each) for each in found[:limit]]} | paging.next_page(found, start, limit)


def _update(call: Call) -> dict[str, Any]:
    version = _version(call)
    with call.session.change() as opened:
        description = call.optional("description", longest=_LONGEST_DESCRIPTION) or ""
        models.describe_version(opened, version, description)
    return _get(call)


def _delete(call: Call) -> dict[str, Any]:
    deletion.delete_model(call.session, _version(call).reference)
    return {}


def _set_tag(call: Call) -> dict[str, Any]:
    version, name, value = _version(call), call.key(), call.optional("value") or ""
    _refuse_stage_tag(name)
    with call.session.change() as opened:
        models.change_tags(opened, version, added={name: value})
    return {}


def _delete_tag(call: Call) -> dict[str, Any]:
    version, name = _version(call), call.key()
    _refuse_stage_tag(name)
    with call.session.change() as opened:
        models.change_tags(opened, version, added={}, removed=[name])
    return {}


def _transition(call: Call) -> dict[str, Any]:
    version, stage = _version(call), checked_stage(call.text("stage"))
    is_archiving = str(call.given.get("archive_existing_versions", False)).lower() == "true"
    if is_archiving and stage not in _ACTIVE:
        raise ValueRefused(name="archive_existing_versions", rule=f"{stage} is no active stage: {', '.join(_ACTIVE)}")
    with call.session.change() as opened:
        if is_archiving:
            wanted = VersionFilter(model=version.model, tags={STAGE_TAG: stage})
            for each in models.list_versions(call.store, wanted):
                if each.id != version.id:
                    named_models.set_stage(opened, each, "Archived")
        named_models.set_stage(opened, version, stage)
    return _get(call)


def _download_uri(call: Call) -> dict[str, Any]:
    return {"artifact_uri": _artifact_uri(_version(call))}


def _artifact_uri(version: ModelVersion) -> str:
    return f"mlflow-artifacts:/{kept.VERSIONS}/{version.model}/{version.version}/artifacts"


def _refuse_stage_tag(*names: str) -> None:
    if STAGE_TAG in names:
        raise ValueRefused(name="key", rule=f"{STAGE_TAG} is what the stage of a version is kept as; change its stage")


def _version(call: Call) -> ModelVersion:
    return models.find_version(call.store, f"{call.text('name')}:{call.whole('version')}")


def _told(version: ModelVersion) -> dict[str, Any]:
    return {"model_version": told_version(version)}


OPERATIONS = (
    Operation("POST", "model-versions/create", _create),
    reading("GET", "model-versions/get", _get),
    reading("GET", "model-versions/search", _search),
    Operation("PATCH", "model-versions/update", _update),
    Operation("DELETE", "model-versions/delete", _delete),
    Operation("POST", "model-versions/set-tag", _set_tag),
    Operation("DELETE", "model-versions/delete-tag", _delete_tag),
    Operation("POST", "model-versions/transition-stage", _transition),
    reading("GET", "model-versions/get-download-uri", _download_uri),
)
