"""Who let what go on to which stage, or did not: decisions are added and never changed; the last one counts."""

from modelwright import records
from modelwright.records import Approval
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def add_approval(change: Change, subject: str, *, stage: str, is_approved: bool) -> Approval:
    """Record that the actor of the change lets `subject` go on to `stage`, or does not."""
    found = Approval(records.new_id("approval"), subject, stage, is_approved, change.actor, change.why, change.at)
    change.insert(schema.approvals, vars(found))
    told = {"stage": stage, "is_approved": is_approved}
    if is_approved:
        change.record("approval.given", subject, after=told)
    else:
        change.record("approval.refused", subject, after=told)
    return found


def find_approval(store: Store, subject: str, *, stage: str) -> Approval | None:
    """Return the last decision on whether `subject` goes on to `stage`; None when there is none."""
    found = list_approvals(store, subject=subject, stage=stage)
    return found[0] if found else None


def list_approvals(store: Store, *, subject: str | None = None, stage: str | None = None) -> list[Approval]:
    """Return the decisions, newest first, narrowed by what is given."""
    table = schema.approvals
    query = table.select().order_by(table.c.created_at.desc(), table.c.id.desc())
    if subject is not None:
        query = query.where(table.c.subject == subject)
    if stage is not None:
        query = query.where(table.c.stage == stage)
    with store.reader.connect() as connection:
        return [Approval(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name
