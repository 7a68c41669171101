"""Running a pipeline on the record."""

from pathlib import Path

import pytest
from runs.runner import Runner

from modelwright.errors import RunCancelled, StepFailed
from modelwright.records import Status
from modelwright.store import runs


def test_every_step_is_recorded(runner: Runner) -> None:
    before = sorted(path.name for path in runner.project.iterdir())
    run = runner.run()

    assert run.metrics == {"error": 1.5}
    assert run.status is Status.SUCCEEDED
    assert [(step.name, step.status) for step in run.steps] == [
        (name, Status.SUCCEEDED) for name in ("load", "split", "fit", "evaluate", "save")
    ]
    assert set(run.steps[1].outputs) == {"train", "test"}
    assert [each.path for each in run.artifacts] == [
        "code/sample.json",
        "code/src/small/__init__.py",
        "code/src/small/pipeline.py",
        "code/src/small/score.py",
        "code/src/small/train.py",
        "code/wright.toml",
        "outputs/deep/model.pkl",
    ]
    assert [each.reference for each in run.datasets] == ["small:1"]
    assert (runner.log(run, "fit")) == "fitting\n"
    assert sorted(path.name for path in (runner.store.folder / "runs" / run.id).iterdir()) == ["logs"]
    assert sorted(path.name for path in runner.project.iterdir()) == before


def test_the_same_data_is_the_same_dataset_version(runner: Runner) -> None:
    found = []
    for rows in ("2.0, 3.0]", "2.0, 3.0]", "2.0, 4.0]"):
        runner.edit("2.0, 3.0]", rows)
        found += [each.reference for each in runner.run().datasets]
    assert found == ["small:1", "small:1", "small:2"]


def test_a_step_that_raises_fails_the_run_and_its_log_has_the_traceback(runner: Runner) -> None:
    runner.edit("return sum(rows) * alpha", "return rows.total")
    with pytest.raises(StepFailed, match=r'step "fit".*has no attribute .total.') as failed:
        runner.run()
    (run,) = runs.list_runs(runner.store)
    run = runs.get_run(runner.store, run.id)

    assert run.status is Status.FAILED
    assert [step.status for step in run.steps] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED]
    assert all(each.path.startswith("code/") for each in run.artifacts)
    log = Path(str(failed.value.facts["log"]))
    assert "Traceback" in log.read_text()


def test_a_step_that_gives_too_few_values_is_named(runner: Runner) -> None:
    runner.edit("return rows[:-size], rows[-size:]", "return rows, rows, rows")
    with pytest.raises(StepFailed, match="split gave 3 values where the pipeline takes 2"):
        runner.run()


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (RunCancelled(run="r", reason="no", folder="f"), Status.CANCELLED),
        (KeyboardInterrupt(), Status.CANCELLED),
        (SystemExit(1), Status.FAILED),
        (ValueError("x"), Status.FAILED),
    ],
)
def test_the_end_of_a_run_is_recorded_however_it_ends(runner: Runner, raised: BaseException, status: Status) -> None:
    with pytest.raises(type(raised)), runner.running() as active:
        raise raised
    run = runs.get_run(runner.store, active.run.id)
    assert run.status is status
    assert run.reason
    assert run.finished_at is not None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os.kill(os.getppid(), 9)", "ended by SIGKILL"),
    ],
)
def test_a_step_that_dies_is_told_from_one_that_raises(runner: Runner, code: str, reason: str) -> None:
    runner.edit("    return sum(rows) * alpha", f"    {code}")
    with pytest.raises(StepFailed, match=reason):
        runner.run()


def test_steps_share_no_memory(runner: Runner) -> None:
    """A global that one step sets is not there in the next, as if each had been started alone."""
    runner.edit("def load():", "seen = []\n\n\ndef load():\n    seen.append(1)")
    runner.edit('print("fitting")', "print(len(seen))")
    assert runner.log(runner.run(), "fit") == "0\n"


def test_a_module_that_cannot_be_imported_fails_the_step_that_needs_it(runner: Runner) -> None:
    runner.edit("import pickle", "print('begun')\nimport nothing_like_it")
    with pytest.raises(StepFailed, match=r'step "load".*No module named .nothing_like_it.'):
        runner.run()


def test_an_edit_during_the_run_changes_nothing_of_it(runner: Runner, tmp_path: Path) -> None:
    with runner.running() as active, runner.execution(active) as execution:
        runner.edit('print("fitting")', 'print("edited")')
        execution.run(dataset="small")
    assert (active.folder / "logs" / "fit.log").read_text() == "fitting\n"
    (train,) = [
        each for each in runs.get_run(runner.store, active.run.id).artifacts if each.path == "code/src/small/train.py"
    ]
    runner.store.blobs.export(train.digest, tmp_path / "restored.py")
    assert "fitting" in (tmp_path / "restored.py").read_text()
