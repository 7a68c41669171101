"""Deletes what nothing uses, with all that is part of it; the audit record keeps what it was.

Everything happens in the caller's transaction, which holds the database's write lock: nothing comes to use a thing
between the question whether something does and the end of it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.errors import DatasetMissing, EnvironmentMissing, InUse, PipelineMissing
from modelwright.records import (
    DatasetVersion,
    EnvironmentVersion,
    Lock,
    LoggedModel,
    Model,
    ModelVersion,
    PipelineVersion,
    Run,
    Status,
    Use,
)
from modelwright.records.plain import plain
from modelwright.store import datasets, environments, models, naming, pipelines, runs, schema, telling, usage
from modelwright.store.changes import Change
from modelwright.store.loading import rows
from modelwright.store.numbers import retire

# So many files of a dataset version are named in its audit record; of the others it has the number.
_MOST_FILES = 10_000
_MADE_OF = (
    "SELECT model || ':' || version FROM model_versions WHERE json_extract(source, '$.logged_model') = ? "
    "ORDER BY model, version"
)


def delete_model_version(change: Change, version: ModelVersion) -> ModelVersion:
    """Delete a version; return what it was at last. Raises InUse and ModelMissing."""
    models.ensure_there(change, version)
    (version,) = models.load_versions(change.connection, [version.id])
    command = f"wright model delete {version.reference}"
    _refuse_used(change, schema.model_versions, [version.id], thing=f"model version {version.reference}", do=command)
    _delete(change, schema.model_versions, [version.id])
    told = telling.of_model_version(version)
    change.record("model.deleted", f"models/{version.reference}", before=plain(version), told=told)
    return version


def delete_model_line(change: Change, model: Model) -> None:
    """Delete a model with all of its versions; its numbers are not given again. Raises InUse when one is in use."""
    table = schema.model_versions
    found = change.rows(sa.select(table.c.id).where(table.c.model == model.name).order_by(table.c.version.desc()))
    ids = [row.id for row in found]
    _refuse_used(change, table, ids, thing=f"model {model.name}", do="the same request")
    for each in models.load_versions(change.connection, ids):
        delete_model_version(change, each)
    last = change.rows(sa.select(schema.models.c.last_version).where(schema.models.c.name == model.name))
    if not last:
        raise naming.missing(change.connection, model.name)
    names = [model.name, *naming.names_before(change.connection, model.name)]
    _delete(change, schema.models, [model.name])
    for name in names:
        retire(change, "model", name, version=last[0].last_version)
    told = {"model": model.name, "tags": model.tags}
    change.record("model.deleted", f"models/{model.name}", before=plain(model), told=told)


def delete_runs(change: Change, run_id: str, *, with_children: bool = False) -> list[Run]:
    """Delete a run, on request with all runs below it; return them, the lowest first. Raises InUse and RunMissing.

    Of a state of the code that no other run has the files go too.
    """
    connection = change.connection
    ids = _family(connection, run_id) if with_children else [run_id]
    doomed = [runs.load_run(connection, each) for each in ids]
    command = f"wright run delete {run_id}{' --with-children' if with_children else ''}"
    live = [
        Use("run", each.id, f"it is {each.status}", f"wright run cancel {each.id}")
        for each in doomed
        if each.status in {Status.RUNNING, Status.QUEUED}
    ]
    _refuse_used(change, schema.runs, ids, thing=f"run {run_id}", do=command, live=live)
    code = {each.code_digest: _own_code(change, each.code_digest, ids) for each in doomed}
    told = {each.id: {"status": each.status} | telling.of_run(change, each.id) for each in doomed}
    _delete(change, schema.runs, ids)
    for each in doomed:
        files = code.pop(each.code_digest, {})
        if files:
            change.delete(schema.code_files, schema.code_files.c.code_digest == each.code_digest)
        before = plain(each) | ({"code": files} if files else {})
        change.record("run.deleted", f"runs/{each.id}", before=before, told=told[each.id])
    return doomed


def delete_dataset_version(change: Change, version: DatasetVersion) -> DatasetVersion:
    """Delete a version, and with the last one the dataset; return what it was. Raises InUse and DatasetMissing."""
    found = datasets.load_version(change.connection, version.id)
    if found is None:
        raise DatasetMissing(reference=version.reference)
    command = f"wright dataset delete {found.reference}"
    _refuse_used(change, schema.dataset_versions, [found.id], thing=f"dataset version {found.reference}", do=command)
    table, names = schema.dataset_versions, schema.datasets
    dataset_id = change.rows(sa.select(table.c.dataset_id).where(table.c.id == found.id))[0].dataset_id
    profile = change.rows(sa.select(table.c.profile).where(table.c.id == found.id))[0].profile
    _delete(change, table, [found.id])
    retire(change, "dataset", found.dataset, version=found.version)
    before: dict[str, Any] = plain(found) | {"profile": profile}
    if len(found.files) > _MOST_FILES:
        before |= {"files": plain(found.files[:_MOST_FILES]), "files_left_out": len(found.files) - _MOST_FILES}
    if not usage.users(change.connection, names, dataset_id):
        labels = schema.dataset_tags
        tags = change.rows(labels.select().where(labels.c.dataset_id == dataset_id))
        described = change.rows(sa.select(names.c.description).where(names.c.id == dataset_id))[0].description
        before |= {"description": described, "tags": {row.name: row.value for row in tags}}
        _delete(change, names, [dataset_id])
    told = telling.of_dataset_version(found)
    change.record("dataset.deleted", f"datasets/{found.reference}", before=before, told=told)
    return found


def delete_dataset(change: Change, name: str) -> list[DatasetVersion]:
    """Delete a dataset with all its versions; return them. Raises InUse when one of them is, and DatasetMissing."""
    table, names = schema.dataset_versions, schema.datasets
    query = sa.select(table.c.id).join(names, names.c.id == table.c.dataset_id).where(names.c.name == name)
    ids = [row.id for row in change.rows(query.order_by(table.c.version))]
    if not ids:
        raise DatasetMissing(reference=name)
    _refuse_used(change, table, ids, thing=f"dataset {name}", do=f"wright dataset delete {name}")
    found = [datasets.load_version(change.connection, each) for each in ids]
    return [delete_dataset_version(change, each) for each in found if each]


def delete_environment_version(change: Change, version: EnvironmentVersion) -> bool:
    """Delete a name of a lock, and with its last name the lock; return whether the lock went.

    A lock that has another name may be in use, for it stays. Raises InUse and EnvironmentMissing.
    """
    table = schema.environment_versions
    found = environments.load_version(change.connection, version.name, version.version)
    if found is None:
        raise EnvironmentMissing(reference=version.reference)
    users = usage.users(change.connection, schema.environments, found.digest)
    names = [each for each in users if each.kind == "environment"]
    is_last = len(names) == 1
    if is_last:
        others = [each for each in users if each.kind != "environment"]
        command = f"wright environment delete {found.reference}"
        _refuse(others, thing=f"environment {found.reference}", do=command)
    change.delete(table, (table.c.name == found.name) & (table.c.version == found.version))
    retire(change, "environment", found.name, version=found.version)
    before: dict[str, Any] = plain(found)
    if is_last:
        before |= {"lock_text": _lock_text(change, found.digest)}
        _delete(change, schema.environments, [found.digest])
    told = {"environment": found.name, "version": found.version, "digest": found.digest}
    change.record("environment.deleted", f"environments/{found.reference}", before=before, told=told)
    return is_last


def delete_lock(change: Change, lock: Lock) -> None:
    """Delete a lock that has no name. Raises InUse and EnvironmentMissing."""
    table = schema.environments
    if not change.rows(sa.select(table.c.digest).where(table.c.digest == lock.digest)):
        raise EnvironmentMissing(reference=lock.digest)
    command = f"wright environment delete {lock.digest}"
    _refuse_used(change, table, [lock.digest], thing=f"environment {lock.digest[:12]}", do=command)
    _delete(change, table, [lock.digest])
    told = {"digest": lock.digest}
    change.record("environment.deleted", f"environments/{lock.digest}", before=plain(lock), told=told)


def delete_pipeline_version(change: Change, version: PipelineVersion) -> PipelineVersion:
    """Delete a published version, and with the last one the name. Raises InUse and PipelineMissing."""
    connection, table = change.connection, schema.pipeline_versions
    found = pipelines.load_version(connection, version.id)
    if found is None:
        raise PipelineMissing(reference=version.reference)
    is_last = len(change.rows(sa.select(table.c.id).where(table.c.pipeline == found.pipeline))) == 1
    _refuse_used(
        change,
        table,
        [found.id],
        thing=f"pipeline version {found.reference}",
        do=f"wright pipeline delete {found.reference}",
        live=_schedules(connection, found, is_last=is_last),
    )
    _delete(change, table, [found.id])
    retire(change, "pipeline", found.pipeline, version=found.version)
    if is_last:
        change.delete(schema.pipelines, schema.pipelines.c.name == found.pipeline)
    told = {"pipeline": found.pipeline, "version": found.version, "code_digest": found.code_digest}
    change.record("pipeline.deleted", f"pipelines/{found.reference}", before=plain(found), told=told)
    return found


def delete_logged_model(change: Change, model: LoggedModel) -> None:
    """Delete a model that a client logged, with its files. Raises InUse when a registered version was made of it."""
    made = [
        Use("model", reference, "made of it", f"wright model delete {reference}")
        for (reference,) in rows(change.connection, _MADE_OF, (model.id,))
    ]
    _refuse(made, thing=f"logged model {model.id}", do="the same request")
    files = schema.logged_model_files
    kept = {row.path: row.digest for row in change.rows(files.select().where(files.c.logged_model_id == model.id))}
    _delete(change, schema.logged_models, [model.id])
    before, told = plain(model) | {"files": kept}, {"name": model.name, "run": model.run_id, "tags": model.tags}
    change.record("logged_model.deleted", f"logged-models/{model.id}", before=before, told=told)


def _refuse_used(
    change: Change, table: sa.Table, keys: Sequence[str], *, thing: str, do: str, live: Iterable[Use] = ()
) -> None:
    """Raise InUse when anything but the rows of these keys themselves uses one of them."""
    found = [each for key in keys for each in usage.users(change.connection, table, key)]
    _refuse([*live, *(each for each in found if each.reference not in set(keys))], thing=thing, do=do)


def _refuse(users: Sequence[Use], *, thing: str, do: str) -> None:
    if users:
        raise InUse(thing=thing, users=dict.fromkeys(users), command=do)


def _delete(change: Change, table: sa.Table, keys: Sequence[str]) -> None:
    """Delete the rows of these keys, in this order, after all that is part of them."""
    (key,) = table.primary_key.columns
    for link in usage.parts(table):
        _clear(change, link.table, link.in_(keys))
    for each in keys:
        change.delete(table, key == each)


def _clear(change: Change, table: sa.Table, chosen: sa.ColumnElement[bool]) -> None:
    """Delete the rows that are chosen with all that is part of them."""
    for link in usage.parts(table):
        (target,) = link.foreign_keys
        _clear(change, link.table, link.in_(sa.select(target.column).where(chosen)))
    change.delete(table, chosen)


def _family(connection: sa.Connection, run_id: str) -> list[str]:
    """Return a run's children, their children and so on, and the run, which comes last."""
    found = [run_id]
    for each in found:  # which grows meanwhile
        found += [row[0] for row in rows(connection, "SELECT id FROM runs WHERE parent_id = ? ORDER BY id", (each,))]
    return found[::-1]


def _own_code(change: Change, code_digest: str, run_ids: Sequence[str]) -> dict[str, str]:
    """Return the digests by path of a state of the code that only these runs have."""
    if any(each.reference not in run_ids for each in usage.users_of_snapshot(change.connection, code_digest)):
        return {}
    table = schema.code_files
    return {row.path: row.digest for row in change.rows(table.select().where(table.c.code_digest == code_digest))}


def _lock_text(change: Change, digest: str) -> str:
    table = schema.environments
    text: str = change.rows(sa.select(table.c.lock_text).where(table.c.digest == digest))[0].lock_text
    return text


def _schedules(connection: sa.Connection, version: PipelineVersion, *, is_last: bool) -> list[Use]:
    """Return the schedules that start this version: those that name it, and all when there is no other."""
    found = rows(connection, "SELECT name, version FROM schedules WHERE pipeline = ?", (version.pipeline,))
    return [
        Use("schedule", name, "starts it", f"wright schedule remove {name}")
        for name, number in found
        if is_last or number == version.version
    ]
