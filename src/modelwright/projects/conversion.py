"""Conversion: notebooks in, a project folder out; and the proof that the folder does what the notebooks did."""

import json
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwright.environments import building, inspection
from modelwright.errors import FolderNotWritable, ProjectEdited, ProjectRaised
from modelwright.notebooks import emitting, execution, planning, proof, reading
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import LOCK_FILE, MANIFEST_FILE, PARAMETERS_FILE, Manifest, toml_literal
from modelwright.records import BuiltEnvironment, Goal, Notebook, NotebookRun, Plan, Proof, Requirement
from modelwright.settings import child_environment
from modelwright.store.blobs import digest_of

SAMPLE_FILE = "sample.json"
_GIT_IGNORE = "outputs/\n__pycache__/\n.pytest_cache/\n"


@dataclass(frozen=True)
class Study:
    """What is known of the notebooks after reading and running them."""

    training: Notebook
    scoring: Notebook | None
    plan: Plan
    training_run: NotebookRun
    scoring_run: NotebookRun | None


@dataclass(frozen=True)
class Locked:
    """What the project needs itself, and the environment that this and all it needs in turn were built into."""

    requirements: tuple[Requirement, ...]
    environment: BuiltEnvironment


def check_place(into: Path, *, is_overwritten: bool) -> None:
    """Find out, before anything runs, whether a project may be written to `into`.

    Raises FolderNotWritable, and ProjectEdited when the user has edited what a conversion wrote there.
    """
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=into if into.exists() else into.parent):
            pass
    except OSError as error:
        raise FolderNotWritable(folder=into, reason=error.strerror, option="--into") from error
    if not is_overwritten and (into / MANIFEST_FILE).is_file():
        _refuse_to_overwrite(into, manifests.read_manifest(into).generated)


def study(training: Path, scoring: Path | None, *, python: Path, work_folder: Path) -> Study:
    """Read the notebooks, plan the project and run them in fresh kernels of `python`, on copies in `work_folder`.

    Raises what reading, planning and execution raise; the notebooks' own folder is never written to.
    """
    training_notebook = reading.read(training)
    scoring_notebook = reading.read(scoring) if scoring else None
    plan = planning.plan(training_notebook, scoring_notebook)
    training_run = execution.execute(
        training_notebook,
        python=python,
        folder=work_folder / "training",
        environment=child_environment(),
        probe=plan.training_probe,
    )
    scoring_run = None
    if scoring_notebook:
        scoring_run = execution.execute(
            scoring_notebook,
            python=python,
            folder=work_folder / "scoring",
            environment=child_environment(),
            probe=plan.scoring_probe,
            files=_files_for_scoring(plan, training_run),
        )
    return Study(training_notebook, scoring_notebook, plan, training_run, scoring_run)


def lock(studied: Study, *, python: Path, cache: Path, wheels: Path, work_folder: Path) -> Locked:
    """Lock what the project needs, in the versions that the notebooks ran with in `python`, and build it.

    What it needs is what its code imports; and when it does not run without them, also what running it was seen to
    load beyond that.
    """
    imported = inspection.requirements_for(studied.plan.modules, python=python)
    added = _needed_beyond(imported, studied, python=python, work_folder=work_folder)
    requirements = tuple(sorted({*imported, *added}, key=str))
    environment = building.lock_and_build(requirements, python=python, cache=cache, wheels=wheels)
    return Locked(requirements, environment)


def lay_out(studied: Study, locked: Locked, *, name: str, into: Path, is_overwritten: bool) -> Manifest:
    """Write the project folder `into`, and return its manifest.

    What a conversion wrote before is replaced; what the user edited or put there is never touched without
    `is_overwritten`. Raises ProjectEdited and FolderNotWritable, having changed nothing.
    """
    files = _files(studied, locked)
    ours = [*files, *studied.plan.data_files]
    if not is_overwritten:
        _refuse_to_overwrite(into, ours)
    partial = into.with_name(f".{into.name}.partial")
    environment = locked.environment
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _write(partial, files, studied)
        manifest = Manifest(
            folder=into,
            name=name,
            training=studied.training.path,
            scoring=studied.scoring.path if studied.scoring else None,
            gate_metric=studied.plan.metrics[0].name if studied.plan.metrics else None,
            gate_goal=studied.plan.metrics[0].goal if studied.plan.metrics else Goal.MINIMIZE,
            python_version=environment.lock.python_version,
            platform=environment.lock.platform,
            lock_source=environment.lock.source,
            generated={path: digest_of(partial / path) for path in ours},
        )
        (partial / MANIFEST_FILE).write_text(manifests.manifest_text(manifest), encoding="utf-8")
        _remove_stale(into, ours)
        _move_into(partial, into)
    except OSError as error:
        raise FolderNotWritable(folder=into, reason=error.strerror, option="--into") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def prove(studied: Study, manifest: Manifest, *, environment: BuiltEnvironment, work_folder: Path) -> Proof:
    """Run the project in a fresh process of its own environment and compare it with the notebooks' runs."""
    return proof.prove(
        plan=studied.plan,
        training_run=studied.training_run,
        scoring_run=studied.scoring_run,
        project=manifest.folder,
        project_digest=code_digest(manifest.folder),
        python=environment.python,
        environment=child_environment(building.variables(environment, manifest.folder)),
        work_folder=work_folder / "project",
    )


def _needed_beyond(
    imported: tuple[Requirement, ...], studied: Study, *, python: Path, work_folder: Path
) -> Collection[Requirement]:
    """Run the project in `python` with and without what it loads beyond `imported`; return that if it is needed."""
    draft = work_folder / "draft"
    _write(draft, emitting.modules(studied.plan), studied)

    def loaded(without: Collection[str] = ()) -> tuple[str, ...]:
        return proof.loaded_modules(
            plan=studied.plan,
            training_run=studied.training_run,
            project=draft,
            python=python,
            environment=child_environment(),
            work_folder=work_folder / "draft-run",
            without=without,
        )

    added = inspection.additions_for(loaded(), imported, python=python)
    if not added:
        return ()
    try:
        loaded(without=tuple(added))
    except ProjectRaised:
        return added.values()
    return ()


def _files_for_scoring(plan: Plan, training_run: NotebookRun) -> dict[str, Path]:
    """Return what training saved, by the paths under which the scoring notebook loads it."""
    saved = {path: training_run.folder / source for path, source in plan.scoring_files}
    return {path: source for path, source in saved.items() if source.is_file()}


def _files(studied: Study, locked: Locked) -> dict[str, str]:
    plan = studied.plan
    golden = emitting.golden(plan, studied.training_run, studied.scoring_run)
    files = emitting.modules(plan) | emitting.tests(plan, golden)
    files[PARAMETERS_FILE] = _parameters_text(plan)
    files["requirements.txt"] = "".join(f"{each}\n" for each in locked.requirements)
    files[LOCK_FILE] = locked.environment.lock.text
    files[".gitignore"] = _GIT_IGNORE
    sample = proof.sample_request(plan, studied.training_run)
    if sample:
        files[SAMPLE_FILE] = json.dumps(json.loads(sample)) + "\n"
    return files


def _write(folder: Path, files: Mapping[str, str], studied: Study) -> None:
    """Write `files`, and the data that the notebook reads, at the same relative paths."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for path in studied.plan.data_files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(studied.training.path.parent / path, target)


def _parameters_text(plan: Plan) -> str:
    lines = [f"{each.name} = {toml_literal(each.value)}\n" for each in plan.parameters]
    return "# What a run trains with; `wright run --set NAME=VALUE` overrides.\n" + "".join(lines)


def _refuse_to_overwrite(into: Path, files: Iterable[str]) -> None:
    known = manifests.read_manifest(into).generated if (into / MANIFEST_FILE).is_file() else {}
    edited = [path for path in files if (into / path).is_file() and known.get(path) != digest_of(into / path)]
    if edited:
        raise ProjectEdited(folder=into, files=", ".join(f'"{path}"' for path in edited))


def _remove_stale(into: Path, ours: Collection[str]) -> None:
    """Delete what an older conversion wrote, this one does not, and nobody edited."""
    if (into / MANIFEST_FILE).is_file():
        for path, digest in manifests.read_manifest(into).generated.items():
            if path not in ours and (into / path).is_file() and digest_of(into / path) == digest:
                (into / path).unlink()


def _move_into(partial: Path, into: Path) -> None:
    """Replace files one by one, the manifest last: until then the folder counts as the older conversion."""
    paths = sorted((path for path in partial.rglob("*") if path.is_file()), key=lambda path: path.name == MANIFEST_FILE)
    for path in paths:
        target = into / path.relative_to(partial)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
