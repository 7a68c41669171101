"""A project's pipeline as its user runs it: again, after an edit, killed, resumed, cancelled."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from journeys.terminal import PATIENCE_SECONDS, Terminal, until

pytestmark = pytest.mark.slow

STEPS = ["load_data", "split_data", "train_model", "evaluate_model", "save_model"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal with the new project `shop`, run once."""
    opened = Terminal(tmp_path_factory.mktemp("pipelines"))
    opened.wright("new", "shop")
    opened.wright("run", "shop", "--no-gate")
    yield opened
    opened.wright("down")


def _edit(terminal: Terminal, old: str, new: str) -> None:
    path = terminal.folder / "shop" / "src" / "shop" / "train.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _reused(told: str) -> list[str]:
    return [line.split()[4] for line in told.splitlines() if "reused from" in line]


def _start_and_wait(terminal: Terminal, *command: str) -> tuple[subprocess.Popen[str], str, Path]:
    """Start a run whose training waits for a file; return it with its run, once it waits, and the file."""
    gate, waiting = terminal.folder / "go", terminal.folder / "waiting"
    waiting.unlink(missing_ok=True)
    process = terminal.start(*command)
    until(waiting.exists, "the training to begin")
    (run,) = [each["id"] for each in terminal.json("run", "list") if each["status"] == "running"]
    return process, run, gate


def _let_training_wait(terminal: Terminal) -> None:
    wait = (
        f"import pathlib, time\n    pathlib.Path({str(terminal.folder)!r}, 'waiting').touch()\n"
        f"    while not pathlib.Path({str(terminal.folder)!r}, 'go').exists():\n        time.sleep(0.05)\n"
    )
    _edit(terminal, "    model = Ridge(alpha=alpha)\n", f"    {wait}    model = Ridge(alpha=alpha)\n")


def test_a_second_run_reuses_and_an_edit_runs_what_reaches_it(shop: Terminal) -> None:
    assert _reused(shop.wright("run", "shop", "--no-gate").stderr) == STEPS
    _edit(shop, "predictions = model.predict", "predictions = 1.0 * model.predict")
    assert _reused(shop.wright("run", "shop", "--no-gate").stderr) == [x for x in STEPS if x != "evaluate_model"]


@pytest.mark.parametrize("victim", ["the command", "its worker", "the step"])
def test_a_killed_run_is_found_failed_and_resumed_without_its_finished_steps(shop: Terminal, victim: str) -> None:
    train = shop.folder / "shop" / "src" / "shop" / "train.py"
    before = train.read_text()
    (shop.folder / "go").unlink(missing_ok=True)
    try:
        _let_training_wait(shop)
        process, run, gate = _start_and_wait(shop, "run", "shop", "--no-gate", "--fresh")
        children = psutil.Process(process.pid).children(recursive=True)
        worker, step = [each.pid for each in children if each.cmdline()[1].endswith("runs/worker.py")]
        with contextlib.suppress(ProcessLookupError):
            os.kill({"the command": process.pid, "its worker": worker, "the step": step}[victim], signal.SIGKILL)
        process.communicate(timeout=PATIENCE_SECONDS)
        until(lambda: not shop.processes(), "all its processes to end")
        train.write_text(before.replace("Ridge(alpha=alpha)", "Ridge(alpha=2 * alpha)"))
        gate.touch()

        told = shop.wright("run", "resume", run, "--no-gate")
        assert [line.rpartition(" ")[2] for line in told.stderr.splitlines() if "reused from" in line][:2] == [run, run]
        found = shop.json("run", "show", run)
        assert found["status"] == "succeeded"
        assert [each["status"] for each in found["steps"]] == ["succeeded"] * 5
        assert shop.json("run", "resume", run, expect=1)["error"]["code"] == "run-not-resumable"
    finally:
        train.write_text(before)


def test_a_run_is_cancelled_from_another_terminal(shop: Terminal) -> None:
    (shop.folder / "go").unlink(missing_ok=True)
    _let_training_wait(shop)
    process, run, _ = _start_and_wait(shop, "run", "shop", "--no-gate", "--fresh")
    cancelled = shop.json("run", "cancel", run, "--why", "wrong data")
    assert (cancelled["status"], "wrong data" in cancelled["reason"]) == ("cancelled", True)
    assert process.wait(PATIENCE_SECONDS) == 1
    process.communicate(timeout=PATIENCE_SECONDS)
    assert not shop.processes()
    assert shop.json("run", "cancel", run, expect=1)["error"]["code"] == "run-not-running"
