"""`wright ci`, `wright watch`, `wright approve`, as users type them."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from lifecycle.ci.repositories import Repository

from modelwright.cli.program import program
from modelwright.errors import (
    ApprovalMissing,
    BuildMissing,
    ModelNotRegistered,
    PipelineMissing,
    SmokeTestFailed,
    WorkflowFailed,
    WorkflowWaits,
)

Wright = Callable[..., str]
WORKFLOW = """
on: push
env: {WHO: "${{ vars.WHO }}"}
jobs:
  one:
    outputs: {word: "${{ steps.say.outputs.word }}"}
    steps:
      - uses: actions/checkout@v4
      - id: say
        run: |
          cat README.md
          echo "word=$WHO" >>"$GITHUB_OUTPUT"
  two:
    needs: one
    environment: live
    env: {WORD: "${{ needs.one.outputs.word }}"}
    steps: [{run: 'echo "said $WORD"; exit "$CODE"', env: {CODE: "${{ vars.CODE || '0' }}"}}]
"""


@pytest.fixture
def wright(locked: Path, monkeypatch: pytest.MonkeyPatch) -> Wright:
    """The command in the project's folder, which is a repository; what it raises is raised."""
    monkeypatch.chdir(locked)
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    (locked / ".gitignore").write_text(".wright/\n")
    (locked / "README.md").write_text("read me\n")
    (locked / "flow.yml").write_text(WORKFLOW)

    def call(*words: str) -> str:
        done = CliRunner().invoke(program, list(words), standalone_mode=False)
        if done.exception:
            raise done.exception
        return done.stdout

    call("ci", "init", "--github")
    Repository(locked)
    return call


def _json(wright: Wright, *words: str) -> Any:
    return json.loads(wright(*words, "--json"))


def test_the_stages_one_by_one(wright: Wright, locked: Path) -> None:
    assert wright("ci", "publish", "--outputs", "outputs") == "small:1\n"
    assert (locked / "outputs").read_text() == "pipeline=small:1\n"
    with pytest.raises(PipelineMissing):
        wright("ci", "train", "--pipeline", "")
    with pytest.raises(BuildMissing):
        wright("ci", "find")
    with pytest.raises(ModelNotRegistered):
        wright("ci", "published", "--build", "7")
    assert wright("ci", "train", "--pipeline", "small:1", "--build", "7", "--build-uri", "http://ci/7") == "small:1\n"
    assert "small:1 is in model/model.json" in wright("ci", "published", "--build", "7")
    assert json.loads((locked / "model" / "model.json").read_text()) == _json(wright, "ci", "published", "--build", "7")
    assert _json(wright, "ci", "find", "--outputs", "outputs") == {"version": "small:1", "is_released": True}
    assert (locked / "outputs").read_text() == "version=small:1\nis_released=true\n"
    with pytest.raises(ApprovalMissing):
        wright("ci", "deploy", "--target", "production", "--version", "small:1")
    assert wright("approve", "small:1", "--refuse", "--why", "too early") == "small:1 may not go on to production\n"
    assert "too early" in wright("approvals")
    assert [each["is_approved"] for each in _json(wright, "approvals", "--stage", "production")] == [False]
    with pytest.raises(SmokeTestFailed, match="no answer from"):
        wright("ci", "smoke", "--url", "http://127.0.0.1:9/score", "--patience", "0")
    with pytest.raises(click.UsageError, match="either --target or --url"):
        wright("ci", "smoke")


def test_a_workflow_is_run_with_what_its_system_would_keep(wright: Wright, locked: Path) -> None:
    done = wright("ci", "run", "flow.yml", "--var", "WHO=ada", "--approve", "live", "--into", "run")
    assert "  read me\n" in done
    assert "  said ada\n" in done
    assert done.splitlines()[-1] == "two: succeeded"
    with pytest.raises(WorkflowWaits, match='waits for somebody to approve of "live"'):
        wright("ci", "run", "flow.yml")
    with pytest.raises(WorkflowFailed, match="two failed"):
        wright("ci", "run", "flow.yml", "--var", "CODE=3", "--approve", "live")
    with pytest.raises(click.BadParameter, match='"WHO" is not NAME=VALUE'):
        wright("ci", "run", "flow.yml", "--var", "WHO")
    assert wright("ci", "run", "flow.yml", "--event", "schedule") == "nothing to do: it is not started by schedule\n"


def test_what_jobs_leave_stays_when_it_is_wanted(wright: Wright, locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = locked / ".wright" / "temporary"
    temporary.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    wright("ci", "run", "flow.yml", "--approve", "live")
    with pytest.raises(WorkflowWaits):
        wright("ci", "run", "flow.yml")
    assert wright("ci", "run", "flow.yml", "--event", "schedule").startswith("nothing to do")
    assert not list(temporary.iterdir())
    with pytest.raises(WorkflowFailed):
        wright("ci", "run", "flow.yml", "--var", "CODE=3", "--approve", "live")
    (failed,) = temporary.iterdir()
    assert {each.name for each in (failed / "jobs").iterdir()} == {"one", "two"}
    with pytest.raises(click.BadParameter, match="is not empty"):
        wright("ci", "run", "flow.yml", "--into", str(failed))


def test_hooks_and_a_look(wright: Wright, locked: Path) -> None:
    assert "post-commit" in wright("ci", "hook", "install")
    assert "watch --once" in (locked / ".git" / "hooks" / "post-commit").read_text()
    assert "post-merge" in wright("ci", "hook", "remove")
    assert wright("watch", "--once") == ""
    (locked / "README.md").write_text("more\n")
    Repository(locked)
    (told,) = [json.loads(line) for line in wright("watch", "--once", "--json").splitlines()]
    assert told["told"].endswith("changes nothing that trains")


def test_a_watcher_outlives_what_is_just_being_written(
    wright: Wright, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = locked / "ci.toml"
    whole = path.read_text()
    texts = iter(["half of", "half of", whole])

    def sleep(_seconds: float) -> None:
        try:
            path.write_text(next(texts))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", sleep)
    done = CliRunner().invoke(program, ["watch", "--json"], standalone_mode=False)
    watching, trouble = [json.loads(line)["told"] for line in done.stdout.splitlines()]
    assert watching.startswith("watching small at main")
    assert 'ci.toml" cannot be followed' in trouble
