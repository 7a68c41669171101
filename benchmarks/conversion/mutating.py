"""How well a project's tests notice that something is wrong with it."""

import ast
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mutants
import observing
import processes
import sketch
import testing
from mutants import Mutant
from observing import Observation
from projects import Project

_HERE = Path(__file__).parent
_BOX_SECONDS = 420.0
_EACH_SECONDS = 90.0
_TRIES = 3
_PLANTED: dict[str, Callable[[Project], list[Mutant]]] = {
    "hyperparameter": mutants.hyperparameters,
    "seed": mutants.seeds,
    "split": mutants.splits,
}
# What the training program never runs: that it behaves the same says nothing of these.
_NOT_TRAINED = {"score", "scoring", "pipeline", "report"}


def plant(project: Project, python: Path, *, work: Path, ran: Observation) -> dict[str, Any]:
    """Return for each planted defect whether the tests notice it: "red", "survived", or why there is none to plant.

    A defect that changes nothing of what the program does is no defect: the next of its kind is taken.
    """
    found: dict[str, Any] = {}
    for name, make in _PLANTED.items():
        tried = make(project)[:_TRIES]
        found[name] = "nothing to change" if not tried else "no effect"
        for each, is_red in zip(tried, _try(project, tried, python, work=work), strict=False):
            if is_red:
                found[name] = "red"
                break
            if is_effective(project, each, python, work=work, ran=ran):
                found[name] = "survived"
                found[f"{name} where"] = f"{each.file.name}:{each.line} {each.what}"
                break
    return found


def score(project: Project, python: Path, count: int, *, work: Path, ran: Observation) -> dict[str, Any]:
    """Return how many of up to `count` random mutants were tried, how many were killed, and which survived.

    Survivors with which the training program does exactly the same are counted apart, as equivalent.
    """
    chosen = mutants.sample(project, count)
    red = _try(project, chosen, python, work=work)
    survivors = [each for each, is_red in zip(chosen, red, strict=False) if not is_red]
    checked = [each for each in survivors if each.file.stem not in _NOT_TRAINED]
    is_quick = ran.seconds * len(checked) < _BOX_SECONDS
    same = [each for each in checked if is_quick and not is_effective(project, each, python, work=work, ran=ran)]
    left = [each for each in survivors if each not in same]
    return {
        "tried": len(red),
        "killed": sum(red),
        "equivalent": len(same),
        "survived": [f"{each.file.name}:{each.line} {each.what}" for each in left],
    }


def is_effective(project: Project, mutant: Mutant, python: Path, *, work: Path, ran: Observation) -> bool:
    """Say whether the training program does anything else with the mutant than without."""
    copy = _copied(project, work / "mutant-run")
    (copy.folder / mutant.file.relative_to(project.folder)).write_text(mutant.text, encoding="utf-8")
    entry = [*(copy.entry() or []), "--output-folder", "{out}"]
    seen = observing.watch_project(entry, python, path=[copy.source], work=work / "mutant-watch")
    shutil.rmtree(copy.folder)
    if seen.is_ok != ran.is_ok or seen.stdout != ran.stdout or len(seen.fits) != len(ran.fits):
        return True
    return any(sketch.first_difference(one.state, other.state) for one, other in zip(seen.fits, ran.fits, strict=True))


def _copied(project: Project, folder: Path) -> Project:
    shutil.rmtree(folder, ignore_errors=True)
    observing.copy_folder(project.folder, folder)
    package = project.package
    return Project(folder, folder / package.relative_to(project.folder) if package else None)


def _try(project: Project, chosen: Sequence[Mutant], python: Path, *, work: Path) -> list[bool]:
    """Return for each mutant, as far as time allows, whether a test fails."""
    if not chosen:
        return []
    copy = _copied(project, work / "mutants")
    request = work / "mutants.json"
    pairs = [(str(copy.folder / each.file.relative_to(project.folder)), each.text) for each in chosen]
    content = {"folder": str(copy.folder), "modules": _modules(project), "mutants": pairs, "seconds": _EACH_SECONDS}
    request.write_text(json.dumps(content), encoding="utf-8")
    done = processes.run(
        [python, _HERE / "mutants_worker.py", request],
        folder=work,
        timeout_seconds=_BOX_SECONDS,
        environment={"PYTHONPATH": testing.search_path(copy, work)},
    )
    shutil.rmtree(copy.folder)
    return [bool(json.loads(each)["is_red"]) for each in done.stdout.splitlines() if each.startswith("{")]


def _modules(project: Project) -> list[str]:
    """Return the modules of others that the project imports: loading them once spares each mutant the wait."""
    own = {each.stem for each in project.modules} | ({project.package.name} if project.package else set())
    found = {"pytest"}
    for path in project.modules:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return sorted(each for each in found if each.split(".")[0] not in own | set(sys.stdlib_module_names))
