"""Exports a version with its lineage as one file."""

import os
import re
import secrets
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from modelwright.datasets import reading
from modelwright.errors import (
    BlobDamaged,
    FileBusy,
    FileInTheWay,
    FolderNotWritable,
    VersionDamaged,
)
from modelwright.models import bundles
from modelwright.models.bundles import Bundle, Wheel
from modelwright.projects.manifest import MANIFEST_FILE, read_manifest
from modelwright.records import Artifact, Conversion, Lock, ModelVersion, Project, Run
from modelwright.store import claims, datasets, environments, models, projects, runs
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def export(store: Store, reference: str, path: Path, *, has_data: bool = False) -> ModelVersion:
    """Write the version that `reference` names, with its lineage, to a new file; return the version.

    With it go its run, its code and files, locks with wheels that no index has, and the proof. Datasets go by
    name and digest, and when it `has_data` with their bytes.

    Raises ModelMissing, FileInTheWay, FolderNotWritable, VersionDamaged, and for data that is not what it was
    DatasetChanged and DatasetGone.
    """
    version = models.find_version(store, reference)
    path = path.absolute()
    if os.path.lexists(path):
        raise FileInTheWay(path=path)
    if not path.parent.is_dir():
        raise FolderNotWritable(folder=path.parent, reason="there is no such folder", option="another FILE")
    bundle, elsewhere = _collect(store, version, has_data=has_data)

    def blob(digest: str, folder: Path) -> Path:
        target = folder / digest
        try:
            if digest in elsewhere:
                shutil.copyfile(elsewhere[digest], target)
                if digest_of(target) != digest:
                    raise FileBusy(path=elsewhere[digest])
            else:
                store.blobs.export(digest, target)
        except BlobDamaged as error:
            lost = error.facts["found"]
            told = "gone" if lost == "gone" else f'now of digest "{lost}"'
            name = _name_of(bundle, digest)
            raise VersionDamaged(version=version.reference, file=name, found=told, expected=digest) from error
        return target

    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with claims.scratch_folder(store) as scratch:
            bundles.write(bundle, unfinished, blob=blob, scratch=scratch)
        _publish(unfinished, path)
    except OSError as error:
        raise FolderNotWritable(folder=path.parent, reason=error.strerror or error, option="another FILE") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return version


def _publish(unfinished: Path, path: Path) -> None:
    """Give a finished file its name, when its bytes are on the disk; never that of another file."""
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    try:
        path.hardlink_to(unfinished)
    except FileExistsError as error:
        raise FileInTheWay(path=path) from error
    except OSError:  # a file system without hard links
        unfinished.rename(path)


def _collect(store: Store, version: ModelVersion, *, has_data: bool) -> tuple[Bundle, dict[str, Path]]:
    """Return what belongs to a version, and where those of its bytes lie that are no blobs, by digest."""
    run = runs.get_run(store, version.run_id) if version.run_id else None
    read = runs.list_dataset_links(store, run.id) if run else []
    data = {each.reference: datasets.find_dataset_version(store, each.reference) for each in (*version.datasets, *read)}
    digests = dict.fromkeys(
        each for each in (version.environment_digest, run.environment_digest if run else None) if each
    )
    locks = tuple(environments.get_environment(store, digest) for digest in digests)
    wheels = {each.digest: (each, path) for lock in locks for each, path in _wheels(store, lock)}
    parent = models.get_version(store, version.parent_id) if version.parent_id else None
    project = projects.find_project(store, run.project) if run else None
    elsewhere = {digest: path for digest, (_, path) in wheels.items()}
    if has_data:
        for name in data:
            opened = reading.read(store, name)
            elsewhere |= {each.digest: opened.paths[each.path] for each in opened.version.files}
    bundle = Bundle(
        version=replace(version, aliases=()),
        parent=parent.properties.get("origin.id", parent.id) if parent else None,
        run=replace(run, datasets=()) if run else None,
        project_folder=str(project.folder) if project else "",
        code=_code(store, run) if run else (),
        locks=locks,
        wheels=tuple(each for each, _ in wheels.values()),
        proof=projects.find_proof(store, version.proof_id) if version.proof_id else None,
        datasets=tuple(data.values()),
        read=tuple(read),
        kept=tuple(data) if has_data else (),
        conversion=_conversion(store, run, project) if run and project else None,
    )
    return bundle, elsewhere


def _code(store: Store, run: Run) -> tuple[Artifact, ...]:
    """Return the files of a run's code that are no artifacts of it."""
    if any(each.path.startswith("code/") for each in run.artifacts):
        return ()
    return tuple(runs.list_code(store, run).values())


def _conversion(store: Store, run: Run, project: Project) -> Conversion | None:
    """Return the conversion that wrote the run's code, as its manifest tells of it."""
    code = projects.code_of(store, run.id)
    with tempfile.TemporaryDirectory(prefix="wright-manifest-") as folder:
        try:
            store.blobs.export(code[MANIFEST_FILE], Path(folder, MANIFEST_FILE))
            written = read_manifest(Path(folder)).generated
        except (KeyError, BlobDamaged):  # a damaged one is told of where the files are written
            return None
    until = run.started_at.isoformat(timespec="microseconds")
    return projects.conversion_that_wrote(store, project.id, until=until, written=written)


def _wheels(store: Store, lock: Lock) -> list[tuple[Wheel, Path]]:
    """Return the wheels of a lock that this workspace made or was given, since no index has them."""
    return [
        (Wheel(path.name, sha256, digest_of(path)), path)
        for sha256 in _HASH.findall(lock.text)
        for path in sorted((store.folder / "wheels" / sha256).glob("*.whl"))
    ]


def _name_of(bundle: Bundle, digest: str) -> str:
    return next(path for path, known in bundle.files() if known == digest)
