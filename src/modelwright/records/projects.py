"""Projects."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """A folder with a manifest, code, parameters, environment and tests."""

    id: str
    name: str
    folder: Path
    created_at: datetime


@dataclass(frozen=True)
class GitState:
    """The commit that a folder's files come from; `is_dirty` when they differ from it."""

    commit: str
    is_dirty: bool
    branch: str | None = None
    repository: str | None = None
