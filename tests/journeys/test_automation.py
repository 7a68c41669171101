"""Published pipelines, schedules and sweeps, as typed: of a project whose model is a number."""

import os
import platform
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from journeys.terminal import PATIENCE_SECONDS, Terminal, until

from modelwright.store import claims, database

pytestmark = pytest.mark.slow


@pytest.fixture
def small(project: Path) -> Path:
    """The small project, with parameters and a lock of nothing."""
    (project / "requirements.lock").write_text("# nothing\n")
    (project / "parameters.toml").write_text("alpha = 0.5\n")
    told = (project / "wright.toml").read_text()
    (project / "wright.toml").write_text(told.replace('python = "3"', f'python = "{platform.python_version()}"'))
    return project


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "src" / "small" / "train.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _background_of(terminal: Terminal) -> int | None:
    store = database.open_store(terminal.workspace)
    try:
        return claims.holder(store, "background")
    finally:
        store.close()


def _ticks(terminal: Terminal, name: str) -> list[Any]:
    ticks: list[Any] = terminal.look("schedule", "show", name)["ticks"]
    return ticks


def test_a_published_pipeline_is_run_changed_compared_and_switched_off(terminal: Terminal, small: Path) -> None:
    assert terminal.wright("pipeline", "publish", "small").stdout.splitlines()[0] == "small:1"
    _edit(small, "sum(rows) * alpha", "1000.0")
    run = terminal.json("pipeline", "run", "small", "--set", "alpha=1.0", "--no-gate")
    assert (run["metrics"], run["parameters"]) == ({"error": 0.0}, {"alpha": 1.0})

    refused = terminal.json("pipeline", "run", "small", "--set", "alfa=1", expect=1)["error"]
    assert refused["code"] == "published-parameter-unknown"
    assert len(terminal.json("run", "list")) == 1

    terminal.wright("pipeline", "clone", "small:1", "draft")
    _edit(terminal.folder / "draft", "sum(rows) * alpha", "max(rows) * alpha")
    second = terminal.json("pipeline", "publish", "draft", "--description", "the largest")
    shown = terminal.json("pipeline", "show", "small:2")
    assert (second["reference"], shown["parent"], shown["description"]) == ("small:2", "small:1", "the largest")
    assert [each["function"] for each in shown["steps"]] == ["load", "split", "fit", "evaluate", "save"]
    assert "parameter    alpha = 0.5" in terminal.wright("pipeline", "show", "small").stdout
    told = terminal.wright("pipeline", "diff", "small:1", "small:2").stdout
    assert "+    return max(rows) * alpha\n" in told
    assert terminal.wright("pipeline", "diff", "small:1", "small:1").stdout == "no difference\n"

    terminal.wright("pipeline", "disable", "small:2")
    refused = terminal.json("pipeline", "run", "small:2", expect=1)["error"]
    assert (refused["code"], refused["next_command"]) == ("pipeline-disabled", "wright pipeline enable small:2")
    assert [each["is_enabled"] for each in terminal.json("pipeline", "list")] == [False, True]
    assert terminal.json("pipeline", "run", "nothing", expect=1)["error"]["code"] == "pipeline-missing"


def test_up_runs_schedules_and_down_leaves_nothing(terminal: Terminal, small: Path) -> None:
    terminal.wright("pipeline", "publish", "small")
    terminal.up()
    terminal.wright("down")
    told = terminal.wright("schedule", "add", "often", "--pipeline", "small", "--every", "1s")
    assert told.stdout == 'schedule "often" runs small every 1s\n  next: wright up\n'
    assert "nothing runs often" in terminal.wright("doctor", expect=1).stdout
    again = {"endpoints": [], "rollouts": [], "api": terminal.json("up")["api"], "token": None}
    assert terminal.json("up") == again
    terminal.wright("up")  # a second one changes nothing
    until(lambda: "succeeded" in [each["outcome"] for each in _ticks(terminal, "often")], "a tick")

    (terminal.folder / "data").mkdir()
    terminal.wright("schedule", "add", "data", "--pipeline", "small", "--on-new-data", "data", "--set", "alpha=1")
    terminal.wright("schedule", "disable", "often")
    (terminal.folder / "data" / "new.csv").write_text("1")
    until(lambda: "succeeded" in [each["outcome"] for each in _ticks(terminal, "data")], "the new file")

    process = _background_of(terminal)
    assert process
    os.kill(process, signal.SIGKILL)
    until(lambda: terminal.processes() == [], "what it started to end")
    assert terminal.json("up")["api"] == again["api"]
    terminal.wright("schedule", "run-now", "often")
    assert terminal.json("down") == {"endpoints": [], "background": True}
    assert terminal.processes() == []
    assert terminal.wright("down").stdout == "nothing was running\n"
    runs = terminal.json("run", "list")
    assert {each["tags"]["schedule"] for each in runs} == {"often", "data"}


def test_one_process_serves_at_one_place_that_only_this_machine_reaches(terminal: Terminal) -> None:
    told = terminal.up()
    assert told["token"].startswith("wright_")
    assert told["api"].startswith("http://127.0.0.1:")
    process = psutil.Process(_background_of(terminal))
    assert [each.laddr.ip for each in process.net_connections() if each.status == psutil.CONN_LISTEN] == ["127.0.0.1"]
    assert process.children(recursive=True) == []
    assert len(terminal.processes()) == 1
    assert terminal.json("model", "list") == terminal.json("--workspace", told["api"], "model", "list") == []
    assert "it works at " + told["api"] in terminal.wright("doctor").stdout

    process.kill()
    process.wait(120)
    assert "does nothing" in terminal.wright("doctor", expect=1).stdout
    assert terminal.json("up") == told | {"token": None}
    assert terminal.json("--workspace", told["api"], "model", "list") == []
    assert terminal.json("up", "--api-host", "0.0.0.0")["api"] == told["api"], "it is there already"
    terminal.wright("down")
    for each in terminal.json("token", "list"):
        terminal.wright("token", "revoke", each["name"])
    refused = terminal.json("up", "--api-host", "0.0.0.0", expect=1)["error"]
    assert refused["code"] == "host-not-open"
    assert terminal.processes() == []


def test_a_scheduled_run_ends_with_its_scheduler(terminal: Terminal, small: Path) -> None:
    """Killed, it is failed and not run again; ended by `wright down`, it is cancelled."""
    _edit(small, 'print("fitting")', "import time; time.sleep(600)")
    terminal.wright("pipeline", "publish", "small")
    terminal.wright("schedule", "add", "slow", "--pipeline", "small:1", "--every", "1s")
    terminal.up()
    until(lambda: any(each["steps"] for each in _running(terminal)), "the run's steps")
    process = _background_of(terminal)
    assert process
    os.kill(process, signal.SIGKILL)
    until(lambda: terminal.processes() == [], "what it started to end")

    terminal.wright("up")
    until(lambda: len(_running(terminal)) == 2 and bool(_running(terminal)[0]["steps"]), "the next run")
    terminal.wright("down")
    assert terminal.processes() == []
    outcomes = [each["outcome"] for each in _ticks(terminal, "slow")]
    assert outcomes == ["cancelled: it was interrupted", "failed: its process was killed"]
    assert [each["status"] for each in terminal.json("run", "list")] == ["cancelled", "failed"]


def _running(terminal: Terminal) -> list[Any]:
    return [terminal.look("run", "show", each["id"]) for each in terminal.look("run", "list")]


def test_a_scheduler_ends_when_its_workspace_is_gone(terminal: Terminal, small: Path) -> None:
    import shutil

    terminal.wright("pipeline", "publish", "small")
    terminal.wright("schedule", "add", "yearly", "--pipeline", "small", "--cron", "0 0 1 1 *")
    terminal.wright("up")
    shutil.rmtree(terminal.workspace)
    until(lambda: terminal.processes() == [], "the services to end")


def test_ticks_by_hand_and_what_is_wrong_with_an_option(terminal: Terminal, small: Path) -> None:
    terminal.wright("pipeline", "publish", "small")
    add = ("schedule", "add", "x", "--pipeline", "small")
    for options in ([], ["--every", "1s", "--cron", "* * * * *"], ["--every", "1s", "--time-zone", "UTC"]):
        terminal.wright(*add, *options, expect=2)
    terminal.wright(*add, "--on-dataset", "small", "--missed", "all", expect=2)
    assert terminal.json(*add, "--every", "soon", expect=1)["error"]["code"] == "trigger-invalid"
    assert terminal.json(*add, "--on-dataset", "smal", expect=1)["error"]["code"] == "trigger-invalid"

    made = terminal.json(*add, "--cron", "0 3 * * 1-5", "--time-zone", "Europe/Berlin")
    assert made["trigger"] == {"kind": "cron", "value": "0 3 * * 1-5", "time_zone": "Europe/Berlin"}
    assert len(terminal.json("schedule", "show", "x")["next"]) == 5
    assert terminal.wright("schedule", "tick").stdout == "nothing is due\n"
    assert terminal.json("schedule", "run-now", "x")[0]["outcome"] == "succeeded"
    _edit(small, "return sum(rows) * alpha", "return rows.total")
    terminal.wright("pipeline", "publish", "small")
    told = terminal.wright("schedule", "run-now", "x", expect=1)
    assert 'failed: step "fit"' in told.stdout
    assert "0 3 * * 1-5 Europe/Berlin" in terminal.wright("schedule", "list").stdout
    terminal.wright("schedule", "remove", "x")
    assert terminal.json("schedule", "list") == []
    assert terminal.json("schedule", "show", "x", expect=1)["error"]["code"] == "schedule-missing"


def test_a_sweep_is_told_trial_by_trial_and_its_best_is_registered(terminal: Terminal, small: Path) -> None:
    swept = terminal.wright("sweep", "small", "--parameter", "alpha=[0.25, 1, 0.75]", "--sampler", "grid")
    lines = [line.split() for line in swept.stderr.splitlines()]
    assert [line[1:3] for line in lines[1:4]] == [["trial", "1"], ["trial", "2"], ["trial", "3"]]
    assert "wright sweep --resume run_" in swept.stderr.splitlines()[0]
    assert "error 2.25 (best 2.25, of trial 1)" in swept.stderr
    run = swept.stdout.splitlines()[-2]
    shown = terminal.json("sweep", "show", run)
    assert [each["value"] for each in shown["ranked"]] == [0.0, 0.75, 2.25]
    assert shown["best"]["parameters"] == {"alpha": 1}
    assert terminal.json("model", "register", run)["metrics"] == {"error": 0.0}

    terminal.wright("sweep", "small", expect=2)
    terminal.wright("sweep", "small", "--parameter", "alpha", expect=2)
    refused = terminal.json("sweep", "small", "--parameter", "alpha=uniform(1,0)", expect=1)["error"]
    assert refused["code"] == "space-invalid"
    assert terminal.json("run", "resume", run, expect=1)["error"]["code"] == "run-not-resumable"


def test_ctrl_c_ends_a_sweep_and_resume_lets_it_go_on(terminal: Terminal, small: Path) -> None:
    flag = terminal.folder / "slow"
    flag.touch()
    _edit(
        small,
        'print("fitting")',
        f"import os, time; time.sleep(600 if alpha > 0.5 and os.path.exists({str(flag)!r}) else 0)",
    )
    arguments = ("--parameter", "alpha=[0.25, 0.75, 1]", "--sampler", "grid", "--concurrent", "2")
    process = terminal.start("sweep", "small", *arguments)
    assert process.stderr
    process.stderr.readline()
    assert "trial 1" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert terminal.processes() == []
    sweep = next(each for each in terminal.json("run", "list") if each["kind"] == "sweep")
    assert sweep["status"] == "cancelled"

    flag.unlink()
    resumed = terminal.json("sweep", "--resume", sweep["id"])
    assert [each["value"] for each in resumed["trials"]] == [2.25, 0.75, 0.0]
    first = [each for each in terminal.json("run", "list") if each["tags"].get("trial") == "1"]
    assert len(first) == 1


def test_a_real_model_is_swept_by_optuna(terminal: Terminal) -> None:
    terminal.wright("new", "my-model")
    swept = terminal.json(
        *("sweep", "my-model", "--parameter", "alpha=loguniform(0.001, 10)", "--sampler", "bayesian"),
        *("--trials", "5", "--concurrent", "2"),
    )
    values = [each["value"] for each in swept["trials"]]
    assert swept["best"]["value"] == min(values)
    assert len(set(values)) == 5
    steps = terminal.json("run", "show", swept["trials"][4]["run_id"])["steps"]
    assert {each["name"] for each in steps if each["reused_from"]} == {"load_data", "split_data"}
    version = terminal.json("model", "register", swept["run_id"])
    assert version["metrics"]["mse"] == min(values)
