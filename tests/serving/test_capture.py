"""What an endpoint is asked is on record before it is answered."""

import csv
import json
import threading
from typing import Any

from modelwright.records import CaptureSettings, FrontSettings
from modelwright.serving import control

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
        thread.join(120)
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


COLLECTING = """
from azureml.monitoring import ModelDataCollector

def init():
    global inputs, predictions
    inputs = ModelDataCollector("diabetes", designation="inputs", feature_names=["age"])
    predictions = ModelDataCollector("diabetes", designation="predictions", feature_names=["y"])

def run(raw_data):
    correlations = inputs.collect([len(raw_data)])
    predictions.collect(predictions.add_correlations([1], correlations))
    return raw_data
"""


def test_a_script_collects_while_it_is_switched_on(served: Any) -> None:
    served.start()
    served.deploy(COLLECTING)
    folder = served.folder / "modeldata" / "local" / "local" / served.folder.name / served.name

    def collected(designation: str) -> list[list[str]]:
        found = folder.glob(f"diabetes/default/{designation}/*/*/*/{designation}.csv")
        return [row for file in found for row in csv.reader(file.read_text().splitlines())]

    served.ask(body="xx")
    settings = FrontSettings(capture=CaptureSettings(is_collecting=True))
    control.configure(served.name, settings, runtime_folder=served.runtime_folder)
    served.wait_for(lambda: served.ask(body="xxx").status == 200 and collected("inputs"), "a row is collected")
    served.stop()
    header, *inputs = collected("inputs")
    assert {row[0] for row in inputs} == {"3"}
    assert {row[header.index("$aml_request_id")] for row in inputs} <= {each.request_id for each in served.captured()}
    assert len(collected("predictions")) == len(inputs) + 1
