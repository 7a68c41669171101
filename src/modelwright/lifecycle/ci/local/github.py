"""Workflow files of GitHub Actions."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.lifecycle.ci.local import expressions, patterns
from modelwright.lifecycle.ci.local.workflow import (
    Condition,
    Event,
    Job,
    Reader,
    Result,
    Scope,
    Situation,
    Step,
    StepKind,
    Workflow,
    listed,
    scalar,
)

_EVENTS = {
    Event.PUSH: "push",
    Event.PULL_REQUEST: "pull_request",
    Event.MANUAL: "workflow_dispatch",
    Event.SCHEDULE: "schedule",
    Event.COMPLETED: "workflow_run",
}
_WORDS = {Result.SUCCEEDED: "success", Result.FAILED: "failure"}
_TIMEOUT_MINUTES = 360.0
_STATUS_FUNCTIONS = {"success", "failure", "always", "cancelled"}
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_ACTIONS = {
    "actions/checkout": (StepKind.CHECKOUT, ()),
    "actions/setup-python": (StepKind.NOTHING, ("python-version",)),
    "actions/upload-artifact": (StepKind.UPLOAD, ("name", "path")),
    "actions/download-artifact": (StepKind.DOWNLOAD, ("name", "path")),
}


class GitHub:
    """The language of expressions between `${{` and `}}`, and bash that ends at the first error."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Take the variables of the whole workflow."""
        self._env = env

    def variables(self, scope: Scope, job: Job) -> dict[str, str]:
        """Return the workflow's and the job's variables, and GitHub's own."""
        found = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": scope.situation.commit,
            "GITHUB_REF_NAME": scope.situation.branch,
            "GITHUB_RUN_ID": scope.situation.build,
        }
        for env in (self._env, job.env):
            scope.env.update(found)
            found |= {name: self.expand(value, scope) for name, value in env.items()}
        return found

    def expand(self, text: str, scope: Scope) -> str:
        """Return a text with its expressions replaced."""
        return _EXPRESSION.sub(lambda found: scalar(_value(found[1], scope)), text)

    def holds(self, condition: str, scope: Scope) -> bool:
        """Whether a condition holds; one that asks for no status wants all before to have succeeded."""
        found = _EXPRESSION.fullmatch(condition.strip())
        text = found[1] if found else condition
        is_asked = bool(expressions.calls(text) & _STATUS_FUNCTIONS)
        if not is_asked and any(each is not Result.SUCCEEDED for each in scope.statuses):
            return False
        return not text.strip() or expressions.is_true(_value(text, scope))

    def command(self, script: str, scope: Scope) -> list[str]:
        """Return what runs a script as the system does: it is filled in before the shell sees it."""
        return ["bash", "--noprofile", "--norc", "-e", "-c", self.expand(script, scope)]

    def output_file(self) -> str | None:
        """Return the variable that names the file of outputs."""
        return "GITHUB_OUTPUT"

    def printed_outputs(self, text: str) -> dict[str, str]:  # noqa: ARG002 - of a protocol
        """Return nothing: outputs are written to a file."""
        return {}


def read(path: Path, content: Mapping[Any, Any], situation: Situation) -> Workflow:
    """Return the workflow, and whether it has anything to do. Raises WorkflowUnknown."""
    reader = Reader(path)
    # YAML 1.1 reads the key `on` as true.
    told = {("on" if key is True else key): value for key, value in content.items()}
    reader.only(told, ("name", "on", "permissions", "concurrency", "env", "jobs"), "the file")
    dialect = GitHub(reader.texts(told.get("env"), "env"))
    jobs = tuple(_job(reader, name, each) for name, each in told["jobs"].items())
    events = told["on"] if isinstance(told["on"], dict) else dict.fromkeys(listed(told["on"]))
    reader.only(events, tuple(_EVENTS.values()), "on")
    name = _EVENTS[situation.event]
    if name not in events:
        return Workflow(path, dialect, jobs, f"it is not started by {name}", is_for_event=False)
    return Workflow(path, dialect, jobs, _reason(reader, name, events[name] or {}, situation))


def _reason(reader: Reader, name: str, wanted: Any, situation: Situation) -> str:
    """Return why this very event starts nothing; nothing when it does."""
    if situation.event in {Event.SCHEDULE, Event.MANUAL}:
        return ""
    reader.only(wanted, ("branches", "paths", "workflows", "types"), name)
    return patterns.why_none(situation, branches=listed(wanted.get("branches")), paths=listed(wanted.get("paths")))


def _job(reader: Reader, name: str, told: Mapping[str, Any]) -> Job:
    known = ("name", "runs-on", "needs", "if", "env", "outputs", "steps", "environment", "timeout-minutes")
    reader.only(told, known, f"job {name}")
    needs = tuple(listed(told.get("needs")))
    environment = told.get("environment", "")
    return Job(
        name=name,
        conditions=(Condition(scalar(told.get("if")), needs),),
        steps=tuple(_step(reader, name, each) for each in told["steps"]),
        timeout_minutes=reader.minutes(told.get("timeout-minutes"), _TIMEOUT_MINUTES),
        env=reader.texts(told.get("env"), f"job {name}"),
        outputs=reader.texts(told.get("outputs"), f"job {name}"),
        approval=environment["name"] if isinstance(environment, dict) else environment,
    )


def _step(reader: Reader, job: str, told: Mapping[str, Any]) -> Step:
    reader.only(told, ("name", "id", "if", "env", "run", "uses", "with"), f"a step of job {job}")
    common: dict[str, Any] = {
        "env": reader.texts(told.get("env"), f"a step of job {job}"),
        "condition": scalar(told.get("if")),
        "id": told.get("id", ""),
    }
    if "run" in told:
        return Step(StepKind.SHELL, told.get("name") or told["run"].strip().splitlines()[0], told["run"], **common)
    action = str(told.get("uses", "")).partition("@")[0]
    if action not in _ACTIONS:
        reader.refuse(f'job {job} uses "{action}"')
    kind, known = _ACTIONS[action]
    given = reader.texts(reader.only(told.get("with") or {}, known, action), action)
    return Step(kind, told.get("name") or action, given.get("path", ""), given.get("name", ""), **common)


def _value(text: str, scope: Scope) -> Any:
    statuses = scope.statuses
    functions = {
        "success": lambda: all(each is Result.SUCCEEDED for each in statuses),
        "failure": lambda: Result.FAILED in statuses,
        "always": lambda: True,
        "cancelled": lambda: False,
    }
    return expressions.evaluate(text, lambda path: _named(path, scope), functions)


def _named(path: Sequence[str], scope: Scope) -> Any:
    match path:
        case ["needs", job, "result"]:
            return _WORDS.get(scope.results[job], "skipped") if job in scope.results else None
        case ["needs", job, "outputs", name]:
            return scope.outputs.get(job, {}).get(name)
        case ["steps", step, "outputs", name]:
            return scope.steps.get(step, {}).get(name)
        case ["github", *rest] if ".".join(rest) in (own := _github(scope.situation)):
            return own[".".join(rest)]
    situation = scope.situation
    known = {"vars": situation.variables, "secrets": situation.variables, "inputs": situation.inputs, "env": scope.env}
    if path[0] not in known or len(path) != len(("context", "name")):
        told = f"`{'.'.join(path)}` is not known here"
        raise expressions.ExpressionInvalid(told)
    return known[path[0]].get(path[1])


def _github(situation: Situation) -> dict[str, str]:
    return {
        "event_name": _EVENTS[situation.event],
        "ref": f"refs/heads/{situation.branch}",
        "ref_name": situation.branch,
        "sha": situation.commit,
        "run_id": situation.build,
        "repository": "local/repository",
        "server_url": "http://localhost",
        "event.workflow_run.id": situation.build if situation.event is Event.COMPLETED else "",
        "event.workflow_run.conclusion": "success" if situation.event is Event.COMPLETED else "",
    }
