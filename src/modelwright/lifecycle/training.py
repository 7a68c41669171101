"""Trains a project's model on the record, and lets the gate decide."""

from dataclasses import dataclass
from pathlib import Path

from modelwright import records
from modelwright.environments import building
from modelwright.errors import MetricMissing
from modelwright.lifecycle import stages
from modelwright.models import gates, registry
from modelwright.models.gates import Gate, Verdict
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest
from modelwright.records import BuiltEnvironment, Lock, ModelVersion, Run, Status
from modelwright.runs import execution, pipelines, snapshots
from modelwright.settings import interpreter
from modelwright.store import environments, projects, runs
from modelwright.store.changes import change
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


def train(
    store: Store,
    manifest: Manifest,
    *,
    overrides: dict[str, object] | None = None,
    is_gated: bool = True,
    model: str | None = None,
    actor: str,
    report: stages.Report = stages.silent,
) -> Trained:
    """Run the project's pipeline and its gate against the champion of `model`, by default the project's name.

    Parameters come from `overrides`, else `parameters.toml`, else the pipeline's defaults. Raises StepFailed,
    ParameterUnknown, ProjectInvalid; MetricMissing and NotBetter, after which nothing may be registered.
    """
    pipeline = pipelines.read_pipeline(manifest.folder)
    given = manifests.read_parameters(manifest.folder) | (overrides or {})
    parameters = pipeline.bind(given, folder=manifest.folder)
    parameters.pop(execution.OUTPUT_FOLDER, None)
    gate = _gate(manifest) if is_gated else None
    environment = environment_of(store, manifests.read_lock(manifest))
    with change(store, actor=actor) as opened:
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
    with execution.recorded_run(
        store, run, project_id=project_id, project=manifest.folder, environment=environment, actor=actor
    ) as active:
        with stages.stage("run", report, doing=run.id) as stage:
            metrics = execution.execute(
                active, pipeline, dataset=manifest.name, on_step=lambda step: _tell(stage, report, step)
            )
            shown = ", ".join(f"{name} {value!r}" for name, value in metrics.items())
            stage.decided = f"{len(pipeline.steps)} steps ran, {shown}"
            stage.recorded = run.id
        verdict = None
        if gate:
            with stages.stage("gate", report, doing=f"comparing {gate.metric} with the champion's") as stage:
                verdict = gates.decide(
                    active,
                    pipeline,
                    gate=gate,
                    metrics=metrics,
                    model=model or manifest.name,
                    next_command=f"change the notebook or a parameter: wright run {manifest.folder} --set NAME=VALUE",
                )
                stage.decided = _explained(verdict)
                stage.recorded = run.id
    return Trained(runs.get_run(store, run.id), verdict)


def register(
    store: Store, run_id: str, *, model: str | None = None, tags: dict[str, str] | None = None, actor: str
) -> ModelVersion:
    """Register a succeeded run as the next version of `model`, with the proof of its very code.

    `model` is by default the project's name. Raises RunMissing, RunNotRegistrable, NameInvalid.
    """
    run = runs.get_run(store, run_id)
    proof = projects.latest_proof(store, project_digest=run.code_digest)
    return registry.register_run(
        store,
        run,
        model=model or run.project,
        environment=environment_of(store, environments.get_environment(store, run.environment_digest)),
        proof_id=proof.id if proof and proof.is_equal else None,
        tags=tags or {},
        actor=actor,
    )


def _gate(manifest: Manifest) -> Gate:
    if manifest.gate_metric is None:
        raise MetricMissing(metric="nothing", source=manifest.name, manifest=manifests.MANIFEST_FILE)
    return Gate(manifest.gate_metric, manifest.gate_goal)


def _tell(stage: stages.Stage, report: stages.Report, step: str) -> None:
    stage.doing = step
    report(stage)


def _explained(verdict: Verdict) -> str:
    if verdict.champion is None:
        return f"passed: the first model, {verdict.metric} {verdict.new!r}"
    return f"passed: {verdict.metric} {verdict.new!r} beats {verdict.champion}'s {verdict.old!r} on the same data"
