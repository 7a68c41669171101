"""pytest for an environment whose lock does not name it, without changing that environment."""

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
    """Return a folder to put on `PYTHONPATH` so that `environment` can run pytest; None when it has it already.

    The version is that of the first of `donors` (interpreters) that has pytest. What pytest needs and the environment
    has is not in the folder, so nothing of the environment is hidden by it.

    Raises ModuleNotInstalled when no donor has pytest, and what locking and installing raise.
    """
    target = inspect(environment.python)
    if "pytest" in target.distributions:
        return None
    origin = _first_with_pytest(donors)
    pinned = Requirement("pytest", origin.distributions["pytest"].version)
    needed = closure([pinned], origin, markers=target.markers)
    missing = [each for each in needed if not _is_satisfied(each, needed, target)]
    lock = lock_distributions(missing, origin=origin, target=target, wheels=wheels)
    folder = cache.absolute() / f"pytest-{lock.digest}"

    def make(made: Path) -> None:
        where: list[str | Path] = ["--python", environment.python, "--target", made]
        install(lock, where, wheels=wheels, folder=folder, scratch=made.parent)

    place(folder, make, key_file=folder / "pytest" / "__init__.py")
    return folder


def _first_with_pytest(donors: Iterable[Path]) -> Inspection:
    """Return the first interpreter that has pytest."""
    python: Path | None = None
    for python in donors:
        inspection = inspect(python)
        if "pytest" in inspection.distributions:
            return inspection
    raise ModuleNotInstalled(module="pytest", python=python, distribution="pytest")


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
