"""Experiments: the names that runs carry, with tags of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import ExperimentDeleted, ExperimentExists, ExperimentMissing, InUse
from modelwright.records import Criterion, Experiment, Order
from modelwright.store import schema, selecting, usage
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import chunks, marks, rows

# The experiment of clients that name none. Its id is the one that MLflow's clients take for granted.
DEFAULT = "Default"
DEFAULT_ID = "0"
_COLUMNS = "id, name, created_at, updated_at, deleted_at"
_NEXT_ID = "SELECT COALESCE(MAX(CAST(id AS INTEGER)), 0) + 1 FROM experiments"


def ensure_experiment(change: Change, name: str) -> None:
    """Add the experiment unless it is there, and bring it back when it was put away, for a run that belongs to it."""
    known = rows(change.connection, "SELECT id, deleted_at FROM experiments WHERE name = ?", (name,))
    if not known:
        _insert(change, name)
    elif known[0][1] is not None:
        change.update_row(schema.experiments, [known[0][0]], deleted_at=None, updated_at=change.at)


def add_experiment(change: Change, name: str, *, tags: Mapping[str, str]) -> str:
    """Record a new experiment; return its id. Raises ExperimentExists, also for one that was put away."""
    table = schema.experiments
    known = change.rows(sa.select(table.c.deleted_at).where(table.c.name == name))
    if known:
        state = "was deleted" if known[0].deleted_at is not None else "is there"
        raise ExperimentExists(name=name, state=state)
    found = _insert(change, name)
    labels = schema.experiment_tags
    change.insert(labels, *({"experiment_id": found, "name": key, "value": value} for key, value in tags.items()))
    change.record("experiment.created", f"experiments/{found}", after={"name": name, "tags": dict(tags)})
    return found


def rename_experiment(change: Change, experiment_id: str, name: str) -> None:
    """Give an experiment, and with it all of its runs, another name. Raises ExperimentExists and ExperimentDeleted."""
    experiment = load_active(change.connection, experiment_id)
    table = schema.experiments
    if name == experiment.name:
        return
    if change.rows(sa.select(table.c.id).where(table.c.name == name)):
        raise ExperimentExists(name=name, state="is there")
    change.update_row(table, [experiment_id], name=name, updated_at=change.at)
    change.update(schema.runs, schema.runs.c.experiment == experiment.name, experiment=name)
    before = {"name": experiment.name}
    change.record("experiment.renamed", f"experiments/{experiment_id}", before=before, after={"name": name})


def set_experiment_tag(change: Change, experiment_id: str, name: str, *, value: str) -> None:
    """Set a tag of an experiment. Raises ExperimentMissing and ExperimentDeleted."""
    load_active(change.connection, experiment_id)
    table = schema.experiment_tags
    if not change.update_row(table, [experiment_id, name], value=value):
        change.insert(table, {"experiment_id": experiment_id, "name": name, "value": value})
    was = change.before(table, experiment_id, name)
    before = {name: was["value"]} if was else None
    change.record("experiment.tagged", f"experiments/{experiment_id}", before=before, after={name: value})


def delete_experiment_tag(change: Change, experiment_id: str, name: str) -> bool:
    """Remove a tag of an experiment; return whether it had it. Raises ExperimentMissing and ExperimentDeleted."""
    experiment = load_active(change.connection, experiment_id)
    if name not in experiment.tags:
        return False
    table = schema.experiment_tags
    change.delete(table, (table.c.experiment_id == experiment_id) & (table.c.name == name))
    before = {name: experiment.tags[name]}
    change.record("experiment.tagged", f"experiments/{experiment_id}", before=before, after={name: None})
    return True


def put_away_experiment(change: Change, experiment_id: str) -> None:
    """Put an experiment away with all of its runs; lists leave them out. Raises InUse when a run of it is needed."""
    experiment = load_experiment(change.connection, experiment_id)
    if experiment.deleted_at is not None:
        raise ExperimentMissing(experiment=experiment_id, among="those that are not deleted")
    runs = schema.runs
    for row in change.rows(sa.select(runs.c.id).where(runs.c.experiment == experiment.name)):
        refuse_needed(change, row.id, thing=f"experiment {experiment.name}")
    _move(change, experiment, deleted_at=change.at)
    change.record("experiment.put_away", f"experiments/{experiment_id}", before={"name": experiment.name})


def restore_experiment(change: Change, experiment_id: str) -> None:
    """Bring an experiment back that was put away, with all of its runs. Raises ExperimentMissing."""
    experiment = load_experiment(change.connection, experiment_id)
    if experiment.deleted_at is None:
        raise ExperimentMissing(experiment=experiment_id, among="those that are deleted")
    _move(change, experiment, deleted_at=None)
    change.record("experiment.restored", f"experiments/{experiment_id}", after={"name": experiment.name})


def refuse_needed(change: Change, run_id: str, *, thing: str) -> None:
    """Refuse to put a run away that something else than another run uses. Raises InUse."""
    found = [each for each in usage.users(change.connection, schema.runs, run_id) if each.kind != "run"]
    if found:
        raise InUse(thing=thing, users=dict.fromkeys(found), command="the same request")


def find_experiment(store: Store, experiment_id: str) -> Experiment:
    """Return the experiment of this id, also one that was put away. Raises ExperimentMissing."""
    with store.reader.connect() as connection:
        return load_experiment(connection, experiment_id)


def find_by_name(store: Store, name: str) -> Experiment:
    """Return the experiment of this name, also one that was put away. Raises ExperimentMissing."""
    with store.reader.connect() as connection:
        found = _load(connection, "name = ?", (name,))
    if not found:
        raise ExperimentMissing(experiment=name, among="this workspace")
    return found[0]


def load_experiment(connection: sa.Connection, experiment_id: str) -> Experiment:
    """Return the experiment as this connection sees it. Raises ExperimentMissing."""
    found = _load(connection, "id = ?", (experiment_id,))
    if not found:
        raise ExperimentMissing(experiment=experiment_id, among="this workspace")
    return found[0]


def load_active(connection: sa.Connection, experiment_id: str) -> Experiment:
    """Return an experiment that things may be added to. Raises ExperimentMissing and ExperimentDeleted."""
    found = load_experiment(connection, experiment_id)
    if found.deleted_at is not None:
        raise ExperimentDeleted(name=found.name)
    return found


def search_experiments(
    store: Store,
    wanted: Sequence[Criterion],
    *,
    is_deleted: bool | None,
    orders: Sequence[Order],
    offset: int,
    limit: int,
) -> list[Experiment]:
    """Return the experiments that all of `wanted` holds for; `is_deleted` None takes both kinds."""
    conditions: list[selecting.Clause | Criterion] = [
        *selecting.is_there("experiments.deleted_at", is_deleted),
        *wanted,
    ]
    with store.reader.connect() as connection:
        subject = selecting.EXPERIMENTS
        ids = selecting.select(connection, subject, conditions, orders=orders, offset=offset, limit=limit)
        loaded = (each for some in chunks(ids) for each in _load(connection, f"id IN ({marks(len(some))})", some))
        found = {each.id: each for each in loaded}
    return [found[each] for each in ids]


def ensure_default(change: Change) -> None:
    """Record the experiment of clients that name none, unless it is there."""
    table = schema.experiments
    if not change.rows(sa.select(table.c.id).where(table.c.id == DEFAULT_ID)):
        times = {"created_at": change.at, "updated_at": change.at}
        change.insert(table, {"id": DEFAULT_ID, "name": DEFAULT, **times, "deleted_at": None})
        change.record("experiment.created", f"experiments/{DEFAULT_ID}", after={"name": DEFAULT, "tags": {}})


def has_default(store: Store) -> bool:
    """Whether there is the experiment of clients that name none."""
    with store.reader.connect() as connection:
        return bool(rows(connection, "SELECT 1 FROM experiments WHERE id = ?", (DEFAULT_ID,)))


def next_id(change: Change) -> str:
    """Return an id that no experiment has."""
    return str(change.connection.exec_driver_sql(_NEXT_ID).scalar_one())


def _insert(change: Change, name: str) -> str:
    found = next_id(change)
    times = {"created_at": change.at, "updated_at": change.at}
    change.insert(schema.experiments, {"id": found, "name": name, **times, "deleted_at": None})
    return found


def _move(change: Change, experiment: Experiment, *, deleted_at: Any) -> None:
    change.update_row(schema.experiments, [experiment.id], deleted_at=deleted_at, updated_at=change.at)
    runs = schema.runs
    change.update(runs, runs.c.experiment == experiment.name, deleted_at=deleted_at)


def _load(connection: sa.Connection, condition: str, values: Sequence[str]) -> list[Experiment]:
    chosen = f"SELECT {_COLUMNS} FROM experiments WHERE {condition}"  # noqa: S608 - ours
    found = rows(connection, chosen, values)
    tags: dict[str, dict[str, str]] = {row[0]: {} for row in found}
    labels = f"SELECT * FROM experiment_tags WHERE experiment_id IN ({marks(len(tags))}) ORDER BY name"  # noqa: S608 - ours
    for experiment_id, name, value in rows(connection, labels, list(tags)):
        tags[experiment_id][name] = value
    return [
        Experiment(
            id=row[0],
            name=row[1],
            created_at=datetime.fromisoformat(row[2]),
            updated_at=datetime.fromisoformat(row[3]),
            deleted_at=datetime.fromisoformat(row[4]) if row[4] else None,
            tags=tags[row[0]],
        )
        for row in found
    ]
