"""Environments: what is required, locked and built."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True)
class Requirement:
    """One distribution in one exact version."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return it as a line of a pip requirements file."""
        return f"{self.name}=={self.version}"


class LockSource(StrEnum):
    """Where a lock's hashes came from, and so where its files can be had again."""

    CACHE = "cache"  # the index, as uv's cache remembers it
    INDEX = "index"
    WHEELS = "wheels"  # wheels remade from the installed files; no index has them


@dataclass(frozen=True)
class Lock:
    """Exact versions and hashes of an environment.

    `text` is a pip requirements file; `digest` names text, Python version and platform together. `source` says how it
    was made and is no part of what it is.
    """

    text: str
    python_version: str
    platform: str
    digest: str
    source: LockSource = field(default=LockSource.INDEX, compare=False)


@dataclass(frozen=True)
class BuiltEnvironment:
    """A lock made into a folder on disk."""

    lock: Lock
    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def bytecode(self) -> Path:
        """Where its byte code is kept: beside it, and never in the user's folders."""
        return self.folder.with_name(f"{self.folder.name}.pycache")
