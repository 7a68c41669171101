"""Model versions and their packages' files."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class PackageFile:
    """A file of a model package. `path` is relative to the package."""

    path: str
    digest: str
    size_bytes: int
    is_executable: bool = False


@dataclass(frozen=True)
class ModelVersion:
    """An immutable numbered entry of a model."""

    id: str
    model: str
    version: int
    digest: str
    framework: str
    signature: dict[str, object]
    run_id: str
    proof_id: str | None
    environment_digest: str
    created_at: datetime
    files: tuple[PackageFile, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The version as users write it, for example `diabetes:1`."""
        return f"{self.model}:{self.version}"
