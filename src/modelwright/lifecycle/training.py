"""Trains a project's model on the record, lets the gate decide, and registers what passed."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelwright import records
from modelwright.environments import placing
from modelwright.errors import Busy, GateWithoutMetric, ProjectInvalid, RunNotResumable, RunNotRunning
from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.models import registry
from modelwright.models.gate import gates
from modelwright.models.gate.contests import Gate
from modelwright.models.registry import Labels
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest
from modelwright.records import BuiltEnvironment, Kind, Lock, ModelVersion, Run, Status, Verdict
from modelwright.runs import definitions, machine, pipelines, snapshots, states, workers
from modelwright.runs.active import ActiveRun, recorded, request_cancel, restore_code
from modelwright.runs.closures import Code
from modelwright.runs.execution import Execution
from modelwright.runs.pipelines import Pipeline
from modelwright.runs.states import Progress, Rules
from modelwright.store import claims, environments, projects, reasons, runs
from modelwright.store import gates as stored_gates
from modelwright.store.database import Store

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Trained:
    """A run that succeeded, and why the gate let it; `verdict` is None when the gate was left out."""

    run: Run
    verdict: Verdict | None


@dataclass(frozen=True)
class Origin:
    """Where a run comes from: what it is of, the run that it belongs to, the published version, its experiment.

    `project` is the user's folder when the manifest is that of a copy, and `run_id` the id that the run is to have.
    """

    kind: Kind = Kind.PIPELINE
    parent_id: str | None = None
    pipeline_version_id: str | None = None
    experiment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    project: Path | None = None
    run_id: str | None = None


def environment_of(store: Store, lock: Lock, *, python: Path | None = None) -> BuiltEnvironment:
    """Return the environment of `lock` in this workspace, built unless it is built already."""
    return placing.build_in(store, lock, named=python)


def gate_of(manifest: Manifest) -> Gate:
    """Return what the project's gate decides on. Raises GateWithoutMetric."""
    if manifest.gate_metric is None:
        raise GateWithoutMetric(project=manifest.name, folder=manifest.folder)
    return Gate(manifest.gate_metric, manifest.gate_goal, manifest.gate_rules)


def train(
    session: Session,
    manifest: Manifest,
    *,
    overrides: dict[str, object] | None = None,
    is_gated: bool = True,
    rules: Rules | None = None,
    origin: Origin | None = None,
) -> Trained:
    """Run the project's pipeline and its gate against the champion of the model of the project's name.

    Parameters come from `overrides`, else `parameters.toml`, else the pipeline's defaults. Raises StepFailed,
    ParameterUnknown, ProjectInvalid; MetricMissing and NotBetter, after which nothing may be registered.
    """
    origin = origin or Origin()
    pipeline = pipeline_of(manifest)
    given = manifests.read_parameters(manifest.folder) | (overrides or {})
    parameters = pipeline.bind(given, folder=manifest.folder)
    parameters.pop(states.OUTPUT_FOLDER, None)
    environment = environment_of(session.store, manifests.read_lock(manifest))
    with session.change() as opened:
        project_id = projects.ensure_project(opened, manifest.name, folder=origin.project or manifest.folder)
        environments.ensure_environment(opened, environment.lock)
    run = Run(
        id=origin.run_id or records.new_id("run"),
        project=manifest.name,
        status=Status.RUNNING,
        reason="",
        environment_digest=environment.lock.digest,
        code_digest=code_digest(manifest.folder),
        # What was published is no longer what the project's folder holds.
        git=None if origin.pipeline_version_id else snapshots.git_state(origin.project or manifest.folder),
        started_at=records.now(),
        parameters=parameters,
        kind=origin.kind,
        experiment=origin.experiment or manifest.name,
        parent_id=origin.parent_id,
        pipeline_version_id=origin.pipeline_version_id,
        tags=origin.tags,
        seed=origin.seed,
        machine=machine.describe(),
    )
    active = ActiveRun(
        session.store,
        run,
        manifest.folder,
        manifest.layout.source,
        environment,
        actor=session.actor,
        why=session.why,
        beside=origin.project,
    )
    gate = gate_of(manifest) if is_gated else None
    if gate is None:
        _check_skip(session, manifest, run)
    with recorded(active, project_id=project_id):
        verdict = perform(session, active, pipeline, gate=gate, rules=rules)
        if gate is None:
            _skip_gate(session, active, manifest)
    return Trained(runs.get_run(session.store, run.id), verdict)


def resume(session: Session, run_id: str, *, is_gated: bool = True, rules: Rules | None = None) -> Trained:
    """Let a run go on that failed, was cancelled or killed: with its code and parameters, without its finished steps.

    Raises RunMissing, RunNotResumable, and what `train` raises.
    """
    store = session.store
    run = runs.get_run(store, run_id)
    if run.kind is Kind.SWEEP:
        raise RunNotResumable(run=run_id, reason=f"it is a sweep, so: wright sweep --resume {run_id}")
    if claims.is_claimed(store, run_id):
        raise RunNotResumable(run=run_id, reason="it is running")
    if run.status is Status.SUCCEEDED:
        raise RunNotResumable(run=run_id, reason="it succeeded")
    if not any(each.path.startswith("code/") for each in run.artifacts):
        raise RunNotResumable(run=run_id, reason="it ended before its code was kept")
    manifest = manifests.read_manifest(restore_code(store, run))
    pipeline = pipeline_of(manifest)
    environment = environment_of(store, environments.get_environment(store, run.environment_digest))
    known = projects.find_project(store, run.project)
    assert known is not None  # noqa: S101 - the run's row refers to it
    active = ActiveRun(
        store, run, known.folder, manifest.layout.source, environment, actor=session.actor, why=session.why
    )
    gate = gate_of(manifest) if is_gated else None
    if gate is None:
        _check_skip(session, manifest, run)
    with recorded(active, project_id=known.id, is_resumed=True):
        verdict = perform(session, active, pipeline, gate=gate, rules=rules)
        if gate is None:
            _skip_gate(session, active, manifest)
    return Trained(runs.get_run(store, run_id), verdict)


def cancel(session: Session, run_id: str) -> None:
    """End a running run with all its steps and wait until it has ended. A tracked script gets a Ctrl-C.

    A client's own run is recorded as cancelled; its process, which is not known here, may log to it still.

    Raises RunMissing, RunNotRunning, and Busy when its process does not heed it.
    """
    store = session.store
    run = runs.get_run(store, run_id)
    if run.status is not Status.RUNNING:
        raise RunNotRunning(run=run_id, status=run.status)
    reason = session.why or f"{session.actor} cancelled it"
    if run.kind is Kind.TRACKED:
        with session.change() as opened:
            runs.finish_run(opened, run_id, status=Status.CANCELLED, reason=reason)
        return
    request_cancel(store, run_id, reason=reason)
    process = claims.holder(store, run_id)
    if run.kind is Kind.SCRIPT and process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGINT)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while claims.is_claimed(store, run_id):
        if time.monotonic() > deadline:
            raise Busy(thing=run_id, holder=f"process {process}", command=f"wright run cancel {run_id}")
        time.sleep(_POLL_SECONDS)
    recovery.recover(session)  # of a run that was killed before, nobody else says so


def cancelled(session: Session, run_id: str) -> Run:
    """End a running run, and return it as it is then. Raises what `cancel` raises."""
    cancel(session, run_id)
    return runs.get_run(session.store, run_id)


def pipeline_of(manifest: Manifest) -> Pipeline:
    """Return the project's pipeline, checked against the functions that it and the gate call. Raises ProjectInvalid."""
    code = Code(manifest.folder / manifest.layout.source)
    module, _, function = manifest.gate_rules.check.partition(":")
    if module and not code.has(module, function):
        reason = f'the gate\'s check is "{manifest.gate_rules.check}", and there is no such function in the project'
        raise ProjectInvalid(path=manifest.folder / manifests.MANIFEST_FILE, reason=reason)
    return definitions.checked(pipelines.read_pipeline(manifest.pipeline), code)


def register(
    session: Session,
    run_id: str,
    *,
    model: str | None = None,
    tags: dict[str, str] | None = None,
    labels: Labels | None = None,
    paths: tuple[str, ...] = (),
) -> ModelVersion:
    """Register a succeeded run as the next version of `model`, with the proof of its very code.

    `model` is by default the project's name, `tags` are labels for which nothing else is said. Where the session gives
    no reason, the gate's verdict is the one. Raises RunMissing, RunNotRegistrable, NameInvalid, and what
    `registry.check_labels` raises.
    """
    store = session.store
    run = runs.get_run(store, run_id)
    name, labels = model or run.project, labels or Labels(tags=tags or {})
    registry.check_run(run)
    registry.check_labels(store, name, labels)
    # One that is registered already keeps its aliases as they are.
    if not registry.version_of(store, run, model=name, paths=paths):
        reasons.require(store, "alias.moved", f"models/{name}@{gates.CHAMPION}", why=session.why)
    session = replace(session, why=session.why or _verdict_of(store, run_id))
    proof = projects.latest_proof(store, project_digest=run.code_digest)
    return registry.register_run(
        store,
        run,
        model=name,
        environment=environment_of(store, environments.get_environment(store, run.environment_digest)),
        proof_id=proof.id if proof and proof.is_equal else None,
        labels=labels,
        paths=paths,
        changing=session.change,
    )


def perform(
    session: Session, active: ActiveRun, pipeline: Pipeline, *, gate: Gate | None, rules: Rules | None
) -> Verdict | None:
    """Execute the steps, then the gate if there is one, and return its verdict."""
    with workers.started(
        project=active.code,
        source=active.code / active.source,
        modules=pipeline.modules,
        log=active.folder / "logs" / "worker.log",
        threads=rules.threads if rules else None,
    ) as pool:
        with session.stage("run", active.run.id) as stage:
            counts = {"ran": 0, "reused": 0}

            def tell(progress: Progress) -> None:
                if progress.status is Status.SUCCEEDED:
                    counts["reused" if progress.reused_from else "ran"] += 1
                session.report(_step_stage(progress))

            performing = Execution(
                active,
                pipeline,
                pool,
                rules=rules,
                environments=_named_environments(session, active.run.id, pipeline),
                on_step=tell,
            )
            metrics = performing.run(dataset=active.run.project)
            shown = ", ".join(f"{name} {value!r}" for name, value in metrics.items())
            told = [f"{count} steps {what}" for what, count in counts.items() if count]
            stage.decided = ", ".join([*told, *([shown] if shown else [])])
            stage.recorded = active.run.id
        return _decided(session, performing, gate=gate, metrics=metrics) if gate else None


def _step_stage(progress: Progress) -> Stage:
    if progress.status in {Status.RUNNING, Status.QUEUED}:
        return Stage("step", " ".join(filter(None, [progress.step, progress.reason])))
    if progress.reused_from:
        return Stage("step", decided=progress.step, recorded=f"reused from {progress.reused_from}", elapsed_seconds=0.0)
    has_failed = progress.status is not Status.SUCCEEDED
    told = f"{progress.step} {progress.status}: {progress.reason}" if has_failed else progress.step
    return Stage("step", decided=told, elapsed_seconds=progress.seconds, has_failed=has_failed)


def _named_environments(session: Session, run_id: str, pipeline: Pipeline) -> dict[str, BuiltEnvironment]:
    """Return the environments that steps name, built, and record that the run uses them."""
    store = session.store
    named = {each.options.environment for each in pipeline.steps if each.options.environment}
    locks = {name: environments.find_environment(store, name) for name in named}
    if locks:
        with session.change() as opened:
            runs.link_environments(opened, run_id, [lock.digest for lock in locks.values()])
    return {name: environment_of(store, lock) for name, lock in locks.items()}


def _check_skip(session: Session, manifest: Manifest, run: Run) -> None:
    """Raise ReasonMissing when the workspace wants a reason for leaving the gate out, and there is none."""
    if run.kind is Kind.PIPELINE:
        reasons.require(session.store, "gate.skipped", f"runs/{run.id}", why=_why_skipped(session, manifest))


def _skip_gate(session: Session, active: ActiveRun, manifest: Manifest) -> None:
    """Record why the gate was left out, unless the run is one of many that are compared otherwise."""
    if active.run.kind is Kind.PIPELINE:
        gates.skip(active, model=active.run.project, why=_why_skipped(session, manifest))


def _why_skipped(session: Session, manifest: Manifest) -> str:
    return session.why or ("its project names no metric for the gate" if manifest.gate_metric is None else "")


def _verdict_of(store: Store, run_id: str) -> str:
    """Return the sentence of the gate's verdict on a run; nothing where there is none."""
    found = stored_gates.find_verdict(store, run_id)
    return f"gate {found.outcome}: {found.reason}" if found else ""


def _decided(session: Session, performing: Execution, *, gate: Gate, metrics: dict[str, float]) -> Verdict:
    run = performing.active.run
    with session.stage("gate", f"comparing {gate.metric} with the champion's") as stage:
        verdict = gates.decide(performing, gate=gate, metrics=metrics, model=run.project)
        stage.recorded = run.id
        stage.decided = f"passed: {verdict.reason}"
        stage.notes = tuple(verdict.numbers["cautions"])
    return verdict
