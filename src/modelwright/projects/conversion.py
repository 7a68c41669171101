"""Conversion: notebooks in, a project folder out; and the proof that the folder does what the notebooks did."""

import json
import math
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from modelwright.environments import building, inspection
from modelwright.errors import EditsCollide, FolderNotWritable, ProjectEdited, ProjectRaised
from modelwright.notebooks import (
    annotations,
    characterising,
    deciding,
    deriving,
    emitting,
    execution,
    history,
    layouts,
    paths,
    planning,
    proof,
    reading,
    reporting,
    reviewing,
    testing,
)
from modelwright.notebooks.deciding import Decision
from modelwright.notebooks.layouts import Layout, Style
from modelwright.notebooks.proof import ProjectRun
from modelwright.projects import folders, merging, naming, origins, page, scaffold
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import MANIFEST_FILE, PAGE_FILE, PARAMETERS_FILE, Manifest
from modelwright.records import (
    BuiltEnvironment,
    GateRules,
    Goal,
    Notebook,
    NotebookRun,
    Origin,
    Plan,
    Proof,
    Requirement,
    Wishes,
)
from modelwright.settings import child_environment
from modelwright.store.blobs import digest_of

_NO_WISHES = Wishes()
# Ways to score that are tried; each one costs a run of the project.
_MOST_CANDIDATES = 2
_SAMPLE_ROWS = 2
# What the project is called while nothing is known but its code.
_DRAFT = "project_draft"


@dataclass(frozen=True)
class Study:
    """What is known of the notebooks after reading and running them, and trying the project in their own Python.

    `draft` is the comparison of that trial. `training_again` is a second run of the training notebook, there when the
    trial differed from the first.
    """

    training: Notebook
    scoring: Notebook | None
    plan: Plan
    training_run: NotebookRun
    scoring_run: NotebookRun | None
    draft_folder: Path
    draft_run: ProjectRun
    draft: Proof
    training_again: NotebookRun | None = None


@dataclass(frozen=True)
class Locked:
    """What the project needs itself, and the environment that this and all it needs in turn were built into."""

    requirements: tuple[Requirement, ...]
    environment: BuiltEnvironment


def check_place(into: Path, *, is_overwritten: bool) -> None:
    """Find out, before anything runs, whether a project may be written to `into`.

    Raises FolderNotWritable, and ProjectEdited when the user has edited what cannot be merged.
    """
    folders.check_writable(into)
    if not is_overwritten and (into / MANIFEST_FILE).is_file():
        _refuse_to_overwrite(into, manifests.read_manifest(into).generated)


def study(
    training: Path, scoring: Path | None, *, python: Path, work_folder: Path, wishes: Wishes = _NO_WISHES
) -> Study:
    """Read the notebooks, watch them run in fresh kernels of `python`, plan the project, and try it there.

    A plan whose project does not give what the notebook gave is made again with more caution, which keeps more of the
    notebook; when none does, the one that comes nearest is returned. Everything happens on copies in `work_folder`.
    Raises what reading, planning and execution raise, and ProjectRaised when no project runs to its end.
    """
    training_notebook = reading.wished(reading.read(training), wishes)
    scoring_notebook = reading.read(scoring) if scoring else None
    attempt = _Attempt(training_notebook, scoring_notebook, python, work_folder)
    traced = attempt.run("traced", watch=planning.watched(training_notebook, scoring_notebook))
    stale = tuple(history.stale_outputs(training_notebook, traced.outputs))
    tried: list[Study] = []
    failures: list[ProjectRaised] = []
    for plan, run in attempt.plans(traced):
        if any((plan.functions, plan.score) == (each.plan.functions, each.plan.score) for each in tried):
            continue
        try:
            tried.append(attempt.studied(replace(plan, findings=(*plan.findings, *stale)), training_run=run))
        except ProjectRaised as error:
            failures.append(error)
            continue
        if tried[-1].draft.is_equal:
            break
    if not tried:
        raise failures[0]
    return min(tried, key=_differences)


def _differences(studied: Study) -> float:
    """Return how many results differ; a project that gives nothing to compare is the worst."""
    comparisons = studied.draft.comparisons
    return sum(not each.is_equal for each in comparisons) if comparisons else math.inf


@dataclass
class _Attempt:
    """Tries plans of one notebook: the notebook runs with a look at what the plan asks for, then the plan's project."""

    training: Notebook
    scoring: Notebook | None
    python: Path
    work_folder: Path
    count: int = 0

    def plans(self, traced: NotebookRun) -> Iterator[tuple[Plan, NotebookRun | None]]:
        """Yield the plans to try, the best first, each with a run that looked at what it asks for, if there is one.

        The best score rows as they come, with the notebook's own preparation, where that was seen to hold.
        """
        first = planning.plan(self.training, self.scoring, trace=traced.trace)
        rehearsed = None if self.scoring else deriving.rehearsal(self.training, first, traced.trace)
        run = None
        if rehearsed:
            run = self.run("rehearsed", notebook=rehearsed.notebook, probe=rehearsed.probe, watch={})
            candidates = deriving.candidates(rehearsed, first, run)
            for each in candidates[:_MOST_CANDIDATES]:
                plan = planning.plan(each.notebook, trace=each.trace, derived=each.script)
                yield replace(plan, findings=(*plan.findings, *each.findings)), run
            first = replace(first, findings=(*first.findings, *deriving.findings(rehearsed, run)))
        yield first, run
        for caution in planning.CAUTIONS[1:]:
            yield planning.plan(self.training, self.scoring, trace=traced.trace, caution=caution), None

    def run(self, name: str, *, notebook: Notebook | None = None, **options: Any) -> NotebookRun:
        """Run the training notebook, or one made of it, on a copy in a folder called `name`."""
        return execution.execute(
            notebook or self.training,
            python=self.python,
            folder=self.work_folder / name,
            environment=child_environment(),
            **options,
        )

    def studied(self, plan: Plan, *, training_run: NotebookRun | None = None) -> Study:
        """Return what is known once the plan's project ran. Raises ProjectRaised."""
        self.count += 1
        if training_run is None:
            training_run = self.run(f"training-{self.count}", probe=plan.training_probe, watch={})
        asked = {each.name for each in plan.training_probe}
        parts = {name: part for name, part in training_run.parts.items() if name in asked}
        training_run = replace(training_run, parts=parts)
        scoring_run = None
        if self.scoring:
            scoring_run = execution.execute(
                self.scoring,
                python=self.python,
                folder=self.work_folder / f"scoring-{self.count}",
                environment=child_environment(),
                probe=plan.scoring_probe,
                files=_files_for_scoring(plan, training_run),
            )
        draft = self.work_folder / f"draft-{self.count}"
        layout = layouts.layout(_DRAFT)
        beside = [self.training.path.parent, training_run.folder]
        _write(draft, emitting.modules(plan, layout), beside, _data_files(plan, layout))
        project_run = self._draft_run(plan, training_run, draft, is_alone=True)
        compared = partial(proof.prove, plan, training_run, scoring_run, project_digest="")
        found = compared(project_run=project_run)
        if not found.is_equal and project_run.missed:
            project_run = self._draft_run(plan, training_run, draft, is_alone=False)
            found = compared(project_run=project_run)
        again = None
        if not found.is_equal:
            # Only what the notebook itself does not reproduce may differ.
            again = self.run(f"again-{self.count}", probe=plan.training_probe, watch={})
            found = compared(project_run=project_run, again=again)
        plan = annotations.annotated(plan, project_run.types)
        _write(draft, emitting.modules(plan, layout), beside, {})
        return Study(self.training, self.scoring, plan, training_run, scoring_run, draft, project_run, found, again)

    def _draft_run(self, plan: Plan, training_run: NotebookRun, draft: Path, *, is_alone: bool) -> ProjectRun:
        """Run a draft, as if nothing else were installed than what it imports; if it cannot, with all there is."""
        spare = inspection.spare_modules(plan.modules, python=self.python) if is_alone else ()
        try:
            return proof.run(
                plan,
                training_run,
                project=draft,
                layout=layouts.layout(_DRAFT),
                python=self.python,
                environment=child_environment(),
                work_folder=draft.with_name(f"{draft.name}-run{'-alone' if spare else ''}"),
                without=spare,
            )
        except ProjectRaised:
            if not spare:
                raise
            return self._draft_run(plan, training_run, draft, is_alone=False)


def without_plots(studied: Study, causes: Mapping[str, str]) -> Study:
    """Return what is known without the plots of the report that have a cause to be left out, nor are in its draft."""
    plan = reporting.without(studied.plan, causes)
    shutil.rmtree(studied.draft_folder)
    beside = [studied.training.path.parent, studied.training_run.folder]
    layout = layouts.layout(_DRAFT)
    _write(studied.draft_folder, emitting.modules(plan, layout), beside, _data_files(plan, layout))
    return replace(studied, plan=plan)


def lock(studied: Study, *, python: Path, cache: Path, wheels: Path) -> Locked:
    """Lock what the project needs, in the versions that the notebooks ran with in `python`, and build it.

    What it needs is what its code imports; and where its draft did not run with that alone, also what running it was
    seen to load beyond that.
    """
    imported = inspection.requirements_for(studied.plan.modules, python=python)
    drafted = studied.draft_run
    added = {} if drafted.is_alone else inspection.additions_for(drafted.modules, imported, python=python)
    requirements = tuple(sorted({*imported, *added.values()}, key=str))
    environment = building.lock_and_build(requirements, python=python, cache=cache, wheels=wheels)
    return Locked(requirements, environment)


def layout_of(name: str, *, into: Path, python: Path, style: Style | None = None) -> Layout:
    """Return the layout of a project to be: that of its last conversion unless another style is asked for.

    Raises what reading a manifest and inspecting `python` raise.
    """
    known = manifests.read_manifest(into).layout if (into / MANIFEST_FILE).is_file() else layouts.layout("")
    package = known.package or naming.package_name(name, python=python)
    return layouts.layout(package, style or known.style)


def lay_out(
    studied: Study,
    locked: Locked,
    *,
    name: str,
    layout: Layout,
    into: Path,
    is_overwritten: bool,
    wishes: Wishes = _NO_WISHES,
) -> Manifest:
    """Write the project folder `into`, and return its manifest.

    What a conversion wrote before is replaced; what the user edited since is merged with it. Files that the user put
    there are never touched without `is_overwritten`. Raises EditsCollide, ProjectEdited and FolderNotWritable, having
    changed nothing.
    """
    has_rules = (into / MANIFEST_FILE).is_file() and not is_overwritten
    rules = manifests.read_manifest(into).gate_rules if has_rules else GateRules()
    files = _files(studied, locked, name=name, layout=layout)
    ours = [*files, *_data_files(studied.plan, layout)]
    edits = {} if is_overwritten else _merged(into, files, ours)
    lock = locked.environment.lock
    with folders.unfinished(into) as unfinished:
        beside = [studied.training.path.parent, studied.training_run.folder]
        _write(unfinished, files, beside, _data_files(studied.plan, layout))
        manifest = Manifest(
            folder=into,
            name=name,
            training=studied.training.path,
            scoring=studied.scoring.path if studied.scoring else None,
            gate_metric=studied.plan.metrics[0].name if studied.plan.metrics else None,
            gate_goal=studied.plan.metrics[0].goal if studied.plan.metrics else Goal.MINIMIZE,
            python_version=lock.python_version,
            platform=lock.platform,
            lock_source=lock.source,
            generated={path: digest_of(unfinished / path) for path in ours},
            layout=layout,
            wishes=wishes,
            gate_rules=rules,
        )
        # What counts as the user's is told by what conversion wrote, not by what came of putting both together.
        folders.write(unfinished, {**edits, merging.BASE_FILE: merging.base_text(files)})
        # Until it is proven, the page says so: an older conversion's would tell of other code.
        page_text = _page(studied, unfinished, layout)
        folders.write(unfinished, {PAGE_FILE: page_text, MANIFEST_FILE: manifests.manifest_text(manifest)})
        _remove_stale(into, ours)
    return manifest


def prove(studied: Study, manifest: Manifest, *, environment: BuiltEnvironment, work_folder: Path) -> Proof:
    """Run the project in a fresh process of its own environment and compare it with the notebooks' runs.

    Its report, if there is one, runs in another.
    """
    variables = child_environment(building.variables(environment, manifest.folder))
    project_run = proof.run(
        studied.plan,
        studied.training_run,
        project=manifest.folder,
        layout=manifest.layout,
        python=environment.python,
        environment=variables,
        work_folder=work_folder / "project",
    )
    found = proof.prove(
        studied.plan,
        studied.training_run,
        studied.scoring_run,
        project_run=project_run,
        project_digest=code_digest(manifest.folder),
        again=studied.training_again,
    )
    review = reviewing.review(
        studied.plan,
        manifest.folder,
        manifest.layout,
        python=environment.python,
        environment=variables,
        work_folder=work_folder / "report-of-project",
    )
    return reviewing.with_comparison(found, review)


def decisions(studied: Study) -> list[Decision]:
    """Return what became of every statement of the notebooks."""
    notebooks = [each for each in (studied.training, studied.scoring) if each]
    return [one for each in notebooks for one in deciding.decisions(each, studied.plan)]


def origins_of(studied: Study, manifest: Manifest) -> list[Origin]:
    """Return which cells each function of the project was made of."""
    notebooks = [each for each in (studied.training, studied.scoring) if each]
    modules = emitting.modules(studied.plan, manifest.layout)
    return origins.origins(notebooks, studied.plan, modules, written=manifest.generated)


def write_page(studied: Study, manifest: Manifest, *, proof: Proof | None, tests: str | None) -> None:
    """Write the page that tells what became of the notebooks, and what the proof and the tests came to.

    Raises FolderNotWritable.
    """
    folder = manifest.folder
    unfinished = folder / f".{PAGE_FILE}.partial"
    try:
        unfinished.write_text(_page(studied, folder, manifest.layout, proof=proof, tests=tests), encoding="utf-8")
        unfinished.replace(folder / PAGE_FILE)
    except OSError as error:
        raise FolderNotWritable(folder=folder, reason=error.strerror, option="--into") from error


def _page(studied: Study, folder: Path, layout: Layout, *, proof: Proof | None = None, tests: str | None = None) -> str:
    """Return the page for the modules as they are in `folder`, the user's edits included."""
    paths_shown = [PARAMETERS_FILE, *emitting.modules(studied.plan, layout)]
    modules = {each: (folder / each).read_text(encoding="utf-8") for each in paths_shown if (folder / each).is_file()}
    return page.render(
        studied.training,
        studied.plan,
        modules,
        proof=proof,
        tests=tests,
        scoring=studied.scoring,
        elapsed_seconds=studied.training_run.elapsed_seconds,
    )


def _files_for_scoring(plan: Plan, training_run: NotebookRun) -> dict[str, Path]:
    """Return what training saved, by the paths under which the scoring notebook loads it."""
    saved = {path: training_run.folder / source for path, source in plan.scoring_files}
    return {path: source for path, source in saved.items() if source.is_file()}


def _files(studied: Study, locked: Locked, *, name: str, layout: Layout) -> dict[str, str]:
    plan, lock = studied.plan, locked.environment.lock
    golden = _golden(studied, locked.environment, layout)
    files = emitting.modules(plan, layout) | testing.tests(plan, golden, layout)
    copied = testing.copied(plan)
    files |= scaffold.files(plan, layout, name=name, requirements=locked.requirements, lock=lock, copied=copied)
    files["README.md"] = scaffold.read_me(plan, layout, name=name, lock=lock)
    files[PARAMETERS_FILE] = scaffold.parameters_text(plan)
    sample = proof.sample_request(plan, studied.training_run)
    if sample:
        files[scaffold.SAMPLE_FILE] = json.dumps(_shown(json.loads(sample), studied)) + "\n"
    return files


def _shown(request: Any, studied: Study) -> Any:
    """Return the request that people see and paste: the scoring notebook's, else a few of the rows that are proven."""
    return request if studied.scoring else {**request, "data": request["data"][:_SAMPLE_ROWS]}


def _golden(studied: Study, environment: BuiltEnvironment, layout: Layout) -> dict[str, Any]:
    """Try the draft's functions in the project's environment; return what its tests are to hold."""
    draft = studied.draft_folder
    noted = characterising.trials(
        studied.plan,
        studied.training_run,
        project=draft,
        layout=layouts.layout(_DRAFT),
        python=environment.python,
        environment=child_environment(building.variables(environment, draft)),
        work_folder=draft.with_name(f"{draft.name}-trials"),
        project_run=studied.draft_run,
    )
    return characterising.golden(studied.plan, studied.training_run, studied.scoring_run, noted=noted, layout=layout)


def _data_files(plan: Plan, layout: Layout) -> dict[str, str]:
    """Return where what lies beside the notebook goes, each with its path there: modules to where they are imported."""
    return {
        paths.in_project(f"{layout.source}/{path}" if path.endswith(".py") else path): path for path in plan.data_files
    }


def _write(folder: Path, files: Mapping[str, str], beside: Sequence[Path], copies: Mapping[str, str]) -> None:
    """Write `files`, and `copies` of what the first of the folders `beside` holds, by their paths in the project."""
    folders.write(folder, files)
    for path, source in copies.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(next(each / source for each in beside if (each / source).is_file()), target)


def _refuse_to_overwrite(into: Path, files: Iterable[str]) -> None:
    known = manifests.read_manifest(into).generated if (into / MANIFEST_FILE).is_file() else {}
    mergeable = merging.mergeable(into, known)
    edited = [path for path in merging.edited(into, list(files), known) if path not in mergeable]
    edited += [PAGE_FILE] if page.is_foreign(into / PAGE_FILE) else []
    if edited:
        raise ProjectEdited(folder=into, files=", ".join(f'"{path}"' for path in edited))


def _merged(into: Path, files: Mapping[str, str], ours: Sequence[str]) -> dict[str, str]:
    """Return the user's edits of `files` together with what this conversion changes, by path.

    Raises ProjectEdited when it is not known what was edited, and EditsCollide.
    """
    _refuse_to_overwrite(into, ours)
    known = manifests.read_manifest(into).generated if (into / MANIFEST_FILE).is_file() else {}
    bases = merging.mergeable(into, known)
    merged = {
        path: merging.merge(bases[path], (into / path).read_text(encoding="utf-8"), files[path])
        for path in merging.edited(into, list(files), known)
    }
    colliding = [path for path, text in merged.items() if text is None]
    if colliding:
        raise EditsCollide(folder=into, files=", ".join(f'"{path}"' for path in colliding))
    return {path: text for path, text in merged.items() if text is not None}


def _remove_stale(into: Path, ours: Collection[str]) -> None:
    """Delete what an older conversion wrote, this one does not, and nobody edited."""
    if (into / MANIFEST_FILE).is_file():
        for path, digest in manifests.read_manifest(into).generated.items():
            if path not in ours and (into / path).is_file() and digest_of(into / path) == digest:
                (into / path).unlink()
