"""What an endpoint is asked is on record before it is answered."""

import json
import threading
from typing import Any

ECHO = """
def init():
    pass

def run(raw_data):
    if raw_data == "raise":
        raise ValueError
    return raw_data
"""


def test_every_request_is_captured_with_its_answer(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    answers: dict[str, tuple[int, str, str]] = {}

    def client(name: int) -> None:
        connection = served.connect()
        for number in range(25):
            body = f"{name}-{number}"
            connection.request("POST", "/score", body=body)
            response = connection.getresponse()
            answers[response.headers["x-request-id"]] = (response.status, body, response.read().decode())
        connection.close()

    threads = [threading.Thread(target=client, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert {each.request_id: (each.status, each.input, each.output) for each in served.captured()} == answers
    assert {each.version for each in served.captured()} == {"diabetes:1"}


def test_failures_and_bodies_that_are_not_text_are_captured(served: Any) -> None:
    served.start()
    served.ask(body="nobody serves yet")
    served.deploy(ECHO)
    served.ask(body="raise")
    served.ask(body=b"\xff")
    served.ask("GET", "/score?a=1")
    served.ask("PUT", "/score", body="never scored")
    told = [(each.status, each.version, each.input, each.is_base64) for each in served.captured()]
    assert told == [
        (503, None, "nobody serves yet", False),
        (500, "diabetes:1", "raise", False),
        (400, "diabetes:1", "/w==", True),
        (200, "diabetes:1", '{"a": 1}', False),
    ]


def test_what_cannot_be_recorded_is_not_answered(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    (served.folder / "capture").mkdir()
    (served.folder / "capture" / served.name).write_text("a file is in the way")
    given = served.ask(body="x", headers={"x-request-id": "lost"})
    assert given.status == 503
    assert given.headers["retry-after"] == "1"
    assert json.loads(given.body)["message"] == "The request could not be recorded. Check the logs for more info."
    assert "requests refused, since they cannot be recorded: 1, the capture folder" in served.log.read_text()
    (served.folder / "capture" / served.name).unlink()
    assert served.ask(body="x").status == 200
    assert [each.input for each in served.captured()] == ["x"]
