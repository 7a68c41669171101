"""Finds the interpreter that an environment is made for: the user's, when it fits, else one that uv knows of."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from modelwright import settings
from modelwright.environments.findings import found
from modelwright.environments.inspection import Inspection, inspect
from modelwright.environments.locking import run_uv
from modelwright.errors import InterpreterUnfit, InterpreterUnreadable
from modelwright.records import Lock, Specification, SpecificationFinding, SpecificationKind


@dataclass(frozen=True)
class Fitting:
    """An interpreter for a specification, and the finding that says so when it is not quite the one asked for."""

    inspection: Inspection
    findings: tuple[SpecificationFinding, ...] = ()


def fitting(specification: Specification, *, named: Path | None) -> Fitting:
    """Return the interpreter to lock for: `named`, else the user's when it fits, else one that uv finds.

    conda's files name a Python to the last digit: there one of the same minor version is taken too, and one that is
    `named` in any case, with a finding.

    Raises InterpreterUnfit and InterpreterUnreadable.
    """
    own = inspect(settings.interpreter(named))
    if _fits(own, specification.python):
        return Fitting(own)
    is_conda = specification.kind is SpecificationKind.CONDA
    other = None if named else _found(specification.python)
    if other:
        return Fitting(other)
    minor = _minor(specification.python)
    if is_conda and (named or _fits(own, minor)):
        return Fitting(own, (_differs(specification, own),))
    other = _found(minor) if is_conda and not named else None
    if other:
        return Fitting(other, (_differs(specification, other),))
    raise InterpreterUnfit(
        wanted=_spelled(specification.python),
        file=specification.path,
        python=own.python,
        found=own.python_version,
        fix="name a Python with --python PATH; any is taken, and a difference recorded"
        if is_conda
        else "name such a Python with --python PATH",
    )


def interpreter_for(lock: Lock, *, named: Path | None = None) -> Path:
    """Return an interpreter of exactly the lock's Python version: the user's, else one that uv finds.

    Raises InterpreterUnfit and InterpreterUnreadable.
    """
    python = settings.interpreter(named)
    own = inspect(python)
    if own.python_version == lock.python_version:
        return python
    other = None if named else _found(f"=={lock.python_version}")
    if other is None:
        raise InterpreterUnfit(
            wanted=_spelled(lock.python_version),
            file=lock.digest[:12],
            python=python,
            found=own.python_version,
            fix="name such a Python with --python PATH",
        )
    return other.python


def _spelled(rule: str) -> str:
    """Return a rule for the Python version as people say it."""
    return f"Python {rule.removeprefix('==').removesuffix('.*') if ',' not in rule else rule}"


def _fits(inspection: Inspection, rule: str) -> bool:
    return SpecifierSet(rule).contains(inspection.python_version, prereleases=True)


def _minor(rule: str) -> str:
    """Return the rule for any Python of the same minor version, if the rule names one version."""
    return re.sub(r"^===?(\d+\.\d+)\..*$", r"==\1.*", rule)


def _found(rule: str) -> Inspection | None:
    """Return an interpreter on this machine that obeys the rule, as uv finds it."""
    finished = run_uv(["python", "find", "--no-project", "--no-python-downloads", rule])
    try:
        inspection = inspect(Path(finished.stdout.strip())) if finished.returncode == 0 else None
    except InterpreterUnreadable:
        return None
    return inspection if inspection and _fits(inspection, rule) else None


def _differs(specification: Specification, inspection: Inspection) -> SpecificationFinding:
    message = f"Python {inspection.python_version} is used where {_spelled(specification.python)} is asked for"
    fix = "install that Python and name it with --python PATH, or change the line"
    return found("python-differs", message, fix=fix, file=specification.path.name, line=0)
