"""Models that clients logged: what they are, what was measured of them, and their files."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from modelwright.errors import LoggedModelMissing, ParameterFixed, TagMissing
from modelwright.records import Criterion, LoggedModel, LoggedModelStatus, ModelPoint, Order, Point
from modelwright.store import client_runs, deletion, experiments, schema, selecting
from modelwright.store.changes import Change
from modelwright.store.database import Store


@dataclass(frozen=True)
class NewModel:
    """What a client says of a model that it is about to write."""

    experiment_id: str
    name: str
    run_id: str | None = None
    kind: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def add_logged_model(change: Change, new: NewModel) -> str:
    """Record a model that a client begins to write; return its id.

    Raises ExperimentMissing, ExperimentDeleted, RunMissing, RunDeleted and NotOfClient.
    """
    experiments.load_active(change.connection, new.experiment_id)
    if new.run_id:
        client_runs.ensure_open(change.connection, new.run_id)
    found = f"m-{secrets.token_hex(16)}"
    row = {"id": found, "experiment_id": new.experiment_id, "run_id": new.run_id, "name": new.name, "kind": new.kind}
    times = {"created_at": change.at, "updated_at": change.at}
    change.insert(schema.logged_models, row | times | {"status": LoggedModelStatus.PENDING})
    for table, named in (
        (schema.logged_model_tags, new.tags),
        (schema.logged_model_parameters, new.parameters),
    ):
        change.insert(table, *({"logged_model_id": found, "name": key, "value": each} for key, each in named.items()))
    told = {"name": new.name, "run": new.run_id}
    change.record("logged_model.created", f"logged-models/{found}", after=told)
    return found


def set_status(change: Change, model_id: str, status: LoggedModelStatus) -> None:
    """Record that the client has written the model, or could not."""
    was = _row(change.connection, model_id).status
    change.update_row(schema.logged_models, [model_id], status=status, updated_at=change.at)
    subject = f"logged-models/{model_id}"
    change.record(f"logged_model.{status}", subject, before={"status": was}, after={"status": status})


def set_tags(change: Change, model_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a logged model; those that it has under these names are replaced."""
    _row(change.connection, model_id)
    table = schema.logged_model_tags
    if tags:
        change.delete(table, (table.c.logged_model_id == model_id) & table.c.name.in_(list(tags)))
        change.insert(table, *({"logged_model_id": model_id, "name": key, "value": each} for key, each in tags.items()))
        known = {name: was["value"] for name in tags if (was := change.before(table, model_id, name))}
        change.record("logged_model.tagged", f"logged-models/{model_id}", before=known or None, after=dict(tags))


def remove_tag(change: Change, model_id: str, name: str) -> None:
    """Remove a tag of a logged model. Raises TagMissing."""
    _row(change.connection, model_id)
    table = schema.logged_model_tags
    if not change.delete(table, (table.c.logged_model_id == model_id) & (table.c.name == name)):
        raise TagMissing(name=name, thing=f"logged model {model_id}")
    was = change.before(table, model_id, name)
    before = {name: was["value"]} if was else None
    change.record("logged_model.tagged", f"logged-models/{model_id}", before=before, after={name: None})


def add_parameters(change: Change, model_id: str, parameters: Mapping[str, str]) -> None:
    """Record parameters of a logged model. Raises ParameterFixed when one of them has another value already."""
    _row(change.connection, model_id)
    table = schema.logged_model_parameters
    known = {row.name: row.value for row in change.rows(table.select().where(table.c.logged_model_id == model_id))}
    for name, value in parameters.items():
        if known.get(name, value) != value:
            raise ParameterFixed(name=name, run=model_id, old=known[name], new=value)
    new = {name: value for name, value in parameters.items() if name not in known}
    if new:
        change.insert(table, *({"logged_model_id": model_id, "name": key, "value": each} for key, each in new.items()))
        change.record("logged_model.parameters_added", f"logged-models/{model_id}", after=new)


def log_points(change: Change, model_id: str, points: Sequence[ModelPoint]) -> None:
    """Add points to a logged model's metrics, those left out that it has already."""
    _row(change.connection, model_id)
    table = schema.logged_model_metrics
    logged = [
        {
            "logged_model_id": model_id,
            "run_id": each.run_id,
            "name": each.point.name,
            "step": each.point.step,
            "value": each.point.value,
            "dataset": each.dataset,
            "recorded_at": each.point.recorded_at,
        }
        for each in points
    ]
    same = ("run_id", "name", "step", "recorded_at")
    query = sa.select(*(table.c[name] for name in same)).where(table.c.logged_model_id == model_id)
    known = set(map(tuple, change.rows(query)))
    change.append(table, [row for row in logged if tuple(row[name] for name in same) not in known])


def delete_logged_model(change: Change, model_id: str) -> None:
    """Delete a logged model with its files. Raises InUse when a registered version was made of it."""
    found = load_logged_models(change.connection, [model_id])
    if not found:
        raise LoggedModelMissing(model=model_id)
    deletion.delete_logged_model(change, found[0])


def find_logged_model(store: Store, model_id: str) -> LoggedModel:
    """Return a logged model. Raises LoggedModelMissing."""
    with store.reader.connect() as connection:
        found = load_logged_models(connection, [model_id])
    if not found:
        raise LoggedModelMissing(model=model_id)
    return found[0]


def find_logged_by(store: Store, run_id: str, *, name: str) -> LoggedModel | None:
    """Return the newest model that a run logged under a name."""
    table = schema.logged_models
    query = sa.select(table.c.id).where(table.c.run_id == run_id, table.c.name == name)
    with store.reader.connect() as connection:
        found = connection.execute(query.order_by(table.c.created_at.desc())).first()
        return load_logged_models(connection, [found.id])[0] if found else None


def search_logged_models(
    store: Store,
    wanted: Sequence[Criterion],
    *,
    experiment_ids: Sequence[str],
    datasets: Sequence[Mapping[str, str]],
    orders: Sequence[Order],
    offset: int,
    limit: int,
) -> list[LoggedModel]:
    """Return the logged models of these experiments that all of `wanted` holds for.

    With `datasets` only those that were measured on one of them.
    """
    measured = [
        " AND ".join(f"json_extract(dataset, '$.{name}') = ?" for name in each) or "dataset IS NOT NULL"
        for each in datasets
    ]
    on = " OR ".join(f"({each})" for each in measured)
    table = "logged_model_metrics"
    of_data = f"EXISTS (SELECT 1 FROM {table} WHERE logged_model_id = logged_models.id AND ({on}))"  # noqa: S608 - ours
    values = tuple(value for each in datasets for value in each.values())
    conditions: list[selecting.Clause | Criterion] = [
        selecting.among("logged_models.experiment_id", experiment_ids),
        *([selecting.Clause(of_data, values)] if datasets else []),
        *wanted,
    ]
    with store.reader.connect() as connection:
        subject = selecting.LOGGED_MODELS
        ids = selecting.select(connection, subject, conditions, orders=orders, offset=offset, limit=limit)
        return load_logged_models(connection, ids)


def ensure_there(connection: sa.Connection, model_id: str) -> None:
    """Refuse a logged model that is not there. Raises LoggedModelMissing."""
    _row(connection, model_id)


def load_logged_models(connection: sa.Connection, model_ids: Sequence[str]) -> list[LoggedModel]:
    """Return the logged models of these ids, in their order."""
    table = schema.logged_models
    rows = {row.id: row for row in connection.execute(table.select().where(table.c.id.in_(model_ids)))}
    tags = _named(connection, schema.logged_model_tags, model_ids)
    parameters = _named(connection, schema.logged_model_parameters, model_ids)
    points = _points(connection, model_ids)
    return [
        LoggedModel(
            id=each,
            experiment_id=rows[each].experiment_id,
            run_id=rows[each].run_id,
            name=rows[each].name,
            kind=rows[each].kind,
            status=LoggedModelStatus(rows[each].status),
            created_at=rows[each].created_at,
            updated_at=rows[each].updated_at,
            tags=tags[each],
            parameters=parameters[each],
            metrics=tuple(points[each]),
        )
        for each in model_ids
        if each in rows
    ]


def _row(connection: sa.Connection, model_id: str) -> sa.Row[Any]:
    table = schema.logged_models
    found = connection.execute(table.select().where(table.c.id == model_id)).first()
    if found is None:
        raise LoggedModelMissing(model=model_id)
    return found


def _named(connection: sa.Connection, table: sa.Table, model_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {each: {} for each in model_ids}
    for row in connection.execute(table.select().where(table.c.logged_model_id.in_(model_ids)).order_by(table.c.name)):
        found[row.logged_model_id][row.name] = row.value
    return found


def _points(connection: sa.Connection, model_ids: Sequence[str]) -> dict[str, list[ModelPoint]]:
    table = schema.logged_model_metrics
    found: dict[str, list[ModelPoint]] = {each: [] for each in model_ids}
    query = table.select().where(table.c.logged_model_id.in_(model_ids)).order_by(table.c.sequence)
    for row in connection.execute(query):
        point = Point(row.name, row.step, row.value, row.recorded_at)
        found[row.logged_model_id].append(ModelPoint(point, row.run_id, row.dataset))
    return found
