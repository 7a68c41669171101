"""Environments: what is asked for, locked, named and built."""

from dataclasses import dataclass, field
from datetime import datetime
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
class Pin:
    """One distribution in one exact version, and the hashes of its files, as `sha256:…`."""

    name: str
    version: str
    hashes: tuple[str, ...]


class SpecificationKind(StrEnum):
    """The format of a file that says what an environment is to have."""

    REQUIREMENTS = "requirements"
    PYPROJECT = "pyproject"
    UV_LOCK = "uv-lock"
    PYLOCK = "pylock"
    CONDA = "conda"


@dataclass(frozen=True)
class Wanted:
    """One requirement of a specification, as PEP 508 spells it, and where it stands; line 0 is the whole file.

    `hashes` are the only ones that its file may have, when there are any; `wheel` is that file when the specification
    names it. An `is_assumed` one is conda's: it counts only if the index has the name in that version.
    """

    text: str
    file: str
    line: int
    hashes: tuple[str, ...] = ()
    wheel: Path | None = None
    is_assumed: bool = False


@dataclass(frozen=True)
class SpecificationFinding:
    """What a lock does not take over from its specification, or takes over differently, and what to do about it.

    An `is_honoured` one is in the lock all the same.
    """

    code: str
    message: str
    fix: str
    file: str
    line: int
    is_honoured: bool


@dataclass(frozen=True)
class Specification:
    """What a file asks for. `python` is the rule for the Python version, empty for any.

    An `is_exact` one names every file by its hash and is taken as it is.
    """

    path: Path
    kind: SpecificationKind
    wanted: tuple[Wanted, ...]
    constraints: tuple[Wanted, ...] = ()
    findings: tuple[SpecificationFinding, ...] = ()
    python: str = ""
    is_exact: bool = False
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvironmentSource:
    """Where a named environment's lock came from.

    `specification_digest` names what was asked for, whatever the file looked like, and for which Python and platform.
    """

    path: str
    kind: SpecificationKind
    specification_digest: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    locked_from: LockSource


@dataclass(frozen=True)
class EnvironmentVersion:
    """A lock under a name and a number. The digest is the lock's: neither name nor number are in it."""

    name: str
    version: int
    digest: str
    python_version: str
    platform: str
    source: EnvironmentSource
    findings: tuple[SpecificationFinding, ...]
    created_at: datetime

    @property
    def reference(self) -> str:
        """Name and number, as `name:2`."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class VersionChange:
    """A distribution that two locks have in two versions."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class EnvironmentDifference:
    """What makes two locks two. `other_files` are distributions of one version whose allowed files differ."""

    before: Lock
    after: Lock
    added: tuple[Requirement, ...]
    removed: tuple[Requirement, ...]
    changed: tuple[VersionChange, ...]
    other_files: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether both are one environment."""
        return self.before.digest == self.after.digest


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
