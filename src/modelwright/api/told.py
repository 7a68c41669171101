"""Answers that are no records of their own: what was deleted or verified, and audit records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelwright.records.plain import plain


@dataclass(frozen=True)
class Deleted:
    """What is no more."""

    deleted: str


@dataclass(frozen=True)
class Gone:
    """What is no more, of several."""

    deleted: list[str]


@dataclass(frozen=True)
class Fault:
    """A file that is not what was registered: where, and the digests that it should have and has; empty when gone."""

    file: str
    place: str
    expected: str
    found: str


@dataclass(frozen=True)
class Verified:
    """How many files were compared with what was registered, and which were not as they should be."""

    version: str
    files: int
    faults: list[Fault]


@dataclass(frozen=True)
class AuditRecord:
    """Who did what, when and why, and how it was before and after."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    digest: str

    @property
    def key(self) -> str:
        """What a page begins after."""
        return str(self.sequence)


@dataclass(frozen=True)
class Logged:
    """A value of a metric, and its place among all that the run logged."""

    sequence: int
    name: str
    step: int
    value: float
    recorded_at: datetime


def verified(version: str, files: Sequence[Any], faults: Sequence[Any]) -> Verified:
    """Return what came of comparing the files of a version, of a model or a dataset."""
    return Verified(version, len(files), [Fault(**vars(each)) for each in faults])


def audited(row: Mapping[str, Any]) -> AuditRecord:
    """Return an audit record as its row says."""
    return AuditRecord(**{name: row[name] for name in AuditRecord.__dataclass_fields__})


def fields(record: Any) -> dict[str, Any]:
    """Return a plain record, to be joined with more."""
    found: dict[str, Any] = plain(record)
    return found
