"""Runs, their steps and artifacts."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

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
class Point:
    """One value of a metric, as it was logged."""

    name: str
    step: int
    value: float
    recorded_at: datetime


@dataclass(frozen=True)
class StepRun:
    """One execution of a step; `outputs` maps each value's name to the digest of its bytes.

    `key` covers all that the outputs depend on and that is known before the step runs; `evidence` holds what was found
    out while it ran: files read, random draws, what it recorded. `reused_from` is the run whose outputs were reused.
    """

    name: str
    position: int
    status: Status
    outputs: dict[str, str]
    started_at: datetime
    finished_at: datetime | None
    reason: str = ""
    attempts: int = 1
    key: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    reused_from: str | None = None


class Kind(StrEnum):
    """What a run is of."""

    PIPELINE = "pipeline"
    SCRIPT = "script"
    TRACKED = "tracked"  # by a client, over HTTP: no process of this machine is known to make it
    SWEEP = "sweep"
    TRIAL = "trial"
    REPRODUCTION = "reproduction"


@dataclass(frozen=True)
class Run:
    """One execution of a project's pipeline, of a tracked script, of a sweep or of one of its trials.

    A tracked script has no project, and what is not known of it is empty.
    """

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
    tags: dict[str, str] = field(default_factory=dict)
    steps: tuple[StepRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[DatasetVersion, ...] = ()
    kind: Kind = Kind.PIPELINE
    experiment: str = ""
    parent_id: str | None = None
    pipeline_version_id: str | None = None
    note: str = ""
    seed: int | None = None
    machine: dict[str, Any] = field(default_factory=dict)
    actor: str = ""
