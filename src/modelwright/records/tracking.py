"""What clients track besides runs: experiments, what runs were given and put out, models that they logged."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelwright.records.runs import Point, Run


@dataclass(frozen=True)
class Experiment:
    """A name for runs that belong together. One that was put away has `deleted_at`, and can be brought back."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunInput:
    """Data that a run read, as its client describes it; `digest` is as the client reckoned it."""

    name: str
    digest: str
    description: dict[str, Any]


@dataclass(frozen=True)
class RunOutput:
    """A model that a run put out at a step, or one that it was given, whose step is None."""

    logged_model_id: str
    step: int


@dataclass(frozen=True)
class RunDetails:
    """A run with all that its client wants to know of it; `points` are the last ones of its metrics."""

    run: Run
    experiment_id: str
    deleted_at: datetime | None
    points: tuple[Point, ...]
    inputs: tuple[RunInput, ...] = ()
    outputs: tuple[RunOutput, ...] = ()


class LoggedModelStatus(StrEnum):
    """Where a logged model stands: its client is still writing it, has written it, or could not."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class ModelPoint:
    """One value of a logged model's metric, the run that logged it, and the data that it was measured on."""

    point: Point
    run_id: str | None
    dataset: dict[str, str] | None


@dataclass(frozen=True)
class LoggedModel:
    """A model that a client wrote down, before anybody registered it."""

    id: str
    experiment_id: str
    run_id: str | None
    name: str
    kind: str
    status: LoggedModelStatus
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: tuple[ModelPoint, ...] = ()
