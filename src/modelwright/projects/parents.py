"""Where a cloned project came from: a hidden file in its folder, so that an unedited clone has its parent's digest."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import ProjectInvalid
from modelwright.projects.manifest import toml_literal

PARENT_FILE = ".parent.toml"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Parent:
    """What a project was cloned from: a run, or a published pipeline's version, or a run of such a version."""

    code_digest: str
    pipeline: str = ""
    run: str = ""


def write_parent(folder: Path, parent: Parent) -> None:
    """Note in the project's folder what it was cloned from."""
    lines = [
        "# What this project was cloned from; publishing it names this as its parent.",
        f"format_version = {FORMAT_VERSION}",
        f"code_digest = {toml_literal(parent.code_digest)}",
        *([f"pipeline = {toml_literal(parent.pipeline)}"] if parent.pipeline else []),
        *([f"run = {toml_literal(parent.run)}"] if parent.run else []),
    ]
    (folder / PARENT_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_parent(folder: Path) -> Parent | None:
    """Return what the project was cloned from; None when it is no clone. Raises ProjectInvalid."""
    path = folder / PARENT_FILE
    if not path.is_file():
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            reason = f"its format is {content['format_version']}, this release reads {FORMAT_VERSION}"
            raise ProjectInvalid(path=path, reason=reason)
        return Parent(content["code_digest"], content.get("pipeline", ""), content.get("run", ""))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise ProjectInvalid(path=path, reason=error) from error
