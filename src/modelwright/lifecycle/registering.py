"""Registers what a user names: a run, or files and folders from anywhere, tried when there is enough to try them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelwright.environments import placing
from modelwright.environments.registration import environment_lock
from modelwright.errors import NameInvalid, SourceMissing
from modelwright.lifecycle import onnx_environment, training
from modelwright.lifecycle.sessions import Session
from modelwright.models import mlflow_folders, registry, sources
from modelwright.models.fusing import verdicts
from modelwright.models.mlflow_folders import MLflowModel
from modelwright.models.packing import Trial
from modelwright.models.registry import Found, Labels
from modelwright.models.sources import Source
from modelwright.projects.manifest import MANIFEST_FILE
from modelwright.records import ModelVersion, Run
from modelwright.store import claims, environments, models, runs
from modelwright.store.database import Store

_RUN = "run_"


@dataclass(frozen=True)
class Order:
    """What is to be registered: a run's id or files, which of them, and what they are served and tried with.

    `told` is what the version says of where its files came from, in place of the paths that they are read from. The
    scoring script finds the models of `companions` while it is tried.
    """

    named: Sequence[str]
    start: Path
    model: str | None = None
    paths: tuple[str, ...] = ()
    score: Path | None = None
    sample: Path | None = None
    environment: str | None = None
    labels: Labels = field(default_factory=Labels)
    told: Mapping[str, str] = field(default_factory=dict)
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registered:
    """The version, and what MLflow says of its files when it made them."""

    version: ModelVersion
    mlflow: MLflowModel | None = None


def of_run(
    store: Store, run_id: str, *, model: str, paths: tuple[str, ...], environment: str | None, labels: Labels
) -> Order:
    """Return the order for a run, and for nothing else that could be called so. Raises RunMissing."""
    named = runs.get_run(store, run_id).id
    # No file at the top of a workspace is called like a run.
    return Order((named,), store.folder, model, paths, environment=environment, labels=labels)


def of_upload(
    folder: Path,
    *,
    model: str,
    paths: tuple[str, ...],
    score: str | None,
    sample: str | None,
    environment: str | None,
    labels: Labels,
) -> Order:
    """Return the order for files that came over the network to `folder`. Raises SourceMissing.

    Scoring script and sample are files of it that belong to serving: they are none of the model's own.
    """
    script, request = _inside(folder, score), _inside(folder, sample)
    named = sorted(each.name for each in folder.iterdir() if each not in {script, request})
    if not named:
        raise SourceMissing(path="the archive", reason="it has no file of the model", folder=folder)
    told = {"kind": "upload", "files": ", ".join(named)}
    return Order(named, folder, model, paths, script, request, environment, labels, told)


def _inside(folder: Path, name: str | None) -> Path | None:
    """Return the file of that name in `folder`, never one elsewhere. Raises SourceMissing."""
    if name is None:
        return None
    found = next((each for each in folder.rglob("*") if each.relative_to(folder).as_posix() == name), None)
    if found is None or not found.is_file():
        raise SourceMissing(path=name, reason="the archive has no such file", folder=folder)
    return found


def names_run(order: Order) -> bool:
    """Whether it is a run that is to be registered, and no file that is called like one."""
    return len(order.named) == 1 and order.named[0].startswith(_RUN) and not (order.start / order.named[0]).exists()


def register(session: Session, order: Order) -> Registered:
    """Register what the order names as the next version of its model.

    A run of a project brings its own scoring script, sample and environment, and takes the alias `champion` as always.
    Files and the files of a tracked script move no alias. Raises SourceMissing, NameInvalid, RunMissing, and what
    registering raises.
    """
    if not names_run(order):
        return _register_files(session, order)
    run = runs.get_run(session.store, order.named[0])
    is_of_project = any(each.path == f"code/{MANIFEST_FILE}" for each in run.artifacts)
    if is_of_project and not (order.score or order.sample or order.environment):
        found = training.register(session, run.id, model=order.model, labels=order.labels, paths=order.paths)
        return Registered(found)
    name = order.model or run.project
    registry.check_run(run)
    _check(session, order, name)
    with claims.scratch_folder(session.store) as folder:
        source = sources.outputs_of(session.store, run, paths=order.paths, folder=folder)
        return Registered(_added(session, order, source, model=name, found=Found(), run=run))


def _register_files(session: Session, order: Order) -> Registered:
    model = order.model or ""
    _check(session, order, model)
    store = session.store
    source = sources.files_at(order.named, paths=order.paths, model=model, start=order.start, workspace=store.folder)
    source = replace(source, told=order.told or source.told)
    folder = order.start / Path(order.named[0]).expanduser()
    told = mlflow_folders.read(folder) if len(order.named) == 1 and folder.is_dir() else None
    found = Found()
    if told:
        found = Found(told.framework, told.framework_version, told.signature, told.properties)
    return Registered(_added(session, order, source, model=model, found=found, run=None), told)


def _check(session: Session, order: Order, model: str) -> None:
    """Find out before any work is done what is wrong with an order."""
    if not model:
        raise NameInvalid(name="", noun="model", rule="files have no name of their own", way="with --name")
    registry.check_labels(session.store, model, order.labels)
    for each in (order.score, order.sample):
        if each is not None and not each.is_file():
            raise SourceMissing(path=each, reason="it is not there", folder=each.parent)


def _added(
    session: Session, order: Order, source: Source, *, model: str, found: Found, run: Run | None
) -> ModelVersion:
    store = session.store
    lock = None
    if order.environment:
        lock = environment_lock(store, order.environment)
    elif run is not None and run.environment_digest:
        lock = environments.get_environment(store, run.environment_digest)
    framework = order.labels.framework or found.framework
    labels = order.labels
    if order.score is None and onnx_environment.is_onnx(source, framework):
        lock = lock or onnx_environment.shared_environment(session)
        labels = labels if framework else replace(labels, framework=onnx_environment.FRAMEWORK)
    companions = tuple(models.find_version(store, each) for each in dict.fromkeys(order.companions))
    trial = Trial(order.score, order.sample, lock, framework=framework, companions=companions)
    if lock is not None and (trial.is_complete or trial.is_of_arrays):
        with session.stage("environment", f"building {lock.digest[:12]}") as stage:
            trial = replace(trial, environment=placing.build_in(store, lock))
            stage.decided = f"{lock.digest[:12]} with Python {lock.python_version}"
    with session.stage("register", model) as stage:
        version = registry.register_files(
            store,
            source,
            model=model,
            found=found,
            trial=trial,
            labels=labels,
            run=run,
            changing=session.change,
        )
        tried = "its sample is answered" if trial.is_complete else "not tried"
        verdict = verdicts.verdict_of(store, version)
        if verdict is not None and verdict.is_fused:
            tried += f", fused: {verdict.rows:,} rows byte for byte"
        stage.decided = f"{len(source.files)} file{'s' * (len(source.files) != 1)}, {tried}"
        stage.recorded = version.reference
    return version
