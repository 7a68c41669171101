"""Explanations of model versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Explanation:
    """How much each column adds to what a model version puts out: over many rows, or for the rows that were asked for.

    `key` names all that the result depends on. The blob `digest` holds each row's values, a line of JSON a row after
    one with columns, outputs and base.
    """

    id: str
    version: str
    key: str
    method: str
    result: dict[str, Any]
    digest: str | None
    created_at: datetime

    @property
    def is_local(self) -> bool:
        """Whether it is of rows that somebody asked for, and says nothing of the model as a whole."""
        return bool(self.result["is_local"])

    @property
    def holds(self) -> bool:
        """Whether base and values of every row add up to what the model puts out."""
        return bool(self.result["additivity"]["holds"])
