"""`wright ship` killed at every stage: the same command goes on to a good end, and nothing is left dangling."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from journeys.line import LINE, write_notebook
from journeys.terminal import PATIENCE_SECONDS, Terminal, until

from modelwright.store import database, references

pytestmark = pytest.mark.slow

STAGES = ("convert", "lock", "prove", "test", "run", "gate", "register", "deploy", "smoke-test")


def _kill_in(terminal: Terminal, stage: str, *command: str | Path, number: int = signal.SIGKILL) -> str:
    """Start the command and kill it as `stage` begins; return what it had told. Raises if it ends before."""
    process = terminal.start(*command)
    assert process.stderr
    told = ""
    before = STAGES[STAGES.index(stage) - 1] if stage != "convert" else None
    if before is None:
        until(lambda: bool(list((terminal.workspace / "scratch").glob("*/traced"))), "the kernel's folder")
    else:
        for line in process.stderr:
            told += line
            if line.split()[1:2] == [before]:
                break
        else:
            process.wait(PATIENCE_SECONDS)
            pytest.fail(f"it ended before {stage}:\n{told}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
    process.communicate(timeout=PATIENCE_SECONDS)
    return told


def _is_quiet(terminal: Terminal) -> bool:
    """Whether nothing but an endpoint, which outlives the command that deployed it, is running."""
    return all(
        "modelwright.serving.front.server" in each or "/models/guest/worker.py" in each for each in terminal.processes()
    )


def test_killed_at_every_stage_and_shipped_in_the_end(terminal: Terminal) -> None:
    """One workspace, killed at each stage in turn: every start has to get over what the kill before it left."""
    command = ("ship", write_notebook(terminal.folder / "line.ipynb", LINE), "--name", "line")
    for stage in STAGES:
        _kill_in(terminal, stage, *command)
        until(lambda: _is_quiet(terminal), f"the children of the one killed in {stage} to end")

    done = terminal.wright(*command)
    line = done.stdout.strip().splitlines()[-1]
    answered = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)
    assert len(json.loads(answered.stdout)["result"]) == 2

    assert [each["reference"] for each in terminal.json("model", "list")] == ["line:1"]
    statuses = [each["status"] for each in terminal.json("endpoint", "show", "line")["deployments"]]
    assert statuses[0] == "healthy"
    assert set(statuses[1:]) == {"failed"}
    assert {each["status"] for each in terminal.json("run", "list")} <= {"failed", "succeeded", "cancelled"}
    assert terminal.wright("doctor").returncode == 0
    terminal.wright("gc")
    _nothing_dangles(terminal)
    terminal.wright("down")
    assert terminal.processes() == []


def _nothing_dangles(terminal: Terminal) -> None:
    store = database.open_store(terminal.workspace)
    with store.reader.connect() as connection:
        reachable = references.blob_digests(connection)
        assert connection.execute(sa.text("PRAGMA foreign_key_check")).all() == []
    assert store.blobs.digests() == reachable
    store.close()
    assert list((terminal.workspace / "blobs" / "partial").iterdir()) == []
    assert list((terminal.workspace / "scratch").iterdir()) == []
    assert list((terminal.workspace / "claims").iterdir()) == []
    assert [path.name for path in (terminal.workspace / "packages" / "line").iterdir()] == ["1"]
    assert not list(terminal.workspace.glob("runs/*/steps"))
    assert not list(terminal.folder.glob(".*.partial"))


def test_ctrl_c_leaves_nothing_running(terminal: Terminal, notebooks: Path) -> None:
    process = terminal.start("ship", notebooks / "training.ipynb", notebooks / "scoring.ipynb")
    until(lambda: bool(list((terminal.workspace / "scratch").glob("*/traced/notebook/*"))), "the notebook's copy")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert out == ""
    assert terminal.processes() == []
    assert list((terminal.workspace / "scratch").iterdir()) == []


def test_two_ships_of_one_model_at_once_do_not_mix(terminal: Terminal, notebooks: Path) -> None:
    first = terminal.start("ship", notebooks / "training.ipynb")
    until((terminal.workspace / "claims" / "ship-diabetes").exists, "the first one's claim")
    second = terminal.wright("ship", notebooks / "training.ipynb", expect=1)
    assert f"process {first.pid}" in second.stderr
    first.terminate()
    first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode != 0
    until(lambda: terminal.processes() == [], "its children to end")
