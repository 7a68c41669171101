"""The project manifest `wright.toml`: where the project came from, what the gate decides on, its environment."""

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.errors import ProjectInvalid, ProjectMissing
from modelwright.notebooks import layouts
from modelwright.notebooks.layouts import Layout, Style
from modelwright.projects import gating
from modelwright.records import GateRules, Goal, Lock, LockSource, Requirement, Wishes

MANIFEST_FILE = "wright.toml"
PARAMETERS_FILE = "parameters.toml"
LOCK_FILE = "requirements.lock"
REQUIREMENTS_FILE = "requirements.txt"
PAGE_FILE = "conversion.html"
FORMAT_VERSION = 1
# Projects of before there were packages have their modules in the project's folder.
_FLAT = layouts.layout("")


@dataclass(frozen=True)
class Manifest:
    """What `wright.toml` says. Notebook paths are absolute here and relative to the project in the file.

    A project that was made from no notebook has no `training`.
    """

    folder: Path
    name: str
    training: Path | None
    scoring: Path | None
    gate_metric: str | None
    gate_goal: Goal
    python_version: str
    platform: str
    lock_source: LockSource
    generated: dict[str, str]
    layout: Layout = _FLAT
    wishes: Wishes = field(default_factory=Wishes)
    gate_rules: GateRules = field(default_factory=GateRules)

    @property
    def pipeline(self) -> Path:
        """The module whose calls are the steps of a run."""
        return self.folder / self.layout.file(self.layout.pipeline)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the project in `folder`. Raises ProjectMissing and ProjectInvalid."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise ProjectMissing(folder=folder, manifest=MANIFEST_FILE)
    content = _read_toml(path)
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise ProjectInvalid(
                path=path, reason=f"its format is {content['format_version']}, this release reads {FORMAT_VERSION}"
            )
        notebooks = content.get("notebooks", {})
        gate = content.get("gate", {})
        rules = gating.read_rules(gate, path=path)
        return Manifest(
            folder=folder,
            name=content["name"],
            training=_beside(folder, notebooks["training"]) if notebooks else None,
            scoring=_beside(folder, notebooks["scoring"]) if "scoring" in notebooks else None,
            gate_metric=gate.get("metric"),
            gate_goal=Goal(gate.get("goal", Goal.MINIMIZE)),
            gate_rules=rules,
            python_version=content["environment"]["python"],
            platform=content["environment"]["platform"],
            lock_source=LockSource(content["environment"]["locked_from"]),
            generated=content.get("generated", {}),
            wishes=Wishes(tuple(notebooks.get("keep", ())), tuple(notebooks.get("drop", ()))),
            layout=layouts.layout(content.get("package", ""), Style(content.get("layout", Style.MODULES))),
        )
    except KeyError as error:
        raise ProjectInvalid(path=path, reason=f"it has no {error}") from error
    except ValueError as error:
        raise ProjectInvalid(path=path, reason=error) from error


def manifest_text(manifest: Manifest) -> str:
    """Return the manifest as the text of its file."""
    lines = [
        f"format_version = {FORMAT_VERSION}",
        f"name = {toml_literal(manifest.name)}",
    ]
    if manifest.layout.package:
        lines.append(f"package = {toml_literal(manifest.layout.package)}")
    if manifest.layout.style is not Style.MODULES:
        lines.append(f"layout = {toml_literal(str(manifest.layout.style))}")
    lines += _notebook_lines(manifest)
    lines += [
        "",
        f"# What {LOCK_FILE} was made on and from.",
        "[environment]",
        f"python = {toml_literal(manifest.python_version)}",
        f"platform = {toml_literal(manifest.platform)}",
        f"locked_from = {toml_literal(str(manifest.lock_source))}",
    ]
    if manifest.gate_metric:
        lines += [
            "",
            "# A new model must beat the champion in this metric, on the same data, or its run is cancelled.",
            "[gate]",
            f"metric = {toml_literal(manifest.gate_metric)}",
            f"goal = {toml_literal(str(manifest.gate_goal))}",
            *gating.rule_lines(manifest.gate_rules, literal=toml_literal),
        ]
    lines += ["", "# The files as they were written, so that your edits are never overwritten.", "[generated]"]
    lines += [f"{toml_literal(name)} = {toml_literal(digest)}" for name, digest in manifest.generated.items()]
    return "\n".join(lines) + "\n"


def _notebook_lines(manifest: Manifest) -> list[str]:
    notebooks = {"training": manifest.training, "scoring": manifest.scoring}
    paths = {name: os.path.relpath(path, manifest.folder) for name, path in notebooks.items() if path}
    lines = [f"{name} = {toml_literal(path)}" for name, path in paths.items()]
    for name, cells in (("keep", manifest.wishes.keep), ("drop", manifest.wishes.drop)):
        lines += [f"{name} = {list(cells)}"] if cells else []
    return ["", "[notebooks]", *lines] if lines else []


def read_parameters(folder: Path) -> dict[str, object]:
    """Return the values of `parameters.toml`; an absent file has none. Raises ProjectInvalid."""
    path = folder / PARAMETERS_FILE
    return _read_toml(path) if path.is_file() else {}


def read_requirements(manifest: Manifest) -> tuple[Requirement, ...]:
    """Return what the project says that it needs in exactly one version; nothing where it says nothing."""
    path = manifest.folder / REQUIREMENTS_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = [line.split("==") for line in lines if re.fullmatch(r"[\w.-]+==[\w.+!-]+", line)]
    return tuple(Requirement(name, version) for name, version in pairs)


def read_lock(manifest: Manifest) -> Lock:
    """Return the project's environment lock. Raises ProjectInvalid when there is none."""
    from modelwright.environments import locking

    path = manifest.folder / LOCK_FILE
    if not path.is_file():
        raise ProjectInvalid(path=path, reason="it is missing, so the environment is unknown")
    return locking.read_lock(
        path.read_text(encoding="utf-8"),
        python_version=manifest.python_version,
        platform=manifest.platform,
        source=manifest.lock_source,
    )


def toml_literal(value: object) -> str:
    """Return a string, number or boolean as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
        case _:
            return repr(value)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectInvalid(path=path, reason=error) from error


def _beside(folder: Path, relative: str) -> Path:
    return Path(os.path.normpath(folder.absolute() / relative))
