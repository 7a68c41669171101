"""The file `ci.toml` of a project: which changes train it, which versions are released, and where to."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.errors import AutomationInvalid, AutomationMissing, TargetMissing

AUTOMATION_FILE = "ci.toml"
FORMAT_VERSION = 1

# What can be said, and what kind of value it has.
_KINDS: dict[str, type] = {
    "branch": str,
    "train_on": list,
    "request": str,
    "tags": dict,
    "release": dict,
    "targets": dict,
    "ingestion": dict,
}
_TARGET_KINDS: dict[str, type] = {"endpoint": str, "approval": bool, "port": int, "host": str, "workers": int}
_INGESTION_KINDS: dict[str, type] = {
    "dataset": str,
    "path": str,
    "rows": int,
    "columns": list,
    "missing": float,
    "shift": float,
}
_WORDS = {
    str: "a text",
    list: "a list of texts",
    dict: "a table",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


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

    def trains(self, place: str) -> list[str]:
        """Return the patterns of what trains, from the root of the repository on, in which the project lies at `place`.

        One that begins with `!` takes back what came before it.
        """
        marks = ["!" if each.startswith("!") else "" for each in self.train_on]
        return [
            mark + os.path.normpath(f"{place}/{each.removeprefix('!')}")
            for mark, each in zip(marks, self.train_on, strict=True)
        ]

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
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AutomationInvalid(path=path, reason=error) from error
    return parse_automation(text, folder=folder)


def parse_automation(text: str, *, folder: Path) -> Automation:
    """Return what the text of a `ci.toml` in `folder` says. Raises AutomationInvalid."""
    path = folder / AUTOMATION_FILE
    try:
        content = tomllib.loads(text)
        version = content.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise AutomationInvalid(path=path, reason=f"its format is {version}, this release reads {FORMAT_VERSION}")
        return _automation(folder, content)
    except KeyError as error:
        raise AutomationInvalid(path=path, reason=f"it has no {error}") from error
    except (TypeError, ValueError) as error:
        raise AutomationInvalid(path=path, reason=error) from error


def _automation(folder: Path, content: dict[str, Any]) -> Automation:
    told = _checked(content, _KINDS, where="it")
    found = Automation(
        folder=folder,
        branch=told["branch"],
        train_on=tuple(told["train_on"]),
        request=told["request"],
        tags={name: str(value) for name, value in told.get("tags", {}).items()},
        release={name: str(value) for name, value in told.get("release", {}).items()},
        targets=tuple(_target(name, each) for name, each in told["targets"].items()),
        ingestion=_ingestion(told["ingestion"]) if "ingestion" in told else None,
    )
    if not found.targets:
        reason = "it has no target, so nothing can go out"
        raise ValueError(reason)
    return found


def _target(name: str, told: dict[str, Any]) -> Target:
    _checked(told, _TARGET_KINDS, where=f"[targets.{name}]")
    return Target(name=name, **{"needs_approval" if key == "approval" else key: value for key, value in told.items()})


def _ingestion(told: dict[str, Any]) -> Ingestion:
    _checked(told, _INGESTION_KINDS, where="[ingestion]")
    return Ingestion(**told | {"columns": tuple(told.get("columns", ()))})


def _checked(told: dict[str, Any], kinds: Mapping[str, type], *, where: str) -> dict[str, Any]:
    """Return a table that says what can be said, in values of the right kinds. Raises ValueError."""
    for name, value in told.items():
        if name not in kinds:
            reason = f'"{name}" is nothing that {where} can say'
            raise ValueError(reason)
        if not _is_a(value, kinds[name]):
            reason = f'"{name}" of {where} is to be {_WORDS[kinds[name]]}'
            raise ValueError(reason)
    return told


def _is_a(value: object, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
