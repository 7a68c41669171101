"""Writes `ci.toml` and the workflow files of CI systems, which call `wright` and do nothing of their own."""

import os
import re
import shlex
import textwrap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, resources
from pathlib import Path

from modelwright.errors import AutomationInvalid, AutomationKept, WorkflowsKept
from modelwright.projects import folders
from modelwright.projects.ci.automation import AUTOMATION_FILE, Automation, parse_automation, read_automation
from modelwright.projects.manifest import Manifest, toml_literal

# What trains a project, wherever it lies in it.
_TRAINING = ("data/**", "parameters.toml", "requirements.lock", "sample.json", "src/**", "wright.toml")
_BRANCH = "main"
# What stands for itself in YAML, in filters and expressions of all systems, and between the quotes of a shell.
_FITTING = re.compile(r"[\w.*!][\w.*!/+,=-]*")
_INSTALL = "command -v wright || python -m pip install 'modelwright[ci,uv]=={version}'"


class System(StrEnum):
    """The CI systems that files are written for."""

    GITHUB = "github"
    AZURE = "azure"
    GITLAB = "gitlab"


@dataclass(frozen=True)
class Wish:
    """What the files are to be like: for which systems, of which branch, and the data that is brought in, if any.

    Branch and data are for `ci.toml`, and from then on what that says.
    """

    systems: Collection[System]
    branch: str | None = None
    data: str | None = None
    is_overwritten: bool = False


def write(manifest: Manifest, wish: Wish) -> list[Path]:
    """Write `ci.toml` to the project, if it has none, and the workflow files to its repository; return their paths.

    Raises AutomationInvalid for a `ci.toml` that cannot be followed, AutomationKept when it says something else than is
    wished for, and WorkflowsKept when files are there that differ. Then nothing is written.
    """
    root = repository_of(manifest.folder)
    path = manifest.folder / AUTOMATION_FILE
    texts: dict[Path, str] = {}
    if path.is_file():
        automation = read_automation(manifest.folder)
        _check_kept(automation, wish)
    else:
        texts[path] = _automation_text(manifest, wish)
        automation = parse_automation(texts[path], folder=manifest.folder)
    for name, text in workflows(manifest, automation, wish.systems, root=root).items():
        texts[root / name] = text
    edited = [each for each, text in texts.items() if each.is_file() and each.read_text(encoding="utf-8") != text]
    if edited and not wish.is_overwritten:
        told = ", ".join(f'"{os.path.relpath(each, root)}"' for each in edited)
        raise WorkflowsKept(files=told, project=manifest.folder)
    folders.write(root, {os.path.relpath(each, root): text for each, text in texts.items()})
    return list(texts)


def repository_of(folder: Path) -> Path:
    """Return the root of the repository that `folder` is in, which is the folder itself outside of any."""
    found = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    return found or folder


def workflows(manifest: Manifest, automation: Automation, systems: Iterable[System], *, root: Path) -> dict[str, str]:
    """Return the workflow files by their paths in the repository at `root`.

    Raises AutomationInvalid for names that mean something else in such a file.
    """
    place = os.path.relpath(manifest.folder, root)
    data = [os.path.normpath(f"{place}/{automation.ingestion.path}")] if automation.ingestion else []
    paths = automation.trains(place)
    for each in (manifest.name, place, automation.branch, *paths, *data):
        _check_fitting(each, automation)
    prefix = "" if place == "." else f"{manifest.name}-"
    facts = {
        "NAME": manifest.name,
        "PROJECT": shlex.quote(place),
        "FILE": prefix,
        "BRANCH": automation.branch,
        "PYTHON": ".".join(manifest.python_version.split(".")[:2]),
        "INSTALL": _INSTALL.format(version=metadata.version("modelwright")),
        "DATA": "".join(data),
    }
    files: dict[str, str] = {}
    for system in systems:
        match system:
            case System.GITHUB:
                facts["PATHS"] = _listed(paths, indent=6)
                files |= {f".github/workflows/{prefix}{name}": text for name, text in _github(automation, facts)}
            case System.AZURE:
                facts["PATHS"] = _listed(paths, indent=6)
                files |= {f".pipelines/{prefix}{name}": text for name, text in _azure(automation, facts)}
            case System.GITLAB:
                # There `src/**` would be the files of one folder.
                facts["PATHS"] = _listed([f"{each}/*" if each.endswith("/**") else each for each in paths], indent=8)
                facts["INGEST"] = _filled("gitlab/ingest.yml", facts) if automation.ingestion else ""
                files[".gitlab-ci.yml"] = _filled("gitlab/ci.yml", facts)
    return files


def _check_kept(automation: Automation, wish: Wish) -> None:
    """Refuse a wish that `ci.toml` would have to be changed for. Raises AutomationKept."""
    data = automation.ingestion.path if automation.ingestion else None
    for what, wanted, found in (("branch", wish.branch, automation.branch), ("data", wish.data, data)):
        if wanted is not None and wanted != found:
            raise AutomationKept(
                path=automation.folder / AUTOMATION_FILE, what=what, found=found or "nothing", project=automation.folder
            )


def _check_fitting(text: str, automation: Automation) -> None:
    if not _FITTING.fullmatch(text):
        reason = f'"{text}" has characters with a meaning of their own in workflow files'
        raise AutomationInvalid(path=automation.folder / AUTOMATION_FILE, reason=reason)


def _names(automation: Automation) -> list[str]:
    return ["quality.yml", "train.yml", "release.yml", *(["ingest.yml"] if automation.ingestion else [])]


def _github(automation: Automation, facts: Mapping[str, str]) -> list[tuple[str, str]]:
    facts = {**facts, "PREPARE": _filled("github/prepare.yml", facts)}
    return [(name, _filled(f"github/{name}", facts)) for name in _names(automation)]


def _azure(automation: Automation, facts: Mapping[str, str]) -> list[tuple[str, str]]:
    prepare = _filled("azure/prepare.yml", facts)
    facts = {
        **facts,
        "PREPARE": prepare,
        "PREPARE_DEEP": textwrap.indent(prepare, "      "),
        "QUALITY": _filled("azure/quality_steps.yml", facts),
    }
    return [(name, _filled(f"azure/{name}", facts)) for name in _names(automation)]


def _filled(template: str, facts: Mapping[str, str]) -> str:
    """Return the text of a template; a fact of several lines takes the place of the whole line that names it."""
    text = resources.files(__package__).joinpath("templates", template).read_text(encoding="utf-8")
    for name, value in facts.items():
        text = text.replace(f"@{name}@\n", f"{value}\n" if value and not value.endswith("\n") else value)
        text = text.replace(f"@{name}@", value)
    return text


def _listed(values: Iterable[str], *, indent: int) -> str:
    return "".join(f'{" " * indent}- "{each}"\n' for each in values)


def _automation_text(manifest: Manifest, wish: Wish) -> str:
    facts = {
        "NAME": manifest.name,
        "BRANCH": toml_literal(wish.branch or _BRANCH),
        "TRAIN_ON": ", ".join(map(toml_literal, _TRAINING)),
        "DATA": toml_literal(wish.data or ""),
    }
    facts["INGESTION"] = _filled("ingestion.toml", facts) if wish.data else ""
    return _filled("ci.toml", facts)
