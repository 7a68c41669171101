"""Datasets and their versions, numbered by content."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.errors import DatasetMissing, ReferenceInvalid
from modelwright.records import DataKind, Dataset, DatasetFile, DatasetUser, DatasetVersion, Storage
from modelwright.store import schema, telling
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.numbers import next_number

_REFERENCE = re.compile(r"(?P<name>[^:]+)(?::(?P<version>[1-9][0-9]{0,8}|latest))?", re.ASCII)
_STRENGTH = {Storage.REFERENCE: 0, Storage.HARDLINK: 1, Storage.COPY: 2}
_COLUMNS = [column for column in schema.dataset_versions.c if column.name != "profile"]  # which may be large
_VALUES_A_STATEMENT = 500  # a statement of SQLite takes only so many


def ensure_dataset_version(change: Change, wanted: DatasetVersion) -> DatasetVersion:
    """Return the version of `wanted.dataset` with the digest of `wanted`, adding the next number when it is new.

    For a version that is known, what it now is kept as counts when that is at least as safe as before: a version by
    reference is found again where its files are today, and becomes a copy when a copy is asked for.
    """
    table, versions = schema.datasets, schema.dataset_versions
    found = change.rows(sa.select(table.c.id).where(table.c.name == wanted.dataset))
    if found:
        dataset_id = found[0].id
    else:
        dataset_id = records.new_id("dataset")
        change.insert(table, {"id": dataset_id, "name": wanted.dataset, "created_at": change.at})
    of_dataset = versions.c.dataset_id == dataset_id
    known = change.rows(sa.select(*_COLUMNS).where(of_dataset, versions.c.digest == wanted.digest))
    if known:
        return _keep_again(change, to_record(wanted.dataset, known[0]), wanted)
    last = change.rows(sa.select(sa.func.coalesce(sa.func.max(versions.c.version), 0)).where(of_dataset))
    number = next_number(change, "dataset", wanted.dataset, highest=last[0][0])
    version = replace(wanted, id=records.new_id("data"), version=number, created_at=change.at)
    change.insert(
        versions,
        {
            "id": version.id,
            "dataset_id": dataset_id,
            "version": version.version,
            "digest": version.digest,
            "size_bytes": version.size_bytes,
            "kind": version.kind,
            "storage": version.storage,
            "source": dict(version.source),
            "timestamp_column": version.timestamp_column,
            "created_at": change.at,
        },
    )
    _insert_files(change, version.id, version.files)
    change.record("dataset.registered", f"datasets/{version.reference}", after=telling.of_dataset_version(version))
    return version


def _keep_again(change: Change, known: DatasetVersion, wanted: DatasetVersion) -> DatasetVersion:
    if known.storage == wanted.storage == Storage.COPY and wanted.timestamp_column in {None, known.timestamp_column}:
        files = schema.dataset_files
        if change.rows(sa.select(files.c.path).where(files.c.version_id == known.id).limit(1)):
            return replace(known, files=wanted.files)
    before = _files(change.connection, known.id)
    known = replace(known, files=before)
    is_safer = _STRENGTH[wanted.storage] >= _STRENGTH[known.storage]
    moved = is_safer and (known.storage != wanted.storage or before != wanted.files)
    retimed = wanted.timestamp_column is not None and wanted.timestamp_column != known.timestamp_column
    if not moved and not retimed:
        return known
    now = replace(
        known,
        storage=wanted.storage if moved else known.storage,
        files=wanted.files if moved else before,
        source=wanted.source if moved else known.source,
        timestamp_column=wanted.timestamp_column or known.timestamp_column,
    )
    if moved:
        change.delete(schema.dataset_files, schema.dataset_files.c.version_id == known.id)
        _insert_files(change, known.id, now.files)
    change.update(
        schema.dataset_versions,
        schema.dataset_versions.c.id == known.id,
        storage=now.storage,
        source=dict(now.source),
        timestamp_column=now.timestamp_column,
    )
    change.record(
        "dataset.kept_again",
        f"datasets/{known.reference}",
        before=_keeping(known),
        after=_keeping(now),
    )
    return now


def _keeping(version: DatasetVersion) -> dict[str, object]:
    return {
        "storage": version.storage,
        "source": dict(version.source),
        "timestamp_column": version.timestamp_column,
    }


def describe(change: Change, name: str, description: str) -> None:
    """Set what is said of a dataset. Raises DatasetMissing."""
    table = schema.datasets
    before = change.rows(sa.select(table.c.description).where(table.c.name == name))
    if not before:
        raise DatasetMissing(reference=name)
    if before[0].description != description:
        change.update(table, table.c.name == name, description=description)
        change.record(
            "dataset.described",
            f"datasets/{name}",
            before={"description": before[0].description},
            after={"description": description},
        )


def change_tags(change: Change, name: str, *, added: Mapping[str, str], removed: Sequence[str] = ()) -> None:
    """Set and remove tags of a dataset; those that it has under the added names are replaced. Raises DatasetMissing."""
    table, tags = schema.datasets, schema.dataset_tags
    found = change.rows(sa.select(table.c.id).where(table.c.name == name))
    if not found:
        raise DatasetMissing(reference=name)
    of_dataset = tags.c.dataset_id == found[0].id
    before = {row.name: row.value for row in change.rows(tags.select().where(of_dataset))}
    after = {tag: value for tag, value in (before | dict(added)).items() if tag not in set(removed) - set(added)}
    if after != before:
        change.delete(tags, of_dataset)
        change.insert(tags, *({"dataset_id": found[0].id, "name": tag, "value": value} for tag, value in after.items()))
        change.record("dataset.tagged", f"datasets/{name}", before=before, after=after)


def save_profile(change: Change, version: DatasetVersion, profile: Mapping[str, object]) -> None:
    """Keep the profile of a version."""
    table = schema.dataset_versions
    change.update(table, table.c.id == version.id, profile=dict(profile))
    was = change.before(table, version.id)
    known = json.loads(was["profile"] or "null") if was else None
    change.record(
        "dataset.profiled",
        f"datasets/{version.reference}",
        before={"format": known.get("format")} if known else None,
        after={"format": profile.get("format")},
    )


def saved_profile(store: Store, version: DatasetVersion) -> dict[str, Any] | None:
    """Return the profile that is kept of a version."""
    table = schema.dataset_versions
    with store.reader.connect() as connection:
        found: dict[str, Any] | None = connection.execute(
            sa.select(table.c.profile).where(table.c.id == version.id)
        ).scalar_one()
    return found


def find_dataset_version(store: Store, reference: str) -> DatasetVersion:
    """Return the version that `reference` names, with its files: `sales:3`, or `sales` or `sales:latest`.

    Raises ReferenceInvalid for anything else and DatasetMissing when there is none.
    """
    parts = _REFERENCE.fullmatch(reference)
    if not parts:
        raise ReferenceInvalid(reference=reference)
    names, versions = schema.datasets, schema.dataset_versions
    query = (
        sa.select(*_COLUMNS)
        .join(names, names.c.id == versions.c.dataset_id)
        .where(names.c.name == parts["name"])
        .order_by(versions.c.version.desc())
        .limit(1)
    )
    if parts["version"] not in {None, "latest"}:
        query = query.where(versions.c.version == int(parts["version"]))
    with store.reader.connect() as connection:
        row = connection.execute(query).first()
        if row is None:
            raise DatasetMissing(reference=reference)
        return replace(to_record(parts["name"], row), files=_files(connection, row.id))


def find_content(store: Store, name: str, digest: str) -> DatasetVersion | None:
    """Return the version of dataset `name` that has this content, with its files."""
    names, versions = schema.datasets, schema.dataset_versions
    query = (
        sa.select(*_COLUMNS)
        .join(names, names.c.id == versions.c.dataset_id)
        .where(names.c.name == name, versions.c.digest == digest)
    )
    with store.reader.connect() as connection:
        row = connection.execute(query).first()
        return replace(to_record(name, row), files=_files(connection, row.id)) if row else None


def has_content(store: Store, digest: str) -> bool:
    """Whether a version of any dataset has this content."""
    versions = schema.dataset_versions
    with store.reader.connect() as connection:
        return connection.execute(sa.select(versions.c.id).where(versions.c.digest == digest)).first() is not None


def get_dataset(store: Store, name: str) -> Dataset:
    """Return the dataset of that name. Raises DatasetMissing."""
    found = _datasets(store, schema.datasets.c.name == name)
    if not found:
        raise DatasetMissing(reference=name)
    return found[0]


def list_datasets(store: Store, *, text: str = "", tags: Mapping[str, str | None] | None = None) -> list[Dataset]:
    """Return the datasets whose name holds `text` and that have all of `tags`, by name.

    A tag whose value is None is had under any value.
    """
    table, labels = schema.datasets, schema.dataset_tags
    wanted: list[sa.ColumnElement[bool]] = [table.c.name.contains(text, autoescape=True)] if text else []
    for name, value in (tags or {}).items():
        holders = sa.select(labels.c.dataset_id).where(labels.c.name == name)
        wanted.append(table.c.id.in_(holders if value is None else holders.where(labels.c.value == value)))
    return _datasets(store, sa.and_(sa.true(), *wanted))


def list_users(store: Store, version: DatasetVersion) -> list[DatasetUser]:
    """Return the runs that used a version, the model versions of these runs and their deployments, by one query."""
    links, runs, models = schema.run_datasets, schema.runs, schema.model_versions
    deployed, endpoints = schema.deployments, schema.endpoints
    of_version = links.c.dataset_version_id == version.id
    model = models.c.model + sa.literal(":") + sa.cast(models.c.version, sa.Text)
    read = sa.select(
        sa.literal("run").label("kind"),
        runs.c.id.label("reference"),
        (links.c.role + sa.literal(", ") + runs.c.status).label("detail"),
        runs.c.started_at.label("at"),
    ).join_from(links, runs, runs.c.id == links.c.run_id)
    trained = (
        sa.select(sa.literal("model"), model, models.c.framework, models.c.created_at)
        .join_from(links, models, models.c.run_id == links.c.run_id)
        .distinct()
    )
    served = (
        sa.select(
            sa.literal("deployment"),
            endpoints.c.name,
            model + sa.literal(", ") + deployed.c.status,
            deployed.c.created_at,
        )
        .join_from(links, models, models.c.run_id == links.c.run_id)
        .join(deployed, deployed.c.version_id == models.c.id)
        .join(endpoints, endpoints.c.id == deployed.c.endpoint_id)
        .distinct()
    )
    parts = [part.where(of_version) for part in (read, trained, served)]
    with store.reader.connect() as connection:
        rows = connection.execute(sa.union_all(*parts).order_by("at")).all()
    return [DatasetUser(row.kind, row.reference, row.detail, row.at) for row in rows]


def load_version(connection: sa.Connection, version_id: str) -> DatasetVersion | None:
    """Return the version of that id with its files, as this connection sees it."""
    names, versions = schema.datasets, schema.dataset_versions
    query: sa.Select[Any] = (
        sa.select(*_COLUMNS, names.c.name.label("dataset"))
        .join(names, names.c.id == versions.c.dataset_id)
        .where(versions.c.id == version_id)
    )
    row = connection.execute(query).first()
    return replace(to_record(row.dataset, row), files=_files(connection, row.id)) if row else None


def to_record(name: str, row: sa.Row[Any]) -> DatasetVersion:
    """Return the record of a row of `dataset_versions` that belongs to dataset `name`, without its files."""
    return DatasetVersion(
        id=row.id,
        dataset=name,
        version=row.version,
        digest=row.digest,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        kind=DataKind(row.kind),
        storage=Storage(row.storage),
        source=row.source,
        timestamp_column=row.timestamp_column,
    )


def _insert_files(change: Change, version_id: str, files: Sequence[DatasetFile]) -> None:
    change.insert(
        schema.dataset_files,
        *(
            {
                "version_id": version_id,
                "path": each.path,
                "digest": each.digest,
                "size_bytes": each.size_bytes,
                "location": each.location,
            }
            for each in files
        ),
    )


def _files(connection: sa.Connection, version_id: str) -> tuple[DatasetFile, ...]:
    table = schema.dataset_files
    query = (
        sa.select(table.c.path, table.c.digest, table.c.size_bytes, table.c.location)
        .where(table.c.version_id == version_id)
        .order_by(table.c.path)
    )
    return tuple(DatasetFile(*row) for row in connection.execute(query))


def _datasets(store: Store, where: sa.ColumnElement[bool]) -> list[Dataset]:
    table, versions, tags = schema.datasets, schema.dataset_versions, schema.dataset_tags
    with store.reader.connect() as connection:
        rows = connection.execute(table.select().where(where).order_by(table.c.name)).all()
        of_each: dict[str, list[DatasetVersion]] = {row.id: [] for row in rows}
        labels: dict[str, dict[str, str]] = {row.id: {} for row in rows}
        names = {row.id: row.name for row in rows}
        ids = list(names)
        for start in range(0, len(ids), _VALUES_A_STATEMENT):
            some = ids[start : start + _VALUES_A_STATEMENT]
            numbered = sa.select(*_COLUMNS).where(versions.c.dataset_id.in_(some)).order_by(versions.c.version)
            for row in connection.execute(numbered):
                of_each[row.dataset_id].append(to_record(names[row.dataset_id], row))
            for row in connection.execute(tags.select().where(tags.c.dataset_id.in_(some)).order_by(tags.c.name)):
                labels[row.dataset_id][row.name] = row.value
    return [Dataset(row.name, row.description, labels[row.id], row.created_at, tuple(of_each[row.id])) for row in rows]
