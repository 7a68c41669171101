"""The verdicts of gates."""

import sqlalchemy as sa

from modelwright.records import Outcome, Verdict
from modelwright.records.plain import plain
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_TABLE = schema.gate_verdicts


def add_verdict(change: Change, verdict: Verdict) -> None:
    """Record what a gate decided of a run's model, or that it was not asked."""
    change.insert(
        _TABLE,
        {
            "id": verdict.id,
            "run_id": verdict.run_id,
            "model": verdict.model,
            "champion": verdict.champion,
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "numbers": plain(verdict.numbers),
            "created_at": verdict.created_at,
        },
    )
    subject = f"runs/{verdict.run_id}"
    after = {
        "model": verdict.model,
        "champion": verdict.champion,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
    }
    match verdict.outcome:
        case Outcome.REFUSED:
            change.record("gate.refused", subject, after=after)
        case Outcome.SKIPPED:
            change.record("gate.skipped", subject, after=after)
        case _:
            change.record("gate.passed", subject, after=after)


def find_verdict(store: Store, run_id: str) -> Verdict | None:
    """Return the last verdict on a run's model; a run that was resumed may have had others before."""
    query = _TABLE.select().where(_TABLE.c.run_id == run_id)
    order = (_TABLE.c.created_at.desc(), _TABLE.c.id.desc())
    with store.reader.connect() as connection:
        row = connection.execute(query.order_by(*order).limit(1)).first()
    return _verdict(row) if row else None


def _verdict(row: sa.Row[tuple[object, ...]]) -> Verdict:
    return Verdict(**{**row._mapping, "outcome": Outcome(row.outcome)})  # noqa: SLF001 - SQLAlchemy's public name
