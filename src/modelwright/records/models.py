"""Model versions and their packages' files."""

from collections.abc import Mapping
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
class DatasetLink:
    """A dataset version that a model version has to do with, such as `sales:3`, and in which role."""

    role: str
    reference: str


@dataclass(frozen=True)
class VersionFilter:
    """Which versions are asked for: those that answer to all that is given.

    A tag or property whose value is None is had under any value; `is_latest` leaves the newest of each model. A dataset
    version counts when the version is linked with it or its run read it.
    """

    model: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    framework: str | None = None
    run_id: str | None = None
    dataset_version_id: str | None = None
    is_latest: bool = False


@dataclass(frozen=True)
class Model:
    """A named line of versions. `aliases` lead to their numbers; there may be no version yet."""

    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelVersion:
    """An immutable numbered entry of a model.

    One that was made elsewhere has no run, one without a scoring script may have no environment. `source` says where
    its files came from, and `parent_id` which version it was derived from. Of all this only description, tags and
    aliases ever change; properties are written once, and so is the environment of one that came without.
    """

    id: str
    model: str
    version: int
    digest: str
    framework: str
    signature: dict[str, object]
    run_id: str | None
    proof_id: str | None
    environment_digest: str | None
    created_at: datetime
    files: tuple[PackageFile, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    framework_version: str = ""
    description: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetLink, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    parent_id: str | None = None
    created_by: str = ""
    updated_at: datetime | None = None  # when its description or its stage last changed

    @property
    def reference(self) -> str:
        """The version as users write it, for example `diabetes:1`."""
        return f"{self.model}:{self.version}"
