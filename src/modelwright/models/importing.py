"""Imports a version that was exported elsewhere: checked whole, then recorded whole, as the next version here."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modelwright import records
from modelwright.datasets.adding import check_name as check_dataset_name
from modelwright.datasets.versions import content_digest
from modelwright.environments.locking import read_lock
from modelwright.environments.wheels import sha256_of
from modelwright.errors import ExportInvalid, NameInvalid
from modelwright.models import bundles, packages
from modelwright.models.bundles import Bundle
from modelwright.models.registry import check_name
from modelwright.records import DatasetVersion, ModelVersion, Storage, VersionFilter
from modelwright.store import claims, datasets, environments, imports, models, runs
from modelwright.store.blobs import digest_of
from modelwright.store.changes import Change, Changing
from modelwright.store.database import Store

_ORIGIN = "origin.id"


@dataclass(frozen=True)
class Imported:
    """A version that came from elsewhere; `is_new` when it was not here before."""

    version: ModelVersion
    is_new: bool


def import_version(store: Store, path: Path, *, name: str | None = None, changing: Changing) -> Imported:
    """Make the version in the export at `path` the next one of its model, or of `name`, with its lineage.

    What is there already, from this export or because it was made here, is given back. Nothing of the export is run,
    and nothing is taken before all of it was checked. Raises ExportInvalid, ExportTooNew, NameInvalid.
    """
    with claims.scratch_folder(store) as scratch:
        bundle = bundles.read(path, scratch)
        _check(bundle, scratch, path)
        model = check_name(name or bundle.version.model)
        known = _known(store, model, bundle)
        if known:
            return Imported(known, is_new=False)
        _place_wheels(store, bundle, scratch)
        wheels = {each.digest for each in bundle.wheels} - replace(bundle, wheels=()).blobs()
        with store.blobs.batch() as batch:
            batch.add_all([scratch / digest for digest in sorted(bundle.blobs() - wheels)])
            with changing() as opened:
                # Somebody else may have imported it meanwhile.
                is_new = models.labelled(opened, model, {_ORIGIN: _origin(bundle)}, are_properties=True) is None
                if is_new:
                    _record(opened, store, bundle, model=model)
    found = _known(store, model, bundle)
    assert found is not None  # noqa: S101 - it was recorded a moment ago
    return Imported(found, is_new=is_new)


def _known(store: Store, model: str, bundle: Bundle) -> ModelVersion | None:
    """Return the version of `model` here that is the export's: made here, or imported before."""
    origin = _origin(bundle)
    for each in (origin, bundle.version.id):
        made = models.find_by_id(store, each)
        if made and made.model == model:
            return made
    return next(
        iter(models.list_versions(store, VersionFilter(model=model, properties={_ORIGIN: origin}), limit=1)), None
    )


def _origin(bundle: Bundle) -> str:
    """Return the id that the version had where it was made, however often it was imported since."""
    return bundle.version.properties.get(_ORIGIN, bundle.version.id)


def _check(bundle: Bundle, blobs: Path, path: Path) -> None:
    """Raise ExportInvalid when parts of an export contradict each other, though each has the digest that it says."""
    for wrong in _contradictions(bundle, blobs):
        raise ExportInvalid(path=path, reason=wrong)
    _check_names(bundle, path)


def _contradictions(bundle: Bundle, blobs: Path) -> Iterator[str]:
    version = bundle.version
    digests = {each.path: each.digest for each in version.files}
    manifest = digests.get(packages.MANIFEST)
    if manifest is None or manifest != version.digest:
        yield "its version's digest is not that of its package"
    elif _described(blobs / manifest) | {packages.MANIFEST: manifest} != digests:
        yield "its files are not those of its package"
    if any((blobs / each.digest).stat().st_size != each.size_bytes for each in version.files):
        yield "its files have other sizes"
    if not _is_whole(bundle):
        yield "something that its version refers to is not in it"
    yield from _misnamed(bundle, blobs)


def _misnamed(bundle: Bundle, blobs: Path) -> Iterator[str]:
    """Give what of the lineage has another digest than it says."""
    for lock in bundle.locks:
        if read_lock(lock.text, python_version=lock.python_version, platform=lock.platform).digest != lock.digest:
            yield f'environment "{lock.digest}" has another digest'
    for wheel in bundle.wheels:
        if sha256_of(blobs / wheel.digest) != wheel.sha256:
            yield f'wheel "{wheel.name}" has another digest'
    for each in bundle.datasets:
        if content_digest({file.path: file.digest for file in each.files}) != each.digest:
            yield f'dataset version "{each.reference}" has another digest'


def _is_whole(bundle: Bundle) -> bool:
    """Whether everything that the version and its run refer to is in the bundle."""
    version, run = bundle.version, bundle.run
    needed = {version.environment_digest, run.environment_digest if run else None} - {None, ""}
    named = {each.reference for each in (*version.datasets, *bundle.read)}
    has_all = needed <= {each.digest for each in bundle.locks} and named <= {each.reference for each in bundle.datasets}
    return has_all and version.run_id == (run.id if run else None)


def _described(manifest: Path) -> dict[str, object]:
    """Return the digests that a package's manifest names; none for one that is no manifest."""
    try:
        files = json.loads(manifest.read_bytes())["files"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return files if isinstance(files, dict) else {}


def _check_names(bundle: Bundle, path: Path) -> None:
    try:
        for each in bundle.datasets:
            check_dataset_name(each.dataset)
        if bundle.run and bundle.run.project:
            check_name(bundle.run.project, noun="project")
    except NameInvalid as error:
        raise ExportInvalid(path=path, reason=str(error)) from error


def _place_wheels(store: Store, bundle: Bundle, blobs: Path) -> None:
    """Put wheels that no index has where environments are built from."""
    for each in bundle.wheels:
        target = store.folder / "wheels" / each.sha256 / each.name
        if not (target.is_file() and digest_of(target) == each.digest):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = blobs / "wheel"
            shutil.copyfile(blobs / each.digest, unfinished)
            unfinished.replace(target)


def _record(opened: Change, store: Store, bundle: Bundle, *, model: str) -> ModelVersion:
    """Record the version and all of its lineage that is not here yet."""
    for lock in bundle.locks:
        environments.ensure_environment(opened, lock)
    data = {each.reference: _dataset(opened, each, has_bytes=each.reference in bundle.kept) for each in bundle.datasets}
    run, proof = bundle.run, bundle.proof
    project_id = None
    if run and run.project:
        project_id = imports.ensure_project(opened, run.project, folder=bundle.project_folder)
    if run:
        links = [(each.role, data[each.reference]) for each in bundle.read]
        imports.ensure_run(opened, run, project_id=project_id, datasets=links)
        if bundle.code:
            runs.keep_code(opened, run.code_digest, bundle.code)
    if run and bundle.conversion and project_id:
        imports.ensure_conversion(opened, bundle.conversion, project_id=project_id, at=run.started_at)
    if proof and project_id:
        imports.ensure_proof(opened, proof, project_id=project_id)
    return models.add_version(
        opened,
        _draft(store, bundle, model=model, has_proof=bool(proof and project_id)),
        datasets=[(each.role, data[each.reference]) for each in bundle.version.datasets],
    )


def _dataset(opened: Change, version: DatasetVersion, *, has_bytes: bool) -> str:
    """Return the id of the dataset version with this content here, added when it is new."""
    files = tuple(
        replace(each, location=None if has_bytes else each.location or f"not exported/{each.path}")
        for each in version.files
    )
    storage = Storage.COPY if has_bytes else Storage.REFERENCE
    return datasets.ensure_dataset_version(opened, replace(version, storage=storage, files=files)).id


def _draft(store: Store, bundle: Bundle, *, model: str, has_proof: bool) -> ModelVersion:
    """Return the version as it is to be registered here."""
    version = bundle.version
    parent = _parent(store, bundle.parent) if bundle.parent else None
    return replace(
        version,
        id=records.new_id("version"),
        model=model,
        version=0,
        aliases=(),
        proof_id=version.proof_id if has_proof else None,
        parent_id=parent.id if parent else None,
        properties=dict(_properties(bundle)) | version.properties,
        source={"kind": "import", "version": version.reference},
    )


def _properties(bundle: Bundle) -> Mapping[str, str]:
    version = bundle.version
    told = {
        _ORIGIN: version.id,
        "origin.version": version.reference,
        "origin.registered_at": version.created_at.isoformat(),
        "origin.registered_by": version.created_by,
        "origin.parent": bundle.parent or "",
    }
    return {name: value for name, value in told.items() if value}


def _parent(store: Store, origin: str) -> ModelVersion | None:
    """Return the version here that is the one of that id."""
    found = models.list_versions(store, VersionFilter(properties={_ORIGIN: origin}), limit=1)
    return found[0] if found else models.find_by_id(store, origin)
