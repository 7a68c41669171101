"""Published pipelines: a project's code, parameters and lock under a version, which runs as it was for ever."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright import records
from modelwright.errors import CodeMissing, PipelineDisabled, PipelineMissing, PublishedParameterUnknown
from modelwright.lifecycle import training
from modelwright.lifecycle.sessions import Session
from modelwright.lifecycle.training import Origin, Trained
from modelwright.models import registry
from modelwright.projects import folders, freezing, parents
from modelwright.projects import manifest as manifests
from modelwright.projects.code import copy_code
from modelwright.projects.manifest import PARAMETERS_FILE, Manifest, toml_literal
from modelwright.projects.parents import Parent
from modelwright.records import PackageFile, PipelineVersion, Run
from modelwright.records.plain import plain
from modelwright.runs import snapshots, states
from modelwright.runs.pipelines import Pipeline, Step
from modelwright.runs.states import Rules
from modelwright.store import audit, claims, environments, projects, runs
from modelwright.store import pipelines as published
from modelwright.store.database import Store

_CODE = "code/"


def publish(
    session: Session,
    manifest: Manifest,
    *,
    name: str | None = None,
    description: str = "",
    project: Path | None = None,
) -> PipelineVersion:
    """Freeze the project as the next version of pipeline `name`, by default the project's; identical content is that.

    `project` is the user's folder when the manifest is that of a copy. Raises NameInvalid and ProjectInvalid.
    """
    name = registry.check_name(name or manifest.name, noun="pipeline", way="with --name")
    store = session.store
    parent = parents.read_parent(manifest.folder)
    with claims.scratch_folder(store) as copy, store.blobs.batch() as batch:
        digest = copy_code(manifest.folder, copy)
        frozen = manifests.read_manifest(copy)
        lock = manifests.read_lock(frozen)
        version = PipelineVersion(
            id=records.new_id("pipeline"),
            pipeline=name,
            version=0,
            description=description,
            project=frozen.name,
            code_digest=digest,
            parameters=parameters_of(frozen),
            environment_digest=lock.digest,
            parent_id=_parent_id(store, parent),
            is_enabled=True,
            is_pipeline_enabled=True,
            created_at=records.now(),
            files=freezing.freeze(batch, copy),
        )
        git = snapshots.git_state(manifest.folder)
        facts = {"git_commit": git.commit, "git_is_dirty": git.is_dirty} if git else {}
        with session.change() as opened:
            project_id = projects.ensure_project(opened, frozen.name, folder=project or manifest.folder)
            environments.ensure_environment(opened, lock)
            return published.ensure_version(
                opened, version, project_id=project_id, facts=facts | ({"cloned_from": parent.run} if parent else {})
            )


def parameters_of(manifest: Manifest) -> dict[str, object]:
    """Return what the project's pipeline runs with when nobody overrides anything. Raises ProjectInvalid."""
    pipeline = training.pipeline_of(manifest)
    parameters = pipeline.bind(manifests.read_parameters(manifest.folder), folder=manifest.folder)
    parameters.pop(states.OUTPUT_FOLDER, None)
    return parameters


def runnable(store: Store, reference: str, *, overrides: Mapping[str, object]) -> PipelineVersion:
    """Return the version that `reference` names, if it may run with these parameters.

    Raises PipelineMissing, PipelineDisabled, PublishedParameterUnknown.
    """
    version = published.find_version(store, reference)
    if not version.may_run:
        disabled = version.reference if version.is_pipeline_enabled else version.pipeline
        raise PipelineDisabled(reference=version.reference, disabled=disabled)
    for name in overrides:
        if name not in version.parameters:
            known = ", ".join(version.parameters) or "none"
            raise PublishedParameterUnknown(name=name, reference=version.reference, known=known)
    return version


def run_published(
    session: Session,
    reference: str,
    *,
    overrides: dict[str, object] | None = None,
    tags: dict[str, str] | None = None,
    experiment: str = "",
    is_gated: bool | None = None,
    rules: Rules | None = None,
    run_id: str | None = None,
) -> Trained:
    """Run the version that `reference` names, from its own code, whatever the project has become.

    `is_gated` None lets the gate decide where the project names a metric for it. Raises PipelineMissing,
    PipelineDisabled and PublishedParameterUnknown before anything runs, and what training raises.
    """
    version = runnable(session.store, reference, overrides=overrides or {})
    project = projects.find_project(session.store, version.project)
    origin = Origin(
        pipeline_version_id=version.id,
        experiment=experiment,
        tags=tags or {},
        project=project.folder if project else None,
        run_id=run_id,
    )
    with restored(session.store, version) as manifest:
        return training.train(
            session,
            manifest,
            overrides=overrides,
            is_gated=manifest.gate_metric is not None if is_gated is None else is_gated,
            rules=rules,
            origin=origin,
        )


@contextmanager
def restored(store: Store, version: PipelineVersion) -> Iterator[Manifest]:
    """Give the version's project in a folder of its own, verified, for as long as the block lasts."""
    with claims.scratch_folder(store) as folder:
        yield freezing.restore(store.blobs, version.files, into=folder, digest=version.code_digest)


def graph(store: Store, version: PipelineVersion) -> Pipeline:
    """Return the version's steps."""
    with restored(store, version) as manifest:
        return training.pipeline_of(manifest)


@dataclass(frozen=True)
class Published:
    """A version with its steps, the version that it was cloned from, and who published it at which commit."""

    version: PipelineVersion
    steps: Sequence[Step]
    parent: str | None
    published_by: str
    commit: str
    is_dirty: bool

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found: dict[str, Any] = plain(self.version)
        return found | {"steps": plain(self.steps), "parent": self.parent, "published_by": self.published_by}


def describe(store: Store, reference: str) -> Published:
    """Return all that is known of a published version. Raises PipelineMissing."""
    found = published.find_version(store, reference)
    parent = published.get_version(store, found.parent_id).reference if found.parent_id else None
    first = audit.list_audit_records(store, subject=f"pipelines/{found.reference}")[0]
    after = first["after"] or {}
    return Published(
        version=found,
        steps=graph(store, found).steps,
        parent=parent,
        published_by=first["actor"],
        commit=after.get("git_commit") or "",
        is_dirty=bool(after.get("git_is_dirty")),
    )


def clone(session: Session, reference: str, *, into: Path) -> Parent:
    """Write the project of a published pipeline's version, or of a run, to the new folder `into`, to be edited.

    A run's parameters become those of the project. Publishing the clone names what this returns as its parent. Raises
    PipelineMissing, RunMissing, CodeMissing, FolderNotEmpty, FolderNotWritable.
    """
    store = session.store
    folders.check_writable(into)
    folders.check_empty(into)
    run = runs.get_run(store, reference) if reference.startswith("run_") else None
    version = published.find_version(store, reference) if run is None else _version_of(store, run)
    files = code_of_run(run) if run else version.files if version else ()
    digest = run.code_digest if run else version.code_digest if version else ""
    parent = Parent(digest, pipeline=version.reference if version else "", run=run.id if run else "")
    with session.stage("clone", reference) as stage, folders.unfinished(into) as unfinished:
        manifest = freezing.restore(store.blobs, files, into=unfinished, digest=digest)
        if run:
            _set_parameters(manifest, run.parameters)
        parents.write_parent(unfinished, parent)
        stage.decided = f"{len(files)} files"
        stage.recorded = str(into)
    return parent


def set_enabled(session: Session, reference: str, *, is_enabled: bool) -> None:
    """Let a pipeline, or the one version that `reference` names, run or not. Raises PipelineMissing."""
    version = published.find_version(session.store, reference)
    with session.change() as opened:
        number = version.version if ":" in reference else None
        published.set_enabled(opened, version.pipeline, version=number, is_enabled=is_enabled)


def switched(session: Session, reference: str, *, is_enabled: bool) -> list[PipelineVersion]:
    """Let a pipeline, or a version of it, run or not, and return all its versions. Raises PipelineMissing."""
    set_enabled(session, reference, is_enabled=is_enabled)
    return published.list_versions(session.store, pipeline=reference.partition(":")[0])


def code_of_run(run: Run) -> tuple[PackageFile, ...]:
    """Return the files of the code that the run was of. Raises CodeMissing."""
    files = tuple(
        PackageFile(each.path.removeprefix(_CODE), each.digest, each.size_bytes)
        for each in run.artifacts
        if each.path.startswith(_CODE)
    )
    if not files:
        raise CodeMissing(run=run.id, status=run.status)
    return files


def _version_of(store: Store, run: Run) -> PipelineVersion | None:
    return published.get_version(store, run.pipeline_version_id) if run.pipeline_version_id else None


def _parent_id(store: Store, parent: Parent | None) -> str | None:
    """Return the id of the parent, if it is in this workspace and is what was cloned."""
    if parent is None or not parent.pipeline:
        return None
    try:
        found = published.find_version(store, parent.pipeline)
    except PipelineMissing:
        return None
    return found.id if found.code_digest == parent.code_digest else None


def _set_parameters(manifest: Manifest, values: Mapping[str, object]) -> None:
    """Let the project's parameters be `values`; lines that say so already stay as they are. TOML has no None."""
    before = parameters_of(manifest)
    changed = {name: value for name, value in values.items() if value is not None and before.get(name) != value}
    path = manifest.folder / PARAMETERS_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for name, value in changed.items():
        line = f"{name} = {toml_literal(value)}"
        in_pattern = line.replace("\\", "\\\\")  # what stands for a found text is a pattern too
        text, count = re.subn(rf"^{re.escape(name)}\s*=.*$", in_pattern, text, flags=re.MULTILINE)
        text = text if count else f"{text.rstrip()}\n{line}\n".lstrip()
    if changed:
        path.write_text(text, encoding="utf-8")
