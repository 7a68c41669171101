"""Tracking scripts and notebooks through the names that a user imports."""

import contextlib
import json
import math
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import modelwright
from modelwright.errors import (
    MetricNotNumber,
    MetricStepInvalid,
    NameInvalid,
    NoActiveRun,
    NotLoggable,
    ParameterFixed,
    RunEnded,
    SnapshotTooLarge,
)
from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session
from modelwright.records import Run, Status
from modelwright.runs import workspaces
from modelwright.runs.buffering import Buffer
from modelwright.settings import child_environment
from modelwright.store import claims, runs
from modelwright.store.audit import list_events
from modelwright.store.database import Store, open_store


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty workspace to copy, for making one takes most of a second."""
    folder = tmp_path_factory.mktemp("empty") / ".wright"
    open_store(folder).close()
    return folder


@pytest.fixture
def folder(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a script, where the user is."""
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    (tmp_path / "train.py").write_text("print('training')\n")
    shutil.copytree(empty, tmp_path / ".wright")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    workspaces.close_workspaces()


@pytest.fixture
def opened(folder: Path) -> Iterator[Store]:
    """The workspace there, as others open it."""
    store = open_store(folder / ".wright")
    yield store
    store.close()


def _points(store: Store, run: str) -> list[tuple[str, int, float]]:
    return [(each.name, each.step, each.value) for _, each in runs.list_points(store, run)]


def _script(folder: Path, text: str) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def _only(store: Store) -> Run:
    (run,) = runs.list_runs(store)
    return run


def test_a_run_has_all_that_was_logged(folder: Path, opened: Store) -> None:
    with modelwright.start_run("ridge", parameters={"alpha": 0.5}, tags={"kind": "linear"}, note="first") as run:
        for loss in (3.0, 2.0, 1.5):
            modelwright.log_metric("loss", loss)
        modelwright.log_metrics({"mse": 2, "mae": np.float32(0.5)}, step=7)
        modelwright.log_parameter("size", np.int64(3))
        modelwright.log_parameters({"model": {"depth": (1, 2)}, "path": folder})
        modelwright.set_tag("fold", 1)
        modelwright.set_tags({"kind": "quadratic"})
        modelwright.note("second")
    found = runs.get_run(opened, run.id)

    assert found.status is Status.SUCCEEDED
    assert found.metrics == {"loss": 1.5, "mae": 0.5, "mse": 2.0}
    assert _points(opened, run.id)[:4] == [("loss", 0, 3.0), ("loss", 1, 2.0), ("loss", 2, 1.5), ("mse", 7, 2.0)]
    assert found.parameters == {"alpha": 0.5, "model": {"depth": [1, 2]}, "path": str(folder), "size": 3}
    assert found.tags == {"kind": "quadratic", "fold": "1"}
    assert (found.experiment, found.note, found.kind, found.project) == ("ridge", "second", "script", "")
    assert found.machine["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert found.machine["memory_bytes"] > 0
    assert list(runs.list_code(opened, found)) == ["train.py"]
    assert [each["type"] for each in list_events(opened, subject=f"runs/{run.id}")][-1] == "run.succeeded"


def test_metrics_are_seen_while_the_run_is_running(folder: Path, opened: Store) -> None:
    with modelwright.start_run() as run:
        run.log_metric("loss", 1.0)
        run.flush()
        assert _only(opened).metrics == {"loss": 1.0}
        assert _only(opened).status is Status.RUNNING
        assert run.read().metrics == {"loss": 1.0}


def test_a_buffered_point_is_written_without_being_asked_for(folder: Path, opened: Store) -> None:
    with modelwright.start_run(buffer_seconds=0.01) as run:
        run.log_metric("loss", 1.0)
        arrived = threading.Event()
        while not _points(opened, run.id):
            assert not arrived.wait(0.01)


def test_unbuffered_a_point_is_committed_when_it_is_logged(folder: Path, opened: Store) -> None:
    with modelwright.start_run(buffer_seconds=0) as run:
        run.log_metric("loss", math.nan)
        run.log_metric("loss", math.inf)
        ((_, _, first), (_, _, second)) = _points(opened, run.id)
    assert math.isnan(first)
    assert second == math.inf
    assert _only(opened).metrics == {"loss": math.inf}


def test_thousands_of_points_keep_their_order(folder: Path, opened: Store) -> None:
    with modelwright.start_run() as run:
        for number in range(3_500):
            run.log_metric("loss", float(number))
    assert _points(opened, run.id) == [("loss", number, float(number)) for number in range(3_500)]


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (True, "log 1.0 or 0.0"),
        ("high", "set_tag"),
        ([1, 2], "log_table"),
        (np.array([1.0, 2.0]), "log_table"),
        ({"a": 1}, "log_metrics"),
        (None, "log_table"),
        (10**400, "logarithm"),
        (np.bool_(True), "log_table|log 1.0"),
    ],
)
def test_what_is_no_number_is_refused_with_what_to_use(folder: Path, value: object, advice: str) -> None:
    with modelwright.start_run() as run, pytest.raises(MetricNotNumber, match='metric "loss"') as refused:
        run.log_metric("loss", value)  # type: ignore[arg-type]
    assert any(each in refused.value.next_command for each in advice.split("|"))
    assert run.read().metrics == {}


def test_a_step_is_a_whole_number(folder: Path) -> None:
    with modelwright.start_run() as run:
        run.log_metric("loss", 1.0, step=np.int32(4))
        run.log_metric("loss", 2.0)
        with pytest.raises(MetricStepInvalid, match=r"0\.5"):
            run.log_metric("loss", 1.0, step=0.5)  # type: ignore[arg-type]
        with pytest.raises(MetricStepInvalid):
            run.log_metric("loss", 1.0, step=1 << 70)
    assert [step for _, step, _ in _points(workspaces.open_workspace(folder / ".wright").store, run.id)] == [4, 5]


def test_a_parameter_stays_as_it_was_set(folder: Path) -> None:
    with modelwright.start_run(parameters={"alpha": 0.5}) as run:
        run.log_parameters({"alpha": 0.5, "beta": math.nan})
        with pytest.raises(ParameterFixed, match=r'"alpha" of run_.* is 0.5 and stays so; it cannot become 1.0'):
            run.log_parameters({"gamma": 1, "alpha": 1.0})
        with pytest.raises(NameInvalid):
            run.log_parameter("", 1)
    assert run.read().parameters == {"alpha": 0.5, "beta": "nan"}


@pytest.mark.parametrize(
    ("raised", "status", "reason"),
    [
        (ValueError("no such column"), Status.FAILED, "ValueError: no such column"),
        (KeyboardInterrupt(), Status.CANCELLED, "interrupted from the keyboard"),
        (SystemExit(3), Status.FAILED, "exit code 3"),
        (SystemExit(0), Status.SUCCEEDED, ""),
    ],
)
def test_a_run_ends_as_its_block_ends(
    folder: Path, opened: Store, raised: BaseException, status: Status, reason: str
) -> None:
    def work() -> None:
        with modelwright.start_run():
            modelwright.log_metric("loss", 1.0)
            raise raised

    with pytest.raises(type(raised)):
        work()
    found = _only(opened)
    assert (found.status, found.reason, found.metrics) == (status, reason, {"loss": 1.0})
    assert not claims.is_claimed(opened, found.id)
    assert modelwright.active_run() is None


def test_a_nested_run_is_a_child(folder: Path, opened: Store) -> None:
    with modelwright.start_run("search") as parent:
        for alpha in (0.1, 0.2):
            with modelwright.start_run(parameters={"alpha": alpha}) as child:
                assert modelwright.active_run() is child
                modelwright.log_metric("mse", alpha)
        assert modelwright.active_run() is parent
        modelwright.log_metric("best", 0.1)
    later = modelwright.start_run(parent=parent.id)
    later.finish()
    children = runs.list_runs(opened, parent_id=parent.id)
    assert [each.metrics for each in children] == [{}, {"mse": 0.2}, {"mse": 0.1}]
    assert [each.experiment for each in children] == ["default", "search", "search"]
    assert runs.get_run(opened, parent.id).metrics == {"best": 0.1}


def test_cells_of_a_notebook_may_start_log_and_finish_apart(folder: Path, opened: Store) -> None:
    first = modelwright.start_run("notebook")
    second = modelwright.start_run("notebook")  # the cell was run once more
    modelwright.log_metric("loss", 1.0)
    second.finish()
    first.finish(Status.CANCELLED, reason="forgotten")
    assert [(each.id, each.status, each.metrics, each.parent_id) for each in runs.list_runs(opened)] == [
        (second.id, Status.SUCCEEDED, {"loss": 1.0}, None),
        (first.id, Status.CANCELLED, {}, None),
    ]


def test_threads_log_to_the_run_of_the_main_thread_or_to_their_own(folder: Path, opened: Store) -> None:
    def work(number: int) -> None:
        modelwright.log_metric("shared", number, step=number)
        with modelwright.start_run(parameters={"number": number}):
            modelwright.log_metric("own", number)

    with modelwright.start_run() as run:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(300)
    assert sorted(step for _, step, _ in _points(opened, run.id)) == list(range(8))
    children = runs.list_runs(opened, parent_id=run.id)
    assert sorted((each.parameters["number"], each.metrics["own"]) for each in children) == [
        (number, number) for number in range(8)
    ]


def test_without_a_run_logging_is_refused(folder: Path) -> None:
    with pytest.raises(NoActiveRun, match="log_metric was called") as refused:
        modelwright.log_metric("loss", 1.0)
    assert "start_run" in refused.value.next_command


def test_after_its_end_nothing_is_logged_to_a_run(folder: Path) -> None:
    with modelwright.start_run() as run:
        pass
    for log in (lambda: run.log_metric("loss", 1.0), lambda: run.set_tag("a", "b"), lambda: run.log_table("t", {})):
        with pytest.raises(RunEnded, match=run.id):
            log()


def test_tables_figures_and_files_are_artifacts(folder: Path, opened: Store) -> None:
    import pandas as pd
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").write_bytes(b"weights")
    with modelwright.start_run() as run:
        modelwright.log_table("errors", pd.DataFrame({"x": [1, 2], "y": [0.5, math.nan], "z": ["a", None]}))
        modelwright.log_table("plain", {"x": (1, 2)})
        modelwright.log_table("rows", [{"x": 1}, {"x": 2, "y": 3}])
        modelwright.log_figure("curve", figure)
        modelwright.log_figure("drawn", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
        modelwright.log_artifact("model")
        modelwright.log_artifact(folder / "train.py", name="used/train.py")
        modelwright.log_table("plain", {"x": [3]})
    kept = {each.path: each for each in runs.get_run(opened, run.id).artifacts}

    assert sorted(kept) == [
        "figures/curve.png",
        "figures/drawn.svg",
        "outputs/model/weights.bin",
        "outputs/used/train.py",
        "tables/errors.json",
        "tables/plain.json",
        "tables/rows.json",
    ]

    def content(path: str) -> bytes:
        return opened.blobs.path(kept[path].digest).read_bytes()

    assert json.loads(content("tables/errors.json")) == {
        "format": 1,
        "columns": {"x": [1, 2], "y": [0.5, None], "z": ["a", None]},
    }
    assert json.loads(content("tables/plain.json"))["columns"] == {"x": [3]}
    assert json.loads(content("tables/rows.json"))["columns"] == {"x": [1, 2], "y": [None, 3]}
    assert content("figures/curve.png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (lambda run: run.log_table("t", {"a": [1], "b": [1, 2]}), "different lengths: a 1, b 2"),
        (lambda run: run.log_table("t", 3), "type int"),
        (lambda run: run.log_figure("f", b"GIF89a"), "neither PNG nor SVG"),
        (lambda run: run.log_figure("f", "picture.png"), "type str"),
        (lambda run: run.log_artifact("nowhere"), "no such file"),
        (lambda run: run.log_artifact("train.py", name="../up.py"), "leads out"),
    ],
)
def test_what_is_no_table_figure_or_file_is_refused(folder: Path, log: object, reason: str) -> None:
    with modelwright.start_run() as run, pytest.raises(NotLoggable, match=reason):
        log(run)  # type: ignore[operator]


def test_the_code_is_kept_once_for_all_runs_and_anew_after_an_edit(folder: Path, opened: Store) -> None:
    def blobs() -> int:
        return len(opened.blobs.digests())

    with modelwright.start_run() as first, modelwright.start_run() as second:
        pass
    assert blobs() == 1
    (folder / "train.py").write_text("print('trained')\n")
    (folder / "new.py").write_text("")
    with modelwright.start_run() as third:
        pass
    assert blobs() == 3
    one, two, three = (runs.get_run(opened, each.id) for each in (first, second, third))
    assert one.code_digest == two.code_digest != three.code_digest
    assert list(runs.list_code(opened, one)) == ["train.py"]
    assert list(runs.list_code(opened, three)) == ["new.py", "train.py"]


def test_uncommitted_changes_are_kept_with_every_run(folder: Path, opened: Store) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=folder, check=True)

    git("init", "--quiet", "--initial-branch", "main")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    (folder / "new.py").write_text("new\n")
    with modelwright.start_run() as first, modelwright.start_run() as second:
        pass
    for each in (first, second):
        found = runs.get_run(opened, each.id)
        assert found.git
        assert (found.git.branch, found.git.is_dirty) == ("main", True)
        (difference,) = found.artifacts
        assert difference.path == "git.diff"
        assert b"+new\n" in opened.blobs.path(difference.digest).read_bytes()


def test_the_packages_of_the_interpreter_are_the_environment(folder: Path, opened: Store) -> None:
    from importlib.metadata import version

    from modelwright.environments.locking import pins
    from modelwright.store.environments import get_environment

    with modelwright.start_run() as run:
        pass
    lock = get_environment(opened, runs.get_run(opened, run.id).environment_digest)
    assert pins(lock)["numpy"] == version("numpy")
    assert lock.python_version == ".".join(map(str, sys.version_info[:3]))


def test_a_script_is_recorded_by_its_name_and_folder(folder: Path, opened: Store) -> None:
    (folder / "wright.toml").write_text("")
    (folder / "deep").mkdir()
    script = "import modelwright\nwith modelwright.start_run() as run:\n    modelwright.log_metric('loss', 1)\n"
    (folder / "deep" / "fit.py").write_text(script)
    subprocess.run([sys.executable, "deep/fit.py"], cwd=folder, env=child_environment(), check=True)
    found = _only(opened)
    assert found.tags == {"script": "deep/fit.py"}
    assert found.metrics == {"loss": 1.0}
    assert list(runs.list_code(opened, found)) == ["deep/fit.py", "train.py", "wright.toml"]


STARTED = """
    import os, signal, sys, time
    import modelwright
    {before}
    run = modelwright.start_run(buffer_seconds=60)
    {after}
    for number in range(123):
        run.log_metric("loss", number)
    print("logged", flush=True)
    {last}
"""


def _started(before: str = "", after: str = "", last: str = "time.sleep(600)") -> str:
    return STARTED.format(before=before, after=after, last=last)


def test_sigterm_loses_no_point_and_ends_process_and_run(folder: Path, opened: Store) -> None:
    process = _script(folder, _started())
    assert process.stdout
    assert process.stdout.readline() == "logged\n"
    process.terminate()
    code, _, err = _ended(process)
    found = _only(opened)
    assert code == -signal.SIGTERM, err
    assert (found.status, found.reason) == (Status.FAILED, "ended by SIGTERM")
    assert len(_points(opened, found.id)) == 123


@pytest.mark.parametrize("where", ["before", "after"])
def test_the_users_own_handler_of_sigterm_is_called(folder: Path, opened: Store, where: str) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda number, frame: (print('mine', flush=True), sys.exit(9)))"
    process = _script(folder, _started(**{where: handler}))
    assert process.stdout
    assert process.stdout.readline() == "logged\n"
    process.terminate()
    code, out, err = _ended(process)
    assert (code, out) == (9, "mine\n"), err
    assert len(_points(opened, _only(opened).id)) == 123


def test_an_exit_loses_no_point_and_a_run_that_nobody_ended_says_so(folder: Path, opened: Store) -> None:
    code, _, err = _ended(_script(folder, _started(last="sys.exit(0)")))
    found = _only(opened)
    assert (code, err) == (0, "")
    assert found.status is Status.FAILED
    assert "its process ended before the run did" in found.reason
    assert len(_points(opened, found.id)) == 123


def test_a_killed_run_is_found_failed_with_its_child(folder: Path, opened: Store) -> None:
    text = """
        import os, signal
        import modelwright
        with modelwright.start_run() as run, modelwright.start_run() as child:
            child.log_metric("loss", 1.0)
            child.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert _ended(_script(folder, text))[0] == -signal.SIGKILL
    assert [each.status for each in runs.list_runs(opened)] == [Status.RUNNING, Status.RUNNING]
    with modelwright.start_run("alive") as alive:
        recovered = recovery.recover(Session(opened, "ada"))
        assert len(recovered.runs) == 2
        assert {each.id: each.status for each in runs.list_runs(opened)}[alive.id] is Status.RUNNING
    child, parent = runs.list_runs(opened)[1:]
    assert (child.parent_id, child.status, child.metrics) == (parent.id, Status.FAILED, {"loss": 1.0})
    assert parent.reason == "its process was killed"
    assert list(runs.list_code(opened, parent)) == ["script.py", "train.py"]
    assert opened.blobs.digests()


def _log_from_child(run: object, worker: int) -> None:
    for number in range(50):
        run.log_metric(f"worker {worker}", number)  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_may_log_to_one_run(folder: Path, opened: Store, method: str) -> None:
    context = multiprocessing.get_context(method)
    with modelwright.start_run() as run:
        run.log_metric("parent", 1.0)
        workers = [context.Process(target=_log_from_child, args=(run, number)) for number in range(3)]
        for each in workers:
            each.start()
        for each in workers:
            each.join(300)
            assert each.exitcode == 0
        assert claims.is_claimed(opened, run.id)
    found = _only(opened)
    assert found.status is Status.SUCCEEDED
    assert found.metrics == {"parent": 1.0} | {f"worker {number}": 49.0 for number in range(3)}
    assert len(_points(opened, run.id)) == 151


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_nothing_is_being_written_while_a_process_forks() -> None:
    """What is taken then, such as SQLite's own locks, would be taken in the fork for ever."""
    has_begun, has_forked, seen = threading.Event(), threading.Event(), list[bool]()

    def write(_points: object) -> None:
        has_begun.set()
        seen.append(has_forked.wait(0.2))

    writing = threading.Thread(target=Buffer(write, seconds=60).flush_with, args=(write,))
    writing.start()
    assert has_begun.wait(60)
    child = os.fork()
    if not child:
        os._exit(0)
    has_forked.set()
    writing.join(60)
    assert os.waitpid(child, 0)[1] == 0
    assert seen == [False]


def test_processes_at_once_lose_no_point_and_meet_no_lock(folder: Path, opened: Store) -> None:
    text = """
        import modelwright
        with modelwright.start_run(buffer_seconds=0) as run:
            for number in range(25):
                run.log_metric("loss", number)
        with modelwright.start_run() as run:
            for number in range(2000):
                run.log_metric("loss", number)
    """
    command = [sys.executable, "-c", textwrap.dedent(text)]
    processes = [
        subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [_ended(each)[::2] for each in processes] == [(0, "")] * 4
    found = runs.list_runs(opened)
    assert [each.status for each in found] == [Status.SUCCEEDED] * 8
    assert sorted(len(_points(opened, each.id)) for each in found) == [25] * 4 + [2000] * 4


def test_a_run_can_be_handed_over_by_pickle(folder: Path, opened: Store) -> None:
    with modelwright.start_run() as run:
        copy = pickle.loads(pickle.dumps(run))
        copy.log_metric("loss", 1.0)
        copy.finish()  # not its to end
        assert _only(opened).status is Status.RUNNING
    assert _only(opened).metrics == {"loss": 1.0}


def test_a_handler_of_sigterm_is_there_only_while_a_run_is(folder: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with modelwright.start_run():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_cannot_be_written_now_is_written_later(folder: Path, opened: Store) -> None:
    with modelwright.start_run(buffer_seconds=60) as run:
        run.log_metric("loss", 1.0)
        workspace = workspaces.open_workspace(folder / ".wright")
        write, workspace._log.write = workspace._log.write, _fail  # type: ignore[method-assign]
        with pytest.raises(OSError, match="disk full"):
            run.flush()
        workspace._log.write = write  # type: ignore[method-assign]
        run.log_metric("loss", 2.0)
    assert _points(opened, run.id) == [("loss", 0, 1.0), ("loss", 1, 2.0)]


def _fail(_points: object) -> None:
    raise OSError(28, "disk full")


def test_a_fork_that_exits_leaves_the_run_to_its_parent(folder: Path, opened: Store) -> None:
    text = """
        import os, sys
        import modelwright
        run = modelwright.start_run(buffer_seconds=60)
        run.log_metric("loss", 1.0)
        if os.fork() == 0:
            run.log_metric("child", 1.0)
            sys.exit(0)
        os.wait()
        run.finish()
    """
    code, _, err = _ended(_script(folder, text))
    assert code == 0, err
    found = _only(opened)
    assert found.status is Status.SUCCEEDED, err
    assert sorted(_points(opened, found.id)) == [("child", 0, 1.0), ("loss", 0, 1.0)]


def test_a_run_that_cannot_be_recorded_is_not_begun(folder: Path, opened: Store) -> None:
    with contextlib.suppress(OSError):
        os.truncate(folder / "train.py", 301 * 1024 * 1024)
    with pytest.raises(SnapshotTooLarge, match=r"train\.py"):
        modelwright.start_run()
    assert runs.list_runs(opened) == []
    assert list((folder / ".wright" / "claims").iterdir()) == []
