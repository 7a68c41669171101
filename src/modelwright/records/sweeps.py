"""Sweeps and their trials."""

import math
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
class SweepSpecification:
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

    @property
    def has_value(self) -> bool:
        """Whether it ran to its end, and its metric is a number that can be compared."""
        return self.status is Status.SUCCEEDED and math.isfinite(self.value)


@dataclass(frozen=True)
class Sweep:
    """A run whose children are trials."""

    run_id: str
    specification: SweepSpecification
    created_at: datetime
    trials: tuple[Trial, ...] = ()

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """The trials, the best first and of equal ones the first; those that came to no value last."""
        is_minimal = self.specification.goal is Goal.MINIMIZE

        def rank(trial: Trial) -> tuple[bool, float, int]:
            if not trial.has_value:
                return (True, 0.0, trial.number)
            return (False, trial.value if is_minimal else -trial.value, trial.number)

        return tuple(sorted(self.trials, key=rank))

    @property
    def best(self) -> Trial | None:
        """The trial with the best value; None when no trial has one."""
        return next((each for each in self.ranked if each.has_value), None)
