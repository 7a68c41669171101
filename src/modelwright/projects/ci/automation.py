"""The file `ci.toml` of a project: which changes train it, which versions are released, and where to."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.errors import AutomationInvalid, AutomationMissing, TargetMissing

AUTOMATION_FILE = "ci.toml"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Target:
    """Where a release goes: an endpoint, and whether somebody has to approve of it before."""

    name: str
    endpoint: str
    needs_approval: bool = False
    port: int | None = None
    host: str | None = None
    workers: int = 1


@dataclass(frozen=True)
class Ingestion:
    """Data that is registered as it comes, and what must hold of it.

    It has at least `rows` rows and exactly these `columns`, by default those of the version before. Of a column's cells
    at most the share `missing` has no value, and the mean of numbers has moved by at most `shift` standard deviations.
    """

    dataset: str
    path: str
    rows: int = 1
    columns: tuple[str, ...] = ()
    missing: float = 0.0
    shift: float = 3.0


@dataclass(frozen=True)
class Automation:
    """What `ci.toml` says. `tags` are those of every version that a build registers, `release` those that start one."""

    folder: Path
    branch: str
    train_on: tuple[str, ...]
    request: str
    tags: Mapping[str, str]
    release: Mapping[str, str]
    targets: tuple[Target, ...]
    ingestion: Ingestion | None = field(default=None)

    def target(self, name: str) -> Target:
        """Return the target of that name. Raises TargetMissing."""
        for each in self.targets:
            if each.name == name:
                return each
        raise TargetMissing(
            target=name, path=self.folder / AUTOMATION_FILE, known=", ".join(t.name for t in self.targets)
        )


def read_automation(folder: Path) -> Automation:
    """Return what the project in `folder` says of its automation. Raises AutomationMissing and AutomationInvalid."""
    path = folder / AUTOMATION_FILE
    if not path.is_file():
        raise AutomationMissing(folder=folder)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise AutomationInvalid(path=path, reason=f"its format is {version}, this release reads {FORMAT_VERSION}")
        return _automation(folder, content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise AutomationInvalid(path=path, reason=error) from error
    except KeyError as error:
        raise AutomationInvalid(path=path, reason=f"it has no {error}") from error


def _automation(folder: Path, content: dict[str, Any]) -> Automation:
    found = Automation(
        folder=folder,
        branch=content.pop("branch"),
        train_on=tuple(content.pop("train_on")),
        request=content.pop("request"),
        tags={name: str(value) for name, value in content.pop("tags", {}).items()},
        release={name: str(value) for name, value in content.pop("release", {}).items()},
        targets=tuple(_target(name, told) for name, told in content.pop("targets").items()),
        ingestion=_ingestion(content.pop("ingestion")) if "ingestion" in content else None,
    )
    if content:
        reason = f'"{next(iter(content))}" is nothing that it can say'
        raise ValueError(reason)
    return found


def _target(name: str, told: dict[str, Any]) -> Target:
    facts = {"needs_approval" if key == "approval" else key: value for key, value in told.items()}
    return Target(name=name, **facts)


def _ingestion(told: dict[str, Any]) -> Ingestion:
    return Ingestion(**told | {"columns": tuple(told.get("columns", ()))})
