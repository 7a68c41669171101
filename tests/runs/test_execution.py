"""Running a pipeline on the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelwright import records
from modelwright.errors import RunCancelled, StepFailed
from modelwright.projects.code import code_digest
from modelwright.projects.manifest import read_manifest
from modelwright.records import BuiltEnvironment, Run, Status
from modelwright.runs import execution, pipelines, workers
from modelwright.runs.execution import ActiveRun
from modelwright.store import environments, projects, runs
from modelwright.store.changes import change
from modelwright.store.database import Store


def _edit(project: Path, old: str, new: str) -> None:
    path = project / "src" / "small" / "train.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@contextmanager
def _running(store: Store, project: Path, environment: BuiltEnvironment, **parameters: object) -> Iterator[ActiveRun]:
    manifest = read_manifest(project)
    with change(store, actor="ada") as opened:
        project_id = projects.ensure_project(opened, "small", folder=project)
        environments.ensure_environment(opened, environment.lock)
    run = Run(
        id=records.new_id("run"),
        project="small",
        status=Status.RUNNING,
        reason="",
        environment_digest=environment.lock.digest,
        code_digest=code_digest(project),
        git=None,
        started_at=records.now(),
        parameters={"alpha": 0.5} | parameters,
    )
    with (
        execution.recorded(store, run, project_id=project_id, project=project, actor="ada") as folder,
        workers.started(
            environment,
            project=folder / "code",
            source=folder / "code" / manifest.layout.source,
            modules=(manifest.layout.train,),
            log=folder / "logs" / "worker.log",
        ) as worker,
    ):
        yield ActiveRun(store, run, project, worker, "ada")


def test_every_step_is_recorded(store: Store, project: Path, environment: BuiltEnvironment) -> None:
    before = sorted(path.name for path in project.iterdir())
    with _running(store, project, environment) as active:
        metrics = execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")
    run = runs.get_run(store, active.run.id)

    assert metrics == run.metrics == {"error": 1.5}
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
    assert (active.folder / "logs" / "fit.log").read_text() == "fitting\n"
    assert not (active.folder / "values").exists()
    assert sorted(path.name for path in project.iterdir()) == before


def test_the_same_data_is_the_same_dataset_version(store: Store, project: Path, environment: BuiltEnvironment) -> None:
    found = []
    for rows in ("2.0, 3.0]", "2.0, 3.0]", "2.0, 4.0]"):
        _edit(project, "2.0, 3.0]", rows)
        with _running(store, project, environment) as active:
            execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")
        found += [each.reference for each in runs.get_run(store, active.run.id).datasets]
    assert found == ["small:1", "small:1", "small:2"]


def test_a_step_that_raises_fails_the_run_and_its_log_has_the_traceback(
    store: Store, project: Path, environment: BuiltEnvironment
) -> None:
    _edit(project, "return sum(rows) * alpha", "return rows.total")
    with (
        pytest.raises(StepFailed, match=r'step "fit".*has no attribute .total.') as failed,
        _running(store, project, environment) as active,
    ):
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")
    run = runs.get_run(store, active.run.id)

    assert run.status is Status.FAILED
    assert [step.status for step in run.steps] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED]
    assert run.artifacts == ()
    log = Path(str(failed.value.facts["log"]))
    assert "Traceback" in log.read_text()


def test_a_step_that_gives_too_few_values_is_named(store: Store, project: Path, environment: BuiltEnvironment) -> None:
    _edit(project, "return rows[:-size], rows[-size:]", "return rows, rows, rows")
    with (
        pytest.raises(StepFailed, match="split gave 3 values where the pipeline takes 2"),
        _running(store, project, environment) as active,
    ):
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (RunCancelled(run="r", reason="no", folder="f"), Status.CANCELLED),
        (KeyboardInterrupt(), Status.CANCELLED),
        (SystemExit(1), Status.FAILED),
        (ValueError("x"), Status.FAILED),
    ],
)
def test_the_end_of_a_run_is_recorded_however_it_ends(
    store: Store, project: Path, environment: BuiltEnvironment, raised: BaseException, status: Status
) -> None:
    with pytest.raises(type(raised)), _running(store, project, environment) as active:
        raise raised
    run = runs.get_run(store, active.run.id)
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
def test_a_step_that_dies_is_told_from_one_that_raises(
    store: Store, project: Path, environment: BuiltEnvironment, code: str, reason: str
) -> None:
    _edit(project, "    return sum(rows) * alpha", f"    {code}")
    with pytest.raises(StepFailed, match=reason), _running(store, project, environment) as active:
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")


def test_steps_share_no_memory(store: Store, project: Path, environment: BuiltEnvironment) -> None:
    """A global that one step sets is not there in the next, as if each had been started alone."""
    _edit(project, "def load():", "seen = []\n\n\ndef load():\n    seen.append(1)")
    _edit(project, 'print("fitting")', "print(len(seen))")
    with _running(store, project, environment) as active:
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")
    assert (active.folder / "logs" / "fit.log").read_text() == "0\n"


def test_a_module_that_cannot_be_imported_fails_the_step_that_needs_it(
    store: Store, project: Path, environment: BuiltEnvironment
) -> None:
    _edit(project, "import pickle", "print('begun')\nimport nothing_like_it")
    with (
        pytest.raises(StepFailed, match=r'step "load".*No module named .nothing_like_it.'),
        _running(store, project, environment) as active,
    ):
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")


def test_an_edit_during_the_run_changes_nothing_of_it(
    store: Store, project: Path, environment: BuiltEnvironment
) -> None:
    with _running(store, project, environment) as active:
        _edit(project, 'print("fitting")', 'print("edited")')
        execution.execute(active, pipelines.read_pipeline(read_manifest(project).pipeline), dataset="small")
    assert (active.folder / "logs" / "fit.log").read_text() == "fitting\n"
    (train,) = [each for each in runs.get_run(store, active.run.id).artifacts if each.path == "code/src/small/train.py"]
    store.blobs.export(train.digest, project / "restored.py")
    assert "fitting" in (project / "restored.py").read_text()
