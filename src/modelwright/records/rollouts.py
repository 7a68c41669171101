"""Rollouts: the plan of one, what was seen on its way, what came of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelwright.records.traffic import Traffic


class RolloutStatus(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"


class CheckResult(StrEnum):
    """What a check says: open while too little is known, or while what is seen is bad but may be chance."""

    PASSED = "passed"
    OPEN = "open"
    FAILED = "failed"


@dataclass(frozen=True)
class RolloutLimits:
    """What the new version may do; None for what is not asked.

    Rates are shares of requests. `latency_ratio` is against the present version, `prediction_shift` the greatest
    difference of any probability between the answers of both, `disagreement` the share of copied requests on which
    both differ. `alpha` is how likely a version that is no worse may be rolled back, by all checks over all looks.
    """

    error_rate: float | None = None
    latency_ratio: float | None = None
    prediction_shift: float | None = None
    disagreement: float | None = None
    alpha: float = 0.01


@dataclass(frozen=True)
class RolloutPlan:
    """How a version takes over: its shares of the traffic one after the other, in percent, and what must hold.

    Each step lasts `hold_seconds` and until every version that has traffic has answered `min_requests`; what is still
    open then is waited for `patience_seconds` more. While its share is 0 the version gets copies of `shadow` percent of
    the requests, whose answers may differ by `tolerance` of a number. With `asks` every step waits to be approved. The
    front goes back by itself when nobody has confirmed the step for `lease_seconds`.
    """

    steps: tuple[int, ...] = (5, 25, 50, 100)
    hold_seconds: float = 600.0
    min_requests: int = 100
    patience_seconds: float = 3600.0
    shadow: int = 0
    asks: bool = False
    lease_seconds: float = 30.0
    tolerance: float = 0.0
    limits: RolloutLimits = field(default_factory=RolloutLimits)


@dataclass(frozen=True)
class Check:
    """One check at one moment: what it says, and the numbers that it says it from."""

    name: str
    result: CheckResult
    told: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contrast:
    """What can be said of two deployments by one metric.

    `side` is 1 when `deployment` has more of it than `control`, -1 when it has less, 0 while no difference can be told;
    more errors, more latency, more right labels. `decided` is after how many requests that was clear.
    """

    metric: str
    control: str
    deployment: str
    side: int
    told: str
    decided: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RolloutProgress:
    """How far a rollout is. `step` counts from 0; -1 is before the first. `told` is what its watcher waits for.

    `asked` is the last step after which it waited to be approved.
    `evidence` is what the checks go by, `seen` the counts of the last look, `step_seen` those of the step's begin;
    `trail` is what was seen over time, thinned out as it grows.
    """

    step: int = -1
    step_at: datetime | None = None
    told: str = ""
    asked: int = -1
    evidence: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    step_seen: dict[str, Any] = field(default_factory=dict)
    checks: tuple[dict[str, Any], ...] = ()
    trail: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Rollout:
    """A version on its way to an endpoint's traffic.

    `deployment` and `present` are the names of the new deployment and of the one that it is compared with; `before` is
    the traffic that a rollback brings back.
    """

    id: str
    endpoint: str
    version: str
    deployment: str
    present: str
    plan: RolloutPlan
    before: Traffic
    status: RolloutStatus
    reason: str
    created_at: datetime
    finished_at: datetime | None = None
    progress: RolloutProgress = field(default_factory=RolloutProgress)

    @property
    def is_open(self) -> bool:
        """Whether it goes on, or waits to."""
        return self.status in (RolloutStatus.RUNNING, RolloutStatus.PAUSED)

    @property
    def share(self) -> int:
        """The percentage that the new version has by the plan at this step."""
        return self.plan.steps[self.progress.step] if self.progress.step >= 0 else 0
