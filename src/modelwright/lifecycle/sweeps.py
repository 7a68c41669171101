"""Sweeps: one project tried with many parameters, each trial a run of its own, the best promoted to the sweep's run."""

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from modelwright import records
from modelwright.errors import (
    ParameterUnknown,
    RunCancelled,
    RunNotResumable,
    RunStopped,
    StepFailed,
    SweepFailed,
    SweepMetricMissing,
    SweepWithoutMetric,
)
from modelwright.lifecycle import proposing, publishing, spaces, stopping, training
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.lifecycle.training import Origin
from modelwright.projects import manifest as manifests
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import Manifest
from modelwright.records import Goal, Kind, Point, Run, Sampler, Status, Sweep, SweepSpecification, Trial
from modelwright.runs import snapshots
from modelwright.runs.active import ActiveRun, recorded, request_cancel, restore_code
from modelwright.runs.states import Rules
from modelwright.store import claims, environments, projects, runs
from modelwright.store import sweeps as stored

_LOOK_SECONDS = 0.2
_TRIALS = 20


def specify(  # noqa: PLR0913 - all but the project are wishes, and named at the call
    manifest: Manifest,
    *,
    tried: Mapping[str, str],
    sampler: Sampler,
    metric: str | None = None,
    goal: Goal | None = None,
    trials: int | None = None,
    concurrent: int = 1,
    seed: int = 0,
    parameters: dict[str, object] | None = None,
    stop: tuple[str, ...] = (),
) -> SweepSpecification:
    """Return what to try; the metric and goal are by default the gate's, and a grid is tried whole.

    `tried` maps parameters to expressions of spaces. Raises SpaceInvalid and SweepWithoutMetric.
    """
    metric = metric or manifest.gate_metric
    if metric is None:
        raise SweepWithoutMetric(project=manifest.name, folder=manifest.folder)
    if trials is None:
        found = {name: spaces.parse(text) for name, text in tried.items()}
        trials = proposing.count_of_grid(found) if sampler is Sampler.GRID else _TRIALS
    return SweepSpecification(
        spaces={**tried},
        metric=metric,
        goal=goal or manifest.gate_goal,
        sampler=sampler,
        trials=trials,
        concurrent=concurrent,
        seed=seed,
        parameters=parameters or {},
        stop=stop,
    )


def start(session: Session, manifest: Manifest, specification: SweepSpecification) -> Sweep:
    """Try the project with the parameters that the specification leads to, and return the sweep.

    Trials that fail do not end it. Raises SpaceInvalid, StopRuleInvalid, ParameterUnknown and SweepsNotInstalled before
    anything runs; SweepFailed when no trial came to a value; SweepMetricMissing.
    """
    parameters = _check(manifest, specification)
    environment = training.environment_of(session.store, manifests.read_lock(manifest))
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
        kind=Kind.SWEEP,
        experiment=manifest.name,
        seed=specification.seed,
    )
    active = ActiveRun(
        session.store, run, manifest.folder, manifest.layout.source, environment, actor=session.actor, why=session.why
    )
    with recorded(active, project_id=project_id):
        with session.change() as opened:
            stored.set_specification(opened, run.id, specification)
        _Sweeping(session, active, specification).perform()
    return stored.get_sweep(session.store, run.id)


def resume(session: Session, run_id: str, *, trials: int | None = None) -> Sweep:
    """Let a sweep go on that ended, or was killed: with its code, without its finished trials.

    `trials` is how many there are to be in all from now on. Raises SweepMissing, RunNotResumable, and what `start`
    raises.
    """
    store = session.store
    sweep = stored.get_sweep(store, run_id)
    run = runs.get_run(store, run_id)
    specification = replace(sweep.specification, trials=trials or sweep.specification.trials)
    if claims.is_claimed(store, run_id):
        raise RunNotResumable(run=run_id, reason="it is running")
    if run.status is Status.SUCCEEDED and specification.trials <= sweep.specification.trials:
        raise RunNotResumable(run=run_id, reason="it succeeded, and --trials asks for no more than it has")
    manifest = manifests.read_manifest(restore_code(store, run))
    _check(manifest, specification)
    environment = training.environment_of(store, environments.get_environment(store, run.environment_digest))
    known = projects.find_project(store, run.project)
    folder = known.folder if known else manifest.folder
    active = ActiveRun(store, run, folder, manifest.layout.source, environment, actor=session.actor, why=session.why)
    with recorded(active, project_id="", is_resumed=True):
        with session.change() as opened:
            stored.set_specification(opened, run_id, specification)
        _Sweeping(session, active, specification).perform()
    return stored.get_sweep(store, run_id)


def _check(manifest: Manifest, specification: SweepSpecification) -> dict[str, object]:
    """Return the parameters that are the same in every trial, if all that is to be tried can be."""
    parameters = publishing.parameters_of(manifest)
    for name in (*specification.spaces, *specification.parameters):
        if name not in parameters:
            raise ParameterUnknown(name=name, known=", ".join(parameters) or "none", folder=manifest.folder)
    found = {name: spaces.parse(text) for name, text in specification.spaces.items()}
    stopping.parse(specification.stop)
    proposing.check_sampler(specification.sampler)
    if specification.sampler is Sampler.GRID:
        proposing.count_of_grid(found)
    fixed = parameters | specification.parameters
    return {name: value for name, value in fixed.items() if name not in specification.spaces}


class _Sweeping:
    """A sweep that is going on. Its trials run in threads, each of which only waits for the processes of its steps."""

    def __init__(self, session: Session, active: ActiveRun, specification: SweepSpecification) -> None:
        """Take the sweep's run, whose code is in its folder, and what is to be tried."""
        self.session = session
        self.active = active
        self.specification = specification
        self.running: dict[Future[Trial], Trial] = {}
        known = stored.get_sweep(active.store, active.run.id).trials
        self.finished = {each.number: each for each in known if each.status is not Status.RUNNING}
        self._spaces = {name: spaces.parse(text) for name, text in specification.spaces.items()}
        self._rules = stopping.parse(specification.stop)
        self._manifest = manifests.read_manifest(active.code)
        self._began = time.monotonic()

    def perform(self) -> None:
        """Run all trials that are not finished yet, and promote the best. Raises SweepFailed, SweepMetricMissing."""
        self._announce()
        waiting = [number for number in range(1, self._count() + 1) if number not in self.finished]
        with ThreadPoolExecutor(self.specification.concurrent) as pool, self._cancelling():
            while self.running or (waiting and not self._is_over()):
                while waiting and self._may_begin(waiting[0]):
                    trial = self._begin(waiting.pop(0))
                    self.running[pool.submit(self._try, trial)] = trial
                self._look()
        self._promote()

    def _announce(self) -> None:
        left = self._count() - len(self.finished)
        told = (
            f"{left} trials, {self.specification.sampler}; when interrupted: wright sweep --resume {self.active.run.id}"
        )
        self.session.report(Stage("sweep", decided=told, elapsed_seconds=0.0))

    def _count(self) -> int:
        wanted = self.specification.trials
        if self.specification.sampler is Sampler.GRID:
            return min(wanted, proposing.count_of_grid(self._spaces))
        return wanted

    def _is_over(self) -> bool:
        rules, goal = self._rules, self.specification.goal
        if rules.minutes is not None and time.monotonic() - self._began > rules.minutes * 60:
            return True
        trials = [*self.finished.values()]
        return rules.patience is not None and stopping.is_exhausted(trials, goal=goal, patience=rules.patience)

    def _known_to(self, number: int) -> int:
        """Return up to which number trials are known to the proposal of this one.

        Trials that run together know of the same others, whichever of them ends first, so that the seed alone decides.
        """
        return (number - 1) // self.specification.concurrent * self.specification.concurrent

    def _may_begin(self, number: int) -> bool:
        if len(self.running) >= self.specification.concurrent or self._is_over():
            return False
        if self.specification.sampler is not Sampler.BAYESIAN:
            return True
        return not any(each.number <= self._known_to(number) for each in self.running.values())

    def _begin(self, number: int) -> Trial:
        parameters = proposing.propose(
            self._spaces,
            number - 1,
            sampler=self.specification.sampler,
            seed=self.specification.seed,
            goal=self.specification.goal,
            finished=[each for each in self.finished.values() if each.number <= self._known_to(number)],
        )
        trial = Trial(self.active.run.id, number, None, Status.RUNNING, parameters, math.nan)
        with self.session.change() as opened:
            stored.start_trial(opened, trial)
        shown = ", ".join(f"{name} {value!r}" for name, value in parameters.items())
        self.session.report(Stage(f"trial {number}", f"of {self._count()}: {shown}"))
        return trial

    def _try(self, trial: Trial) -> Trial:
        """Run a trial and return what became of it. A failing step, or a cancelled run, is an outcome like another."""
        origin = Origin(
            kind=Kind.TRIAL,
            parent_id=trial.sweep_id,
            experiment=self.active.run.experiment,
            tags={"trial": str(trial.number)},
            project=self.active.project,
        )
        overrides = self.specification.parameters | trial.parameters
        rules = Rules(cpus=max(1, (os.cpu_count() or 1) // self.specification.concurrent))
        status = Status.SUCCEEDED
        quiet = Session(self.active.store, self.session.actor)
        try:
            training.train(quiet, self._manifest, overrides=overrides, is_gated=False, rules=rules, origin=origin)
        except StepFailed:
            status = Status.FAILED
        except RunCancelled:
            status = Status.CANCELLED
        run = self._run_of(trial)
        value = run.metrics.get(self.specification.metric, math.nan) if run else math.nan
        return replace(trial, run_id=run.id if run else None, status=status, value=value)

    def _look(self) -> None:
        """Wait a moment; record what has ended; see whether the sweep, or one of its trials, is to end."""
        done, _ = wait(self.running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            begun = self.running.pop(future)
            self._record(replace(future.result(), parameters=begun.parameters))
        reason = self.active.cancel_reason()
        if reason is not None:
            raise RunStopped(run=self.active.run.id, reason=reason, folder=self.active.project)
        if self._rules.median_from is not None:
            for trial in self.running.values():
                self._stop_if_hopeless(trial, since=self._rules.median_from)

    def _record(self, trial: Trial) -> None:
        with self.session.change() as opened:
            stored.finish_trial(opened, trial)
        self.finished[trial.number] = trial
        run = runs.get_run(self.active.store, trial.run_id) if trial.run_id else None
        metric = self.specification.metric
        if run and trial.status is Status.SUCCEEDED and metric not in run.metrics:
            known = ", ".join(run.metrics) or "none"
            raise SweepMetricMissing(metric=metric, source=run.id, known=known, folder=self.active.project)
        best = self._best()
        told = f"{metric} {trial.value:.6g}" if trial.status is Status.SUCCEEDED else f"{trial.status}"
        more = f"best {best.value:.6g}, of trial {best.number}" if best else "no value yet"
        seconds = (run.finished_at - run.started_at).total_seconds() if run and run.finished_at else 0.0
        notes = (run.reason,) if run and run.reason else ()
        self.session.report(
            Stage(
                f"trial {trial.number}",
                decided=f"{told} ({more})",
                recorded=trial.run_id or "",
                notes=notes,
                elapsed_seconds=seconds,
            )
        )

    def _stop_if_hopeless(self, trial: Trial, *, since: int) -> None:
        run = self._run_of(trial)
        if run is None or run.status is not Status.RUNNING:
            return
        others = [self._points(each.run_id) for each in self.finished.values() if each.run_id]
        reason = stopping.is_hopeless(self._points(run.id), others, goal=self.specification.goal, since=since)
        if reason:
            request_cancel(self.active.store, run.id, reason=reason)

    def _points(self, run_id: str) -> list[Point]:
        points = runs.list_points(self.active.store, run_id)
        return [point for _, point in points if point.name == self.specification.metric]

    @contextlib.contextmanager
    def _cancelling(self) -> Iterator[None]:
        """End the trials that run when the block raises; they stay unfinished, so that they are run again."""
        try:
            yield
        except BaseException as error:
            while self.running:
                for trial in self.running.values():
                    run = self._run_of(trial)
                    if run and run.status is Status.RUNNING:
                        reason = str(error) or "the sweep was interrupted"
                        request_cancel(self.active.store, run.id, reason=reason)
                done, _ = wait(self.running, timeout=_LOOK_SECONDS)
                for future in done:
                    self.running.pop(future)
            raise

    def _run_of(self, trial: Trial) -> Run | None:
        """Return the newest run of the trial; one that was killed may have been before it."""
        found = runs.list_runs(self.active.store, parent_id=trial.sweep_id, tags={"trial": str(trial.number)})
        return found[0] if found else None

    def _best(self) -> Trial | None:
        return Sweep(self.active.run.id, self.specification, records.now(), tuple(self.finished.values())).best

    def _promote(self) -> None:
        best = self._best()
        if best is None or best.run_id is None:
            reasons = [run.reason for run in map(self._run_of, self.finished.values()) if run]
            raise SweepFailed(count=len(self.finished), run=self.active.run.id, reason=(reasons or ["none ran"])[-1])
        with self.session.stage("promote", f"trial {best.number}") as stage:
            with self.session.change() as opened:
                stored.promote(opened, best, runs.get_run(self.active.store, best.run_id))
            stage.decided = (
                f"trial {best.number} is the best of {len(self.finished)}: {self.specification.metric} {best.value!r}"
            )
            stage.recorded = self.active.run.id
