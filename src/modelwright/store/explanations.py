"""Explanations of model versions, kept with them."""

from typing import Any

import sqlalchemy as sa

from modelwright.records import Explanation, ModelVersion
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def add_explanation(change: Change, version: ModelVersion, explanation: Explanation) -> None:
    """Record an explanation of a version."""
    change.insert(
        schema.explanations,
        {
            "id": explanation.id,
            "version_id": version.id,
            "method": explanation.method,
            "result": {"key": explanation.key} | explanation.result,
            "digest": explanation.digest,
            "created_at": explanation.created_at,
        },
    )
    change.record(
        "model.explained",
        f"models/{version.reference}",
        after={
            "explanation": explanation.id,
            "method": explanation.method,
            "source": explanation.result["source"],
            "is_local": explanation.is_local,
            "holds": explanation.holds,
        },
    )


def list_explanations(store: Store, version: ModelVersion) -> list[Explanation]:
    """Return the explanations of a version, newest first."""
    table = schema.explanations
    query = table.select().where(table.c.version_id == version.id).order_by(table.c.id.desc())
    with store.reader.connect() as connection:
        return [_to_explanation(row, version) for row in connection.execute(query).all()]


def find_explanation(store: Store, version: ModelVersion, key: str) -> Explanation | None:
    """Return the newest explanation of a version that answers the same question; None when there is none."""
    return next((each for each in list_explanations(store, version) if each.key == key), None)


def latest_explanation(store: Store, version: ModelVersion) -> Explanation | None:
    """Return the newest explanation of a version as a whole; None when there is none."""
    return next((each for each in list_explanations(store, version) if not each.is_local), None)


def _to_explanation(row: sa.Row[Any], version: ModelVersion) -> Explanation:
    result = dict(row.result)
    return Explanation(
        id=row.id,
        version=version.reference,
        key=result.pop("key"),
        method=row.method,
        result=result,
        digest=row.digest,
        created_at=row.created_at,
    )
