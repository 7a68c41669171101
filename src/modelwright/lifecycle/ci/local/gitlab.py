"""The file of GitLab CI/CD."""

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

_SOURCES = {
    Event.PUSH: "push",
    Event.PULL_REQUEST: "merge_request_event",
    Event.MANUAL: "web",
    Event.SCHEDULE: "schedule",
    Event.COMPLETED: "pipeline",
}
_GENERAL = ("stages", "workflow", "variables", "default")
_JOB = (
    "stage",
    "rules",
    "needs",
    "variables",
    "script",
    "before_script",
    "artifacts",
    "resource_group",
    "environment",
    "image",
    "when",
    "timeout",
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TIMEOUT_MINUTES = 60.0
_HOURS = re.compile(r"(\d+) hours?")
_WHEN = ("on_success", "on_failure", "always", "manual", "never")
_STATUS = {"on_success": "success", "manual": "success", "on_failure": "failure", "always": "always"}


class GitLab:
    """Variables `$NAME`, rules, and bash that ends at the first error."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Take the variables of the whole file."""
        self._env = env

    def variables(self, scope: Scope, job: Job) -> dict[str, str]:
        """Return GitLab's own variables, those of the project, of the file, of the jobs before, and of the job."""
        scope.env.update(_own(scope.situation))
        for env in (self._env, *(scope.outputs.get(each, {}) for each in _seen(scope, job)), job.env):
            for name, text in env.items():
                scope.env[name] = self.expand(text, scope)
        return dict(scope.env)

    def expand(self, text: str, scope: Scope) -> str:
        """Return a variable's text with the variables that it names; scripts are left to the shell."""
        return _VARIABLE.sub(lambda found: scope.env.get(found[1] or found[2], ""), text)

    def holds(self, condition: str, scope: Scope) -> bool:
        """Whether a job runs after those before: `success`, `failure`, `always`, or `ran`, that none was left out."""
        if condition == "always":
            return True
        if condition == "ran":
            return all(each in {Result.SUCCEEDED, Result.FAILED} for each in scope.statuses)
        has_failed = Result.FAILED in scope.statuses
        return has_failed if condition == "failure" else all(each is Result.SUCCEEDED for each in scope.statuses)

    def command(self, script: str, scope: Scope) -> list[str]:  # noqa: ARG002 - of a protocol
        """Return what runs a script as the system does: variables are the shell's own matter."""
        return ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]

    def output_file(self) -> str | None:
        """Return None: outputs are a file of the job's own, which its artifacts name."""
        return None

    def printed_outputs(self, text: str) -> dict[str, str]:  # noqa: ARG002 - of a protocol
        """Return nothing."""
        return {}


def read(path: Path, content: Mapping[Any, Any], situation: Situation) -> Workflow:
    """Return the jobs that this situation starts, and why there are none if so. Raises WorkflowUnknown."""
    reader = Reader(path)
    defaults = reader.only(content.get("default") or {}, ("image", "before_script"), "default")
    rules = reader.only(content.get("workflow") or {}, ("rules",), "workflow").get("rules")
    told = {name: each for name, each in content.items() if name not in _GENERAL and not name.startswith(".")}
    if rules is not None and _when(reader, rules, situation) == "never":
        return Workflow(path, GitLab({}), (), "none of its rules is for this event")
    chosen = {}
    for name, each in told.items():
        reader.only(each, _JOB, f"job {name}")
        when = _when(reader, each["rules"], situation) if "rules" in each else each.get("when", "on_success")
        if when != "never":
            chosen[name] = (each, when)
    stages = content["stages"]
    jobs = [
        _job(reader, name, chosen, stages, defaults)
        for name in sorted(chosen, key=lambda n: stages.index(chosen[n][0]["stage"]))
    ]
    reason = "" if chosen else "no job is for this event"
    return Workflow(path, GitLab(reader.texts(content.get("variables"), "variables")), tuple(jobs), reason)


def _when(reader: Reader, rules: Sequence[Mapping[str, Any]], situation: Situation) -> str:
    """Return when a job runs by the first rule that answers to the situation; `never` when none does."""
    for rule in rules:
        reader.only(rule, ("if", "changes", "when"), "a rule")
        when = rule.get("when", "on_success")
        if when not in _WHEN:
            reader.refuse(f'a rule says "when: {when}"')
        if "if" in rule and not expressions.is_true(_value(rule["if"], situation)):
            continue
        if "changes" in rule and not patterns.any_matches(situation.changed, rule["changes"]):
            continue
        return str(when)
    return "never"


def _job(
    reader: Reader,
    name: str,
    chosen: Mapping[str, tuple[Mapping[str, Any], str]],
    stages: Sequence[str],
    defaults: Mapping[str, Any],
) -> Job:
    told, when = chosen[name]
    earlier = [
        each for each, (other, _) in chosen.items() if stages.index(other["stage"]) < stages.index(told["stage"])
    ]
    needs = tuple(_needs(reader, name, told["needs"], chosen)) if "needs" in told else tuple(earlier)
    conditions = [Condition(_STATUS[when], needs)]
    if "needs" in told:  # what names a job that was left out is left out itself, whatever its own condition says
        conditions.append(Condition("ran", needs))
    script = [*listed(told.get("before_script", defaults.get("before_script"))), *listed(told["script"])]
    return Job(
        name=name,
        stage=told["stage"],
        conditions=tuple(conditions),
        steps=(
            Step(StepKind.CHECKOUT, "checkout"),
            Step(StepKind.SHELL, "script", "\n".join(script)),
            *_artifacts(reader, name, told),
        ),
        timeout_minutes=_minutes(reader, told.get("timeout")),
        env=reader.texts(told.get("variables"), f"job {name}"),
        approval=name if when == "manual" else "",
        takes_artifacts_of=needs,
    )


def _minutes(reader: Reader, told: object) -> float:
    """Return what a time such as `24 hours` is; of the many ways to write one this is the one that is known."""
    if told is None:
        return _TIMEOUT_MINUTES
    found = _HOURS.fullmatch(str(told))
    if not found:
        reader.refuse(f'a job says "timeout: {told}"')
    return 60.0 * int(found[1])


def _needs(reader: Reader, name: str, told: Any, chosen: Mapping[str, object]) -> list[str]:
    found = []
    for each in listed(told):
        wanted = {"job": each} if isinstance(each, str) else reader.only(each, ("job", "optional"), f"needs of {name}")
        if wanted["job"] in chosen:
            found.append(wanted["job"])
        elif not wanted.get("optional"):
            reader.refuse(f'job {name} needs "{wanted["job"]}", which this event does not start')
    return found


def _artifacts(reader: Reader, name: str, told: Mapping[str, Any]) -> list[Step]:
    artifacts = reader.only(told.get("artifacts") or {}, ("paths", "reports", "when"), f"artifacts of {name}")
    reports = reader.only(artifacts.get("reports") or {}, ("junit", "coverage_report", "dotenv"), f"reports of {name}")
    condition = {"always": "always", "on_failure": "failure"}.get(artifacts.get("when", ""), "success")
    steps = [
        Step(StepKind.UPLOAD, "artifacts", each, name, condition=condition, keeps_paths=True)
        for each in artifacts.get("paths", ())
    ]
    if "junit" in reports:
        steps.append(Step(StepKind.TESTS, "junit", reports["junit"], condition=condition))
    if "coverage_report" in reports:
        steps.append(Step(StepKind.COVERAGE, "coverage", reports["coverage_report"]["path"], condition=condition))
    if "dotenv" in reports:
        steps.append(Step(StepKind.OUTPUTS, "dotenv", reports["dotenv"], condition="success"))
    return steps


def _value(text: str, situation: Situation) -> Any:
    return expressions.evaluate(text, lambda path: _named(path, situation), {})


def _named(path: Sequence[str], situation: Situation) -> Any:
    if len(path) == 1 and path[0].startswith("$"):
        return _own(situation).get(path[0][1:])
    told = f"`{'.'.join(path)}` is not known here"
    raise expressions.ExpressionInvalid(told)


def _own(situation: Situation) -> dict[str, str]:
    own = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_PIPELINE_ID": situation.build,
        "CI_PIPELINE_URL": f"http://localhost/pipelines/{situation.build}",
        "CI_PIPELINE_SOURCE": _SOURCES[situation.event],
        "CI_COMMIT_SHA": situation.commit,
        "GITLAB_USER_LOGIN": scalar(situation.variables.get("GITLAB_USER_LOGIN", "local")),
    }
    if situation.event is not Event.PULL_REQUEST:
        own["CI_COMMIT_BRANCH"] = situation.branch
    return own | dict(situation.variables) | dict(situation.inputs)


def _seen(scope: Scope, job: Job) -> list[str]:
    return [each for each in scope.outputs if each in job.takes_artifacts_of]
