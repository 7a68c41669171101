"""What a gate asks of a new model, and what it decided."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What became of a new model at the gate."""

    PASSED = "passed"
    FIRST = "first"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class GateRules:
    """What a gate asks for besides a better metric; by default, nothing.

    The improvement must be more than `minimum_improvement`; with `confidence`, so must the lower end of its interval.
    In no group of a column in `slices` may the metric get worse by more than `slice_tolerance`. `check` is a function
    of the project, `package.module:function`.
    """

    minimum_improvement: float = 0.0
    confidence: float | None = None
    slices: tuple[str, ...] = ()
    slice_tolerance: float | None = None
    max_size_bytes: int | None = None
    max_latency_ms: float | None = None
    check: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a gate decided of a run's model, in a sentence, with the numbers that it decided on.

    `champion` is the version that it was compared with; None when there was none, or nothing was compared.
    """

    id: str
    run_id: str
    model: str
    champion: str | None
    outcome: Outcome
    reason: str
    created_at: datetime
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def new(self) -> float | None:
        """The new model's value of the gate's metric; None on record when it is no finite number."""
        return _number(self.numbers.get("new"))

    @property
    def old(self) -> float | None:
        """The champion's value of the gate's metric on the same data; None as above."""
        return _number(self.numbers.get("old"))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
