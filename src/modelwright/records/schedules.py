"""Schedules and their ticks."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class TriggerKind(StrEnum):
    """What lets a schedule's tick come due."""

    CRON = "cron"
    INTERVAL = "interval"
    PATH = "path"
    DATASET = "dataset"


@dataclass(frozen=True)
class Trigger:
    """When a schedule's ticks are due.

    `value` is the cron expression, the interval such as `15m`, the absolute path or glob, or the dataset's name.
    `time_zone` is what a cron expression is read in.
    """

    kind: TriggerKind
    value: str
    time_zone: str = "UTC"


class Missed(StrEnum):
    """What becomes of ticks that came due while nobody could take them."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


@dataclass(frozen=True)
class Schedule:
    """A published pipeline that runs by itself; `version` None is the newest that is enabled.

    `state` is what a trigger of data has seen so far; `next_at` is when a trigger of time is due next.
    """

    name: str
    pipeline: str
    version: int | None
    trigger: Trigger
    parameters: dict[str, object]
    missed: Missed
    is_enabled: bool
    created_at: datetime
    next_at: datetime | None = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What it runs, for example `diabetes`, or `diabetes:1`."""
        return self.pipeline if self.version is None else f"{self.pipeline}:{self.version}"


@dataclass(frozen=True)
class Tick:
    """One time that a schedule was due.

    `outcome` is `running`, `succeeded`, or `failed`, `cancelled` or `skipped` followed by a colon and the reason.
    """

    schedule: str
    due_at: datetime
    run_id: str | None
    outcome: str
    taken_at: datetime
