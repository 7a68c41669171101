"""pytest, and other tools of tests, for an environment whose lock does not name them, without changing it."""

from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement as Specification
from packaging.utils import canonicalize_name

from modelwright.environments.building import install, place
from modelwright.environments.inspection import Distribution, Inspection, closure, inspect
from modelwright.environments.locking import lock_distributions
from modelwright.errors import ModuleNotInstalled
from modelwright.records import BuiltEnvironment, Requirement


def pytest_folder(
    environment: BuiltEnvironment, *, cache: Path, donors: Iterable[Path], wheels: Path | None
) -> Path | None:
    """Return a folder to put on `PYTHONPATH` so that `environment` can run pytest; None when it has it already."""
    return tool_folder("pytest", environment, cache=cache, donors=donors, wheels=wheels)


def tool_folder(
    tool: str, environment: BuiltEnvironment, *, cache: Path, donors: Iterable[Path], wheels: Path | None
) -> Path | None:
    """Return a folder to put on `PYTHONPATH` so that `environment` can run `tool`; None when it has it already.

    The version is that of the first of `donors` (interpreters) that has the tool, which is called as its distribution.
    What it needs and the environment has is not in the folder, so nothing of the environment is hidden by it.

    Raises ModuleNotInstalled when no donor has it, and what locking and installing raise.
    """
    target = inspect(environment.python)
    if tool in target.distributions:
        return None
    origin = _first_with(tool, donors)
    pinned = Requirement(tool, origin.distributions[tool].version)
    needed = closure([pinned], origin, markers=target.markers)
    missing = [each for each in needed if not _is_satisfied(each, needed, target)]
    lock = lock_distributions(missing, origin=origin, target=target, wheels=wheels)
    folder = cache.absolute() / f"{tool}-{lock.digest}"

    def make(made: Path) -> None:
        where: list[str | Path] = ["--python", environment.python, "--target", made]
        install(lock, where, wheels=wheels, folder=folder, scratch=made.parent)

    place(folder, make, key_file=folder / tool / "__init__.py")
    return folder


def _first_with(tool: str, donors: Iterable[Path]) -> Inspection:
    """Return the first interpreter that has the tool."""
    python: Path | None = None
    for python in donors:
        inspection = inspect(python)
        if tool in inspection.distributions:
            return inspection
    raise ModuleNotInstalled(module=tool, python=python, distribution=tool)


def _is_satisfied(distribution: Distribution, needed: Iterable[Distribution], target: Inspection) -> bool:
    """Return whether `target` has the distribution in a version that all who need it accept."""
    name = canonicalize_name(distribution.name)
    installed = target.distributions.get(name)
    if installed is None:
        return False
    specifications = [Specification(text) for each in needed for text in each.requires]
    return all(
        each.specifier.contains(installed.version, prereleases=True)
        for each in specifications
        if canonicalize_name(each.name) == name
        and (each.marker is None or each.marker.evaluate({**target.markers, "extra": ""}))
    )
