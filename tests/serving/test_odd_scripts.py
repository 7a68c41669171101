"""Scripts that do what no script should: each request is answered, and the next one too."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelwright.serving import logs

# Does what the request's body says.
SCRIPT = """
import os
import sys
import time

from azureml.contrib.services.aml_response import AMLResponse

class Odd(BaseException):
    pass

class Broken:
    def write(self, text):
        raise RuntimeError(text)

def init():
    pass

def run(raw_data):
    names = {}
    exec(raw_data, globals(), names)
    return names.get("answer")
"""
FAILED = {"message": "An unexpected error occurred in scoring script. Check the logs for more info."}
INTERNAL = {"message": "An unexpected internal error occurred. Check the logs for more info."}
HUGE = 10**400


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint that serves SCRIPT."""
    served = make_served()
    served.start()
    served.deploy(SCRIPT)
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("code", "status", "answer"),
    [
        ("raise Odd", 500, FAILED),
        ("raise KeyboardInterrupt", 500, FAILED),
        ("sys.stderr = Broken()\nraise ValueError", 500, FAILED),
        ("sys.stdout.reconfigure(line_buffering=True)\nanswer = sys.stdout.name", 200, "<stdout>"),
        ("answer = {'result': [10**400]}", 200, {"result": [HUGE]}),
        ("answer = {'result': ['\\ud800']}", 200, {"result": ["\ud800"]}),
        ("answer = AMLResponse({}, 200, {'Content-Type': ['a']})", 200, {}),
        *((f"answer = AMLResponse('no', {status})", 500, INTERNAL) for status in (-1, 0, 100, 101, 600, 99_999)),
    ],
)
def test_an_odd_script_fails_its_own_request_at_most(endpoint: Any, code: str, status: int, answer: object) -> None:
    pid = endpoint.worker_pid()
    given = endpoint.ask(body=code)
    assert (given.status, json.loads(given.body)) == (status, answer)
    assert endpoint.ask(body="answer = 1").body == "1"
    assert endpoint.worker_pid() == pid
    assert endpoint.ask("GET", "/metrics").status == 200


def test_an_answer_ends_where_the_server_says(endpoint: Any) -> None:
    client = endpoint.connect()
    sent = {
        "Content-Length": "1",
        "content-length ": "1",
        "Transfer-Encoding": "chunked",
        "Connection": "x",
        "X-Own": "y",
    }
    for status, body in ((200, "longer"), (204, ""), (304, "")):
        client.request("POST", "/score", f"answer = AMLResponse('longer', {status}, {sent})")
        given = endpoint.answered(client.getresponse())
        assert (given.status, given.body, given.headers["x-own"]) == (status, body, "y")
        assert not {"transfer-encoding", "connection", "content-length "} & given.headers.keys()
    client.close()


def test_a_child_of_a_script_neither_answers_nor_hides_its_end(endpoint: Any) -> None:
    given = endpoint.ask(body="answer = os.fork()")
    assert json.loads(given.body) > 0
    assert endpoint.ask(body="answer = 1").body == "1"
    code = "if os.fork() == 0:\n    time.sleep(60)\nos._exit(1)"
    client = endpoint.connect(timeout_seconds=10)
    client.request("POST", "/score", code)
    assert client.getresponse().status == 503
    client.close()
    endpoint.wait_for(lambda: endpoint.ask("GET", "/").status == 200, "the process was started again")


def test_an_id_cannot_say_what_a_line_of_the_log_says(endpoint: Any) -> None:
    number = "a%20 b diabetes:1 error forged"
    assert endpoint.ask(body="print('printed')", headers={"x-request-id": number}).headers["x-request-id"] == number
    found = logs.read(endpoint.log, most=10, is_wanted=logs.wanted(request_id=number, level=None))
    assert [(each.version, each.level, each.text) for each in found] == [("diabetes:1", "info", "printed")]
