"""Writes experiments, runs and logged models as they were found, and counts them as they are read back."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelwright.errors import ExperimentMissing, LoggedModelMissing, RunMissing
from modelwright.lifecycle.importing_mlflow.counting import Tally
from modelwright.lifecycle.importing_mlflow.found import FoundExperiment, FoundFiles, FoundLoggedModel, FoundRun, Source
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    Artifact,
    Experiment,
    Kind,
    LoggedModel,
    LoggedModelStatus,
    ModelPoint,
    Point,
    Run,
    RunDetails,
    RunOutput,
)
from modelwright.records.parameter_texts import text_of, value_of
from modelwright.store import client_files, client_imports, client_runs, digests, experiments, logged_models, runs
from modelwright.store.blobs import Batch
from modelwright.store.client_files import Owner
from modelwright.store.database import Store

_NAME_TAG = "mlflow.runName"
_PARENT_TAG = "mlflow.parentRunId"
_Things = Mapping[str, Sequence[Hashable]]


@dataclass
class Brought:
    """An import that goes on: from where, to where, and what was counted."""

    session: Session
    source: Source
    tally: Tally
    is_dry: bool = False
    _outputs: dict[str, Sequence[RunOutput]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store of the workspace."""
        return self.session.store

    def finish_outputs(self) -> None:
        """Link the runs with the models that they logged, which are there by now."""
        for run_id, outputs in self._outputs.items():
            before = _outputs_here(self.store, run_id)
            if not self.is_dry:
                with self.session.change() as opened:
                    client_imports.keep_outputs(opened, run_id, outputs)
            here = None if self.is_dry else _outputs_here(self.store, run_id)
            wanted = [(each.logged_model_id, each.step) for each in outputs]
            self.tally.count("outputs", run_id, wanted=wanted, before=before, here=here)
        self._outputs.clear()

    def count(self, owner: str, wanted: _Things, before: _Things, here: _Things | None) -> None:
        """Count what is wanted of each kind."""
        for kind, things in wanted.items():
            now = None if here is None else here.get(kind, ())
            self.tally.count(kind, owner, wanted=things, before=before.get(kind, ()), here=now)

    def postpone(self, run: FoundRun) -> None:
        """Keep the outputs of a run for when its models are there."""
        if run.outputs:
            self._outputs[run.id] = run.outputs


def bring_experiment(brought: Brought, found: FoundExperiment) -> str:
    """Bring an experiment; return the id that it has here."""
    store = brought.store
    wanted: _Things = {"experiments": [found.name], "experiment tags": list(found.tags.items())}
    before = _experiment_here(store, found.name)
    if not brought.is_dry:
        experiment = Experiment(
            found.id,
            found.name,
            found.created_at,
            found.updated_at,
            found.updated_at if found.is_deleted else None,
            dict(found.tags),
        )
        with brought.session.change() as opened:
            client_imports.keep_experiment(opened, experiment)
    brought.count(found.name, wanted, before, None if brought.is_dry else _experiment_here(store, found.name))
    if brought.is_dry:
        return found.id
    here = experiments.find_by_name(store, found.name)
    if here.id != found.id:
        brought.tally.notes.append(f'experiment "{found.name}", {found.id} there, is {here.id} here')
    if (here.deleted_at is None) == found.is_deleted:
        state = "deleted" if found.is_deleted else "not deleted"
        brought.tally.notes.append(f'experiment "{found.name}" is {state} there, and otherwise here')
    return here.id


def bring_run(brought: Brought, found: FoundRun, *, experiment: FoundExperiment) -> None:
    """Bring a run with all that was logged to it but the models."""
    store, tally = brought.store, brought.tally
    tags = dict(found.tags) | ({} if _NAME_TAG in found.tags or not found.name else {_NAME_TAG: found.name})
    wanted: dict[str, Sequence[Hashable]] = {
        "runs": [found.id],
        "parameters": list(found.parameters.items()),
        "metric points": [_point(each) for each in found.points],
        "tags": list(tags.items()),
        "inputs": [(each.name, each.digest) for each in found.inputs],
    }
    before = _run_here(store, found.id)
    with brought.source.files(found.artifact_uri, found.id) as files:
        tally.absent += [found.artifact_uri] if files.is_absent else []
        for path, why in files.missing.items():
            tally.lack("run files", f"{found.id}/{path}".rstrip("/"), why)
        artifacts, is_changed = None, False
        if not brought.is_dry:
            with store.blobs.batch() as batch:
                artifacts = added(store, batch, files, here=before.get("run files", ()))
                with brought.session.change() as opened:
                    is_changed = client_imports.keep_run(opened, _details(found, tags, experiment), artifacts)
    wanted["run files"] = list(files.paths) if artifacts is None else [(each.path, each.digest) for each in artifacts]
    if brought.is_dry:
        before["run files"] = [path for path, _ in before.get("run files", ())]
    here = _run_here(store, found.id) if is_changed else before
    brought.count(found.id, wanted, before, None if brought.is_dry else here)
    brought.postpone(found)


def bring_logged(brought: Brought, found: FoundLoggedModel, *, experiment_id: str) -> None:
    """Bring a model that a run logged, with its files."""
    store, tally = brought.store, brought.tally
    wanted: dict[str, Sequence[Hashable]] = {
        "logged models": [found.id],
        "logged model parameters": list(found.parameters.items()),
        "logged model tags": list(found.tags.items()),
        "logged model metrics": [_model_point(each) for each in found.points],
    }
    before = _logged_here(store, found.id)
    with brought.source.files(found.artifact_uri, found.id) as files, store.blobs.batch() as batch:
        if files.is_absent and found.status is LoggedModelStatus.READY:
            tally.lack("logged model files", found.id, f'there is no "{found.artifact_uri}"')
        for path, why in files.missing.items():
            tally.lack("logged model files", f"{found.id}/{path}".rstrip("/"), why)
        artifacts = None
        if not brought.is_dry:
            artifacts = added(store, batch, files, here=before.get("logged model files", ()))
            model = LoggedModel(
                found.id,
                experiment_id,
                found.run_id or None,
                found.name,
                found.kind,
                found.status,
                found.created_at,
                found.updated_at,
                dict(found.tags),
                dict(found.parameters),
                tuple(found.points),
            )
            with brought.session.change() as opened:
                client_imports.keep_logged_model(opened, model, artifacts)
    wanted["logged model files"] = (
        list(files.paths) if artifacts is None else [(each.path, each.digest) for each in artifacts]
    )
    if brought.is_dry:
        before["logged model files"] = [path for path, _ in before.get("logged model files", ())]
    brought.count(found.id, wanted, before, None if brought.is_dry else _logged_here(store, found.id))


def added(store: Store, batch: Batch, found: FoundFiles, *, here: Collection[Hashable] = ()) -> list[Artifact]:
    """Put files into the store and return them. What has not changed since the last time is not read again.

    `here` are the paths and digests of those that the owner of the files has already.
    """
    places = {path: str(each.absolute()) for path, each in found.paths.items()}
    seen = digests.look(store, list(places.values()))
    if not all((path, seen.known.get(place)) in here for path, place in places.items()):
        known = {place: (digest, seen.sizes_bytes[place]) for place, digest in seen.known.items()}
        now = dict(zip(places.values(), batch.add_all(list(places.values()), known=known), strict=True))
        digests.remember(store, seen, {place: now[place] for place in now if place not in seen.known})
    else:
        now = seen.known
    return [Artifact(path, now[place], seen.sizes_bytes[place]) for path, place in places.items()]


def _details(found: FoundRun, tags: Mapping[str, str], experiment: FoundExperiment) -> RunDetails:
    run = Run(
        id=found.id,
        project="",
        status=found.status,
        reason="",
        environment_digest="",
        code_digest="",
        git=None,
        started_at=found.started_at,
        finished_at=found.finished_at,
        parameters={name: value_of(text) for name, text in found.parameters.items()},
        tags=dict(tags),
        kind=Kind.TRACKED,
        experiment=experiment.name,
        parent_id=found.tags.get(_PARENT_TAG),
        actor=found.user,
    )
    return RunDetails(run, experiment.id, found.deleted_at, tuple(found.points), tuple(found.inputs))


def _experiment_here(store: Store, name: str) -> dict[str, Sequence[Hashable]]:
    try:
        found = experiments.find_by_name(store, name)
    except ExperimentMissing:
        return {}
    return {"experiments": [name], "experiment tags": list(found.tags.items())}


def _run_here(store: Store, run_id: str) -> dict[str, Any]:
    """Return what is here of a run, by kinds."""
    try:
        details = client_runs.find_details(store, run_id)
    except RunMissing:
        return {}
    run = details.run
    files = client_files.list_files(store, Owner(run_id, is_model=False), "")
    return {
        "runs": [run_id],
        "parameters": [(name, text_of(value)) for name, value in run.parameters.items()],
        "metric points": [_point(each) for _, each in runs.list_points(store, run_id)],
        "tags": list(run.tags.items()),
        "inputs": [(each.name, each.digest) for each in details.inputs],
        "run files": [(each.path, each.digest) for each in files],
    }


def _outputs_here(store: Store, run_id: str) -> list[Hashable]:
    try:
        return [(each.logged_model_id, each.step) for each in client_runs.find_details(store, run_id).outputs]
    except RunMissing:
        return []


def _logged_here(store: Store, model_id: str) -> dict[str, Any]:
    try:
        model = logged_models.find_logged_model(store, model_id)
    except LoggedModelMissing:
        return {}
    files = client_files.list_files(store, Owner(model_id, is_model=True), "")
    return {
        "logged models": [model_id],
        "logged model parameters": list(model.parameters.items()),
        "logged model tags": list(model.tags.items()),
        "logged model metrics": [_model_point(each) for each in model.metrics],
        "logged model files": [(each.path, each.digest) for each in files],
    }


def _point(point: Point) -> tuple[Hashable, ...]:
    # A NaN is not equal to itself.
    value = point.value if point.value == point.value else None
    return (point.name, point.step, value, point.recorded_at)


def _model_point(measured: ModelPoint) -> tuple[Hashable, ...]:
    return (*_point(measured.point), measured.run_id)
