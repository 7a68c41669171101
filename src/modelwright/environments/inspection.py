"""What an interpreter has installed, and which exact distributions a project's imports come from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement as Specification
from packaging.utils import canonicalize_name

from modelwright import processes, settings
from modelwright.errors import (
    DistributionEditable,
    InterpreterDiffers,
    InterpreterUnreadable,
    ModuleNotDistributed,
    ModuleNotInstalled,
)
from modelwright.records import Requirement

_WORKER = Path(__file__).with_name("worker.py")
# importlib.metadata's answers before 3.9 lack what the guest reads.
_OLDEST = (3, 9)
# Modules whose distribution is called otherwise, so that the command offered installs the right one.
_FAMOUS_NAMES = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "fitz": "pymupdf",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


@dataclass(frozen=True)
class Distribution:
    """An installed distribution: `root` is the folder its RECORD is relative to, `info_folder` its metadata in there.

    `import_names` are the top-level names of its modules. `url` is set when it was not installed from an index but from
    a file, a folder or a repository.
    """

    name: str
    version: str
    requires: tuple[str, ...]
    import_names: tuple[str, ...]
    root: Path
    info_folder: str
    installer: str
    url: str
    is_editable: bool


@dataclass(frozen=True)
class ModuleOrigin:
    """Where a module is imported from: the names of the distributions that hold it, and a file."""

    is_standard: bool
    owners: tuple[str, ...]
    origin: str


@dataclass(frozen=True)
class Inspection:
    """What an interpreter answered; `distributions` are keyed by canonical name."""

    python: Path
    python_version: str
    platform: str
    markers: Mapping[str, str]
    folders: Mapping[str, Path]
    distributions: Mapping[str, Distribution]
    modules: Mapping[str, ModuleOrigin]


def inspect(python: Path, modules: Iterable[str] = ()) -> Inspection:
    """Return what `python` has installed and who owns `modules` (dotted names). Raises InterpreterUnreadable."""
    finished = processes.run(
        [python, _WORKER, *sorted(set(modules))],
        folder=_WORKER.parent,
        environment=settings.child_environment(),
        timeout_seconds=120,
        after_timeout=f"{python} -m site",
    )
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
        raise InterpreterUnreadable(python=python, reason=lines[-1])
    try:
        answer = json.loads(finished.stdout)
    except ValueError as error:
        raise InterpreterUnreadable(python=python, reason="it printed something of its own at start-up") from error
    version = str(answer["python_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise InterpreterUnreadable(python=python, reason=f"it is Python {version}, the oldest that works is 3.9")
    return Inspection(
        python=python,
        python_version=version,
        platform=answer["platform"],
        markers=answer["markers"],
        folders={name: Path(folder) for name, folder in answer["folders"].items()},
        distributions={canonicalize_name(each["name"]): _distribution(each) for each in answer["distributions"]},
        modules={name: _module_origin(each) for name, each in answer["modules"].items()},
    )


def check_versions(requirements: Iterable[Requirement], *, python: Path) -> None:
    """Find out that `python` has the distributions in these versions. Raises InterpreterDiffers."""
    installed = inspect(python).distributions
    found = {each: installed.get(canonicalize_name(each.name)) for each in requirements}
    others = {each: one for each, one in found.items() if one is None or one.version != each.version}
    if others:
        told = [f"{each.name} {one.version}" if one else f"no {each.name}" for each, one in others.items()]
        wanted = [f"{each.name} {each.version}" for each in others]
        raise InterpreterDiffers(python=python, found=", ".join(told), wanted=", ".join(wanted))


def requirements_for(
    modules: Iterable[str], *, python: Path, folder_modules: Iterable[str] = ()
) -> tuple[Requirement, ...]:
    """Return the exact pins of the distributions that `modules` come from, sorted by name.

    `modules` are the names that the code imports; dotted ones tell namespace packages apart. Python's own are left
    out, and so are the project's, whose top-level names are `folder_modules`.

    Raises ModuleNotInstalled, ModuleNotDistributed, DistributionEditable and InterpreterUnreadable.
    """
    own = set(folder_modules)
    return _requirements(inspect(python, [name for name in modules if name.partition(".")[0] not in own]))


def _requirements(inspection: Inspection) -> tuple[Requirement, ...]:
    """Return the exact pins of what the inspected modules come from."""
    origins = {module: origin for module, origin in inspection.modules.items() if not origin.is_standard}
    missing = [module for module, origin in origins.items() if not origin.owners and not origin.origin]
    if missing:
        tops = dict.fromkeys(module.partition(".")[0] for module in missing)
        names = " ".join(_FAMOUS_NAMES.get(each, each) for each in tops)
        raise ModuleNotInstalled(module='", "'.join(missing), python=inspection.python, distribution=names)
    owners: set[str] = set()
    for module, origin in origins.items():
        owners.update(_owners(module, origin, inspection))
    found = [inspection.distributions[canonicalize_name(name)] for name in owners]
    return tuple(sorted((Requirement(canonicalize_name(each.name), each.version) for each in found), key=str))


def spare_modules(modules: Iterable[str], *, python: Path) -> tuple[str, ...]:
    """Return the import names of all that is installed and that what `modules` come from does not bring along.

    Raises what `requirements_for` raises.
    """
    inspection = inspect(python, modules)
    needed = closure(_requirements(inspection), inspection)
    every = {name for each in inspection.distributions.values() for name in each.import_names}
    return tuple(sorted(every.difference(*(each.import_names for each in needed))))


def additions_for(
    modules: Iterable[str], requirements: Iterable[Requirement], *, python: Path
) -> dict[str, Requirement]:
    """Return those of `modules` that `requirements` do not bring along, each with the exact pin of what it comes from.

    `modules` are those that some process had loaded; what belongs to no distribution among them is left out.
    """
    inspection = inspect(python, modules)
    known = {canonicalize_name(each.name) for each in closure(requirements, inspection)}
    owners = {
        module: canonicalize_name(origin.owners[0]) for module, origin in inspection.modules.items() if origin.owners
    }
    return {
        module: Requirement(owner, inspection.distributions[owner].version)
        for module, owner in sorted(owners.items())
        if owner not in known
    }


def closure(
    requirements: Iterable[Requirement], inspection: Inspection, *, markers: Mapping[str, str] | None = None
) -> tuple[Distribution, ...]:
    """Return `requirements` and everything that they need in turn, as installed, sorted by name.

    What a distribution asks for but the interpreter lacks is left out: the notebook ran without it. `markers` are
    those of the inspected interpreter unless given.

    Raises ModuleNotInstalled when a requirement itself is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = [Specification(str(each)) for each in requirements]
    for each in waiting:
        if canonicalize_name(each.name) not in inspection.distributions:
            raise ModuleNotInstalled(module=each.name, python=inspection.python, distribution=each.name)
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        distribution = inspection.distributions.get(canonicalize_name(wanted.name))
        if distribution is None:
            continue
        found[canonicalize_name(wanted.name)] = distribution
        for extra in ("", *wanted.extras):
            if (distribution.name, extra) not in seen:
                seen.add((distribution.name, extra))
                waiting.extend(_needed(distribution, extra, markers or inspection.markers))
    return tuple(found[name] for name in sorted(found))


def _needed(distribution: Distribution, extra: str, markers: Mapping[str, str]) -> list[Specification]:
    """Return what the distribution requires under these markers for one of its extras, or for none."""
    specifications = [Specification(text) for text in distribution.requires]
    variables = {**markers, "extra": extra}
    return [each for each in specifications if each.marker is None or each.marker.evaluate(variables)]


def _owners(module: str, origin: ModuleOrigin, inspection: Inspection) -> tuple[str, ...]:
    """Return the distributions of an installed module; raise when there is none."""
    if origin.owners:
        return origin.owners
    for each in inspection.distributions.values():
        if each.is_editable and Path(origin.origin).is_relative_to(each.url.removeprefix("file://")):
            raise DistributionEditable(distribution=each.name, folder=each.url.removeprefix("file://"))
    raise ModuleNotDistributed(module=module, origin=origin.origin)


def _distribution(answer: Mapping[str, Any]) -> Distribution:
    """Return the record of one distribution in the guest's answer."""
    return Distribution(
        **{
            **answer,
            "requires": tuple(answer["requires"]),
            "import_names": tuple(answer["import_names"]),
            "root": Path(answer["root"]),
        }
    )


def _module_origin(answer: Mapping[str, Any]) -> ModuleOrigin:
    """Return the record of one module in the guest's answer."""
    return ModuleOrigin(**{**answer, "owners": tuple(answer["owners"])})
