"""Specifications: what a file asks for, whichever of the formats in use it is written in."""

from collections.abc import Sequence
from pathlib import Path

from modelwright.environments.conda_files import read_conda
from modelwright.environments.project_files import read_pylock, read_pyproject, read_uv_lock
from modelwright.environments.requirement_files import Gathered, is_exact
from modelwright.errors import SpecificationInvalid, SpecificationMissing
from modelwright.records import Specification, SpecificationKind

_FORMATS = "requirements.txt, pyproject.toml, uv.lock, pylock.toml or a conda environment.yml"


def read_specification(path: Path, *, extras: Sequence[str] = (), groups: Sequence[str] = ()) -> Specification:
    """Return what the file at `path` asks for, with the extras and dependency groups that are named.

    The file's name tells its format: pyproject.toml, uv.lock, pylock.toml or pylock.NAME.toml, .yml or .yaml of conda,
    and anything else is a requirements file of pip.

    Raises SpecificationMissing, SpecificationInvalid and CommandMissing.
    """
    if path.is_dir():
        raise SpecificationMissing(path=path, place=" but a folder", folder=path)
    match path.name:
        case "pyproject.toml":
            return read_pyproject(path, extras=extras, groups=groups)
        case "uv.lock":
            return read_uv_lock(path, extras=extras, groups=groups)
        case name if name.startswith("pylock.") and path.suffix == ".toml":
            return read_pylock(path, extras=extras, groups=groups)
    if path.suffix in {".toml", ".json", ".py", ".ipynb"} or path.name == "Pipfile":
        fix = f"name one of {_FORMATS}"
        raise SpecificationInvalid(file=path, place="", reason="its format is none of those that are read", fix=fix)
    if extras or groups:
        reason = "it has neither extras nor groups, only pyproject.toml and the locks beside it have"
        raise SpecificationInvalid(file=path, place="", reason=reason, fix="leave --extra and --group out")
    return read_conda(path) if path.suffix in {".yml", ".yaml"} else _read_requirements(path)


def _read_requirements(path: Path) -> Specification:
    gathered = Gathered()
    gathered.read_file(path)
    return Specification(
        path=path,
        kind=SpecificationKind.REQUIREMENTS,
        wanted=tuple(gathered.wanted),
        constraints=tuple(gathered.constraints),
        findings=tuple(gathered.findings),
        is_exact=is_exact(gathered.wanted),
    )
