"""What a job does on this machine, step by step: it ends, keeps secrets, and leaves artifacts where its system does."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lifecycle.ci.repositories import Repository

from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci import commits
from modelwright.lifecycle.ci.local import files, running
from modelwright.lifecycle.ci.local.workflow import Event, Place, Report, Result, Situation


@dataclass
class Machine:
    """Runs texts of workflow files in a repository, and keeps what was told."""

    repository: Repository
    lines: list[str]
    made: Path

    def run(
        self, text: str, *, name: str = "flow.yml", hurry: Callable[[float], float] = float, at_once: int = 1
    ) -> Report:
        path = self.repository.folder / name
        path.write_text(text)
        commit = commits.head(self.repository.folder)
        kept = {"WRIGHT_TOKEN": "wright_secret", "WRIGHT_WORKSPACE": "/there"}
        situation = Situation(Event.PUSH, "main", commit, (), "7", kept)
        workflow = files.read(path, situation)
        jobs = tuple(replace(each, timeout_minutes=hurry(each.timeout_minutes)) for each in workflow.jobs)
        place = Place(self.repository.folder, self.made)
        return running.run(replace(workflow, jobs=jobs), situation, place, tell=self.lines.append, at_once=at_once)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "home").mkdir()
    return Machine(Repository(tmp_path / "home"), [], tmp_path / "made")


def github(*steps: str) -> str:
    """A workflow of one job."""
    return "on: push\njobs:\n  one:\n    timeout-minutes: 600\n    steps:\n" + "".join(
        f"      - {each}\n" for each in steps
    )


def test_a_script_that_leaves_something_running_has_ended_all_the_same(machine: Machine) -> None:
    begun = time.monotonic()
    script = "echo said; setsid sh -c 'echo $$ >child; exec sleep 600' & while [ ! -s child ]; do :; done"
    try:
        report = machine.run(github(f"run: {json.dumps(script)}"))
    finally:
        os.kill(int((machine.made / "jobs" / "one" / "child").read_text()), signal.SIGKILL)
    assert report.results == {"one": Result.SUCCEEDED}
    assert "  said" in machine.lines
    assert time.monotonic() - begun < 60


def test_a_job_is_ended_after_its_time(machine: Machine) -> None:
    report = machine.run(github("run: echo begun; sleep 600"), hurry=lambda minutes: minutes / 600 / 60)
    assert report.results == {"one": Result.FAILED}
    assert "  it is ended: the job may take 0.0166667 min" in machine.lines


def test_the_token_is_told_to_nobody(machine: Machine) -> None:
    machine.run(github('run: "echo token: ${{ secrets.WRIGHT_TOKEN }}"'))
    assert "  token: ***" in machine.lines
    assert "wright_secret" not in "".join(machine.lines)


def test_an_artifact_of_github_has_its_files_at_the_top(machine: Machine) -> None:
    upload = "{uses: actions/upload-artifact@v4, with: {name: one, path: reports}}"
    download = "{uses: actions/download-artifact@v4, with: {name: one, path: again}}"
    report = machine.run(github("run: mkdir reports; touch reports/a", upload, download, "run: ls again"))
    assert report.results == {"one": Result.SUCCEEDED}
    assert machine.lines[-2:] == ["  a", "one: succeeded"]


def test_an_artifact_of_gitlab_has_its_files_where_they_were(machine: Machine) -> None:
    text = """
stages: [a, b]
one: {stage: a, script: ["mkdir -p deep/er", "touch deep/er/a deep/b"], artifacts: {paths: [deep/er, deep/b]}}
two: {stage: b, script: ["ls deep/er/a deep/b"]}
"""
    assert machine.run(text, name=".gitlab-ci.yml").results == {"one": Result.SUCCEEDED, "two": Result.SUCCEEDED}


def test_an_artifact_that_is_not_there_fails_the_job(machine: Machine) -> None:
    report = machine.run(github("{uses: actions/download-artifact@v4, with: {name: moon}}"))
    assert report.results == {"one": Result.FAILED}
    assert '  there is no artifact "moon"' in machine.lines


def meeting(mine: str, other: str) -> str:
    """A script that ends once the job beside it is there too."""
    return f"echo {mine} came; touch ../../{mine}; while [ ! -e ../../{other} ]; do sleep 0.01; done; echo {mine} left"


def test_jobs_that_do_not_wait_for_each_other_run_side_by_side_and_their_lines_stay_together(machine: Machine) -> None:
    text = f"""
on: push
jobs:
  last: {{needs: [one, two], timeout-minutes: 1, steps: [{{run: echo all}}]}}
  one: {{timeout-minutes: 1, steps: [{{run: "{meeting("one", "two")}"}}]}}
  two: {{timeout-minutes: 1, steps: [{{run: "{meeting("two", "one")}"}}]}}
"""
    report = machine.run(text, at_once=2)
    assert report.results == dict.fromkeys(("one", "two", "last"), Result.SUCCEEDED)
    blocks = {lines[0].partition(" > ")[0]: lines[1:] for lines in map(str.splitlines, machine.lines) if lines[1:]}
    assert blocks == {
        "one": ["  one came", "  one left"],
        "two": ["  two came", "  two left"],
        "last": ["  all"],
    }


def test_what_cannot_go_on_ends_what_runs_beside_it(machine: Machine) -> None:
    text = """
on: push
jobs:
  long: {timeout-minutes: 600, steps: [{run: "touch ../../long; sleep 600"}]}
  wrong: {timeout-minutes: 600, steps: [{run: "while [ ! -e ../../long ]; do sleep 0.01; done"}, {run: "${{ moon }}"}]}
"""
    begun = time.monotonic()
    with pytest.raises(WorkflowUnknown, match="moon"):
        machine.run(text, at_once=2)
    assert time.monotonic() - begun < 60
