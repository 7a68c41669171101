"""Datasets, their versions, and who used them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Storage(StrEnum):
    """What a workspace keeps of a version's files: their bytes, a link to them, or only their digests and places."""

    COPY = "copy"
    HARDLINK = "hardlink"
    REFERENCE = "reference"


class DataKind(StrEnum):
    """What a version was made from."""

    FILES = "files"
    QUERY = "query"
    TABLE = "table"
    VALUES = "values"


@dataclass(frozen=True)
class DatasetFile:
    """A file of a version. `location` is the user's own file where the bytes are linked or only referred to."""

    path: str
    digest: str
    size_bytes: int
    location: str | None = None


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable content of a named dataset. `files` are read only where one version is asked for."""

    id: str
    dataset: str
    version: int
    digest: str
    size_bytes: int
    created_at: datetime
    kind: DataKind = DataKind.VALUES
    storage: Storage = Storage.COPY
    source: Mapping[str, str] = field(default_factory=dict)
    timestamp_column: str | None = None
    files: tuple[DatasetFile, ...] = ()

    @property
    def reference(self) -> str:
        """The dataset version as users write it, for example `diabetes:1`."""
        return f"{self.dataset}:{self.version}"


@dataclass(frozen=True)
class Dataset:
    """A named dataset with its versions, oldest first, without their files."""

    name: str
    description: str
    tags: Mapping[str, str]
    created_at: datetime
    versions: tuple[DatasetVersion, ...]


@dataclass(frozen=True)
class DatasetUser:
    """What used a dataset version: a run that read it, a model version of such a run, a deployment of such a model."""

    kind: str
    reference: str
    detail: str
    at: datetime
