"""Runs with their steps, parameters, metrics, artifacts and datasets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from modelwright.errors import RunMissing
from modelwright.records import Artifact, DatasetVersion, GitState, Run, Status, StepRun
from modelwright.store import datasets, schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def add_run(change: Change, run: Run, *, project_id: str) -> None:
    """Record a run that begins, with its parameters."""
    change.insert(
        schema.runs,
        {
            "id": run.id,
            "project_id": project_id,
            "status": run.status,
            "reason": run.reason,
            "environment_digest": run.environment_digest,
            "code_digest": run.code_digest,
            "git_commit": run.git.commit if run.git else None,
            "git_is_dirty": run.git.is_dirty if run.git else None,
            "started_at": run.started_at,
        },
    )
    change.insert(
        schema.run_parameters,
        *({"run_id": run.id, "name": name, "value": value} for name, value in run.parameters.items()),
    )
    change.record("run.started", f"runs/{run.id}", after={"project": run.project, "parameters": run.parameters})


def add_step(change: Change, run_id: str, *, name: str, position: int) -> None:
    """Record a step that begins."""
    change.insert(
        schema.run_steps,
        {
            "run_id": run_id,
            "name": name,
            "position": position,
            "status": Status.RUNNING,
            "outputs": {},
            "started_at": change.at,
        },
    )
    change.record("step.started", f"runs/{run_id}/steps/{name}")


def finish_step(
    change: Change, run_id: str, *, name: str, status: Status, outputs: Mapping[str, str], metrics: Mapping[str, float]
) -> None:
    """Record a step's end, the digests of its outputs and the metrics it gave."""
    table = schema.run_steps
    change.update(
        table,
        (table.c.run_id == run_id) & (table.c.name == name),
        status=status,
        outputs=dict(outputs),
        finished_at=change.at,
    )
    change.insert(
        schema.run_metrics,
        *(
            {"run_id": run_id, "name": metric, "step": 0, "value": value, "recorded_at": change.at}
            for metric, value in metrics.items()
        ),
    )
    change.record(f"step.{status}", f"runs/{run_id}/steps/{name}", after={"metrics": dict(metrics)})


def add_artifacts(change: Change, run_id: str, *, artifacts: Sequence[Artifact]) -> None:
    """Record the files that the run wrote; their blobs are in the store already."""
    change.insert(
        schema.run_artifacts,
        *(
            {"run_id": run_id, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes}
            for each in artifacts
        ),
    )
    change.record("run.artifacts_kept", f"runs/{run_id}", after={"paths": [each.path for each in artifacts]})


def link_dataset(change: Change, run_id: str, *, dataset: DatasetVersion, role: str) -> None:
    """Record that the run read this dataset version."""
    change.insert(schema.run_datasets, {"run_id": run_id, "dataset_version_id": dataset.id, "role": role})
    change.record("run.dataset_read", f"runs/{run_id}", after={"dataset": dataset.reference, "role": role})


def finish_run(change: Change, run_id: str, *, status: Status, reason: str) -> None:
    """Record a run's end; steps that were still running end as the run does."""
    steps = schema.run_steps
    change.update(
        steps,
        (steps.c.run_id == run_id) & (steps.c.status == Status.RUNNING),
        status=status,
        finished_at=change.at,
    )
    change.update(schema.runs, schema.runs.c.id == run_id, status=status, reason=reason, finished_at=change.at)
    change.record(
        f"run.{status}", f"runs/{run_id}", before={"status": Status.RUNNING}, after={"status": status, "reason": reason}
    )


def get_run(store: Store, run_id: str) -> Run:
    """Return the whole run. Raises RunMissing."""
    with store.reader.connect() as connection:
        run = _runs(connection, schema.runs.c.id == run_id)
        if not run:
            raise RunMissing(run=run_id)
        steps, artifacts = schema.run_steps, schema.run_artifacts
        links, versions, names = schema.run_datasets, schema.dataset_versions, schema.datasets
        step_rows = connection.execute(steps.select().where(steps.c.run_id == run_id).order_by(steps.c.position)).all()
        artifact_rows = connection.execute(
            artifacts.select().where(artifacts.c.run_id == run_id).order_by(artifacts.c.path)
        ).all()
        dataset_rows = connection.execute(
            sa.select(versions, names.c.name.label("dataset"))
            .join(links, links.c.dataset_version_id == versions.c.id)
            .join(names, names.c.id == versions.c.dataset_id)
            .where(links.c.run_id == run_id)
        ).all()
    return replace(
        run[0],
        steps=tuple(
            StepRun(row.name, row.position, Status(row.status), row.outputs, row.started_at, row.finished_at)
            for row in step_rows
        ),
        artifacts=tuple(Artifact(row.path, row.digest, row.size_bytes) for row in artifact_rows),
        datasets=tuple(datasets.to_record(row.dataset, row) for row in dataset_rows),
    )


def list_runs(store: Store, *, status: Status | None = None) -> list[Run]:
    """Return all runs, newest first, without their steps and artifacts."""
    where = sa.true() if status is None else schema.runs.c.status == status
    with store.reader.connect() as connection:
        return _runs(connection, where)


def _runs(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Run]:
    table, parameters, metrics, projects = schema.runs, schema.run_parameters, schema.run_metrics, schema.projects
    query = (
        sa.select(table, projects.c.name.label("project"))
        .join(projects, projects.c.id == table.c.project_id)
        .where(where)
        .order_by(table.c.id.desc())
    )
    rows = connection.execute(query).all()
    wanted = [row.id for row in rows]
    values: dict[str, dict[str, object]] = {run_id: {} for run_id in wanted}
    numbers: dict[str, dict[str, float]] = {run_id: {} for run_id in wanted}
    for row in connection.execute(parameters.select().where(parameters.c.run_id.in_(wanted))):
        values[row.run_id][row.name] = row.value
    for row in connection.execute(metrics.select().where(metrics.c.run_id.in_(wanted)).order_by(metrics.c.step)):
        numbers[row.run_id][row.name] = row.value
    return [
        Run(
            id=row.id,
            project=row.project,
            status=Status(row.status),
            reason=row.reason,
            environment_digest=row.environment_digest,
            code_digest=row.code_digest,
            git=GitState(row.git_commit, row.git_is_dirty) if row.git_commit else None,
            started_at=row.started_at,
            finished_at=row.finished_at,
            parameters=values[row.id],
            metrics=numbers[row.id],
        )
        for row in rows
    ]
