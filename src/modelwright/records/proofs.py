"""Proofs: a notebook's results beside its project's."""

from dataclasses import dataclass, field
from datetime import datetime

from modelwright.records.ids import new_id, now


@dataclass(frozen=True)
class Comparison:
    """One result of the notebook beside the project's.

    `difference` is the largest relative difference of any number in it (0.0 when identical). `noise` is that between
    two runs of the notebook itself, where it does not reproduce itself; within it the project counts as equal.
    `place` tells where the notebook's value comes from.
    """

    name: str
    kind: str  # "metric", "printed", "value", "file", "predictions", "scores" or "report"
    notebook: object
    project: object
    is_equal: bool
    difference: float
    noise: float = 0.0
    place: str = ""


@dataclass(frozen=True)
class Proof:
    """The recorded comparison of a notebook's run with its project's run."""

    comparisons: tuple[Comparison, ...]
    tolerance: float
    notebook_digest: str
    project_digest: str
    python_version: str
    id: str = field(default_factory=lambda: new_id("proof"))
    created_at: datetime = field(default_factory=now)

    @property
    def is_equal(self) -> bool:
        """Whether every result agreed; a proof without any comparison proves nothing."""
        return bool(self.comparisons) and all(each.is_equal for each in self.comparisons)
