"""Registers versions: bytes first, then every row, the audit record and the event in one transaction."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from modelwright import records
from modelwright.errors import AlreadyRegistered, FrameworkMissing, NameInvalid, RunNotRegistrable
from modelwright.models import packing
from modelwright.models.gate.gates import CHAMPION
from modelwright.models.packing import Package, Trial
from modelwright.models.sources import Source
from modelwright.records import BuiltEnvironment, DatasetLink, ModelVersion, PackageFile, Run, Status, VersionFilter
from modelwright.store import datasets, models, naming
from modelwright.store.changes import Change, Changing
from modelwright.store.database import Store

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
NAME_RULE = "letters, digits, '-', '.' and '_', at most 255, the first a letter or digit"


@dataclass(frozen=True)
class Made:
    """When, by whom and as which number a version was registered elsewhere."""

    number: int
    created_at: datetime
    updated_at: datetime
    created_by: str


@dataclass(frozen=True)
class Labels:
    """What is said of a version besides its files.

    `parent` is the version that it was derived from. `once_per` names a tag of it: of the versions of one model that
    have this tag with this value there is to be one only.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    framework: str = ""
    framework_version: str = ""
    datasets: tuple[DatasetLink, ...] = ()
    parent: str | None = None
    once_per: str | None = None
    made: Made | None = None


@dataclass(frozen=True)
class Found:
    """What a format says of the files in it, such as MLflow's: nothing for plain files."""

    framework: str = ""
    framework_version: str = ""
    signature: Mapping[str, object] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def check_name(name: str, *, noun: str = "model", way: str = "with --name") -> str:
    """Return `name`, which must be a valid name of a model and its project.

    Raises NameInvalid, which calls it the name of a `noun` and tells the `way` to choose another.
    """
    if not _NAME.fullmatch(name):
        raise NameInvalid(name=name, noun=noun, rule=NAME_RULE, way=way)
    return name


def register_run(
    store: Store,
    run: Run,
    *,
    model: str,
    environment: BuiltEnvironment,
    proof_id: str | None,
    labels: Labels,
    changing: Changing,
    paths: tuple[str, ...] = (),
) -> ModelVersion:
    """Register what a succeeded run made as the next version of `model`, and let `champion` point at it.

    `paths` choose among the files that it wrote. A run is registered once under a name: asked again, this gives the
    version that it became. Raises RunNotRegistrable, NameInvalid, and what `check_labels` raises.
    """
    check_run(run)
    source = {"kind": "run", "run": run.id, **({"paths": ", ".join(paths)} if paths else {})}
    check_labels(store, model, labels)
    known = version_of(store, run, model=model, paths=paths)
    if known:
        return known
    with packing.packaged(store, run, environment=environment, paths=paths) as package:
        draft = _draft(store, package, model=model, labels=labels, run=run, source=source)
        version = replace(draft, proof_id=proof_id, environment_digest=run.environment_digest or None)
        return _added(store, package, version, labels=labels, changing=changing, alias=CHAMPION)


def register_files(
    store: Store,
    source: Source,
    *,
    model: str,
    found: Found,
    trial: Trial,
    labels: Labels,
    changing: Changing,
    run: Run | None = None,
) -> ModelVersion:
    """Register files from anywhere, or of a tracked `run`, as the next version of `model`.

    Raises NameInvalid, and what `check_labels` and `packing.assembled` raise.
    """
    check_labels(store, model, labels)
    if run is not None:
        check_run(run)
        known = version_of(store, run, model=model, paths=source.paths)
        if known:
            return known
    with packing.assembled(store, source, model=model, trial=trial, given=found.signature) as package:
        draft = _draft(store, package, model=model, labels=labels, run=run, source=source.told, found=found)
        digest = trial.lock.digest if trial.lock else None
        version = replace(draft, environment_digest=digest)
        return _added(store, package, version, labels=labels, changing=changing)


def register_kept(
    store: Store,
    kept: Sequence[PackageFile],
    *,
    model: str,
    found: Found,
    labels: Labels,
    told: Mapping[str, str],
    run: Run | None,
    changing: Changing,
) -> ModelVersion:
    """Register files whose bytes are in the store already, whatever became of the run that wrote them.

    `told` is what the version says of where it came from. Raises NameInvalid, BlobDamaged.
    """
    check_labels(store, model, labels)
    with packing.gathered(store, kept, given=found.signature) as package:
        version = _draft(store, package, model=model, labels=labels, run=run, source=told, found=found)
        return _added(store, package, version, labels=labels, changing=changing)


def check_run(run: Run) -> None:
    """Raise RunNotRegistrable for a run that did not come to a good end."""
    if run.status is not Status.SUCCEEDED:
        raise RunNotRegistrable(run=run.id, reason=f"it is {run.status}, not succeeded", project=run.project)


def check_labels(store: Store, model: str, labels: Labels) -> None:
    """Find out before any work is done whether a version can be registered like this.

    Raises NameInvalid, ModelRenamed, FrameworkMissing, AlreadyRegistered, and for what is linked DatasetMissing and
    ModelMissing.
    """
    check_name(model)
    with store.reader.connect() as connection:
        naming.refuse_former(connection, model)
    if labels.framework_version and not labels.framework:
        raise FrameworkMissing(version=labels.framework_version)
    if labels.parent is not None:
        models.find_version(store, labels.parent)
    for each in labels.datasets:
        datasets.find_dataset_version(store, each.reference)
    if labels.once_per is not None:
        value = labels.tags.get(labels.once_per)
        known = models.list_versions(store, VersionFilter(model=model, tags={labels.once_per: value}), limit=1)
        if known:
            raise _again(known[0].reference, labels)


def version_of(store: Store, run: Run, *, model: str, paths: Sequence[str] = ()) -> ModelVersion | None:
    """Return the version of `model` that a run became already, by all its files or by the same choice of them."""
    known = models.list_versions(store, VersionFilter(model=model, run_id=run.id))
    return next((each for each in reversed(known) if each.source.get("paths", "") == ", ".join(paths)), None)


def _draft(
    store: Store,
    package: Package,
    *,
    model: str,
    labels: Labels,
    run: Run | None,
    source: Mapping[str, str],
    found: Found | None = None,
) -> ModelVersion:
    """Return a version as it will be registered, without its number."""
    found = found or Found()
    framework, framework_version = next(
        each
        for each in (
            (labels.framework, labels.framework_version),
            (found.framework, found.framework_version),
            (package.framework, package.framework_version),
        )
        if each[0]
    )
    made = labels.made
    return ModelVersion(
        id=records.new_id("version"),
        model=model,
        version=made.number if made else 0,
        digest=package.digest,
        framework=framework,
        framework_version=framework_version,
        description=labels.description,
        signature=package.signature,
        run_id=run.id if run else None,
        proof_id=None,
        environment_digest=None,
        created_at=made.created_at if made else records.now(),
        updated_at=made.updated_at if made else None,
        created_by=made.created_by if made else "",
        files=(*package.kept, *package.files),
        metrics=run.metrics if run else {},
        tags=(_tags(run) if run else {}) | dict(labels.tags),
        properties=dict(found.properties) | dict(labels.properties),
        source=source,
        parent_id=models.find_version(store, labels.parent).id if labels.parent else None,
    )


def _added(
    store: Store,
    package: Package,
    version: ModelVersion,
    *,
    labels: Labels,
    changing: Changing,
    alias: str | None = None,
) -> ModelVersion:
    """Keep the package's bytes, and then everything else that makes a version of it, or nothing."""
    linked = [(each.role, datasets.find_dataset_version(store, each.reference).id) for each in labels.datasets]
    with store.blobs.batch() as batch:
        batch.add_all([package.folder / each.path for each in package.files])
        # From here on nobody deletes blobs, so those that are there stay.
        store.blobs.ensure_there({each.digest for each in package.kept})
        with changing() as opened:
            _check_once(opened, version, labels)
            numbered = models.add_version(opened, version, datasets=linked, is_dated=labels.made is not None)
            if alias:
                models.move_alias(opened, numbered, alias=alias)
    return models.get_version(store, numbered.id)


def _check_once(opened: Change, version: ModelVersion, labels: Labels) -> None:
    """Raise AlreadyRegistered when somebody else registered the one version meanwhile."""
    if labels.once_per is not None:
        known = models.labelled(opened, version.model, {labels.once_per: version.tags.get(labels.once_per, "")})
        if known:
            raise _again(known, labels)


def _again(known: str, labels: Labels) -> AlreadyRegistered:
    name = str(labels.once_per)
    return AlreadyRegistered(version=known, tag=f"{name}={labels.tags.get(name, '')}")


def _tags(run: Run) -> dict[str, str]:
    named = {"project": run.project, "code_digest": run.code_digest}
    tags = {name: value for name, value in named.items() if value}
    for dataset in run.datasets:
        tags["dataset"] = dataset.reference
        tags["dataset_digest"] = dataset.digest
    if run.git:
        tags |= {"git_commit": run.git.commit, "git_is_dirty": str(run.git.is_dirty).lower()}
    return tags
