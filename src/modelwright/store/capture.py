"""What was captured: the segments that became Parquet, and what was done with them."""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from modelwright.records import CaptureSegment
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_VALUES_A_STATEMENT = 500  # a statement of SQLite takes only so many


def keep_segment(change: Change, segment: CaptureSegment) -> None:
    """Note that a segment became Parquet: it will not be read again.

    No audit record tells it, since nothing but the form changes and it happens every minute; deleting is recorded.
    """
    row = {
        "id": segment.id,
        "endpoint": segment.endpoint,
        "row_count": segment.rows,
        "digest": segment.digest,
        "files": list(segment.files),
        "kept_at": segment.kept_at,
    }
    change.append(schema.capture_segments, [row])


def has_segment(store: Store, segment_id: str) -> bool:
    """Whether a segment became Parquet."""
    table = schema.capture_segments
    with store.reader.connect() as connection:
        return connection.execute(sa.select(table.c.id).where(table.c.id == segment_id)).first() is not None


def list_segments(store: Store, endpoint: str) -> list[CaptureSegment]:
    """Return the segments of an endpoint that became Parquet, in their order."""
    table = schema.capture_segments
    with store.reader.connect() as connection:
        rows = connection.execute(table.select().where(table.c.endpoint == endpoint).order_by(table.c.id))
        return [
            CaptureSegment(row.id, row.endpoint, row.row_count, row.digest, tuple(row.files), row.kept_at)
            for row in rows
        ]


def delete_captured(change: Change, endpoint: str, *, segment_ids: Collection[str], what: Mapping[str, Any]) -> None:
    """Record that captured requests of an endpoint are deleted, and forget the segments that nothing is left of."""
    table, ids = schema.capture_segments, list(segment_ids)
    for start in range(0, len(ids), _VALUES_A_STATEMENT):
        change.delete(table, table.c.id.in_(ids[start : start + _VALUES_A_STATEMENT]))
    change.record("capture.deleted", f"endpoints/{endpoint}", before=dict(what), told=dict(what))


def record_labels(change: Change, endpoint: str, *, labels: Mapping[str, Any]) -> None:
    """Record that labels were given to captured requests of an endpoint."""
    change.record("capture.labelled", f"endpoints/{endpoint}", after=dict(labels))
