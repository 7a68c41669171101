"""Files of Azure Pipelines."""

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

_FILE = ("trigger", "pr", "schedules", "resources", "parameters", "pool", "variables", "stages", "name")
_TEMPLATE = re.compile(r"\$\{\{\s*parameters\.(\w+)\s*\}\}")
_RUNTIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
_MACRO = re.compile(r"\$\(([\w.]+)\)")
_OUTPUT = re.compile(r"^##vso\[task\.setvariable variable=([\w.]+);isOutput=true\](.*)$", re.MULTILINE)
_KEYS = {Event.PUSH: "trigger", Event.PULL_REQUEST: "pr"}
_TIMEOUT_MINUTES = 60.0
_WORDS = {Result.SUCCEEDED: "Succeeded", Result.FAILED: "Failed"}
_TASKS = {
    "UsePythonVersion@0": (StepKind.NOTHING, ("versionSpec",), ""),
    "PublishTestResults@2": (
        StepKind.TESTS,
        ("testResultsFormat", "testResultsFiles", "failTaskOnFailedTests"),
        "testResultsFiles",
    ),
    "PublishCodeCoverageResults@1": (
        StepKind.COVERAGE,
        ("codeCoverageTool", "summaryFileLocation", "failIfCoverageEmpty"),
        "summaryFileLocation",
    ),
}


class Azure:
    """Macros `$(name)`, runtime expressions `$[ ]` of variables, conditions; bash whose last command counts."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Take the variables of the whole file."""
        self._env = env

    def variables(self, scope: Scope, job: Job) -> dict[str, str]:
        """Return all variables as Azure puts them into the environment: in capitals, dots as underscores."""
        situation = scope.situation
        scope.env.update(situation.variables)
        scope.env.update(
            {
                "Build.BuildId": situation.build,
                "Build.SourceBranch": f"refs/heads/{situation.branch}",
                "Build.SourceVersion": situation.commit,
                "System.CollectionUri": "http://localhost/",
                "System.TeamProject": "local",
            }
        )
        for env in (self._env, job.env):
            for name, text in env.items():
                scope.env[name] = self.expand(text, scope)
        return {name.upper().replace(".", "_"): value for name, value in scope.env.items()} | {"TF_BUILD": "True"}

    def expand(self, text: str, scope: Scope) -> str:
        """Return a text with its expressions and macros replaced; what no variable is called stays, as `$(date)`."""
        runtime = _RUNTIME.fullmatch(text.strip())
        if runtime:
            return scalar(_value(runtime[1], scope))
        return _MACRO.sub(lambda found: scope.env.get(found[1], found[0]), text)

    def holds(self, condition: str, scope: Scope) -> bool:
        """Whether a condition holds; an empty one wants all before to have succeeded."""
        return expressions.is_true(_value(condition or "succeeded()", scope))

    def command(self, script: str, scope: Scope) -> list[str]:
        """Return what runs a script as the system does: it is filled in before the shell sees it."""
        return ["bash", "--noprofile", "--norc", "-c", self.expand(script, scope)]

    def output_file(self) -> str | None:
        """Return None: outputs are printed."""
        return None

    def printed_outputs(self, text: str) -> dict[str, str]:
        """Return what the lines that speak to the agent say."""
        return dict(_OUTPUT.findall(text))


def read(path: Path, content: Mapping[Any, Any], situation: Situation) -> Workflow:
    """Return the workflow, and whether it has anything to do. Raises WorkflowUnknown."""
    reader = Reader(path)
    reader.only(content, _FILE, "the file")
    given = _parameters(reader, content.get("parameters"), situation)
    told: Any = _filled(dict(content), given, reader)
    jobs: list[Job] = []
    names: dict[str, tuple[str, ...]] = {}
    before: list[str] = []
    for each in told["stages"]:
        reader.only(each, ("stage", "displayName", "dependsOn", "condition", "variables", "jobs"), "a stage")
        after = listed(each["dependsOn"]) if "dependsOn" in each else before
        needs = tuple(job for stage in after for job in names[stage])
        found = [_job(reader, each, job, needs) for job in each["jobs"]]
        names[each["stage"]] = tuple(job.name for job in found)
        before = [each["stage"]]
        jobs += found
    dialect = Azure(_variables(reader, told.get("variables")))
    without = _without(reader, told, situation.event)
    if without:
        return Workflow(path, dialect, tuple(jobs), f"it has no {without}", is_for_event=False)
    return Workflow(path, dialect, tuple(jobs), _reason(reader, told, situation))


def _without(reader: Reader, told: Mapping[str, Any], event: Event) -> str:
    """Return what the file lacks to be started by such events; nothing when it has it."""
    match event:
        case Event.MANUAL:
            return ""
        case Event.SCHEDULE:
            return "" if told.get("schedules") else "schedule"
        case Event.COMPLETED:
            resources = reader.only(told.get("resources") or {}, ("pipelines",), "resources")
            return "" if resources.get("pipelines") else "other pipeline to wait for"
    key = _KEYS[event]
    return key if told.get(key) == "none" or (key == "pr" and told.get(key) is None) else ""


def _reason(reader: Reader, told: Mapping[str, Any], situation: Situation) -> str:
    """Return why this very event starts nothing; nothing when it does."""
    key = _KEYS.get(situation.event)
    if key is None:
        return ""
    wanted = told.get(key)
    wanted = {"branches": {"include": listed(wanted)}} if not isinstance(wanted, dict) else wanted
    reader.only(wanted, ("batch", "branches", "paths"), key)
    branches, paths = (
        listed(reader.only(wanted.get(name) or {}, ("include",), f"{key}.{name}").get("include"))
        for name in ("branches", "paths")
    )
    return patterns.why_none(situation, branches=[] if branches == ["*"] else branches, paths=paths)


def _parameters(reader: Reader, told: Any, situation: Situation) -> dict[str, str]:
    found = {}
    for each in listed(told):
        reader.only(each, ("name", "displayName", "type", "default"), "a parameter")
        found[each["name"]] = situation.inputs.get(each["name"], scalar(each.get("default")))
    return found


def _filled(value: Any, given: Mapping[str, str], reader: Reader) -> Any:
    """Return a part of the file with its template expressions replaced. Raises WorkflowUnknown for other ones."""
    if isinstance(value, dict):
        return {key: _filled(each, given, reader) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, given, reader) for each in value]
    if not isinstance(value, str):
        return value
    text = _TEMPLATE.sub(lambda found: given.get(found[1], found[0]), value)
    if "${{" in text:
        reader.refuse(f"`{text}` is not understood")
    return text


def _variables(reader: Reader, told: Any) -> dict[str, str]:
    """Return variables; those of a group are kept by the system, here by who runs the file."""
    found = {}
    for each in listed(told):
        reader.only(each, ("name", "value", "group"), "a variable")
        if "name" in each:
            found[str(each["name"])] = scalar(each["value"])
    return found


def _job(reader: Reader, stage: Mapping[str, Any], told: Mapping[str, Any], stages_needed: tuple[str, ...]) -> Job:
    name = told.get("job") or told.get("deployment")
    known = ("job", "deployment", "displayName", "dependsOn", "condition", "variables", "steps", "environment")
    reader.only(told, (*known, "strategy", "timeoutInMinutes", "pool"), f"job {name}")
    steps = told.get("steps", ())
    if "deployment" in told:
        strategy = reader.only(told["strategy"], ("runOnce",), f"the strategy of {name}")["runOnce"]
        steps = reader.only(strategy, ("deploy",), "runOnce")["deploy"]["steps"]
    needs = tuple(f"{stage['stage']}.{each}" for each in listed(told.get("dependsOn")))
    return Job(
        name=f"{stage['stage']}.{name}",
        stage=stage["stage"],
        conditions=(
            Condition(stage.get("condition", ""), stages_needed),
            Condition(told.get("condition", ""), needs),
        ),
        steps=tuple(_step(reader, str(name), each) for each in steps),
        timeout_minutes=reader.minutes(told.get("timeoutInMinutes"), _TIMEOUT_MINUTES),
        env=_variables(reader, stage.get("variables")) | _variables(reader, told.get("variables")),
        approval=told.get("environment", ""),
    )


def _step(reader: Reader, job: str, told: Mapping[str, Any]) -> Step:
    where = f"a step of job {job}"
    common: dict[str, Any] = {"condition": told.get("condition", ""), "env": reader.texts(told.get("env"), where)}
    if "checkout" in told:
        reader.only(told, ("checkout",), where)
        return Step(StepKind.CHECKOUT, "checkout")
    if "script" in told:
        reader.only(told, ("script", "displayName", "name", "env", "condition"), where)
        name = told.get("displayName") or told["script"].strip().splitlines()[0]
        return Step(StepKind.SHELL, name, told["script"], id=told.get("name", ""), **common)
    if "publish" in told:
        reader.only(told, ("publish", "artifact", "condition"), where)
        return Step(StepKind.UPLOAD, "publish", told["publish"], told["artifact"], **common)
    reader.only(told, ("task", "inputs", "displayName", "condition"), where)
    if told.get("task") not in _TASKS:
        reader.refuse(f'{where} is "{told.get("task")}"')
    kind, known, path = _TASKS[told["task"]]
    given = reader.texts(reader.only(told.get("inputs") or {}, known, told["task"]), told["task"])
    return Step(kind, told["task"], given.get(path, ""), **common)


def _value(text: str, scope: Scope) -> Any:
    statuses = scope.statuses
    functions: expressions.Functions = {
        "succeeded": lambda: all(each is Result.SUCCEEDED for each in statuses),
        "failed": lambda: Result.FAILED in statuses,
        "succeededOrFailed": lambda: all(each in _WORDS for each in statuses),
        "always": lambda: True,
        "and": lambda *values: all(map(expressions.is_true, values)),
        "or": lambda *values: any(map(expressions.is_true, values)),
        "not": lambda value: not expressions.is_true(value),
        "eq": expressions.are_equal,
        "ne": lambda one, other: not expressions.are_equal(one, other),
    }
    return expressions.evaluate(text, lambda path: _named(path, scope), functions)


def _named(path: Sequence[str], scope: Scope) -> Any:
    match path:
        case ["variables", name]:
            return scope.env.get(name, scope.situation.variables.get(name))
        case ["stageDependencies", stage, job, "outputs", name]:
            return scope.outputs.get(f"{stage}.{job}", {}).get(name)
        case ["dependencies", stage, "outputs", name] if _of_stage(stage, scope):
            job, _, rest = name.partition(".")
            return scope.outputs.get(f"{stage}.{job}", {}).get(rest)
        case ["dependencies", job, "outputs", name]:
            return next((told.get(name) for known, told in scope.outputs.items() if known.endswith(f".{job}")), None)
        case ["dependencies", stage, "result"]:
            return _result(_of_stage(stage, scope))
    told = f"`{'.'.join(path)}` is not known here"
    raise expressions.ExpressionInvalid(told)


def _of_stage(stage: str, scope: Scope) -> list[Result]:
    return [result for name, result in scope.results.items() if name.startswith(f"{stage}.")]


def _result(results: Sequence[Result]) -> str:
    if Result.FAILED in results:
        return "Failed"
    return "Succeeded" if Result.SUCCEEDED in results else "Skipped"
