"""A version takes over, crashes, hangs and comes back; nothing that can be answered is refused."""

import asyncio
import http.client
import json
import math
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelwright.errors import Busy, DeploymentFailed, WorkerFailed
from modelwright.records import FrontLimits, FrontSettings
from modelwright.serving import control
from modelwright.serving.front import versions
from modelwright.serving.front.versions import Version, is_expected


def answers(word: str) -> str:
    """Return a script that always answers with `word`."""
    return f"def init(): pass\ndef run(data): return {word!r}"


# Waits inside run() until the file that the body names exists; then answers.
WAITS = """
import os, threading
def init():
    pass
def run(data):
    if data:
        open(data + ".begun", "w").close()
        pause = threading.Event()
        while not os.path.exists(data):
            pause.wait(0.005)
    return "waited"
"""

# Holds the interpreter's lock in C code for hours.
HANGS = """
def init():
    pass
def run(data):
    if data == "hang":
        return len(str(10 ** 40_000_000 // 7)) if not __import__("sys").set_int_max_str_digits(0) else 0
    return "fine"
"""


def test_a_version_takes_over_and_the_old_one_ends(served: Any) -> None:
    served.start()
    first = served.deploy(answers("one"))
    assert (first.version, first.replaced, first.answer) == ("diabetes:1", None, None)
    old = psutil.Process(served.worker_pid())
    second = served.deploy(answers("two"), version=2)
    assert (second.version, second.replaced) == ("diabetes:2", "diabetes:1")
    given = served.ask(body="")
    assert (given.body, given.headers["x-modelwright-version"]) == ('"two"', "diabetes:2")
    served.wait_for(lambda: not served.is_alive(old), "the old worker ends")


def test_a_request_that_began_on_the_old_version_is_finished_there(served: Any, tmp_path: Path) -> None:
    served.start()
    served.deploy(WAITS)
    gate = tmp_path / "gate"
    slow: list[Any] = []
    thread = threading.Thread(target=lambda: slow.append(served.ask(body=str(gate))))
    thread.start()
    served.wait_for(Path(f"{gate}.begun").exists, "the request is inside run()")
    served.deploy(answers("two"), version=2)
    assert served.ask(body="").body == '"two"'
    gate.touch()
    thread.join(120)
    assert (slow[0].body, slow[0].headers["x-modelwright-version"]) == ('"waited"', "diabetes:1")


def test_no_request_is_refused_while_versions_change_under_load(served: Any) -> None:
    served.start()
    served.deploy(answers("1"))
    seen: list[tuple[int, str, str | None]] = []
    failures: list[BaseException] = []
    is_done = threading.Event()

    def load(keeps_connection: bool) -> None:
        try:
            client = served.connect()
            while not is_done.is_set():
                client.request("POST", "/score", body="x")
                given = served.answered(client.getresponse())
                seen.append((given.status, given.body, given.headers.get("x-modelwright-version")))
                if not keeps_connection:
                    client.close()
            client.close()
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=(number % 2 == 0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for version in range(2, 10):
        served.deploy(answers(str(version)), version=version)
    is_done.set()
    for thread in threads:
        thread.join(120)
    assert not failures
    assert {status for status, _, _ in seen} == {200}
    assert all(version == f"diabetes:{json.loads(body)}" for _, body, version in seen)
    assert len({body for _, body, _ in seen}) > 3
    assert len(served.captured()) == len(seen)


@pytest.mark.parametrize(
    ("script", "sample", "reason"),
    [
        ("def run(data): pass\ndef init(): raise ValueError('bad')", {}, "ValueError: bad"),
        ("def init(): pass\ndef run(data): 1 / 0", {"sample": "x"}, "run() raised"),
        ("def init(): pass\ndef run(data): return object()", {"sample": "x"}, "what run() returned is not JSON"),
        ("def init(): pass\ndef run(data): __import__('os')._exit(1)", {"sample": "x"}, "the process ended"),
        (answers("y"), {"sample": "x", "expected": '"z"'}, 'it answered its sample with "y", expected was "z"'),
    ],
)
def test_a_version_that_fails_leaves_the_old_one_serving(
    served: Any, script: str, sample: dict[str, str], reason: str
) -> None:
    served.start()
    served.deploy(answers("old"))
    with pytest.raises(DeploymentFailed) as caught:
        served.deploy(script, version=2, **sample)
    assert reason in str(caught.value)
    assert served.ask(body="").body == '"old"'
    status = served.status()
    assert (status.version, status.is_healthy, status.restarts) == ("diabetes:1", True, 0)
    assert tuple(each.pid for each in served.workers()) == status.deployments[0].worker_pids


def test_the_tail_of_the_log_tells_why_a_version_failed(served: Any) -> None:
    served.start()
    served.deploy(answers("old"))
    with pytest.raises(DeploymentFailed) as caught:
        served.deploy("def run(data): pass\ndef init():\n    raise ValueError('bad')", version=2)
    tail = str(caught.value.facts["log_tail"])
    assert "Traceback (most recent call last):" in tail
    assert "diabetes:1" not in tail


def test_an_init_that_takes_too_long_is_ended(served: Any) -> None:
    served.start()
    with pytest.raises(DeploymentFailed, match=r"longer than 0\.5 s"):
        served.deploy("import threading\ndef init(): threading.Event().wait()\ndef run(data): ...", timeout_seconds=0.5)
    served.wait_for(
        lambda: len([each for each in served.family() if served.is_alive(each)]) == 1, "only the front is left"
    )


def test_the_sample_is_answered_before_the_version_serves(served: Any) -> None:
    served.start()
    script = "import json\ndef init(): pass\ndef run(data): return {'result': [sum(json.loads(data))]}"
    given = served.deploy(script, sample="[0.1, 0.2]", expected='{"result": [0.3]}')
    assert json.loads(given.answer) == {"result": [0.30000000000000004]}
    assert served.captured() == []


def test_two_deployments_at_once_are_not_mixed(served: Any, tmp_path: Path) -> None:
    served.start()
    gate = tmp_path / "gate"
    script = WAITS.replace("pass", f"run({str(gate)!r})", 1)
    thread = threading.Thread(target=served.deploy, args=(script,))
    thread.start()
    served.wait_for(Path(f"{gate}.begun").exists, "the first deployment is inside init()")
    with pytest.raises(Busy):
        served.deploy(answers("two"), version=2)
    gate.touch()
    thread.join(120)
    assert served.status().version == "diabetes:1"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_requests_of_a_dead_worker_get_503_until_it_is_back(served: Any, tmp_path: Path, number: int) -> None:
    gate, may_start = tmp_path / "gate", tmp_path / "may-start"
    may_start.touch()
    served.start()
    begun = time.monotonic()
    served.deploy(WAITS.replace("pass", f"run({str(may_start)!r})", 1))
    longest = math.ceil(time.monotonic() - begun)  # what the last start took, or a second
    given: list[Any] = []
    threads = [threading.Thread(target=lambda: given.append(served.ask(body=str(gate)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    served.wait_for(Path(f"{gate}.begun").exists, "a request is inside run()")
    may_start.unlink()
    dead = served.worker_pid()
    os.kill(dead, number)
    served.wait_for(lambda: not served.status().is_healthy, "the death is noticed")
    for thread in threads:
        thread.join(120)
    assert [each.status for each in given] == [503] * 3
    assert all(1 <= int(each.headers["retry-after"]) <= longest for each in given)
    assert served.ask(body="").status == 503
    health = served.ask("GET", "/")
    assert (health.status, health.body) == (503, "Unhealthy")
    may_start.touch()
    served.wait_for(lambda: served.status().is_healthy, "the worker is back")
    assert served.ask(body="").status == 200
    assert served.ask("GET", "/").body == "Healthy"
    assert served.worker_pid() != dead
    assert served.status().restarts == 1


def test_a_worker_that_ends_while_it_is_replaced_leaves_one_and_not_two(served: Any, tmp_path: Path) -> None:
    may_start = tmp_path / "may-start"
    may_start.touch()
    served.start()
    served.deploy(WAITS.replace("pass", f"run({str(may_start)!r})", 1))
    may_start.unlink()
    restart = threading.Thread(
        target=lambda: control.restart(served.name, "diabetes:1", runtime_folder=served.runtime_folder)
    )
    restart.start()
    served.wait_for(lambda: len(served.workers()) == 2, "another is being started")
    os.kill(served.worker_pid(), signal.SIGKILL)
    served.wait_for(
        lambda: not served.status().is_healthy and len(served.workers()) == 2, "and one more for the dead one"
    )
    may_start.touch()
    restart.join(120)
    served.wait_for(lambda: served.status().is_healthy and len(served.workers()) == 1, "one serves")
    assert tuple(each.pid for each in served.workers()) == served.status().deployments[0].worker_pids


def test_a_hung_request_is_ended_and_its_worker_replaced(served: Any) -> None:
    served.start(timeout_ms=500)
    served.deploy(HANGS)
    hung = psutil.Process(served.worker_pid())
    given = served.ask(body="hang", headers={"x-request-id": "hung"})
    assert (given.status, json.loads(given.body)) == (504, {"message": "Scoring timeout after 500 ms"})
    assert given.headers["x-ms-run-function-failed"] == "True"
    served.wait_for(lambda: not served.is_alive(hung), "the hung worker is gone")
    served.wait_for(lambda: served.status().is_healthy, "another took its place")
    control.configure(served.name, FrontSettings(), runtime_folder=served.runtime_folder)
    assert served.ask(body="x").body == '"fine"'
    assert " hung front error run() took longer than 500 ms" in served.log.read_text()


def test_requests_behind_many_quick_ones_do_not_time_out(served: Any) -> None:
    """The clock is that of one run(), not of the queue before it."""
    served.start(timeout_ms=1500)
    served.deploy("import threading\ndef init(): pass\ndef run(data): threading.Event().wait(0.125)")
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(served.ask(body="").status)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert statuses == [200] * 16


def test_a_full_queue_refuses_and_says_when_to_come_back(served: Any, tmp_path: Path) -> None:
    served.start(limits=FrontLimits(max_waiting=2))
    served.deploy(WAITS)
    gate = tmp_path / "gate"
    body = str(gate).encode()
    with served.raw() as client:
        request = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        client.sendall(request * 3)
        client.shutdown(socket.SHUT_WR)
        served.wait_for(served.captured, "the third is refused while two wait")
        assert [each.status for each in served.captured()] == [503]
        gate.touch()
        answers = served.read_to_end(client).split(b"HTTP/1.1 ")[1:]
    assert [each[:3] for each in answers] == [b"200", b"200", b"503"]
    assert b"retry-after: 1" in answers[2]


# Starts when the file beside it is there.
STARTS = """
import pathlib, threading
def init():
    pause = threading.Event()
    while not pathlib.Path(__file__).with_name("may").exists():
        pause.wait(0.005)
def run(data):
    return "started"
"""


def processes_of(served: Any) -> list[psutil.Process]:
    """Return the processes below this one that run a script of this endpoint."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if served.is_alive(each) and str(served.folder) in " ".join(each.cmdline())]


def test_a_restart_takes_the_place_of_one_that_is_under_way(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_PAUSES_SECONDS", (3600.0,))
    served.log.parent.mkdir()
    version = Version(served.spec(answers("it")), log=served.log, timeout_ms=5000)

    async def restart() -> None:
        await version.open(timeout_seconds=20)
        os.kill(version.state.worker_pids[0], signal.SIGKILL)
        await asyncio.to_thread(served.wait_for, lambda: not version.is_ready, "its process is dead")
        await version.restart()
        assert version.is_ready
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await version.close(drain_seconds=5)

    asyncio.run(restart())
    assert not processes_of(served)


def test_a_version_that_is_retired_while_it_restarts_leaves_no_process(served: Any) -> None:
    served.log.parent.mkdir()
    spec = served.spec(STARTS)
    gate = spec.script.with_name("may")
    gate.touch()
    version = Version(spec, log=served.log, timeout_ms=5000)

    async def retire() -> None:
        await version.open(timeout_seconds=20)
        before = len(processes_of(served))
        gate.unlink()
        restarting = asyncio.create_task(version.restart())
        await asyncio.to_thread(served.wait_for, lambda: len(processes_of(served)) == 2 * before, "it starts again")
        await version.close(drain_seconds=5)
        gate.touch()
        with pytest.raises(WorkerFailed, match="taken out of service"):
            await restarting

    asyncio.run(retire())
    assert not processes_of(served)


def test_an_answer_is_expected_by_its_value_or_else_by_its_text() -> None:
    assert is_expected("[1.0, 2]", "[1, 2.0]")
    assert is_expected("anything", None)
    assert is_expected("plain text", "plain text")
    assert not is_expected("<h1>Bad Gateway</h1>", "[1, 2.0]")
