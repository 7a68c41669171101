"""`/audit` and `/events`: who did what, when and why, whether the records are whole, and what was told of them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from fastapi.responses import FileResponse

from modelwright.api.acting import Reading
from modelwright.api.asking import FILE, Moment, Scratch, download
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.told import AuditRecord, audited
from modelwright.errors import AuditDamaged
from modelwright.store import audit
from modelwright.store.audit import AuditFilter

router = Router("/audit")


@dataclass(frozen=True)
class Verification:
    """How many records fit each other, the digest of the last, and what is wrong with the first that does not."""

    count: int
    head: str
    fault: str
    broken_at: int | None
    is_whole: bool


@router.get("")
def list_audit_records(
    reading: Reading,
    page: Paged,
    subject: Annotated[str | None, Query(description="As models/churn:1; models/churn takes all of it.")] = None,
    actor: str | None = None,
    action: Annotated[str | None, Query(description="As alias.moved; alias takes all of its kind.")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> list[AuditRecord]:
    """List who did what, when and why, the newest first; what is deleted by now has its records."""
    wanted = AuditFilter(subject, actor, action, since, until, page.number)
    found = audit.find_audit_records(reading, wanted, limit=page.limit + 1)
    return page.first([audited(each) for each in reversed(found)], lambda each: each.key)


@router.get("/verification")
def verify_audit(
    reading: Reading,
    head: Annotated[str | None, Query(description="A digest that was noted before: it must still be there.")] = None,
) -> Verification:
    """Check that no record was changed, removed or inserted."""
    found = audit.check(reading, head=head)
    return Verification(found.count, found.head, found.fault, found.broken_at, not found.fault)


@router.get("/export", responses=FILE)
def export_audit(reading: Reading, scratch: Scratch) -> FileResponse:
    """Download all records as JSON lines, which `wright audit verify FILE` checks without a workspace."""
    file = scratch / "audit.jsonl"
    with file.open("wb") as lines:
        found = audit.export(reading, lines.write)
    if found.fault:
        raise AuditDamaged(fault=found.fault)
    return download(file, name=file.name)
