"""Reproductions of model versions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Sameness(StrEnum):
    """How like a version the one is that was made again."""

    IDENTICAL = "identical"
    SAME_PREDICTIONS = "same predictions"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Reproduction:
    """What came of making a version again.

    `kind` is the kind of cause when it is not identical: data, environment, failure, threads, machine or randomness;
    `cause` says it in words. `run_id` is the run that made it again, None when it came to none.
    """

    id: str
    version: str
    sameness: Sameness
    kind: str
    cause: str
    created_at: datetime
    run_id: str | None = None
    comparisons: tuple[dict[str, Any], ...] = ()
