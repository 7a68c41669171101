"""Models, their versions and aliases."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelwright.errors import ModelMissing
from modelwright.records import ModelVersion, PackageFile
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def add_version(change: Change, version: ModelVersion) -> ModelVersion:
    """Record a version under the model's next number, which the returned record has.

    The transaction holds the database's write lock, so two registrations at once get two numbers.
    """
    models, table = schema.models, schema.model_versions
    if not change.rows(sa.select(models.c.name).where(models.c.name == version.model)):
        change.insert(models, {"name": version.model, "created_at": change.at})
    number = change.rows(
        sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0)).where(table.c.model == version.model)
    )
    numbered = replace(version, version=number[0][0] + 1, created_at=change.at)
    change.insert(
        table,
        {
            "id": numbered.id,
            "model": numbered.model,
            "version": numbered.version,
            "digest": numbered.digest,
            "framework": numbered.framework,
            "signature": numbered.signature,
            "run_id": numbered.run_id,
            "proof_id": numbered.proof_id,
            "environment_digest": numbered.environment_digest,
            "created_at": numbered.created_at,
        },
    )
    change.insert(
        schema.version_files,
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
    change.insert(schema.version_metrics, *_pairs(numbered.id, numbered.metrics))
    change.insert(schema.version_tags, *_pairs(numbered.id, numbered.tags))
    change.record(
        "model.registered",
        f"models/{numbered.reference}",
        after={"digest": numbered.digest, "run": numbered.run_id, "metrics": numbered.metrics, "tags": numbered.tags},
    )
    return numbered


def move_alias(change: Change, version: ModelVersion, *, alias: str) -> None:
    """Let `alias` point at `version`."""
    table, versions = schema.aliases, schema.model_versions
    here = (table.c.model == version.model) & (table.c.alias == alias)
    before = change.rows(sa.select(versions.c.version).join(table, table.c.version_id == versions.c.id).where(here))
    if before:
        change.update(table, here, version_id=version.id, moved_at=change.at)
    else:
        change.insert(table, {"model": version.model, "alias": alias, "version_id": version.id, "moved_at": change.at})
    change.record(
        "alias.moved",
        f"models/{version.model}@{alias}",
        before={"version": before[0].version} if before else None,
        after={"version": version.version},
    )


def find_version(store: Store, reference: str) -> ModelVersion:
    """Return the version that `reference` names: `churn:3`, `churn@champion`, or `churn` for the newest.

    `models:/churn/3` and `models:/churn@champion` are read too. Raises ModelMissing.
    """
    table, aliases = schema.model_versions, schema.aliases
    text = reference.removeprefix("models:/")
    if "@" in text:
        model, alias = text.split("@", 1)
        pointed = sa.select(aliases.c.version_id).where((aliases.c.model == model) & (aliases.c.alias == alias))
        where: sa.ColumnElement[bool] = table.c.id.in_(pointed)
    else:
        model, _, number = text.replace("/", ":").partition(":")
        where = table.c.model == model
        if number:
            if not number.isdecimal():
                raise ModelMissing(reference=reference)
            where = where & (table.c.version == int(number))
    with store.reader.connect() as connection:
        found = _versions(connection, where, limit=1)
    if not found:
        raise ModelMissing(reference=reference)
    return found[0]


def get_version(store: Store, version_id: str) -> ModelVersion:
    """Return the version of that id, which a row refers to."""
    with store.reader.connect() as connection:
        return _versions(connection, schema.model_versions.c.id == version_id)[0]


def version_of_run(store: Store, run_id: str) -> ModelVersion | None:
    """Return the version that was registered from a run."""
    with store.reader.connect() as connection:
        return next(iter(_versions(connection, schema.model_versions.c.run_id == run_id)), None)


def list_versions(store: Store, *, model: str | None = None) -> list[ModelVersion]:
    """Return the versions of `model`, or of all models, newest first."""
    where = sa.true() if model is None else schema.model_versions.c.model == model
    with store.reader.connect() as connection:
        return _versions(connection, where)


def blob_digests(connection: sa.Connection) -> set[str]:
    """Return the digests of all blobs that versions' files refer to."""
    return set(connection.execute(sa.select(schema.version_files.c.digest)).scalars())


def _pairs(version_id: str, values: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"version_id": version_id, "name": name, "value": value} for name, value in values.items()]


def _versions(
    connection: sa.Connection, where: sa.ColumnElement[bool], *, limit: int | None = None
) -> list[ModelVersion]:
    table = schema.model_versions
    query = table.select().where(where).order_by(table.c.created_at.desc(), table.c.version.desc()).limit(limit)
    return [_to_record(connection, row) for row in connection.execute(query).all()]


def _to_record(connection: sa.Connection, row: sa.Row[Any]) -> ModelVersion:
    def of_version(table: sa.Table) -> sa.CursorResult[Any]:
        return connection.execute(table.select().where(table.c.version_id == row.id))

    return ModelVersion(
        id=row.id,
        model=row.model,
        version=row.version,
        digest=row.digest,
        framework=row.framework,
        signature=row.signature,
        run_id=row.run_id,
        proof_id=row.proof_id,
        environment_digest=row.environment_digest,
        created_at=row.created_at,
        files=tuple(
            PackageFile(each.path, each.digest, each.size_bytes, each.is_executable)
            for each in of_version(schema.version_files)
        ),
        metrics={each.name: each.value for each in of_version(schema.version_metrics)},
        tags={each.name: each.value for each in of_version(schema.version_tags)},
        aliases=tuple(each.alias for each in of_version(schema.aliases)),
    )
