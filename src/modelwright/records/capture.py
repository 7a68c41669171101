"""What is kept of requests and answers, and what was kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class CaptureLimits:
    """How much may wait for the disk before requests are refused or lost, and when a segment ends."""

    max_pending: int = 10_000
    max_pending_bytes: int = 64 * 1024 * 1024
    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 60.0


@dataclass(frozen=True)
class CaptureRecord:
    """One request as it was received, and what was answered.

    `input` is text, or base64 of it when it was not UTF-8; so is `output`. `version` is None when no model version was
    asked. `shadow_of` is the deployment that answered, where this answer was to a copy of the request and used by
    nobody.
    """

    request_id: str
    received_at: datetime
    version: str | None
    status: int
    duration_ms: float
    input: str
    is_base64: bool
    output: str
    is_output_base64: bool = False
    deployment: str = ""
    path: str = "/score"
    headers: Mapping[str, str] = field(default_factory=dict)
    output_type: str = ""
    shadow_of: str = ""


@dataclass(frozen=True)
class CaptureSegment:
    """A segment whose records are kept as Parquet: `files` are below the endpoint's capture folder."""

    id: str
    endpoint: str
    rows: int
    digest: str
    files: tuple[str, ...]
    kept_at: datetime


@dataclass(frozen=True)
class Captured:
    """A captured request: the endpoint that answered it, the file that its record is in, the record."""

    endpoint: str
    file: str
    record: CaptureRecord


@dataclass(frozen=True)
class LabelCount:
    """How many labels that were told are new, change what was known, are the same, or were found before it."""

    new: int
    changed: int
    same: int
    older: int


@dataclass(frozen=True)
class CaptureSummary:
    """What lies on the disk of an endpoint's requests.

    `rows` are those in Parquet, which segments and `lines`, the files of releases of old, have more of. `damaged` are
    files that hold more than could be read; `days` are the first and the last that there are partitions of.
    """

    endpoint: str
    rows: int
    bytes: int
    segments: int
    lines: int
    damaged: int
    labels: int
    days: tuple[str, ...]
