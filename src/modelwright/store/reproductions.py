"""Reproductions of model versions."""

from modelwright.records import Reproduction
from modelwright.store import schema
from modelwright.store.changes import Change


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
