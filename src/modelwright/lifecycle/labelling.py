"""Says of models, runs and datasets what may be said of them later: names, tags, notes, descriptions, aliases."""

import shutil
from collections.abc import Mapping, Sequence

from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.models.registry import check_name
from modelwright.records import Dataset, Model, ModelVersion, Run
from modelwright.store import datasets, models, named_models, naming, runs


def tag_version(
    session: Session, reference: str, *, added: Mapping[str, str], removed: Sequence[str] = ()
) -> ModelVersion:
    """Set and remove tags of a model version, and return it as it is then. Raises ModelMissing."""
    version = models.find_version(session.store, reference)
    with session.change() as opened:
        models.change_tags(opened, version, added=added, removed=removed)
    return models.get_version(session.store, version.id)


def add_properties(session: Session, reference: str, properties: Mapping[str, str]) -> ModelVersion:
    """Add properties to a model version, and return it; one that it has stays. Raises ModelMissing, PropertyExists."""
    version = models.find_version(session.store, reference)
    with session.change() as opened:
        models.add_properties(opened, version, properties)
    return models.get_version(session.store, version.id)


def describe_version(session: Session, reference: str, text: str) -> ModelVersion:
    """Say what a model version is, and return it. Raises ModelMissing."""
    version = models.find_version(session.store, reference)
    with session.change() as opened:
        models.describe_version(opened, version, text)
    return models.get_version(session.store, version.id)


def move_alias(session: Session, reference: str, *, alias: str) -> ModelVersion:
    """Let an alias of the model point at a version, and return that. Raises NameInvalid and ModelMissing."""
    check_name(alias, noun="alias", way="name")
    version = models.find_version(session.store, reference)
    with session.change() as opened:
        models.move_alias(opened, version, alias=alias)
    return models.get_version(session.store, version.id)


def remove_alias(session: Session, model: str, *, alias: str) -> ModelVersion:
    """Take an alias away, and return the version that it pointed at. Raises ModelMissing."""
    version = models.find_version(session.store, f"{model}@{alias}")
    with session.change() as opened:
        models.remove_alias(opened, model, alias=alias)
    return models.get_version(session.store, version.id)


def rename_model(session: Session, model: str, name: str) -> Model:
    """Call a model otherwise, and return it; what was restored of it under its old name goes.

    Raises NameInvalid, and what `naming.rename_model` raises.
    """
    check_name(name, way="as the new one")
    recovery.recover(session)  # a deployment of a killed process counts as failed
    with session.change() as opened:
        naming.rename_model(opened, model, name)
    if model != name:
        shutil.rmtree(packages.packages_folder(session.store, model), ignore_errors=True)
    return named_models.find_model(session.store, name)


def tag_run(session: Session, run_id: str, tags: Mapping[str, str]) -> Run:
    """Set tags of a run, and return it as it is then. Raises RunMissing."""
    runs.get_run(session.store, run_id)
    with session.change() as opened:
        runs.set_tags(opened, run_id, tags)
    return runs.get_run(session.store, run_id)


def note_run(session: Session, run_id: str, text: str) -> Run:
    """Say something of a run in place of what was said, and return it. Raises RunMissing."""
    runs.get_run(session.store, run_id)
    with session.change() as opened:
        runs.set_note(opened, run_id, text)
    return runs.get_run(session.store, run_id)


def tag_dataset(session: Session, name: str, *, added: Mapping[str, str], removed: Sequence[str] = ()) -> Dataset:
    """Set and remove tags of a dataset, and return it as it is then. Raises DatasetMissing."""
    with session.change() as opened:
        datasets.change_tags(opened, name, added=added, removed=removed)
    return datasets.get_dataset(session.store, name)
