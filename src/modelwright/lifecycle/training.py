"""Trains a project's model on the record, lets the gate decide, and registers what passed."""

from dataclasses import dataclass
from pathlib import Path

from modelwright import records
from modelwright.environments import building
from modelwright.errors import GateWithoutMetric
from modelwright.lifecycle.sessions import Session
from modelwright.models import gates, registry
from modelwright.models.gates import Gate, Verdict
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest
from modelwright.records import BuiltEnvironment, Lock, ModelVersion, Run, Status
from modelwright.runs import execution, pipelines, snapshots, workers
from modelwright.runs.execution import ActiveRun
from modelwright.runs.pipelines import Pipeline
from modelwright.settings import interpreter
from modelwright.store import environments, projects, runs
from modelwright.store.database import Store


@dataclass(frozen=True)
class Trained:
    """A run that succeeded, and why the gate let it; `verdict` is None when the gate was left out."""

    run: Run
    verdict: Verdict | None


def environment_of(store: Store, lock: Lock, *, python: Path | None = None) -> BuiltEnvironment:
    """Return the environment of `lock` in this workspace, built unless it is built already."""
    return building.build(
        lock, cache=store.folder / "environments", python=interpreter(python), wheels=store.folder / "wheels"
    )


def gate_of(manifest: Manifest) -> Gate:
    """Return what the project's gate decides on. Raises GateWithoutMetric."""
    if manifest.gate_metric is None:
        raise GateWithoutMetric(project=manifest.name, folder=manifest.folder)
    return Gate(manifest.gate_metric, manifest.gate_goal)


def train(
    session: Session, manifest: Manifest, *, overrides: dict[str, object] | None = None, is_gated: bool = True
) -> Trained:
    """Run the project's pipeline and its gate against the champion of the model of the project's name.

    Parameters come from `overrides`, else `parameters.toml`, else the pipeline's defaults. Raises StepFailed,
    ParameterUnknown, ProjectInvalid; MetricMissing and NotBetter, after which nothing may be registered.
    """
    pipeline = pipelines.read_pipeline(manifest.pipeline)
    given = manifests.read_parameters(manifest.folder) | (overrides or {})
    parameters = pipeline.bind(given, folder=manifest.folder)
    parameters.pop(execution.OUTPUT_FOLDER, None)
    gate = gate_of(manifest) if is_gated else None
    environment = environment_of(session.store, manifests.read_lock(manifest))
    with session.change() as opened:
        project_id = projects.ensure_project(opened, manifest.name, folder=manifest.folder)
        environments.ensure_environment(opened, environment.lock)
    run = Run(
        id=records.new_id("run"),
        project=manifest.name,
        status=Status.RUNNING,
        reason="",
        environment_digest=environment.lock.digest,
        code_digest=code_digest(manifest.folder),
        git=snapshots.git_state(manifest.folder),
        started_at=records.now(),
        parameters=parameters,
    )
    verdict = None
    recorded = execution.recorded(
        session.store, run, project_id=project_id, project=manifest.folder, actor=session.actor
    )
    with (
        recorded as folder,
        workers.started(
            environment,
            project=folder / "code",
            source=folder / "code" / manifest.layout.source,
            modules=pipeline.modules,
            log=folder / "logs" / "worker.log",
        ) as worker,
    ):
        active = ActiveRun(session.store, run, manifest.folder, worker, session.actor)
        metrics = _executed(session, active, pipeline)
        if gate:
            verdict = _decided(session, active, pipeline, gate=gate, metrics=metrics)
    return Trained(runs.get_run(session.store, run.id), verdict)


def register(
    session: Session, run_id: str, *, model: str | None = None, tags: dict[str, str] | None = None
) -> ModelVersion:
    """Register a succeeded run as the next version of `model`, with the proof of its very code.

    `model` is by default the project's name. Raises RunMissing, RunNotRegistrable, NameInvalid.
    """
    store = session.store
    run = runs.get_run(store, run_id)
    proof = projects.latest_proof(store, project_digest=run.code_digest)
    return registry.register_run(
        store,
        run,
        model=model or run.project,
        environment=environment_of(store, environments.get_environment(store, run.environment_digest)),
        proof_id=proof.id if proof and proof.is_equal else None,
        tags=tags or {},
        actor=session.actor,
    )


def _executed(session: Session, active: ActiveRun, pipeline: Pipeline) -> dict[str, float]:
    with session.stage("run", active.run.id) as stage:

        def tell(step: str) -> None:
            stage.doing = step
            session.report(stage)

        metrics = execution.execute(active, pipeline, dataset=active.run.project, on_step=tell)
        shown = ", ".join(f"{name} {value!r}" for name, value in metrics.items())
        stage.decided = f"{len(pipeline.steps)} steps ran, {shown}"
        stage.recorded = active.run.id
    return metrics


def _decided(
    session: Session, active: ActiveRun, pipeline: Pipeline, *, gate: Gate, metrics: dict[str, float]
) -> Verdict:
    with session.stage("gate", f"comparing {gate.metric} with the champion's") as stage:
        verdict = gates.decide(active, pipeline, gate=gate, metrics=metrics, model=active.run.project)
        stage.recorded = active.run.id
        if verdict.champion is None:
            stage.decided = f"passed: the first model, {verdict.metric} {verdict.new!r}"
        else:
            stage.decided = (
                f"passed: {verdict.metric} {verdict.new!r} beats {verdict.champion}'s {verdict.old!r} on the same data"
            )
    return verdict
