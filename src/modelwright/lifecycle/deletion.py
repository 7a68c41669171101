"""Deletes what nothing uses: its rows, then what was made of it on disk. Its blobs stay until `garbage` finds them."""

import shutil

from modelwright.datasets import reading
from modelwright.environments import placing, registration
from modelwright.errors import EnvironmentInUse, EnvironmentMissing, VersionNotNamed
from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import DatasetVersion, EnvironmentVersion, Lock, ModelVersion, PipelineVersion, Run
from modelwright.runs.active import run_folder
from modelwright.store import datasets, deletion, environments, models, pipelines


def delete_model(session: Session, reference: str) -> ModelVersion:
    """Delete a model version, and the package that was restored of it. Raises InUse and ModelMissing."""
    version = models.find_version(session.store, _numbered(reference, "model"))
    recovery.recover(session)  # a deployment of a killed process counts as failed
    with session.change() as opened:
        deleted = deletion.delete_model_version(opened, version)
    shutil.rmtree(packages.package_folder(session.store, deleted), ignore_errors=True)
    return deleted


def delete_run(session: Session, run_id: str, *, with_children: bool = False) -> list[Run]:
    """Delete a run, on request with all runs below it, and their folders. Raises InUse and RunMissing."""
    recovery.recover(session)  # a run that was killed does not run
    with session.change() as opened:
        deleted = deletion.delete_runs(opened, run_id, with_children=with_children)
    for each in deleted:
        shutil.rmtree(run_folder(session.store, each.id), ignore_errors=True)
    return deleted


def delete_dataset(session: Session, reference: str) -> list[DatasetVersion]:
    """Delete a dataset version, or all versions when `reference` is a name alone. Raises InUse and DatasetMissing."""
    if ":" in reference:
        version = datasets.find_dataset_version(session.store, _numbered(reference, "dataset"))
        with session.change() as opened:
            deleted = [deletion.delete_dataset_version(opened, version)]
    else:
        with session.change() as opened:
            deleted = deletion.delete_dataset(opened, reference)
    for each in deleted:
        reading.discard(session.store, each)
    return deleted


def delete_environment(session: Session, reference: str) -> EnvironmentVersion | Lock:
    """Delete a name of a lock, `NAME:2`, or by its digest a lock that has no name.

    With its last name the lock goes, and what was built of it. Raises InUse, EnvironmentMissing, EnvironmentAmbiguous.
    """
    store = session.store
    try:
        version = environments.find_environment_version(store, reference)
    except EnvironmentMissing:
        lock = registration.environment_lock(store, reference)
        with session.change() as opened:
            deletion.delete_lock(opened, lock)
        _remove_built(session, lock)
        return lock
    version = environments.find_environment_version(store, _numbered(reference, "environment"))
    lock = environments.get_environment(store, version.digest)
    with session.change() as opened:
        is_gone = deletion.delete_environment_version(opened, version)
    if is_gone:
        _remove_built(session, lock)
    return version


def delete_pipeline(session: Session, reference: str) -> PipelineVersion:
    """Delete a published version. Raises InUse and PipelineMissing."""
    version = pipelines.find_version(session.store, _numbered(reference, "pipeline"))
    with session.change() as opened:
        return deletion.delete_pipeline_version(opened, version)


def _numbered(reference: str, noun: str) -> str:
    """Return a reference that names a number. Raises VersionNotNamed."""
    number = reference.removeprefix("models:/").replace("/", ":").rpartition(":")[2]
    if ":" not in reference.replace("/", ":") or not number.isdecimal():
        raise VersionNotNamed(reference=reference, noun=noun)
    return reference


def _remove_built(session: Session, lock: Lock) -> None:
    try:
        placing.remove_from(session.store, lock, reference=lock.digest)
    except EnvironmentInUse:
        return  # somebody locked the same again meanwhile, and runs in it
