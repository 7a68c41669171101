"""Registers what a client logged: files that are in the store become a version, and none of their bytes is copied."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelwright.errors import RunMissing, SourceMissing
from modelwright.lifecycle.sessions import Session
from modelwright.models import mlflow_folders, registry
from modelwright.models.packages import MODEL_FOLDER
from modelwright.models.registry import Found, Labels
from modelwright.records import Artifact, LoggedModel, ModelVersion, PackageFile, Run
from modelwright.store import claims, client_files, logged_models, models, named_models, runs
from modelwright.store.client_files import Owner
from modelwright.store.database import Store

# Where clients are told that the files of versions are, of all that this server keeps.
VERSIONS = "versions"
_LOGGED = re.compile(r"m-[0-9a-f]{32}")
_OF_SERVER = "mlflow-artifacts:"


@dataclass(frozen=True)
class Wanted:
    """What is to become the next version of `model`: where its files are, and what is said of it."""

    model: str
    uri: str
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """Files of one model that the store has, and what they come from."""

    files: Sequence[Artifact]
    run_id: str = ""
    model_id: str = ""
    parent: str | None = None


def register(session: Session, wanted: Wanted) -> ModelVersion:
    """Register files that a client logged as the next version of a model that is there.

    Raises ModelMissing, SourceMissing, ModelFolderInvalid, and what the place of the files raises.
    """
    store = session.store
    named_models.find_model(store, wanted.model)
    held = find(store, wanted.uri)
    if not held.files:
        raise SourceMissing(path=wanted.uri, reason="there are no files", folder=wanted.uri)
    run_id = wanted.run_id or held.run_id
    model_id = wanted.model_id or held.model_id
    told = {"uri": wanted.uri, "run": run_id, "logged_model": model_id, "run_link": wanted.run_link}
    return registry.register_kept(
        store,
        [PackageFile(f"{MODEL_FOLDER}/{each.path}", each.digest, each.size_bytes) for each in held.files],
        model=wanted.model,
        found=found_in(store, held.files),
        labels=Labels(tags=wanted.tags, description=wanted.description, parent=held.parent),
        told={"kind": "mlflow"} | {name: value for name, value in told.items() if value},
        run=known_run(store, run_id),
        changing=session.change,
    )


def find(store: Store, uri: str) -> Held:
    """Return the files that are at a place which a client names.

    It is a logged model's, `models:/m-…`, a version's, `models:/NAME/1`, a run's, `runs:/RUN/PATH`, or the address
    that this server has told for one of these. Raises SourceMissing, LoggedModelMissing and ModelMissing.
    """
    kind, _, rest = uri.partition(":/")
    if kind == "models":
        return _of_model(store, rest)
    if kind == "runs":
        run_id, _, path = rest.strip("/").partition("/")
        return _of_run(store, run_id, path)
    parts = re.sub("^//[^/]*", "", uri.removeprefix(_OF_SERVER)).strip("/").split("/")
    match parts if uri.startswith(_OF_SERVER) else []:
        case [str(first), model, number, "artifacts", *below] if first == VERSIONS:
            return _of_version(store, f"{model}:{number}", "/".join(below))
        case [_, "models", model_id, "artifacts", *below]:
            return _of_logged(store, logged_models.find_logged_model(store, model_id), "/".join(below))
        case [_, run_id, "artifacts", *below]:
            return _of_run(store, run_id, "/".join(below))
    raise SourceMissing(path=uri, reason="this server keeps no files there", folder="what a client logged to it")


def root(version: ModelVersion) -> str:
    """Return the folder of a version's package that MLflow's clients take for the model: the one that says it is."""
    paths = {each.path for each in version.files}
    folders = [MODEL_FOLDER, *sorted({path.rpartition("/")[0] for path in paths if path.count("/") > 1})]
    return next((each for each in folders if f"{each}/{mlflow_folders.FILE}" in paths), MODEL_FOLDER)


def found_in(store: Store, files: Sequence[Artifact]) -> Found:
    """Return what files say of their model where they are those of MLflow. Raises ModelFolderInvalid."""
    said = [each for each in files if each.path in {mlflow_folders.FILE, *mlflow_folders.REQUIREMENTS}]
    with claims.scratch_folder(store) as folder:
        for each in said:
            store.blobs.export(each.digest, folder / Path(each.path))
        told = mlflow_folders.read(folder)
    return Found(told.framework, told.framework_version, told.signature, told.properties) if told else Found()


def known_run(store: Store, run_id: str) -> Run | None:
    """Return a run that is here; one of somewhere else is only named."""
    try:
        return runs.get_run(store, run_id) if run_id else None
    except RunMissing:
        return None


def _of_model(store: Store, named: str) -> Held:
    name, _, path = named.strip("/").partition("/")
    if _LOGGED.fullmatch(name):
        return _of_logged(store, logged_models.find_logged_model(store, name), path)
    return _of_version(store, named, "")


def _of_logged(store: Store, model: LoggedModel, path: str) -> Held:
    files = client_files.list_files(store, Owner(model.id, is_model=True), path)
    return Held(files, model.run_id or "", model.id)


def _of_version(store: Store, reference: str, path: str) -> Held:
    version = models.find_version(store, reference)
    owner = Owner(version.id, is_model=False, is_version=True)
    files = client_files.list_files(store, owner, "/".join(filter(None, [root(version), path])))
    told = version.source
    return Held(files, version.run_id or told.get("run", ""), told.get("logged_model", ""), version.reference)


def _of_run(store: Store, run_id: str, path: str) -> Held:
    """Return the files in a folder of a run, or those of the model of this name that it logged."""
    files = client_files.list_files(store, Owner(run_id, is_model=False), path)
    if files:
        return Held(files, run_id)
    logged = logged_models.find_logged_by(store, run_id, name=path)
    return replace(_of_logged(store, logged, ""), run_id=run_id) if logged else Held([], run_id)
