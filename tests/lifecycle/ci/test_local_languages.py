"""What the local runner understands of the systems' languages, and that it refuses the rest."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci.local import expressions, files, patterns, running
from modelwright.lifecycle.ci.local.workflow import Event, Place, Situation


def _names(path: Sequence[str]) -> object:
    return {"a": "x", "b.c": "", "$V": "main", "needs.find.result": "success", "d.o.t": "dotted"}.get(".".join(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("a == 'X'", True),
        ("b.c != 'x' && needs.find.result == 'success'", True),
        ("b.c || a", "x"),
        ("(a == 'y' || !false) && true", True),
        ("d['o.t']", "dotted"),
        ('$V == "main"', True),
        ("missing == ''", True),
        ("and(eq(a, 'x'), ne(a, 'y'), 3)", True),
        ("null", None),
    ],
)
def test_an_expression_has_its_value(text: str, value: object) -> None:
    functions = {
        "and": lambda *values: all(values),
        "eq": expressions.are_equal,
        "ne": lambda one, other: not expressions.are_equal(one, other),
    }
    assert expressions.evaluate(text, _names, functions) == value


@pytest.mark.parametrize("text", ["a ==", "f(1)", "a b", "a =~ 'x'", "'open", "a.", "(a", "a + 1"])
def test_an_expression_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(expressions.ExpressionInvalid):
        expressions.evaluate(text, _names, {})


@pytest.mark.parametrize(
    ("path", "wanted", "is_wanted"),
    [
        ("src/small/train.py", ["src/**"], True),
        ("src/small/train.py", ["src/*"], False),
        ("src/train.py", ["src/**/*"], True),
        ("docs/src/a.md", ["src/**"], False),
        ("a/b/c.csv", ["**/*.csv"], True),
        ("c.csv", ["**/*.csv"], True),
        ("src/README.md", ["src/**", "!**/*.md"], False),
        ("wrightxtoml", ["wright.toml"], False),
    ],
)
def test_patterns_of_paths(path: str, wanted: list[str], is_wanted: bool) -> None:
    assert patterns.any_matches([path], wanted) is is_wanted


def _situation(event: Event = Event.PUSH, *, branch: str = "main", changed: tuple[str, ...] = ()) -> Situation:
    return Situation(event, branch, "c0ffee", changed, "7")


GITHUB = (
    "on: {push: {branches: [main], paths: ['src/**']}, schedule: [{cron: '0 0 * * *'}]}\njobs: {one: {steps: []}}\n"
)
AZURE = "trigger: {branches: {include: [main]}, paths: {include: ['src/**']}}\nstages: []\n"
GITLAB = """
stages: [a]
one:
  stage: a
  script: ["true"]
  rules: [{if: '$CI_COMMIT_BRANCH == "main"', changes: ["src/**/*"]}]
"""


@pytest.mark.parametrize(("name", "text"), [("a.yml", GITHUB), ("b.yml", AZURE), (".gitlab-ci.yml", GITLAB)])
def test_branches_and_paths_say_what_a_push_starts(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    for branch, changed, is_started in (
        ("main", ("src/a.py", "README.md"), True),
        ("main", ("README.md",), False),
        ("other", ("src/a.py",), False),
    ):
        workflow = files.read(path, _situation(branch=branch, changed=changed))
        assert (not workflow.reason) is is_started, (branch, changed)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "a.yml",
            "on: push\njobs: {one: {steps: [{uses: docker/login-action@v3}]}}",
            'job one uses "docker/login-action"',
        ),
        ("a.yml", "on: push\njobs: {one: {strategy: {}, steps: []}}", 'job one says "strategy"'),
        ("a.yml", "on: [push, issues]\njobs: {}", 'on says "issues"'),
        ("a.yml", "on: push\ndefaults: {}\njobs: {}", 'the file says "defaults"'),
        ("a.yml", "on: push\njobs: {one: {}}", "it has no 'steps'"),
        ("a.yml", "on: {push: {tags: [v1]}}\njobs: {one: {steps: []}}", 'push says "tags"'),
        ("b.yml", "stages: [{stage: A, jobs: [{job: b, steps: [{task: Docker@2}]}]}]", 'is "Docker@2"'),
        ("b.yml", "stages: [{stage: A, jobs: [{template: x.yml}]}]", 'job None says "template"'),
        ("b.yml", "stages: [{stage: A, jobs: [{job: b, steps: [{script: '${{ if x }}'}]}]}]", "is not understood"),
        (".gitlab-ci.yml", "stages: [a]\none: {stage: a, script: [x], services: [db]}", 'job one says "services"'),
        (".gitlab-ci.yml", "include: x.yml\nstages: []", "job include"),
        (".gitlab-ci.yml", "stages: [a]\none: {stage: a, script: [x], rules: [{exists: [y]}]}", 'a rule says "exists"'),
        (".gitlab-ci.yml", "stages: [a]\none: {stage: a, script: [x], needs: [two]}", 'one needs "two"'),
        (
            ".gitlab-ci.yml",
            "stages: [a]\none: {stage: a, script: [x], rules: [{if: '$A =~ /x/'}]}",
            "is not understood",
        ),
        ("a.yml", "on: push\njobs: {one: {timeout-minutes: soon, steps: []}}", '"soon" is no number of minutes'),
        (".gitlab-ci.yml", "stages: [a]\none: {stage: a, script: [x], timeout: 1d}", 'a job says "timeout: 1d"'),
        ("a.yml", "- list", "it is no workflow"),
        ("a.yml", "a: [", "while parsing"),
    ],
)
def test_what_is_not_known_is_refused_and_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(WorkflowUnknown) as raised:
        files.read(path, _situation())
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ("one: {needs: two, steps: []}", 'needs "two", which there is not'),
        ("one: {needs: two, steps: []}, two: {needs: one, steps: []}", "waits for itself"),
        ("one: {env: {A: '${{ runner.os }}'}, steps: []}", "runner.os"),
        ("one: {env: {A: '${{ github.actor }}'}, steps: []}", "github.actor"),
    ],
)
def test_jobs_that_cannot_be_run_are_refused(tmp_path: Path, jobs: str, told: str) -> None:
    path = tmp_path / "a.yml"
    path.write_text(f"on: push\njobs: {{{jobs}}}\n")
    workflow = files.read(path, _situation())
    with pytest.raises(WorkflowUnknown, match=told):
        running.run(workflow, _situation(), Place(tmp_path, tmp_path / "run"), tell=lambda _: None)
