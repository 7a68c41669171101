"""Sweeps and their trials."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelwright.records.notebooks import Goal
from modelwright.records.runs import Status


class Sampler(StrEnum):
    """How a sweep chooses the parameters of its trials."""

    GRID = "grid"
    RANDOM = "random"
    BAYESIAN = "bayesian"


@dataclass(frozen=True)
class Specification:
    """What a sweep is to try: `spaces` are expressions by parameter, `parameters` are the same in every trial.

    `stop` are the rules that end a trial or the sweep early.
    """

    spaces: dict[str, str]
    metric: str
    goal: Goal
    sampler: Sampler
    trials: int
    concurrent: int
    seed: int
    parameters: dict[str, object]
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One try of a sweep: a run with these parameters. `value` is the metric's, NaN until there is one."""

    sweep_id: str
    number: int
    run_id: str | None
    status: Status
    parameters: dict[str, object]
    value: float


@dataclass(frozen=True)
class Sweep:
    """A run whose children are trials."""

    run_id: str
    specification: Specification
    created_at: datetime
    trials: tuple[Trial, ...] = ()

    @property
    def best(self) -> Trial | None:
        """The trial with the best value, of several the first; None when no trial has one."""
        is_minimal = self.specification.goal is Goal.MINIMIZE
        found = [each for each in self.trials if each.status is Status.SUCCEEDED and abs(each.value) < float("inf")]
        return min(found, key=lambda each: each.value if is_minimal else -each.value, default=None)
