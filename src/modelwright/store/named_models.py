"""Models as names: what is said of one, whatever its versions; which there are, and in which stage their versions are.

A stage, as MLflow's older clients know it, is a tag of a version.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import ModelExists, TagMissing
from modelwright.records import Criterion, Model, ModelVersion, Order, Place
from modelwright.store import models, naming, schema, selecting
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import chunks, marks, rows
from modelwright.store.numbers import last_number
from modelwright.store.selecting import Clause, Rows, Subject

STAGE_TAG = "mlflow.stage"
NO_STAGE = "None"
# Prompts are kept among models by clients that have any. Who looks for models does not mean them.
PROMPT_TAG = "mlflow.prompt.is_prompt"
_NO_PROMPT = "NOT EXISTS (SELECT 1 FROM model_tags WHERE model = {} AND name = ? AND value = 'true')"

_MODELS = Subject(
    "models",
    {
        "name": "models.name",
        "creation_timestamp": "models.created_at",
        "last_updated_timestamp": "COALESCE(models.updated_at, models.created_at)",
    },
    {Place.TAG: Rows("model_tags", "model")},
    "models.name",
    name="name",
)
_VERSIONS = Subject(
    "model_versions",
    {
        "name": "model_versions.model",
        "version_number": "model_versions.version",
        "run_id": "COALESCE(model_versions.run_id, json_extract(model_versions.source, '$.run'), '')",
        "source_path": "COALESCE(json_extract(model_versions.source, '$.uri'), '')",
        "creation_timestamp": "model_versions.created_at",
        "last_updated_timestamp": "COALESCE(model_versions.updated_at, model_versions.created_at)",
    },
    {Place.TAG: Rows("version_tags", "version_id")},
    "COALESCE(model_versions.updated_at, model_versions.created_at) DESC, model, version DESC",
)
_SAID = "SELECT name, description, created_at, updated_at FROM models WHERE name IN ({})"
_TAGS = "SELECT model, name, value FROM model_tags WHERE model IN ({}) ORDER BY name"
_ALIASES = (
    "SELECT aliases.model, alias, version FROM aliases JOIN model_versions ON model_versions.id = version_id "
    "WHERE aliases.model IN ({}) ORDER BY alias"
)
_NEWEST_BY_STAGE = (
    "SELECT id, MAX(version), COALESCE(value, 'None') AS stage FROM model_versions "
    "LEFT JOIN version_tags ON version_id = id AND name = ? WHERE model = ? GROUP BY stage "
    "ORDER BY MAX(version)"
)


def add_model(change: Change, name: str, *, description: str = "", tags: Mapping[str, str]) -> None:
    """Record a model that has no version yet. Raises ModelExists, and ModelRenamed for what another was called."""
    table = schema.models
    if _is_there(change, name):
        raise ModelExists(model=name)
    naming.refuse_former(change.connection, name)
    times = {"created_at": change.at, "updated_at": change.at}
    number = last_number(change, "model", name)
    change.insert(table, {"name": name, "description": description, "last_version": number, **times})
    change.insert(schema.model_tags, *({"model": name, "name": key, "value": value} for key, value in tags.items()))
    change.record("model.created", f"models/{name}", after={"description": description, "tags": dict(tags)})


def describe_model(change: Change, model: Model, description: str) -> None:
    """Set what is said of a model. Raises ModelMissing."""
    table = schema.models
    if not change.update_row(table, [model.name], description=description, updated_at=change.at):
        raise naming.missing(change.connection, model.name)
    was = change.before(table, model.name)
    before = {"description": was["description"]} if was else None
    change.record("model.described", f"models/{model.name}", before=before, after={"description": description})


def set_model_tag(change: Change, model: Model, name: str, *, value: str) -> None:
    """Set a tag of a model. Raises ModelMissing."""
    table = schema.model_tags
    if not _is_there(change, model.name):
        raise naming.missing(change.connection, model.name)
    if not change.update_row(table, [model.name, name], value=value):
        change.insert(table, {"model": model.name, "name": name, "value": value})
    was = change.before(table, model.name, name)
    before = {name: was["value"]} if was else None
    change.record("model.tagged", f"models/{model.name}", before=before, after={name: value})


def remove_model_tag(change: Change, model: Model, name: str) -> None:
    """Remove a tag of a model. Raises TagMissing."""
    table = schema.model_tags
    if not change.delete(table, (table.c.model == model.name) & (table.c.name == name)):
        raise TagMissing(name=name, thing=f"model {model.name}")
    was = change.before(table, model.name, name)
    before = {name: was["value"]} if was else None
    change.record("model.tagged", f"models/{model.name}", before=before, after={name: None})


def set_stage(change: Change, version: ModelVersion, stage: str) -> None:
    """Put a version into a stage, `None` for none. Others may be in the same."""
    is_none = stage == NO_STAGE
    models.change_tags(
        change, version, added={} if is_none else {STAGE_TAG: stage}, removed=[STAGE_TAG] if is_none else []
    )
    change.update_row(schema.model_versions, [version.id], updated_at=change.at)
    change.update_row(schema.models, [version.model], updated_at=change.at)
    change.record("model.staged", f"models/{version.reference}", after={"stage": stage})


def stage_of(version: ModelVersion) -> str:
    """Return the stage that a version is in, `None` when it is in none."""
    return version.tags.get(STAGE_TAG, NO_STAGE)


def find_model(store: Store, name: str) -> Model:
    """Return the model of this name. Raises ModelMissing."""
    with store.reader.connect() as connection:
        found = _load(connection, [name])
        if not found:
            raise naming.missing(connection, name)
    return found[0]


def newest_by_stage(store: Store, name: str) -> list[ModelVersion]:
    """Return the newest version of a model in each stage, the oldest of these first."""
    with store.reader.connect() as connection:
        return models.load_versions(
            connection, [row[0] for row in rows(connection, _NEWEST_BY_STAGE, (STAGE_TAG, name))]
        )


def search_models(
    store: Store, wanted: Sequence[Criterion], *, orders: Sequence[Order], offset: int, limit: int
) -> list[Model]:
    """Return the models that all of `wanted` holds for, in order, from number `offset` on, at most `limit`."""
    with store.reader.connect() as connection:
        clauses = _without_prompts(wanted, "models.name")
        names = selecting.select(connection, _MODELS, clauses, orders=orders, offset=offset, limit=limit)
        return _load(connection, names)


def search_versions(
    store: Store, wanted: Sequence[Criterion], *, orders: Sequence[Order], offset: int, limit: int
) -> list[ModelVersion]:
    """Return the versions that all of `wanted` holds for, in order, from number `offset` on, at most `limit`."""
    with store.reader.connect() as connection:
        clauses = _without_prompts(wanted, "model_versions.model")
        ids = selecting.select(connection, _VERSIONS, clauses, orders=orders, offset=offset, limit=limit)
        return models.load_versions(connection, ids)


def _without_prompts(wanted: Sequence[Criterion], column: str) -> list[Criterion | Clause]:
    """Return the conditions with the one that clients always add, that it be no prompt, for those without the tag."""
    of_prompts = [each for each in wanted if each.place is Place.TAG and each.name == PROMPT_TAG]
    if any((each.operator == "=") == (each.value == "true") for each in of_prompts):
        return list(wanted)
    rest = [each for each in wanted if each not in of_prompts]
    return [*rest, Clause(_NO_PROMPT.format(column), (PROMPT_TAG,))]


def _is_there(change: Change, name: str) -> bool:
    return bool(rows(change.connection, "SELECT 1 FROM models WHERE name = ?", (name,)))


def _load(connection: sa.Connection, names: Sequence[str]) -> list[Model]:
    found: dict[str, Model] = {}
    for some in chunks(names):
        tags, aliases = (_named(connection, statement, some) for statement in (_TAGS, _ALIASES))
        for name, description, created_at, updated_at in rows(connection, _SAID.format(marks(len(some))), some):
            created, updated = (datetime.fromisoformat(each) for each in (created_at, updated_at or created_at))
            found[name] = Model(name, description, created, updated, tags[name], aliases[name])
    return [found[each] for each in names if each in found]


def _named(connection: sa.Connection, statement: str, models_named: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {each: {} for each in models_named}
    for model, name, value in rows(connection, statement.format(marks(len(models_named))), models_named):
        found[model][name] = value
    return found
