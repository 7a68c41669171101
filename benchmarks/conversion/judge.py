"""The independent judge: runs a notebook and its project, compares them, tries the tests, and gives a verdict."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import comparing
import mutating
import observing
import processes
import projects
import structure
import testing
from comparing import Agreement
from corpus import Entry
from observing import Observation
from projects import Project

_HERE = Path(__file__).parent
_FILE_SECONDS = 60.0
_SEED_NAMES = ("seed", "random_seed", "random_state")


def judge(entry: Entry, folder: Path, conversion: dict[str, Any], *, work: Path, mutant_count: int) -> dict[str, Any]:
    """Return the judgement of the project in `folder`, converted from the entry's notebook.

    `conversion` is what the conversion printed; used of it are the removals, what only the report has, and its claim.
    """
    notebook, again = watch_twice(entry, work)
    if not notebook.is_ok:
        return {"verdict": "not runnable", "cause": notebook.error[:300]}
    project = projects.find(folder)
    if project is None:
        return {"verdict": "crash", "cause": "a conversion without a project"}
    ran, trained = watch(project, entry.python, work / "project-run")
    judged: dict[str, Any] = {
        "seconds": {"notebook": notebook.seconds, "project": ran.seconds},
        "claims": claim(conversion),
        "structure": structure.measure(project),
        "runs": ran.is_ok,
        "error": ran.error,
    }
    if ran.is_ok:
        drawn = [each for each in conversion.get("decisions", []) if each["fate"] == "report"]
        excused = [*conversion.get("removals", []), *drawn]
        found = _agreement(entry, project, excused, (notebook, again), ran=ran, work=work)
        judged["agreement"] = {**asdict(found), "is_equal": found.is_equal}
    judged["tests"] = testing.run_tests(project, entry.python, work)
    if mutant_count and judged["tests"]["is_green"]:
        judged["planted"] = mutating.plant(project, entry.python, work=work, ran=trained)
        judged["mutants"] = mutating.score(project, entry.python, mutant_count, work=work, ran=trained)
    return {**judged, **verdict(judged)}


def _agreement(
    entry: Entry,
    project: Project,
    removals: list[dict[str, Any]],
    seen: tuple[Observation, Observation],
    *,
    ran: Observation,
    work: Path,
) -> Agreement:
    """Return how project and notebook, `seen` twice, agree: as they run, and if it is noisy from the same seed as well.

    With the same seed injected on both sides, that of the project's parameters if it has one, equal means equal; else
    what the notebook's own two runs leave open is left open.
    """
    sketches = comparing.FileSketches(lambda path: _sketch(path, entry.python, project))
    found = comparing.compare(*seen, ran, removals=removals, sketches=sketches)
    if not found.is_noisy:
        return found
    found.basis = "within the spread of two runs"
    given = {name.lower(): value for name, value in project.parameters().items() if isinstance(value, int)}
    seed = next((given[name] for name in _SEED_NAMES if name in given), 0)
    notebook, again = watch_twice(entry, work, seed=seed)
    seeded, _ = watch(project, entry.python, work / "project-run-seeded", seed=seed)
    if not (notebook.is_ok and again.is_ok and seeded.is_ok):
        found.basis += f", as a run from the seed {seed} ended early"
        return found
    better = comparing.compare(notebook, again, seeded, removals=removals, sketches=sketches)
    better.basis = f"from the same seed, {seed}"
    return better if better.missing <= found.missing else found


def watch_twice(entry: Entry, work: Path, *, seed: int | None = None) -> tuple[Observation, Observation]:
    """Return what the notebook does, and what it does when it is run once more."""
    folder = work / ("notebook" if seed is None else f"notebook-{seed}")
    runs = [
        observing.watch_notebook(entry.notebook, entry.python, root=entry.folder, work=folder / number, seed=seed)
        for number in ("1", "2")
    ]
    return runs[0], runs[1]


def watch(project: Project, python: Path, work: Path, *, seed: int | None = None) -> tuple[Observation, Observation]:
    """Return what the project does by its public entry, with its report if it has one and without."""
    seen: list[Observation] = []
    for name in ("train", "report"):
        entry = project.entry(name)
        if entry is None:
            continue
        for arguments in (["--output-folder", "{out}"], []):
            command = [*entry, *arguments]
            ran = observing.watch_project(command, python, path=[project.source], work=work / name, seed=seed)
            if "unrecognized arguments" not in ran.stderr:
                break
        seen.append(ran)
    train, *others = seen
    stdout = "\n".join([train.stdout, *(each.stdout for each in others if each.is_ok)])
    return Observation(**{**vars(train), "stdout": stdout}), train


def _sketch(path: Path, python: Path, project: Project) -> dict[str, Any]:
    done = processes.run(
        [python, _HERE / "file_worker.py", path],
        folder=path.parent,
        timeout_seconds=_FILE_SECONDS,
        environment={"PYTHONPATH": str(project.source)},
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": done.stderr[-300:] or "it could not be read"}
    return found


# --- verdicts ---


def claim(conversion: dict[str, Any]) -> str:
    """Return what a conversion says of its own project: "equal", "different" or "nothing"."""
    proof = conversion.get("proof")
    inner = proof if isinstance(proof, dict) else {}
    said = conversion.get("is_equal", inner.get("is_equal"))
    if said is None and "verdict" in inner:
        said = str(inner["verdict"]).lower() in {"equal", "identical", "proven", "equal within noise", "noise"}
    return "nothing" if said is None else "equal" if said else "different"


def verdict(judged: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict on a project that exists, and the cause of one that is not the best."""
    agreement = judged.get("agreement", {})
    is_equal = bool(agreement.get("is_equal"))
    evidence = agreement.get("evidence", [])
    why = evidence[0] if evidence else judged["error"].strip().splitlines()[-1:] or ["does not run"]
    cause = why if isinstance(why, str) else why[0]
    if not is_equal:
        names = {"equal": "false-proven", "different": "partial", "nothing": "different, unclaimed"}
        return {"verdict": names[judged["claims"]], "cause": cause}
    if judged["claims"] == "different":
        return {"verdict": "partial", "cause": "says itself that it differs; the judge found no difference"}
    tests, planted = judged["tests"], judged.get("planted")
    if not tests["is_green"]:
        return {"verdict": "equal but tests weak", "cause": f"tests: {tests['summary']}"}
    survived = [name for name, state in (planted or {}).items() if state == "survived"]
    if survived:
        return {"verdict": "equal but tests weak", "cause": f"planted and not noticed: {', '.join(survived)}"}
    return {"verdict": "verified", "cause": "" if planted is not None else "mutants not tried"}


def refusal(done: processes.Done, conversion: dict[str, Any] | None) -> dict[str, Any]:
    """Return the verdict on a conversion that gave no project."""
    if done.is_timeout:
        return {"verdict": "timeout", "cause": "timeout"}
    error = (conversion or {}).get("error")
    if isinstance(error, dict) and "Traceback (most recent call last)" not in done.stderr:
        return {"verdict": "refused", "cause": str(error.get("code")), "message": str(error.get("message"))[:400]}
    lines = [each for each in done.stderr.strip().splitlines() if each.strip()]
    return {"verdict": "crash", "cause": lines[-1][:200] if lines else f"exit code {done.code}"}
