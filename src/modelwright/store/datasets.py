"""Dataset versions, numbered by content."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.records import DatasetVersion
from modelwright.store import schema
from modelwright.store.changes import Change


def ensure_dataset_version(
    change: Change, name: str, *, digest: str, size_bytes: int, files: Mapping[str, tuple[str, int]]
) -> DatasetVersion:
    """Return the version of dataset `name` with this content, adding the next number when the content is new."""
    table, versions = schema.datasets, schema.dataset_versions
    found = change.rows(sa.select(table.c.id).where(table.c.name == name))
    if found:
        dataset_id = found[0].id
    else:
        dataset_id = records.new_id("dataset")
        change.insert(table, {"id": dataset_id, "name": name, "created_at": change.at})
    known = change.rows(versions.select().where(versions.c.dataset_id == dataset_id).order_by(versions.c.version))
    for row in known:
        if row.digest == digest:
            return to_record(name, row)
    version = DatasetVersion(
        id=records.new_id("data"),
        dataset=name,
        version=known[-1].version + 1 if known else 1,
        digest=digest,
        size_bytes=size_bytes,
        created_at=change.at,
    )
    change.insert(
        versions,
        {
            "id": version.id,
            "dataset_id": dataset_id,
            "version": version.version,
            "digest": digest,
            "size_bytes": size_bytes,
            "created_at": change.at,
        },
    )
    change.insert(
        schema.dataset_files,
        *(
            {"version_id": version.id, "path": path, "digest": blob, "size_bytes": size}
            for path, (blob, size) in files.items()
        ),
    )
    change.record(
        "dataset.registered", f"datasets/{version.reference}", after={"digest": digest, "size_bytes": size_bytes}
    )
    return version


def to_record(name: str, row: sa.Row[Any]) -> DatasetVersion:
    """Return the record of a row of `dataset_versions` that belongs to dataset `name`."""
    return DatasetVersion(
        id=row.id,
        dataset=name,
        version=row.version,
        digest=row.digest,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
    )
