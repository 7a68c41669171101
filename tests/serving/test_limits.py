"""What an endpoint refuses and with which status, how long anybody waits, and what becomes of a `run()` that hangs."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelwright.records import FrontLimits, FrontSettings
from modelwright.serving import control

# "gate" stays in run() until a file is there, "hang" in C code that no signal and no exception ends.
SCRIPT = """
import ctypes, os, signal, threading
def init():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def run(data):
    if data.startswith("gate "):
        open(data[5:] + ".begun", "w").close()
        while not os.path.exists(data[5:]):
            threading.Event().wait(0.005)
    if data == "hang":
        print("about to hang")
        ctypes.PyDLL(None).usleep(2 ** 32 - 1)
    if data == "raise":
        raise ValueError("a secret of the script")
    return [data, os.getpid()]
"""


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Any:
    served = make_served()
    served.start()
    served.deploy(SCRIPT)
    return served


@pytest.fixture
def limit(endpoint: Any) -> Any:
    """Set limits of the endpoint while it serves; they are as usual after the test."""

    def set_limits(*, timeout_ms: int = 60_000, **limits: float) -> None:
        settings = FrontSettings(limits=replace(FrontLimits(), **limits), timeout_ms=timeout_ms)
        control.configure(endpoint.name, settings, runtime_folder=endpoint.runtime_folder)

    yield set_limits
    set_limits()


class Asking:
    """Requests that are under way."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint
        self.answers: dict[str, Any] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, body: str) -> None:
        def run() -> None:
            self.answers[name] = self.endpoint.ask(body=body, headers={"x-request-id": name})

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def wait(self) -> dict[str, Any]:
        for thread in self._threads:
            thread.join(120)
        return self.answers


def waiting(endpoint: Any) -> int:
    return int(endpoint.status().deployments[0].waiting)


def test_bodies_that_are_too_long_or_too_deep_are_refused(endpoint: Any, limit: Any) -> None:
    limit(max_body_bytes=1000, max_depth=20)
    assert endpoint.ask(body="x" * 1001).status == 413
    assert endpoint.ask(body="[" * 21 + "]" * 21).status == 400
    assert endpoint.ask(body="[" * 20 + "]" * 20).status == 200


def test_a_request_that_waits_too_long_is_refused_and_never_begun(endpoint: Any, limit: Any, tmp_path: Path) -> None:
    asking, gate = Asking(endpoint), tmp_path / "gate"
    asking.ask("first", f"gate {gate}")
    endpoint.wait_for(Path(f"{gate}.begun").exists, "the first is inside run()")
    limit(max_wait_ms=50)
    late = endpoint.ask(body=f"gate {tmp_path / 'late'}", headers={"x-request-id": "late"})
    assert (late.status, late.headers["retry-after"]) == (503, "1")
    limit()
    gate.touch()
    assert asking.wait()["first"].status == 200
    assert endpoint.ask(body="after").status == 200
    assert not (tmp_path / "late.begun").exists()


def test_more_requests_at_once_than_are_allowed_are_refused(endpoint: Any, limit: Any, tmp_path: Path) -> None:
    limit(max_concurrent=1)
    asking, gate = Asking(endpoint), tmp_path / "gate"
    asking.ask("first", f"gate {gate}")
    endpoint.wait_for(Path(f"{gate}.begun").exists, "the first is inside run()")
    refused = endpoint.ask(body="second")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert endpoint.ask("GET", "/").status == 200
    gate.touch()
    assert asking.wait()["first"].status == 200
    assert endpoint.ask(body="third").status == 200


def test_bodies_that_wait_for_a_deployment_have_a_limit_together(endpoint: Any, limit: Any, tmp_path: Path) -> None:
    limit(max_held_bytes=1_000_000)
    asking, gate, long = Asking(endpoint), tmp_path / "gate", "x" * 900_000
    asking.ask("first", f"gate {gate}")
    endpoint.wait_for(Path(f"{gate}.begun").exists, "the first is inside run()")
    for count, name in ((2, "second"), (3, "third")):
        asking.ask(name, long)
        endpoint.wait_for(lambda count=count: waiting(endpoint) == count, f"the {name} waits")
    refused = endpoint.ask(body=long)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    asking.ask("short", "short")
    endpoint.wait_for(lambda: waiting(endpoint) == 4, "a short one waits")
    gate.touch()
    assert {each.status for each in asking.wait().values()} == {200}
    assert endpoint.ask(body=long).status == 200


def test_a_call_that_hangs_in_c_is_ended_and_its_process_replaced(endpoint: Any, limit: Any) -> None:
    before = endpoint.worker_pid()
    hung = psutil.Process(before)
    asking = Asking(endpoint)
    asking.ask("hung", "hang")
    endpoint.wait_for(lambda: "about to hang" in endpoint.log.read_text(), "it hangs")
    asking.ask("behind", "behind it")
    endpoint.wait_for(lambda: waiting(endpoint) == 2, "another waits behind it")
    limit(timeout_ms=400)
    answers = asking.wait()
    limit()
    assert answers["hung"].status == 504
    assert answers["hung"].headers["x-ms-run-function-failed"] == "True"
    assert answers["behind"].status == 503
    # As long as the last start took, or longer: a client that waits so long finds it there.
    assert int(answers["behind"].headers["retry-after"]) >= 1
    endpoint.wait_for(lambda: endpoint.ask("GET", "/readyz").status == 200, "the next process serves")
    _, pid = json.loads(endpoint.ask(body="x").body)
    assert pid == endpoint.worker_pid() != before
    assert not endpoint.is_alive(hung)
    log = endpoint.log.read_text()
    assert " hung diabetes:1 info about to hang" in log
    assert " hung front error run() took longer than 400 ms" in log


def test_a_client_sees_no_trace_of_the_script_and_the_log_has_all_under_its_id(endpoint: Any) -> None:
    given = endpoint.ask(body="raise", headers={"x-request-id": "the-one"})
    assert given.status == 500
    assert "Traceback" not in given.body + str(given.headers)
    assert "secret" not in given.body
    assert " the-one diabetes:1 error ValueError: a secret of the script" in endpoint.log.read_text()


def test_living_and_being_ready_are_told_apart(served: Any) -> None:
    served.start()
    told = {path: served.ask("GET", path).status for path in ("/livez", "/readyz", "/", "/v2/health/live")}
    assert told == {"/livez": 200, "/readyz": 503, "/": 503, "/v2/health/live": 200}
