"""The collector of old scripts writes what they collect where their users look for it, and costs no answer."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwright.models.guest import collector
from modelwright.serving.capture import collecting
from modelwright.serving.capture.redaction import redaction

ROOT = Path("modeldata", "sub", "group", "ws", "churn")
COLUMNS = [
    "$aml_dc_correlation_id",
    "$aml_dc_scoring_timestamp",
    "$aml_dc_boundary",
    "$aml_workspace",
    "$aml_service_name",
    "$aml_model_name",
    "$aml_model_version",
    "$aml_request_id",
]
PROGRAM = """
import sys
from modelwright.models.guest.collector import ModelDataCollector
inputs = ModelDataCollector("diabetes", designation="inputs", feature_names=["age", "bmi"], model_version="3")
predictions = ModelDataCollector("diabetes", "predictions", feature_names=["y"], model_version="3")

def score(row, answer, user=""):
    correlations = inputs.collect(row, user)
    predictions.collect(predictions.add_correlations(answer, correlations))
    return correlations
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script that collects, in a process of its own."""

    def start(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"MODELWRIGHT_MODEL_DATA": str(tmp_path / ROOT), "AML_MODEL_DC_STORAGE_ENABLED": "true", **variables}
        environment = {name: value for name, value in {**os.environ, **given}.items() if value}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM + program],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return start


def collected(folder: Path, designation: str, *, name: str = "") -> list[dict[str, str]]:
    today = datetime.now(UTC)
    day = Path(str(today.year), str(today.month), str(today.day))
    with (folder / ROOT / "diabetes/3" / designation / day / f"{name or designation}.csv").open(newline="") as rows:
        return list(csv.DictReader(rows))


def test_predictions_are_joined_to_their_inputs(run: Any, tmp_path: Path) -> None:
    assert run("score([1, 2.5], [10])\nscore([3, 4], [20], 'mine')\n").returncode == 0
    inputs, predictions = collected(tmp_path, "inputs"), collected(tmp_path, "predictions")
    assert list(inputs[0]) == ["age", "bmi", *COLUMNS]
    assert list(predictions[0]) == ["y", *COLUMNS]
    for asked, answered in zip(inputs, predictions, strict=True):
        assert [asked[each] for each in COLUMNS] == [answered[each] for each in COLUMNS]
    assert [each["bmi"] for each in inputs] == ["2.5", "4"]
    assert [each["y"] for each in predictions] == ["10", "20"]
    assert inputs[1]["$aml_dc_correlation_id"].startswith("mine-")
    assert inputs[0]["$aml_dc_boundary"] == "1440"
    assert (inputs[0]["$aml_workspace"], inputs[0]["$aml_service_name"]) == ("ws", "churn")


def test_arrays_and_frames_are_collected(run: Any, tmp_path: Path) -> None:
    program = """
import numpy, pandas
score(numpy.array([[1, 2], [3, 4]]), numpy.array([[10], [20]]))
score(pandas.DataFrame({"age": [5], "bmi": [6]}), pandas.DataFrame({"y": [30]}))
"""
    done = run(program)
    assert not done.stderr
    assert [(each["age"], each["bmi"]) for each in collected(tmp_path, "inputs")] == [
        ("1", "2"),
        ("3", "4"),
        ("5", "6"),
    ]
    assert [each["y"] for each in collected(tmp_path, "predictions")] == ["10", "20", "30"]


def test_what_may_not_be_kept_of_requests_is_not_collected_either(run: Any, tmp_path: Path) -> None:
    told = redaction(("age", "y"), ("1",), salt=lambda: b"salt")
    folder = tmp_path / ROOT
    captured = tmp_path / "sub" / "group" / "ws" / ".wright" / "capture" / "churn"
    collecting.tell(captured, told)
    folder.mkdir(parents=True)
    collecting.folder_of(captured).joinpath(".redaction").rename(folder / ".redaction")
    done = run("score([41, 1.5], [7])", AML_MODEL_DC_DEBUG="true")
    assert done.returncode == 0, done.stderr
    (kept,) = collected(tmp_path, "inputs")
    assert told is not None
    assert json.loads(told.apply(b'{"age": 41}'))["age"] == kept["age"]
    assert (kept["bmi"], kept["$aml_model_version"]) == ("", "3")
    assert collected(tmp_path, "predictions")[0]["y"].startswith("hash:")
    assert "41" not in done.stdout.replace(kept["age"], "").partition("$aml")[0]
    collecting.tell(captured, None)


def test_nothing_is_collected_unless_it_is_switched_on(run: Any, tmp_path: Path) -> None:
    assert run("assert score([1, 2], [3]) is None", AML_MODEL_DC_STORAGE_ENABLED="").returncode == 0
    assert not (tmp_path / "modeldata").exists()
    (tmp_path / ROOT).mkdir(parents=True)
    (tmp_path / ROOT / collector.SWITCH).touch()
    assert run("assert score([1, 2], [3])", AML_MODEL_DC_STORAGE_ENABLED="").returncode == 0
    assert len(collected(tmp_path, "inputs")) == 1


def test_debugging_prints_what_would_be_collected(run: Any, tmp_path: Path) -> None:
    done = run("score([1, 2], [3])", AML_MODEL_DC_STORAGE_ENABLED="", AML_MODEL_DC_DEBUG="true")
    assert done.stdout.splitlines()[0] == ",".join(["age", "bmi", *COLUMNS])
    assert not (tmp_path / "modeldata").exists()


def test_what_waits_is_written_at_sigterm(run: Any, tmp_path: Path) -> None:
    done = run("import os, signal\nscore([1, 2], [3])\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()\n")
    assert done.returncode == -signal.SIGTERM
    assert len(collected(tmp_path, "inputs")) == 1


def test_what_waits_is_written_at_the_end_though_sigterm_comes_meanwhile(run: Any, tmp_path: Path) -> None:
    done = run("""
import os, signal
from modelwright.models.guest import collector
append = collector._append
def interrupted(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    append(*arguments)
collector._append = interrupted
score([1, 2], [3])
""")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(collected(tmp_path, "inputs")) == len(collected(tmp_path, "predictions")) == 1


def test_other_columns_go_to_another_file(run: Any, tmp_path: Path) -> None:
    assert run("score([1, 2], [3])").returncode == 0
    assert run("inputs._feature_names = ['age', 'sex']\nscore([4, 5], [6])").returncode == 0
    assert collected(tmp_path, "inputs")[0]["bmi"] == "2"
    assert collected(tmp_path, "inputs", name="inputs_1")[0]["sex"] == "5"
    assert len(collected(tmp_path, "predictions")) == 2


def test_scoring_goes_on_whatever_goes_wrong(run: Any, tmp_path: Path) -> None:
    (tmp_path / "modeldata").write_text("a file is in the way")
    program = """
assert inputs.collect(object()) is None
assert predictions.add_correlations([1], {}) == [1]
wrong = ModelDataCollector("diabetes", "nonsense")
assert wrong.collect([1]) is None
score([1, 2], [3])
"""
    done = run(program)
    assert done.returncode == 0
    assert "Incorrect designation value 'nonsense'" in done.stdout
    assert "collect failed: TypeError: data must be a list, an array or a frame, not object" in done.stderr
    assert "model data collection: 2 rows were not written" in done.stderr


def test_processes_share_a_file_line_by_line(run: Any, tmp_path: Path) -> None:
    program = """
import os
children = []
for number in range(4):
    child = os.fork()
    if not child:
        for row in range(50):
            score([number, row], [row])
            if row % 10 == 0:
                collector._SPOOL.flush()
        collector._SPOOL.flush()
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""
    assert run("from modelwright.models.guest import collector\n" + program).returncode == 0
    found = {(each["age"], each["bmi"]) for each in collected(tmp_path, "inputs")}
    assert len(collected(tmp_path, "inputs")) == len(found) == 200
