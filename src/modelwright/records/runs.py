"""Runs, their steps and artifacts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from modelwright.records.datasets import DatasetVersion
from modelwright.records.projects import GitState


class Status(StrEnum):
    """Where a run or one of its steps stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Artifact:
    """A file that a run wrote, kept as a blob. `path` is relative to the run's output folder."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class StepRun:
    """One execution of a step; `outputs` maps each value's name to the digest of its bytes."""

    name: str
    position: int
    status: Status
    outputs: dict[str, str]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Run:
    """One execution of a project's pipeline."""

    id: str
    project: str
    status: Status
    reason: str
    environment_digest: str
    code_digest: str
    git: GitState | None
    started_at: datetime
    finished_at: datetime | None = None
    parameters: dict[str, object] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    steps: tuple[StepRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[DatasetVersion, ...] = ()
