"""Published pipelines and their versions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelwright.errors import PipelineMissing
from modelwright.records import PackageFile, PipelineVersion
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.numbers import next_number

_MOST_DIGITS = 9  # the database's numbers end somewhere


def ensure_version(
    change: Change, version: PipelineVersion, *, project_id: str, facts: Mapping[str, object]
) -> PipelineVersion:
    """Return the version of the pipeline with this content, adding it under the next number when it is new.

    `facts` are what the audit record is to tell besides.
    """
    pipelines, table = schema.pipelines, schema.pipeline_versions
    if not change.rows(sa.select(pipelines.c.name).where(pipelines.c.name == version.pipeline)):
        change.insert(pipelines, {"name": version.pipeline, "is_enabled": True, "created_at": change.at})
    for row in change.rows(_versions(table.c.pipeline == version.pipeline)):
        if (row.code_digest, row.environment_digest) == (version.code_digest, version.environment_digest):
            return replace(_to_record(row), files=version.files)
    highest = change.rows(
        sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0)).where(table.c.pipeline == version.pipeline)
    )
    number = next_number(change, "pipeline", version.pipeline, highest=highest[0][0])
    numbered = replace(version, version=number, created_at=change.at)
    change.insert(
        table,
        {
            "id": numbered.id,
            "pipeline": numbered.pipeline,
            "version": numbered.version,
            "description": numbered.description,
            "project_id": project_id,
            "code_digest": numbered.code_digest,
            "parameters": numbered.parameters,
            "environment_digest": numbered.environment_digest,
            "parent_id": numbered.parent_id,
            "is_enabled": True,
            "created_at": numbered.created_at,
        },
    )
    change.insert(
        schema.pipeline_files,
        *(
            {
                "version_id": numbered.id,
                "path": each.path,
                "digest": each.digest,
                "size_bytes": each.size_bytes,
                "is_executable": each.is_executable,
            }
            for each in numbered.files
        ),
    )
    change.record(
        "pipeline.published",
        f"pipelines/{numbered.reference}",
        after={"code_digest": numbered.code_digest, "parameters": numbered.parameters, **facts},
    )
    return numbered


def set_enabled(change: Change, name: str, *, version: int | None, is_enabled: bool) -> None:
    """Let a pipeline, or one of its versions, run or not."""
    pipelines, table = schema.pipelines, schema.pipeline_versions
    switched, where = pipelines, pipelines.c.name == name
    if version is not None:
        switched, where = table, (table.c.pipeline == name) & (table.c.version == version)
    ((was_enabled,),) = change.rows(sa.select(switched.c.is_enabled).where(where))
    change.update(switched, where, is_enabled=is_enabled)
    subject = f"pipelines/{name}" if version is None else f"pipelines/{name}:{version}"
    before, after = {"is_enabled": was_enabled}, {"is_enabled": is_enabled}
    if is_enabled:
        change.record("pipeline.enabled", subject, before=before, after=after)
    else:
        change.record("pipeline.disabled", subject, before=before, after=after)


def find_version(store: Store, reference: str) -> PipelineVersion:
    """Return the version that `reference` names: `churn:3`, or `churn` for the newest that is enabled.

    When none is enabled, `churn` is the newest. Raises PipelineMissing.
    """
    name, _, number = reference.partition(":")
    table = schema.pipeline_versions
    where = table.c.pipeline == name
    if number:
        where &= table.c.version == (int(number) if number.isdecimal() and len(number) <= _MOST_DIGITS else -1)
    with store.reader.connect() as connection:
        rows = connection.execute(_versions(where)).all()
        if not rows:
            raise PipelineMissing(reference=reference)
        found = _to_record(next((row for row in rows if row.is_enabled), rows[0]))
        return replace(found, files=_files(connection, found.id))


def get_version(store: Store, version_id: str) -> PipelineVersion:
    """Return the version of that id, which a row refers to."""
    with store.reader.connect() as connection:
        found = _to_record(connection.execute(_versions(schema.pipeline_versions.c.id == version_id)).one())
        return replace(found, files=_files(connection, found.id))


def load_version(connection: sa.Connection, version_id: str) -> PipelineVersion | None:
    """Return the version of that id as this connection sees it."""
    row = connection.execute(_versions(schema.pipeline_versions.c.id == version_id)).first()
    return replace(_to_record(row), files=_files(connection, row.id)) if row else None


def list_versions(store: Store, *, pipeline: str | None = None) -> list[PipelineVersion]:
    """Return the versions of `pipeline`, or of all, by name and newest first, without their files."""
    where = sa.true() if pipeline is None else schema.pipeline_versions.c.pipeline == pipeline
    with store.reader.connect() as connection:
        return [_to_record(row) for row in connection.execute(_versions(where))]


def _versions(where: sa.ColumnElement[bool]) -> sa.Select[Any]:
    table, pipelines, projects = schema.pipeline_versions, schema.pipelines, schema.projects
    return (
        sa.select(table, projects.c.name.label("project"), pipelines.c.is_enabled.label("is_pipeline_enabled"))
        .join(projects, projects.c.id == table.c.project_id)
        .join(pipelines, pipelines.c.name == table.c.pipeline)
        .where(where)
        .order_by(table.c.pipeline, table.c.version.desc())
    )


def _files(connection: sa.Connection, version_id: str) -> tuple[PackageFile, ...]:
    table = schema.pipeline_files
    query = table.select().where(table.c.version_id == version_id).order_by(table.c.path)
    return tuple(
        PackageFile(row.path, row.digest, row.size_bytes, row.is_executable) for row in connection.execute(query)
    )


def _to_record(row: sa.Row[Any]) -> PipelineVersion:
    return PipelineVersion(
        id=row.id,
        pipeline=row.pipeline,
        version=row.version,
        description=row.description,
        project=row.project,
        code_digest=row.code_digest,
        parameters=row.parameters,
        environment_digest=row.environment_digest,
        parent_id=row.parent_id,
        is_enabled=row.is_enabled,
        is_pipeline_enabled=row.is_pipeline_enabled,
        created_at=row.created_at,
    )
