"""A deployment that holds more memory than was asked for: nobody else is hurt, and no request fails if it is slow."""

import asyncio
import http.client
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelwright.errors import DeploymentFailed
from modelwright.records import DeploymentState, Traffic
from modelwright.serving import capacity, control
from modelwright.serving.front import memory
from modelwright.serving.front.routes import Route
from modelwright.serving.front.versions import Version
from modelwright.serving.front.workers import Outcome, Scored

# Keeps as many megabytes more as the body says, with "child N" has a process below it keep them, and with "N stay" does
# not answer.
LEAKS = """
import os, subprocess, sys, time
kept = []
def init():
    pass
def run(data):
    if data.startswith("child"):
        hold = "import sys; kept = b'x' * int(sys.argv[1]); print(flush=True); sys.stdin.read()"
        size = str(int(data[5:]) * 1_000_000)
        child = subprocess.Popen([sys.executable, "-c", hold, size], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        kept.append(child)
        child.stdout.readline()
    elif data:
        size, _, stays = data.partition(" ")
        kept.append(b"x" * int(float(size) * 1_000_000))
        if stays:
            time.sleep(600)
    return os.getpid()
"""
STEADY = "import os\ndef init(): pass\ndef run(data): return os.getpid()"
LIMIT_GB = 0.06
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system tells of it on Linux only")


def deploy(served: Any, script: str = LEAKS, *, version: int = 1, **changes: Any) -> None:
    worker = replace(served.spec(script, version=version), memory_gb=LIMIT_GB, **changes)
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=worker, is_replacing=False)
    names = [each.name for each in served.status().deployments]
    traffic = Traffic(default=names[0], shares=dict.fromkeys(names[1:], 50.0))
    control.share_out(served.name, traffic, runtime_folder=served.runtime_folder)


def state_of(served: Any, name: str = "diabetes:1") -> DeploymentState:
    return next(each for each in served.status().deployments if each.name == name)


def leak(served: Any, body: str, *, version: str = "diabetes:1") -> Any:
    return served.ask(body=body, headers={"x-modelwright-deployment": version})


@contextmanager
def load(served: Any) -> Iterator[list[tuple[int, str]]]:
    """Ask all the time, four at a time, and give what was answered: status and version."""
    seen: list[tuple[int, str]] = []
    is_done = threading.Event()

    def ask() -> None:
        client = served.connect()
        while not is_done.is_set():
            try:
                client.request("POST", "/score", body="")
                given = served.answered(client.getresponse())
                seen.append((given.status, given.headers.get("x-modelwright-version", "")))
            except (OSError, http.client.HTTPException) as error:
                seen.append((0, str(error)))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    try:
        yield seen
    finally:
        is_done.set()
        for each in threads:
            each.join(120)


def test_a_version_that_leaks_is_replaced_and_no_request_fails(served: Any) -> None:
    served.start()
    deploy(served)
    deploy(served, STEADY, version=2)
    steady = json.loads(leak(served, "", version="diabetes:2").body)
    with load(served) as seen:
        for times in (1, 2):
            leaking = psutil.Process(json.loads(leak(served, "").body))
            assert leak(served, "60").status == 200
            served.wait_for(lambda times=times: state_of(served).outgrown == times, "a new worker took its place")
            served.wait_for(lambda old=leaking: not served.is_alive(old), "the old one ended")
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {"diabetes:1", "diabetes:2"}
    state, other = state_of(served), state_of(served, "diabetes:2")
    assert (state.is_ready, state.restarts, state.memory_limit_bytes) == (True, 2, 60_000_000)
    assert state.notice.endswith(" MB of 60 MB and was replaced")
    assert f"the worker of diabetes:1 held {state.notice.removeprefix('a worker held ')}" in served.log.read_text()
    assert (other.worker_pids, other.outgrown) == ((steady,), 0)
    assert 'workers_outgrown_total{endpoint="diabetes",deployment="diabetes:1",version="diabetes:1"} 2' in (
        served.ask("GET", "/metrics").body
    )


def test_one_that_grows_too_fast_for_that_is_killed_and_others_go_on(served: Any) -> None:
    served.start()
    deploy(served)
    deploy(served, STEADY, version=2)
    with load(served) as seen:
        assert leak(served, "200 stay").status == 503
        # Seen while it grew, it may have been replaced before.
        served.wait_for(lambda: state_of(served).notice.endswith(" MB of 60 MB and was killed"), "it is told of")
        served.wait_for(lambda: state_of(served).is_ready, "it is back")
    assert {status for status, version in seen if version == "diabetes:2"} == {200}
    assert leak(served, "").status == 200


def test_what_processes_below_it_hold_counts_too(served: Any) -> None:
    served.start()
    deploy(served)
    before = json.loads(leak(served, "").body)
    assert leak(served, "child60").status == 200
    served.wait_for(lambda: state_of(served).outgrown == 1, "it was replaced")
    assert json.loads(leak(served, "").body) != before


@ON_LINUX
def test_more_than_there_is_at_once_fails_one_request_only(served: Any) -> None:
    served.start()
    deploy(served)
    before = state_of(served).worker_pids
    assert leak(served, "1e7").status == 500
    assert "MemoryError" in served.log.read_text()
    assert (state_of(served).worker_pids, state_of(served).restarts) == (before, 0)


def test_a_version_that_begins_with_too_much_is_not_deployed(served: Any) -> None:
    served.start()
    script = "def init(): global kept; kept = b'x' * 70_000_000\ndef run(data): return 1"
    with pytest.raises(DeploymentFailed, match=r"it holds \d+ MB of 60 MB after init\(\); ask for more with --memory"):
        deploy(served, script)
    grows = "kept = []\ndef init(): pass\ndef run(data): kept.append(b'x' * 70_000_000)"
    with pytest.raises(DeploymentFailed, match="after its sample"):
        deploy(served, grows, sample="x")
    endless = "def init():\n  kept = []\n  while True: kept.append(b'x' * 10_000_000)\ndef run(data): return 1"
    with pytest.raises(DeploymentFailed, match="of 60 MB and was killed"):
        deploy(served, endless)


@ON_LINUX
def test_what_two_processes_share_is_counted_once(served: Any) -> None:
    served.start()
    script = """
    import os
    def init():
        global kept
        kept = b"x" * 30_000_000
        if os.fork() == 0:
            os.read(os.pipe()[0], 1)
    def run(data):
        return 1
    """
    deploy(served, script)
    served.wait_for(lambda: state_of(served).memory_bytes, "it was measured")
    assert 30_000_000 < state_of(served).memory_bytes < LIMIT_GB * 1e9
    assert state_of(served).outgrown == 0


def test_where_there_is_no_room_for_both_the_old_one_ends_first(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "available_bytes", lambda: 0)
    version = Version(replace(served.spec(LEAKS), memory_gb=LIMIT_GB), log=tmp_path / "log", timeout_ms=10_000)

    async def ask(body: bytes) -> Scored:
        await asyncio.sleep(0)  # nobody answers where there is none, and that at once
        answered = asyncio.get_running_loop().create_future()
        version.score(Route.SCORE, body, head=b"", request_id="one", done=answered.set_result)
        return await answered

    async def outgrow() -> None:
        async with asyncio.timeout(20):
            await version.open(timeout_seconds=20)
            first = json.loads((await ask(b"")).body)
            assert (await ask(b"60")).outcome is Outcome.ANSWERED
            while not version.state.restarts:
                await ask(b"")
            assert not psutil.pid_exists(first)
            assert json.loads((await ask(b"")).body) != first
            await version.close(drain_seconds=1)

    asyncio.run(outgrow())


def test_without_a_limit_nothing_is_measured(served: Any) -> None:
    served.start()
    served.deploy(LEAKS)
    assert served.ask(body="80").status == 200
    state = state_of(served)
    assert (state.memory_bytes, state.memory_limit_bytes, state.restarts) == (0, None, 0)
    assert "workers_memory" not in served.ask("GET", "/metrics").body


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert memory.held([2**22 + 1], limit=1) == {2**22 + 1: 0}
