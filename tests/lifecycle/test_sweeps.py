"""Sweeps: trials, the best of them, and going on after an interruption."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import (
    ParameterUnknown,
    RunNotResumable,
    RunStopped,
    SpaceInvalid,
    StopRuleInvalid,
    SweepFailed,
    SweepMetricMissing,
    SweepMissing,
    SweepWithoutMetric,
)
from modelwright.lifecycle import publishing, recovery, sweeps, training
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.projects.manifest import Manifest, read_manifest
from modelwright.records import Goal, Kind, Sampler, Status, Sweep
from modelwright.runs.active import request_cancel
from modelwright.store import projects, runs
from modelwright.store import sweeps as stored


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "src" / "small" / "train.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _swept(
    session: Session, manifest: Manifest, space: str = "[0.25, 0.75, 1]", sampler: Sampler = Sampler.GRID, **more: Any
) -> Sweep:
    return sweeps.start(session, manifest, sweeps.specify(manifest, tried={"alpha": space}, sampler=sampler, **more))


def test_each_trial_is_a_run_and_the_best_is_promoted_to_the_sweeps_own(session: Session, manifest: Manifest) -> None:
    """The model is alpha times 3 and is to be 3."""
    found = _swept(session, manifest)
    assert [(each.number, each.parameters, each.value) for each in found.trials] == [
        (1, {"alpha": 0.25}, 2.25),
        (2, {"alpha": 0.75}, 0.75),
        (3, {"alpha": 1}, 0.0),
    ]
    assert [each.number for each in found.ranked] == [3, 2, 1]
    trial_runs = runs.list_runs(session.store, parent_id=found.run_id)
    assert {each.kind for each in trial_runs} == {Kind.TRIAL}
    assert {each.id for each in trial_runs} == {each.run_id for each in found.trials}

    parent, best = runs.get_run(session.store, found.run_id), runs.get_run(session.store, str(found.trials[2].run_id))
    assert (parent.kind, parent.status, parent.parameters) == (Kind.SWEEP, Status.SUCCEEDED, {"alpha": 1})
    assert parent.metrics == {"error": 0.0}
    assert parent.tags == {"best_run": best.id, "best_trial": "3"}
    assert parent.datasets == best.datasets
    assert {each.path: each.digest for each in parent.artifacts} == {each.path: each.digest for each in best.artifacts}
    assert "outputs/deep/model.pkl" in {each.path for each in parent.artifacts}


def test_the_sweeps_run_can_be_registered(session: Session, manifest: Manifest) -> None:
    found = _swept(session, manifest)
    version = training.register(session, found.run_id)
    assert (version.reference, version.metrics) == ("small:1", {"error": 0.0})


def test_all_trials_are_of_the_code_as_it_was(session: Session, manifest: Manifest) -> None:
    """Whoever watches the first trial edits the project; the project is still where it was."""

    def edit(stage: Stage) -> None:
        if stage.name == "trial 1" and stage.elapsed_seconds is not None:
            _edit(manifest.folder, "sum(rows) * alpha", "1000.0")

    found = _swept(Session(session.store, "ada", edit), manifest)
    assert [each.value for each in found.trials] == [2.25, 0.75, 0.0]
    known = projects.find_project(session.store, "small")
    assert known
    assert known.folder == manifest.folder


def test_parameters_that_are_not_tried_are_the_same_in_all(session: Session, manifest: Manifest) -> None:
    pipeline = manifest.folder / "src" / "small" / "pipeline.py"
    text = pipeline.read_text().replace("alpha=0.5,", "alpha=0.5, size=1,").replace("split(rows)", "split(rows, size)")
    pipeline.write_text(text)
    found = _swept(session, manifest, "[1, 2]", parameters={"size": 2}, goal=Goal.MAXIMIZE)
    assert [each.value for each in found.trials] == [1.0, 0.0]
    assert runs.get_run(session.store, found.run_id).parameters == {"alpha": 1, "size": 2}


def test_trials_side_by_side_come_to_the_same(session: Session, manifest: Manifest) -> None:
    one = _swept(session, manifest, "uniform(0, 1)", Sampler.RANDOM, trials=4, seed=7)
    two = _swept(session, manifest, "uniform(0, 1)", Sampler.RANDOM, trials=4, seed=7, concurrent=4)
    assert [(each.parameters, each.value) for each in one.trials] == [
        (each.parameters, each.value) for each in two.trials
    ]
    other = _swept(session, manifest, "uniform(0, 1)", Sampler.RANDOM, trials=1, seed=8)
    assert other.trials[0].parameters != one.trials[0].parameters


def test_a_bayesian_sweep_is_decided_by_its_seed(session: Session, manifest: Manifest) -> None:
    tried = [
        [
            each.parameters
            for each in _swept(
                session, manifest, "uniform(0, 2)", Sampler.BAYESIAN, trials=4, seed=3, concurrent=2
            ).trials
        ]
        for _ in range(2)
    ]
    assert tried[0] == tried[1]


def test_a_failing_trial_does_not_end_the_sweep(session: Session, manifest: Manifest) -> None:
    _edit(manifest.folder, "return sum(rows) * alpha", "return sum(rows) * (1 / (alpha - 0.25))")
    found = _swept(session, manifest)
    assert [each.status for each in found.trials] == [Status.FAILED, Status.SUCCEEDED, Status.SUCCEEDED]
    assert found.ranked[-1].number == 1
    assert "ZeroDivisionError" in runs.get_run(session.store, str(found.trials[0].run_id)).reason


def test_a_sweep_fails_when_all_its_trials_do(session: Session, manifest: Manifest) -> None:
    _edit(manifest.folder, "return sum(rows) * alpha", "return rows.total")
    with pytest.raises(SweepFailed, match=r"all 3 trials .* no attribute"):
        _swept(session, manifest)
    (parent,) = [each for each in runs.list_runs(session.store) if each.kind is Kind.SWEEP]
    assert parent.status is Status.FAILED


def test_a_trial_without_a_number_is_never_the_best(session: Session, manifest: Manifest) -> None:
    _edit(manifest.folder, '"error": abs(model - rows[0])', '"error": abs(model - rows[0]) if alpha_of(model) else 0')
    _edit(manifest.folder, "def load():", "def alpha_of(model):\n    return model != 3\n\n\ndef load():")
    _edit(manifest.folder, " else 0", ' else float("nan")')
    found = _swept(session, manifest)
    assert found.best
    assert found.best.number == 2


def test_what_cannot_be_tried_is_refused_before_anything_runs(session: Session, manifest: Manifest) -> None:
    with pytest.raises(ParameterUnknown, match='"alfa"'):
        sweeps.start(session, manifest, sweeps.specify(manifest, tried={"alfa": "[1]"}, sampler=Sampler.GRID))
    with pytest.raises(ParameterUnknown, match='"size"'):
        _swept(session, manifest, parameters={"size": 2})
    with pytest.raises(SpaceInvalid, match="no end of them"):
        _swept(session, manifest, "uniform(0, 1)", trials=3)
    with pytest.raises(StopRuleInvalid, match="bandit"):
        _swept(session, manifest, stop=("bandit",))
    assert runs.list_runs(session.store) == []
    text = (manifest.folder / "wright.toml").read_text().partition("[gate]")[0]
    (manifest.folder / "wright.toml").write_text(text)
    with pytest.raises(SweepWithoutMetric, match='"small"'):
        sweeps.specify(read_manifest(manifest.folder), tried={"alpha": "[1]"}, sampler=Sampler.GRID)


def test_a_metric_that_no_trial_has_ends_the_sweep_at_the_first(session: Session, manifest: Manifest) -> None:
    with pytest.raises(SweepMetricMissing, match=r'"mse".*it has error'):
        _swept(session, manifest, metric="mse")
    assert len([each for each in runs.list_runs(session.store) if each.kind is Kind.TRIAL]) == 1


def test_patience_ends_a_sweep(session: Session, manifest: Manifest) -> None:
    found = _swept(session, manifest, "[1, 0.9, 0.8, 0.7, 0.6]", stop=("patience(2)",))
    assert len(found.trials) == 3
    assert found.best
    assert found.best.number == 1


SLOW = """
def fit(rows, alpha):
    import time

    import modelwright

    for step in range(1, 400 if alpha == 9 else 4):
        modelwright.log_metric("error", alpha, step=step)
        time.sleep(0.1)
    return sum(rows) * alpha


def older(rows, alpha):"""


def test_a_trial_that_is_worse_than_usual_is_ended_early(session: Session, manifest: Manifest) -> None:
    """The fourth trial would take forty seconds."""
    _edit(manifest.folder, "\ndef fit(rows, alpha):", SLOW)
    found = _swept(session, manifest, "[1, 1.1, 1.2, 9]", stop=("median",))
    assert [each.status for each in found.trials] == [Status.SUCCEEDED] * 3 + [Status.CANCELLED]
    stopped = runs.get_run(session.store, str(found.trials[3].run_id))
    assert "stopped early: at step" in stopped.reason
    assert [each.number for each in found.ranked] == [1, 2, 3, 4]


def test_a_sweep_that_is_cancelled_goes_on_where_it_was(session: Session, manifest: Manifest) -> None:
    def cancel(stage: Stage) -> None:
        if stage.name == "trial 2" and stage.elapsed_seconds is None:
            (parent,) = [each for each in runs.list_runs(session.store) if each.kind is Kind.SWEEP]
            request_cancel(session.store, parent.id, reason="enough")

    _edit(manifest.folder, 'print("fitting")', "import time; time.sleep(1 if alpha == 0.75 else 0)")
    with pytest.raises(RunStopped, match="enough"):
        _swept(Session(session.store, "ada", cancel), manifest)
    (parent,) = [each for each in runs.list_runs(session.store) if each.kind is Kind.SWEEP]
    assert parent.status is Status.CANCELLED
    before = stored.get_sweep(session.store, parent.id).trials
    assert [each.status for each in before] == [Status.SUCCEEDED, Status.RUNNING]

    _edit(manifest.folder, "time.sleep(1 if alpha", "time.sleep(100 if alpha")  # what goes on is the code of then
    found = sweeps.resume(session, parent.id)
    assert [each.value for each in found.trials] == [2.25, 0.75, 0.0]
    assert found.trials[0] == before[0]
    with pytest.raises(RunNotResumable, match="it succeeded"):
        sweeps.resume(session, parent.id)
    with pytest.raises(RunNotResumable, match="it is a sweep"):
        training.resume(session, parent.id)


def test_more_trials_can_be_asked_for_later(session: Session, manifest: Manifest) -> None:
    first = _swept(session, manifest, "uniform(0, 1)", Sampler.BAYESIAN, trials=2)
    more = sweeps.resume(session, first.run_id, trials=3)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 3
    whole = _swept(session, manifest, "uniform(0, 1)", Sampler.BAYESIAN, trials=3)
    assert [each.parameters for each in whole.trials] == [each.parameters for each in more.trials]


def test_what_is_no_sweep_is_said_to_be_none(session: Session, manifest: Manifest) -> None:
    publishing.publish(session, manifest)
    run = publishing.run_published(session, "small", is_gated=False).run
    with pytest.raises(SweepMissing, match=run.id):
        stored.get_sweep(session.store, run.id)


_SWEEPER = """
import sys
from pathlib import Path
from modelwright.lifecycle import sweeps
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import Sampler
from modelwright.store.database import open_store

def report(stage):
    print(stage.name, stage.elapsed_seconds is not None, flush=True)

manifest = read_manifest(Path(sys.argv[2]))
specification = sweeps.specify(manifest, tried={"alpha": "[0.25, 0.75, 1, 2]"}, sampler=Sampler.GRID, concurrent=2)
sweeps.start(Session(open_store(Path(sys.argv[1])), "ada", report), manifest, specification)
"""


def test_after_kill_9_finished_trials_are_not_repeated(session: Session, manifest: Manifest, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SWEEPER, session.store.folder, manifest.folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout
    for line in process.stdout:
        if line == "trial 1 True\n":
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)

    recovery.recover(session)
    (parent,) = [each for each in runs.list_runs(session.store) if each.kind is Kind.SWEEP]
    assert (parent.status, parent.reason) == (Status.FAILED, "its process was killed")
    before = [each for each in stored.get_sweep(session.store, parent.id).trials if each.status is Status.SUCCEEDED]
    assert before
    found = sweeps.resume(session, parent.id)
    assert [each.value for each in found.trials] == [2.25, 0.75, 0.0, 3.0]
    assert [found.trials[each.number - 1] for each in before] == before
