"""Runs with their steps, parameters, metrics, artifacts and datasets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelwright.errors import DeletedMeanwhile, ParameterFixed, RunMissing
from modelwright.records import Artifact, DatasetLink, DatasetVersion, Kind, Point, Run, Status, StepRun
from modelwright.store import claims, datasets, schema, telling
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.experiments import ensure_experiment
from modelwright.store.loading import load_runs, marks, parameter, rows
from modelwright.store.points import add_points


def add_run(change: Change, run: Run, *, project_id: str | None) -> None:
    """Record a run that begins, with its parameters and tags."""
    insert_run(change, run, project_id=project_id, actor=change.actor)
    begun = {"status": run.status, "project": run.project, "parameters": run.parameters}
    change.record("run.started", f"runs/{run.id}", after=begun | telling.of_run(change, run.id))


def insert_run(change: Change, run: Run, *, project_id: str | None, actor: str) -> None:
    """Add a run's own row, its parameters and tags, for a caller who says what that means."""
    experiment = run.experiment or run.project
    if experiment:
        ensure_experiment(change, experiment)
    insert_run_alone(change, run, project_id=project_id, actor=actor)


def insert_run_alone(change: Change, run: Run, *, project_id: str | None, actor: str) -> None:
    """Add a run's own row, its parameters and tags, to an experiment that stays as it is."""
    change.insert(
        schema.runs,
        {
            "id": run.id,
            "project_id": project_id,
            "kind": run.kind,
            "experiment": run.experiment or run.project,
            "parent_id": run.parent_id,
            "pipeline_version_id": run.pipeline_version_id,
            "status": run.status,
            "reason": run.reason,
            "note": run.note,
            "environment_digest": run.environment_digest or None,
            "code_digest": run.code_digest or None,
            "git_commit": run.git.commit if run.git else None,
            "git_is_dirty": run.git.is_dirty if run.git else None,
            "git_branch": run.git.branch if run.git else None,
            "git_repository": run.git.repository if run.git else None,
            "seed": run.seed,
            "machine": run.machine,
            "actor": actor,
            "started_at": run.started_at,
        },
    )
    change.insert(
        schema.run_parameters,
        *({"run_id": run.id, "name": name, "value": value} for name, value in run.parameters.items()),
    )
    change.insert(
        schema.run_tags, *({"run_id": run.id, "name": name, "value": value} for name, value in run.tags.items())
    )


def set_parameters(change: Change, run_id: str, parameters: Mapping[str, object]) -> None:
    """Record parameters of a run that has begun. Raises ParameterFixed when one of them has another value already."""
    if not parameters:
        return
    table = schema.run_parameters
    names = list(parameters)
    query = f"SELECT name, value FROM run_parameters WHERE run_id = ? AND name IN ({marks(len(names))})"  # noqa: S608 - ours
    known = {name: parameter(value) for name, value in rows(change.connection, query, (run_id, *names))}
    for name, value in parameters.items():
        if name in known and json.dumps(known[name]) != json.dumps(value):
            raise ParameterFixed(name=name, run=run_id, old=known[name], new=value)
    new = {name: value for name, value in parameters.items() if name not in known}
    if new:
        change.insert(table, *({"run_id": run_id, "name": name, "value": value} for name, value in new.items()))
        change.record("run.parameters_added", f"runs/{run_id}", after=new)


def keep_code(change: Change, digest: str, files: Sequence[Artifact]) -> None:
    """Record the files of a state of the code, unless it is known; their blobs are in the store already."""
    table = schema.code_files
    if change.rows(sa.select(table.c.path).where(table.c.code_digest == digest).limit(1)):
        return
    change.append(
        table,
        [
            {"code_digest": digest, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes}
            for each in files
        ],
    )


def ensure_code(change: Change, digest: str) -> None:
    """Refuse a state of the code whose files are no longer on record. Raises DeletedMeanwhile."""
    if not rows(change.connection, "SELECT 1 FROM code_files WHERE code_digest = ? LIMIT 1", (digest,)):
        raise DeletedMeanwhile


def list_code(store: Store, run: Run) -> dict[str, Artifact]:
    """Return the files of the code that ran, by their paths in its folder."""
    table = schema.code_files
    query = table.select().where(table.c.code_digest == run.code_digest).order_by(table.c.path)
    with store.reader.connect() as connection:
        found = connection.execute(query).all()
    if found:
        return {row.path: Artifact(row.path, row.digest, row.size_bytes) for row in found}
    kept = {each.path.removeprefix("code/"): each for each in run.artifacts if each.path.startswith("code/")}
    return {path: replace(each, path=path) for path, each in kept.items()}


def start_step(change: Change, run_id: str, *, name: str, position: int, key: str | None) -> None:
    """Record a step that begins, or begins again in a run that is resumed."""
    table = schema.run_steps
    begun = {"status": Status.RUNNING, "reason": "", "key": key, "started_at": change.at, "finished_at": None}
    if not change.update_row(table, [run_id, name], **begun):
        change.insert(table, {"run_id": run_id, "name": name, "position": position, "outputs": {}} | begun)
    was = change.before(table, run_id, name)
    change.record(
        "step.started",
        f"runs/{run_id}/steps/{name}",
        before={"status": was["status"], "reason": was["reason"]} if was else None,
        after={"status": Status.RUNNING, "position": position, "key": key},
    )


def finish_step(change: Change, run_id: str, step: StepRun) -> None:
    """Record a step's end: what became of it, the digests of its outputs and what it was seen to depend on."""
    table = schema.run_steps
    ended = {
        "status": step.status,
        "reason": step.reason,
        "attempts": step.attempts,
        "key": step.key,
        "outputs": step.outputs,
        "evidence": step.evidence,
        "reused_from": step.reused_from,
        "finished_at": step.finished_at or change.at,
    }
    if not change.update_row(table, [run_id, step.name], **ended):
        begun = {"run_id": run_id, "name": step.name, "position": step.position, "started_at": step.started_at}
        change.insert(table, begun | ended)
    done = "reused" if step.reused_from else str(step.status)
    was = change.before(table, run_id, step.name)
    change.record(
        f"step.{done}",
        f"runs/{run_id}/steps/{step.name}",
        before={"status": was["status"]} if was else None,
        after={"status": step.status, "reason": step.reason},
    )


def add_steps(change: Change, run_id: str, steps: Sequence[StepRun]) -> None:
    """Record steps of one process that have ended since the last time."""
    change.insert(
        schema.run_steps,
        *(
            {
                "run_id": run_id,
                "name": each.name,
                "position": each.position,
                "status": each.status,
                "reason": each.reason,
                "attempts": each.attempts,
                "key": each.key,
                "outputs": each.outputs,
                "evidence": each.evidence,
                "reused_from": each.reused_from,
                "started_at": each.started_at,
                "finished_at": each.finished_at,
            }
            for each in steps
        ),
    )
    change.record("run.steps_ended", f"runs/{run_id}", after={each.name: each.status for each in steps})


def latest_results(store: Store, *, experiment: str) -> dict[str, tuple[str, StepRun]]:
    """Return the succeeded steps of an experiment's newest run, by their keys, each with its run's id."""
    table, table_of_runs = schema.run_steps, schema.runs
    newest = (
        sa.select(table_of_runs.c.id)
        .where(table_of_runs.c.experiment == experiment, table_of_runs.c.status == Status.SUCCEEDED)
        .order_by(table_of_runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = table.select().where(table.c.run_id == newest, table.c.status == Status.SUCCEEDED)
    with store.reader.connect() as connection:
        return {row.key: (row.run_id, _step(row)) for row in connection.execute(query)}


def find_results(store: Store, key: str, *, limit: int = 20) -> list[tuple[str, StepRun]]:
    """Return the succeeded executions of steps with this key, each with its run's id, newest first.

    Executions that were themselves reused are left out: what they reused is among the others.
    """
    table = schema.run_steps
    query = (
        table.select()
        .where(table.c.key == key, table.c.status == Status.SUCCEEDED, table.c.reused_from.is_(None))
        .order_by(table.c.finished_at.desc())
        .limit(limit)
    )
    with store.reader.connect() as connection:
        return [(row.run_id, _step(row)) for row in connection.execute(query)]


def log_points(change: Change, run_id: str, points: Sequence[Point]) -> None:
    """Add points to a run's metrics; the last one of each name is the metric's value in lists and searches."""
    logged = [(run_id, each.name, each.step, each.value, each.recorded_at.timestamp()) for each in points]
    add_points(change.connection, logged)


def list_points(store: Store, run_id: str, *, after: int = 0) -> list[tuple[int, Point]]:
    """Return the points of a run that were logged after the one with sequence number `after`, in their order."""
    table = schema.run_metrics
    query = table.select().where(table.c.run_id == run_id, table.c.sequence > after).order_by(table.c.sequence)
    with store.reader.connect() as connection:
        return [
            (row.sequence, Point(row.name, row.step, row.value, row.recorded_at)) for row in connection.execute(query)
        ]


def set_tags(change: Change, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run; those that it has under these names are replaced."""
    table = schema.run_tags
    if not tags:
        return
    new = [name for name, value in tags.items() if not change.update_row(table, [run_id, name], value=value)]
    change.insert(table, *({"run_id": run_id, "name": name, "value": tags[name]} for name in new))
    known = {name: was["value"] for name in tags if (was := change.before(table, run_id, name))}
    change.record("run.tagged", f"runs/{run_id}", before=known or None, after=dict(tags))


def add_parameters(change: Change, run_id: str, parameters: Mapping[str, object]) -> None:
    """Record parameters that came up while the run was running; what it has under these names stays."""
    table = schema.run_parameters
    known = {row.name for row in change.rows(sa.select(table.c.name).where(table.c.run_id == run_id))}
    new = {name: value for name, value in parameters.items() if name not in known}
    if new:
        change.insert(table, *({"run_id": run_id, "name": name, "value": value} for name, value in new.items()))
        change.record("run.parameters_added", f"runs/{run_id}", after=new)


def set_note(change: Change, run_id: str, note: str) -> None:
    """Write the run's note over the one that it has."""
    change.update(schema.runs, schema.runs.c.id == run_id, note=note)
    was = change.before(schema.runs, run_id)
    change.record("run.noted", f"runs/{run_id}", before={"note": was["note"]} if was else None, after={"note": note})


def add_artifacts(change: Change, run_id: str, *, artifacts: Sequence[Artifact]) -> None:
    """Record files of the run, in the place of those with the same paths; their blobs are in the store already."""
    table = schema.run_artifacts
    known = rows(change.connection, "SELECT path FROM run_artifacts WHERE run_id = ?", (run_id,))
    paths = {path for (path,) in known}
    for each in artifacts:
        values = {"digest": each.digest, "size_bytes": each.size_bytes}
        if each.path in paths:
            change.update_row(table, [run_id, each.path], **values)
        else:
            change.insert(table, {"run_id": run_id, "path": each.path} | values)
    replaced = {each.path: was["digest"] for each in artifacts if (was := change.before(table, run_id, each.path))}
    change.record(
        "run.artifacts_kept",
        f"runs/{run_id}",
        before={"digests": replaced} if replaced else None,
        after={"paths": [each.path for each in artifacts]},
    )


def link_dataset(change: Change, run_id: str, *, dataset: DatasetVersion, role: str) -> None:
    """Record that the run read this dataset version, once for each role."""
    table = schema.run_datasets
    link = {"run_id": run_id, "dataset_version_id": dataset.id, "role": role}
    if not change.rows(table.select().filter_by(**link)):
        change.insert(table, link)
        change.record("run.dataset_read", f"runs/{run_id}", after={"dataset": dataset.reference, "role": role})


def list_dataset_links(store: Store, run_id: str) -> list[DatasetLink]:
    """Return which dataset versions a run read or wrote, in which role."""
    links, versions, names = schema.run_datasets, schema.dataset_versions, schema.datasets
    query = (
        sa.select(links.c.role, names.c.name, versions.c.version)
        .join(versions, versions.c.id == links.c.dataset_version_id)
        .join(names, names.c.id == versions.c.dataset_id)
        .where(links.c.run_id == run_id)
        .order_by(names.c.name, versions.c.version, links.c.role)
    )
    with store.reader.connect() as connection:
        return [DatasetLink(row.role, f"{row.name}:{row.version}") for row in connection.execute(query)]


def link_environments(change: Change, run_id: str, digests: Sequence[str]) -> None:
    """Record in which environments steps of the run are executed, its own left out."""
    table = schema.run_environments
    known = change.rows(sa.select(table.c.environment_digest).where(table.c.run_id == run_id))
    own = change.rows(sa.select(schema.runs.c.environment_digest).where(schema.runs.c.id == run_id))
    new = sorted(set(digests) - {row.environment_digest for row in (*known, *own)})
    if new:
        change.insert(table, *({"run_id": run_id, "environment_digest": each} for each in new))
        change.record("run.environments_used", f"runs/{run_id}", after={"environments": new})


def resume_run(change: Change, run_id: str) -> None:
    """Record that a run which had ended goes on. Raises RunMissing."""
    table = schema.runs
    before = change.rows(sa.select(table.c.status, table.c.reason).where(table.c.id == run_id))
    if not before:
        raise RunMissing(run=run_id)
    change.update(table, table.c.id == run_id, status=Status.RUNNING, reason="", finished_at=None)
    ended = {"status": before[0].status, "reason": before[0].reason}
    after = {"status": Status.RUNNING, "reason": "", **telling.of_run(change, run_id)}
    change.record("run.resumed", f"runs/{run_id}", before=ended, after=after)


def finish_run(change: Change, run_id: str, *, status: Status, reason: str) -> None:
    """Record a run's end; steps that were still running end as the run does."""
    steps = schema.run_steps
    change.update(
        steps,
        (steps.c.run_id == run_id) & (steps.c.status == Status.RUNNING),
        status=status,
        finished_at=change.at,
    )
    change.update_row(schema.runs, [run_id], status=status, reason=reason, finished_at=change.at)
    was = change.before(schema.runs, run_id)
    change.record(
        f"run.{status}",
        f"runs/{run_id}",
        before={"status": was["status"]} if was else None,
        after={"status": status, "reason": reason, **telling.of_run(change, run_id)},
    )


def get_run(store: Store, run_id: str) -> Run:
    """Return the whole run. Raises RunMissing."""
    with store.reader.connect() as connection:
        return load_run(connection, run_id)


def load_run(connection: sa.Connection, run_id: str) -> Run:
    """Return the whole run as this connection sees it. Raises RunMissing."""
    run = load_runs(connection, [run_id])
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
        steps=tuple(map(_step, step_rows)),
        artifacts=tuple(Artifact(row.path, row.digest, row.size_bytes) for row in artifact_rows),
        datasets=tuple(datasets.to_record(row.dataset, row) for row in dataset_rows),
    )


def list_runs(
    store: Store,
    *,
    status: Status | None = None,
    experiment: str | None = None,
    parent_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[Run]:
    """Return the runs that answer to all that is given, newest first, without their steps and artifacts."""
    table, labels = schema.runs, schema.run_tags
    wanted = [
        table.c.deleted_at.is_(None),
        *([table.c.status == status] if status else []),
        *([table.c.experiment == experiment] if experiment else []),
        *([table.c.parent_id == parent_id] if parent_id else []),
        *(
            table.c.id.in_(sa.select(labels.c.run_id).where(labels.c.name == name, labels.c.value == value))
            for name, value in (tags or {}).items()
        ),
    ]
    with store.reader.connect() as connection:
        return load_runs(connection, connection.execute(sa.select(table.c.id).where(*wanted)).scalars().all())


def list_killed(store: Store) -> list[Run]:
    """Return the runs that stand as running and whose process is gone.

    That of a client's own run is not known here: such a run goes on until its client says that it has ended.
    """
    running = list_runs(store, status=Status.RUNNING)
    return [each for each in running if each.kind is not Kind.TRACKED and not claims.is_claimed(store, each.id)]


def _step(row: sa.Row[Any]) -> StepRun:
    return StepRun(
        name=row.name,
        position=row.position,
        status=Status(row.status),
        outputs=row.outputs,
        started_at=row.started_at,
        finished_at=row.finished_at,
        reason=row.reason,
        attempts=row.attempts,
        key=row.key,
        evidence=row.evidence,
        reused_from=row.reused_from,
    )
