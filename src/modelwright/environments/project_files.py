"""Reads pyproject.toml, and the locks that tools write beside it: uv.lock and pylock.toml."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from modelwright.environments.findings import found
from modelwright.environments.locking import reason_of, run_uv
from modelwright.environments.requirement_files import Gathered, is_exact, read_text
from modelwright.errors import SpecificationInvalid
from modelwright.records import Specification, SpecificationFinding, SpecificationKind, Wanted

_UV_SETTINGS = ("override-dependencies", "exclude-dependencies", "index", "index-url", "extra-index-url", "find-links")


def read_pyproject(path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> Specification:
    """Return what a project's own metadata asks for, with the extras and dependency groups that are named.

    Raises SpecificationMissing and SpecificationInvalid.
    """
    text = read_text(path)
    content = _table(path, text)
    project = content.get("project")
    if not isinstance(project, dict):
        fix = "uv init --bare, or name a requirements file"
        raise SpecificationInvalid(file=path, place="", reason="it has no [project] table", fix=fix)
    gathered = Gathered()
    if "dependencies" in project.get("dynamic", ()):
        gathered.findings.append(
            found(
                "dependencies-dynamic",
                "the project's dependencies are computed while it is built",
                fix="uv lock, then name uv.lock instead",
                file=path.name,
                line=_line_of(text, "dynamic"),
            )
        )
    uv = content.get("tool", {}).get("uv", {})
    sources = {canonicalize_name(name) for name in uv.get("sources", {})}
    for stated in _stated(path, content, extras, groups):
        line = _line_of(text, stated)
        name = _name(stated)
        if name in sources:
            gathered.findings.append(_elsewhere(name, path, _line_of(text, f"{name} =") or line))
        else:
            gathered.read_line(stated, path, line)
    for stated in uv.get("constraint-dependencies", ()):
        gathered.read_line(stated, path, _line_of(text, stated), is_constraint=True)
    for setting in _UV_SETTINGS:
        if setting in uv:
            gathered.findings.append(_setting(setting, path, _line_of(text, setting)))
    return _specification(
        SpecificationKind.PYPROJECT, path, gathered, project.get("requires-python", ""), extras=extras, groups=groups
    )


def read_uv_lock(path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> Specification:
    """Return what a `uv.lock` pins, exactly, for the project beside it and the extras and groups that are named.

    Raises SpecificationMissing, SpecificationInvalid and CommandMissing.
    """
    text = read_text(path)
    content = _table(path, text)
    options: list[str | Path] = ["--project", path.absolute().parent]
    options += [part for name in extras for part in ("--extra", name)]
    options += [part for name in groups for part in ("--group", name)]
    told = ["--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header", "--no-annotate"]
    finished = run_uv(["export", *told, "--format", "requirements.txt", *options])
    if finished.returncode:
        fix = "uv lock, beside pyproject.toml" + ("; or name other extras and groups" if options[2:] else "")
        raise SpecificationInvalid(file=path, place="", reason=reason_of(finished), fix=fix)
    gathered = Gathered()
    for line in finished.stdout.replace("\\\n", " ").splitlines():
        name = line.partition("==")[0].strip()
        gathered.read_line(" ".join(line.split()), path, _line_of(text, f'name = "{name}"'))
    return _specification(
        SpecificationKind.UV_LOCK, path, gathered, content.get("requires-python", ""), extras=extras, groups=groups
    )


def read_pylock(path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> Specification:
    """Return what a `pylock.toml` (PEP 751) pins. Raises SpecificationMissing and SpecificationInvalid."""
    text = read_text(path)
    content = _table(path, text)
    if not str(content.get("lock-version", "")).startswith("1."):
        reason = f"its lock-version is {content.get('lock-version')!r}, and 1.0 is what can be read"
        raise SpecificationInvalid(file=path, place="", reason=reason, fix="write it anew with the tool that made it")
    for kind, wished in (("extras", extras), ("dependency-groups", groups)):
        _check_known(path, wished, content.get(kind, ()), noun=kind)
    gathered = Gathered()
    for package in content.get("packages", ()):
        name = str(package.get("name", ""))
        line = _line_of(text, f'name = "{name}"')
        hashes = sorted(_hashes(package))
        if not hashes or "version" not in package:
            gathered.findings.append(_elsewhere(name, path, line))
            continue
        marker = f" ; {package['marker']}" if "marker" in package else ""
        stated = f"{name}=={package['version']}{marker}"
        if not _name(stated):
            reason = f'"{stated}" cannot be understood'
            raise SpecificationInvalid(file=path, place=f", line {line},", reason=reason, fix="write the lock anew")
        gathered.wanted.append(Wanted(stated, path.name, line, tuple(hashes)))
    chosen = {*groups, *content.get("default-groups", ())}
    return _specification(
        SpecificationKind.PYLOCK,
        path,
        gathered,
        content.get("requires-python", ""),
        extras=extras,
        groups=sorted(chosen),
    )


def _specification(
    kind: SpecificationKind,
    path: Path,
    gathered: Gathered,
    python: str,
    *,
    extras: Sequence[str],
    groups: Sequence[str],
) -> Specification:
    try:
        SpecifierSet(python)
    except InvalidSpecifier as error:
        reason = f'its requires-python is "{python}"'
        raise SpecificationInvalid(file=path, place="", reason=reason, fix='write it as ">=3.11"') from error
    return Specification(
        path=path,
        kind=kind,
        wanted=tuple(gathered.wanted),
        constraints=tuple(gathered.constraints),
        findings=tuple(gathered.findings),
        python=python,
        is_exact=kind is not SpecificationKind.PYPROJECT and (is_exact(gathered.wanted) or not gathered.wanted),
        extras=tuple(extras),
        groups=tuple(groups),
    )


def _stated(path: Path, content: dict[str, Any], extras: Sequence[str], groups: Sequence[str]) -> Iterator[str]:
    """Give the project's requirements: its dependencies, and those of the extras and groups."""
    project = content["project"]
    optional, grouped = project.get("optional-dependencies", {}), content.get("dependency-groups", {})
    lists = {("extras", canonicalize_name(name)): each for name, each in optional.items()}
    lists |= {("dependency-groups", canonicalize_name(name)): each for name, each in grouped.items()}
    own = canonicalize_name(project.get("name", ""))
    waiting: list[Any] = [*project.get("dependencies", ())]
    named = [("extras", name) for name in extras] + [("dependency-groups", name) for name in groups]
    while waiting or named:
        for noun, name in named:
            _check_known(path, [name], optional if noun == "extras" else grouped, noun=noun)
            waiting += lists.pop((noun, canonicalize_name(name)), [])  # taken once, so that circles end
        named = []
        stated = waiting.pop(0) if waiting else None
        if isinstance(stated, dict):
            named = [("dependency-groups", str(stated.get("include-group")))]
        elif stated and _name(stated) == own:  # an extra may be made of others, by naming the project with them
            named = [("extras", extra) for extra in Requirement(stated).extras]
        elif stated:
            yield str(stated)


def _name(stated: str) -> str:
    """Return the name in a requirement; empty when it is none."""
    try:
        return canonicalize_name(Requirement(stated).name)
    except InvalidRequirement:
        return ""


def _check_known(path: Path, wished: Sequence[str], known: Iterable[str], *, noun: str) -> None:
    there = sorted(known)
    for name in wished:
        if canonicalize_name(name) not in map(canonicalize_name, there):
            reason = f'"{name}" is none of its {noun}: {", ".join(there) or "it has none"}'
            raise SpecificationInvalid(file=path, place="", reason=reason, fix="name one that it has, or none")


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecificationInvalid(file=path, place="", reason=error, fix="mend the file") from error


def _hashes(package: dict[str, Any]) -> set[str]:
    """Return the hashes of a package's files on the index, of a pylock.toml."""
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    return {f"{kind}:{digest}" for each in files for kind, digest in each.get("hashes", {}).items()}


def _elsewhere(name: str, path: Path, line: int) -> SpecificationFinding:
    message = f'"{name}" is taken from another place than the index'
    fix = "build its wheel, and name that file in a requirements file"
    return found("source-elsewhere", message, fix=fix, file=path.name, line=line)


def _setting(setting: str, path: Path, line: int) -> SpecificationFinding:
    is_index = setting in {"index", "index-url", "extra-index-url", "find-links"}
    fix = (
        "export UV_INDEX=URL, which locking and building both obey"
        if is_index
        else "uv lock, then name uv.lock instead"
    )
    return found("setting-not-kept", f'"{setting}" of [tool.uv] is not kept', fix=fix, file=path.name, line=line)


def _line_of(text: str, part: str) -> int:
    """Return the first line that has this part; 0 when none has."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if part in line), 0)
