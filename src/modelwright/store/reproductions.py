"""Reproductions of model versions."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.records import Reproduction
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def add_reproduction(change: Change, reproduction: Reproduction, *, version_id: str) -> None:
    """Record what came of making the version again."""
    change.insert(
        schema.reproductions,
        {
            "id": reproduction.id,
            "version_id": version_id,
            "run_id": reproduction.run_id,
            "verdict": reproduction.sameness,
            "cause": f"{reproduction.kind}: {reproduction.cause}" if reproduction.kind else "",
            "comparisons": list(reproduction.comparisons),
            "created_at": reproduction.created_at,
        },
    )
    change.record(
        "model.reproduced",
        f"models/{reproduction.version}",
        after={"verdict": reproduction.sameness, "cause": reproduction.cause},
    )


def dataset_files(store: Store, version_id: str) -> Sequence[sa.Row[Any]]:
    """Return the files of a dataset version that are kept as blobs."""
    table = schema.dataset_files
    with store.reader.connect() as connection:
        return connection.execute(
            table.select().where(table.c.version_id == version_id, table.c.location.is_(None)).order_by(table.c.path)
        ).all()
