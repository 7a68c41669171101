"""What clients of MLflow's recorded elsewhere, under the ids that it has there. What is here already stays as it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.records import Artifact, Experiment, LoggedModel, RunDetails, RunOutput, Status
from modelwright.store import client_points, client_runs, experiments, logged_models, runs, schema
from modelwright.store.changes import Change
from modelwright.store.loading import rows


def keep_experiment(change: Change, experiment: Experiment) -> None:
    """Record an experiment under its own id when that is free, or what tags it lacks when its name is known."""
    table, labels = schema.experiments, schema.experiment_tags
    known = rows(change.connection, "SELECT id FROM experiments WHERE name = ?", (experiment.name,))
    if known:
        found = known[0][0]
    else:
        is_taken = rows(change.connection, "SELECT 1 FROM experiments WHERE id = ?", (experiment.id,))
        found = experiments.next_id(change) if is_taken else experiment.id
        times = {
            "created_at": experiment.created_at,
            "updated_at": experiment.updated_at,
            "deleted_at": experiment.deleted_at,
        }
        change.insert(table, {"id": found, "name": experiment.name, **times})
    tags = _lacking(change, labels, experiment.tags, experiment_id=found)
    if tags or not known:
        after = {"name": experiment.name, "tags": tags}
        change.record("experiment.imported", f"experiments/{found}", after=after)


def keep_run(change: Change, details: RunDetails, artifacts: Sequence[Artifact]) -> bool:
    """Record a run, or what came to it since it was recorded; return whether there was anything.

    That is points, parameters, tags, inputs, files, its end.
    """
    run, connection = details.run, change.connection
    known = rows(connection, "SELECT status FROM runs WHERE id = ?", (run.id,))
    if not known:
        parent = run.parent_id if _is_there(change, run.parent_id) else None
        runs.insert_run_alone(change, replace(run, parent_id=parent), project_id=None, actor=run.actor)
        change.update_row(schema.runs, [run.id], finished_at=run.finished_at, deleted_at=details.deleted_at)
    elif known[0][0] in {Status.RUNNING, Status.QUEUED} and run.status != known[0][0]:
        change.update_row(schema.runs, [run.id], status=run.status, finished_at=run.finished_at)
    added: dict[str, Any] = {
        "parameters": _lacking(change, schema.run_parameters, run.parameters, run_id=run.id) if known else {},
        "tags": _lacking(change, schema.run_tags, run.tags, run_id=run.id) if known else {},
        "artifacts": _lacking_files(change, schema.run_artifacts, artifacts, run_id=run.id),
        "inputs": client_runs.insert_inputs(change, run.id, details.inputs),
    }
    points = client_points.log_client_points(change, run.id, details.points)
    told = {"status": run.status} | {name: each for name, each in added.items() if each}
    is_changed = change.is_unrecorded
    if is_changed:
        change.record("run.imported", f"runs/{run.id}", after=told)
    return is_changed or points > 0


def keep_outputs(change: Change, run_id: str, outputs: Iterable[RunOutput]) -> None:
    """Record which logged models a run put out, as far as they are here."""
    is_here = "SELECT 1 FROM logged_models WHERE id = ?"
    client_runs.keep_outputs(
        change, run_id, [each for each in outputs if rows(change.connection, is_here, (each.logged_model_id,))]
    )


def keep_logged_model(change: Change, model: LoggedModel, files: Sequence[Artifact]) -> None:
    """Record a model that a run logged, or what came to it since it was recorded."""
    known = rows(change.connection, "SELECT 1 FROM logged_models WHERE id = ?", (model.id,))
    if not known:
        change.insert(
            schema.logged_models,
            {
                "id": model.id,
                "experiment_id": model.experiment_id,
                "run_id": model.run_id if _is_there(change, model.run_id) else None,
                "name": model.name,
                "kind": model.kind,
                "status": model.status,
                "created_at": model.created_at,
                "updated_at": model.updated_at,
            },
        )
    owner = {"logged_model_id": model.id}
    added = {
        "tags": _lacking(change, schema.logged_model_tags, model.tags, **owner),
        "parameters": _lacking(change, schema.logged_model_parameters, model.parameters, **owner),
        "files": _lacking_files(change, schema.logged_model_files, files, **owner),
    }
    here = [each for each in model.metrics if _is_there(change, each.run_id)]
    logged_models.log_points(change, model.id, here)
    if change.is_unrecorded:
        after = {"name": model.name} | {name: each for name, each in added.items() if each}
        change.record("logged_model.imported", f"logged-models/{model.id}", after=after)


def date_model(change: Change, name: str, *, created_at: datetime, updated_at: datetime) -> None:
    """Give a model the times that it has elsewhere."""
    change.update_row(schema.models, [name], created_at=created_at, updated_at=updated_at)
    change.record("model.dated", f"models/{name}", after={"created_at": created_at.isoformat()})


def _lacking(change: Change, table: sa.Table, named: Mapping[str, Any], **owner: str) -> dict[str, Any]:
    """Add the names and values that the owner does not have, and return them."""
    ((column, key),) = owner.items()
    known = {row.name for row in change.rows(sa.select(table.c.name).where(table.c[column] == key))}
    new = {name: value for name, value in named.items() if name not in known}
    change.insert(table, *({column: key, "name": name, "value": value} for name, value in new.items()))
    return new


def _lacking_files(change: Change, table: sa.Table, files: Sequence[Artifact], **owner: str) -> list[str]:
    ((column, key),) = owner.items()
    known = {row.path for row in change.rows(sa.select(table.c.path).where(table.c[column] == key))}
    new = [each for each in files if each.path not in known]
    change.insert(
        table,
        *({column: key, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes} for each in new),
    )
    return [each.path for each in new]


def _is_there(change: Change, run_id: str | None) -> bool:
    return bool(run_id and rows(change.connection, "SELECT 1 FROM runs WHERE id = ?", (run_id,)))
