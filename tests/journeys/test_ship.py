"""The main job: two notebooks become a served, registered, proven model."""

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.terminal import PATIENCE_SECONDS, Terminal, until

pytestmark = pytest.mark.slow

MSE = 3298.8855893640


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, notebooks: Path) -> Iterator[tuple[Terminal, str]]:
    """A terminal in which the example was shipped, and what that printed."""
    terminal = Terminal(tmp_path_factory.mktemp("shipped"))
    done = terminal.wright("ship", notebooks / "training.ipynb", notebooks / "scoring.ipynb")
    yield terminal, done.stdout
    terminal.wright("down")


def test_the_printed_curl_line_answers_with_two_predictions(shipped: tuple[Terminal, str]) -> None:
    _, printed = shipped
    line = printed.strip().splitlines()[-1]
    assert line.startswith("curl ")
    answered = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)
    assert len(json.loads(answered.stdout)["result"]) == 2


def test_what_was_removed_and_the_proof_are_printed(shipped: tuple[Terminal, str]) -> None:
    _, printed = shipped
    for told in ("df.describe()", "prints the shape", "a plot", "mse", "predictions", "scores", "diabetes:1"):
        assert told in printed


def test_the_proof_is_on_record_with_the_expected_metric(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    version = terminal.json("model", "show", "diabetes@champion")
    assert version["reference"] == "diabetes:1"
    assert version["metrics"]["mse"] == pytest.approx(MSE, rel=1e-9)
    assert version["proof_id"]
    assert version["deployments"][0]["status"] == "healthy"
    run = terminal.json("run", "show", version["run_id"])
    assert run["status"] == "succeeded"
    assert [step["name"] for step in run["steps"]] == [
        "load_data",
        "split_data",
        "train_model",
        "evaluate_model",
        "save_model",
    ]


def test_the_project_has_no_requirement_that_it_does_not_need(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    lines = (terminal.folder / "diabetes" / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines] == ["joblib", "numpy", "pandas", "scikit-learn"]


def test_the_projects_own_command_line_gives_the_same_metric(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    (python,) = (terminal.workspace / "environments").glob("*/bin/python")
    done = subprocess.run(
        [python, "-m", "diabetes.train"],
        cwd=terminal.folder / "diabetes",
        env={**os.environ, "PYTHONPATH": "src"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert float(done.stdout.split("mse: ")[1].split()[0]) == pytest.approx(MSE, rel=1e-9)


def test_every_request_is_captured(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    answer = terminal.json("endpoint", "score", "diabetes", "--file", terminal.folder / "diabetes" / "sample.json")
    (found,) = terminal.json("capture", "show", answer["request_id"])
    captured = found["record"]
    assert captured["version"] == "diabetes:1"
    assert json.loads(captured["output"]) == json.loads(answer["body"])


def test_a_new_version_replaces_the_old_without_a_refused_request(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    run = terminal.json("run", "diabetes", "--set", "alpha=0.4")
    assert run["verdict"]["outcome"] == "passed"
    assert (run["verdict"]["new"], run["verdict"]["old"]) == pytest.approx((3295.7149385632, MSE), rel=1e-9)
    assert terminal.json("model", "register", run["id"])["reference"] == "diabetes:2"
    shown = terminal.wright("model", "show", "diabetes:2").stdout
    assert "passed: mse 3295.71 beats diabetes:1's 3298.89 on the same 89 rows by 3.17 (95 % interval -" in shown
    refused = terminal.wright("run", "diabetes", "--set", "alpha=0.35", expect=1).stderr
    assert "not better than diabetes:2, nothing registered: mse is 3297.63" in refused
    assert ": within chance); the run is cancelled" in refused
    url = terminal.json("endpoint", "show", "diabetes")["url"]
    sample = (terminal.folder / "diabetes" / "sample.json").read_bytes()
    is_over = threading.Event()
    answers: list[str] = []
    faults: list[Exception] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                with urllib.request.urlopen(url, data=sample, timeout=120) as answered:
                    answers.append(answered.read().decode())
            except OSError as error:
                faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(answers) > 10, "the first answers")
    terminal.wright("endpoint", "deploy", "diabetes:2")
    before = len(answers)
    until(lambda: len(answers) > before + 10, "answers of the new version")
    is_over.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert faults == []
    assert len(set(answers)) == 2, "the old version's answer, then the new one's"
    assert [each["status"] for each in terminal.json("endpoint", "show", "diabetes")["deployments"]] == [
        "healthy",
        "replaced",
    ]


def test_an_answer_is_followed_back_to_the_cell_the_data_and_the_lock(
    shipped: tuple[Terminal, str], notebooks: Path
) -> None:
    terminal, _ = shipped
    answer = terminal.json("endpoint", "score", "diabetes", "--file", terminal.folder / "diabetes" / "sample.json")
    found = terminal.json("why", answer["request_id"])
    version = terminal.json("model", "show", "diabetes:2")
    run = terminal.json("run", "show", version["run_id"])
    facts = {(each["kind"], each["name"]): each["facts"] for each in found["nodes"]}
    assert facts["prediction", answer["request_id"]]["output"] == answer["body"]
    assert facts["model", "diabetes:2"]["by"] == version["created_by"]
    assert facts["dataset", "diabetes:1"]["digest"] == run["datasets"][0]["digest"]
    assert ("environment", version["environment_digest"][:12]) in facts
    assert facts["cell", "training.ipynb cell 6"]["notebook"] == str(notebooks / "training.ipynb")
    assert facts["function", "train_model()"]["state"] == "unchanged"
    assert {facts["function", name]["path"] for name in ("init()", "run()")} == {"src/diabetes/score.py"}
    assert found["gaps"] == []


def test_no_chain_is_broken_and_what_depends_on_a_cell_is_known(shipped: tuple[Terminal, str], notebooks: Path) -> None:
    terminal, _ = shipped
    assert terminal.json("why", "--all") == {"versions": 2, "gaps": []}
    users = terminal.json("impact", "notebook", f"{notebooks / 'training.ipynb'}:6")
    assert {each["name"] for each in users["nodes"] if each["kind"] == "function"} == {"train_model()"}
    assert {each["name"] for each in users["nodes"] if each["kind"] == "model"} == {"diabetes:1", "diabetes:2"}
    assert users["endpoints"] == {"diabetes": True}


def test_down_leaves_no_process_and_no_socket_and_up_brings_it_back(shipped: tuple[Terminal, str]) -> None:
    terminal, _ = shipped
    before = terminal.json("endpoint", "show", "diabetes")
    terminal.wright("down")
    assert terminal.processes() == []
    assert terminal.json("endpoint", "show", "diabetes")["running"] is None
    assert "wright up" in terminal.wright("doctor", expect=1).stdout
    terminal.up()
    after = terminal.json("endpoint", "show", "diabetes")
    assert after["url"] == before["url"]
    assert after["running"]["version"] == "diabetes:2"
    terminal.wright("endpoint", "stop", "diabetes")
    # What works in the background goes on, and what it has done by a process for a moment.
    background = ("modelwright.api.server", "modelwright.lifecycle.")
    assert [each for each in terminal.processes() if not any(name in each for name in background)] == []
    terminal.wright("up")
    assert terminal.json("endpoint", "show", "diabetes")["running"] is None, "what was stopped on purpose stays so"
    terminal.wright("endpoint", "delete", "diabetes")
    assert terminal.json("endpoint", "list") == []
    assert terminal.wright("doctor").returncode == 0
