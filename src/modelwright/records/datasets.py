"""Dataset versions."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable content of a named dataset."""

    id: str
    dataset: str
    version: int
    digest: str
    size_bytes: int
    created_at: datetime

    @property
    def reference(self) -> str:
        """The dataset version as users write it, for example `diabetes:1`."""
        return f"{self.dataset}:{self.version}"
