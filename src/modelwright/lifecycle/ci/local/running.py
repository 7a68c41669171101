"""Runs a workflow's jobs one after the other, each in a folder of its own, as its system would run them."""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelwright import processes, settings
from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci import commits
from modelwright.lifecycle.ci.local import azure, github, gitlab
from modelwright.lifecycle.ci.local.expressions import ExpressionInvalid
from modelwright.lifecycle.ci.local.workflow import (
    Job,
    Result,
    Scope,
    Situation,
    Step,
    StepKind,
    Tell,
    Workflow,
)

_GITLAB_FILE = ".gitlab-ci.yml"


@dataclass(frozen=True)
class Place:
    """Where a workflow runs: the repository that is checked out, and the folder for jobs and artifacts.

    `programs` is where scripts look for `wright` first: beside the Python that this is.
    """

    repository: Path
    folder: Path
    programs: Path = Path(sys.executable).parent


@dataclass
class Report:
    """What came of the jobs, in the order in which they ended; `waiting` is what somebody has to approve of."""

    results: dict[str, Result] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: str = ""

    @property
    def failed(self) -> list[str]:
        """The jobs that failed."""
        return [name for name, result in self.results.items() if result is Result.FAILED]


def read(path: Path, situation: Situation) -> Workflow:
    """Return a workflow file of any of the systems. Raises WorkflowUnknown for what is not known here."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WorkflowUnknown(path=path, reason=str(error).replace("\n", " ")) from error
    if not isinstance(content, dict):
        raise WorkflowUnknown(path=path, reason="it is no workflow")
    reader: Any = gitlab
    if path.name != _GITLAB_FILE and not path.name.endswith(f"-{_GITLAB_FILE.lstrip('.')}"):
        reader = github if "jobs" in content and (True in content or "on" in content) else azure
    try:
        found: Workflow = reader.read(path, content, situation)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        told = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise WorkflowUnknown(path=path, reason=told) from error
    return found


def run(
    workflow: Workflow,
    situation: Situation,
    place: Place,
    *,
    tell: Tell,
    only: str | None = None,
    approved: Sequence[str] = (),
) -> Report:
    """Run the jobs, or those that the job or stage `only` needs and itself; return what came of them.

    A job that somebody must approve of runs when its approval is among those `approved`. Raises WorkflowUnknown.
    """
    report = Report()
    try:
        for job in _ordered(workflow, only):
            result = _result(workflow, situation, place, job, report, approved=approved, tell=tell)
            report.results[job.name] = result
            tell(f"{job.name}: {result}")
    except ExpressionInvalid as error:
        raise WorkflowUnknown(path=workflow.path, reason=error) from error
    return report


def _result(
    workflow: Workflow,
    situation: Situation,
    place: Place,
    job: Job,
    report: Report,
    *,
    approved: Sequence[str],
    tell: Tell,
) -> Result:
    known = {each.name: each for each in workflow.jobs}
    for number, condition in enumerate(job.conditions):
        before = _all_before(known, condition.needs, number)
        statuses = [report.results[each] for each in before if each in report.results]
        scope = Scope(situation, statuses, report.results, report.outputs)
        if not workflow.dialect.holds(condition.text, scope):
            return Result.SKIPPED
    if job.approval and job.approval not in approved:
        report.waiting = job.approval
        return Result.WAITS
    return _Running(workflow, situation, place, job, report, tell).run()


def _all_before(known: Mapping[str, Job], needs: Sequence[str], number: int) -> list[str]:
    """Return the jobs that are waited for, and those that these wait for."""
    found: list[str] = []
    waiting = list(needs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            conditions = known[name].conditions
            waiting += conditions[number].needs if number < len(conditions) else ()
    return found


def _ordered(workflow: Workflow, only: str | None) -> list[Job]:
    """Return the jobs so that each comes after those that it needs. Raises WorkflowUnknown."""
    known = {each.name: each for each in workflow.jobs}
    ordered: list[Job] = []
    open_jobs: list[str] = []

    def visit(job: Job) -> None:
        if job in ordered:
            return
        if job.name in open_jobs:
            raise WorkflowUnknown(path=workflow.path, reason=f"job {job.name} waits for itself")
        open_jobs.append(job.name)
        for name in job.needs:
            if name not in known:
                raise WorkflowUnknown(path=workflow.path, reason=f'job {job.name} needs "{name}", which there is not')
            visit(known[name])
        open_jobs.pop()
        ordered.append(job)

    wanted = [each for each in workflow.jobs if only in {None, each.name, each.stage}]
    if not wanted:
        raise WorkflowUnknown(path=workflow.path, reason=f'it has no job or stage "{only}"')
    for each in wanted:
        visit(each)
    return ordered


@dataclass
class _Running:
    """One job at work."""

    workflow: Workflow
    situation: Situation
    place: Place
    job: Job
    report: Report
    tell: Tell
    has_failed: bool = False

    def __post_init__(self) -> None:
        self.name = re.sub(r"\W+", "-", self.job.name)
        self.folder = self.place.folder / "jobs" / self.name
        self.scope = Scope(self.situation, [Result.SUCCEEDED], self.report.results, self.report.outputs)
        self.outputs: dict[str, str] = {}

    def run(self) -> Result:
        dialect = self.workflow.dialect
        variables = dialect.variables(self.scope, self.job)
        for step in self.job.steps:
            self.scope.statuses = [Result.FAILED if self.has_failed else Result.SUCCEEDED]
            if not dialect.holds(step.condition, self.scope):
                continue
            self.tell(f"{self.job.name} > {step.name}")
            self._do(step, variables)
        self.outputs |= {name: dialect.expand(text, self.scope) for name, text in self.job.outputs.items()}
        self.report.outputs[self.job.name] = self.outputs
        return Result.FAILED if self.has_failed else Result.SUCCEEDED

    def _do(self, step: Step, variables: Mapping[str, str]) -> None:
        path = self.workflow.dialect.expand(step.text, self.scope) if step.kind is not StepKind.SHELL else ""
        match step.kind:
            case StepKind.SHELL:
                self._shell(step, variables)
            case StepKind.CHECKOUT:
                commits.check_out(
                    self.place.repository, self.situation.commit, into=self.folder, branch=self.situation.branch
                )
                for name in self.job.takes_artifacts_of:
                    self._download(name, self.folder)
            case StepKind.NOTHING:
                self.tell("  on this machine there is nothing to do for that")
            case StepKind.UPLOAD:
                self._upload(step.artifact, path)
            case StepKind.DOWNLOAD:
                self._download(step.artifact, self.folder / path)
            case StepKind.TESTS:
                self._tests(path)
            case StepKind.COVERAGE:
                self._coverage(path)
            case StepKind.OUTPUTS:
                self.outputs |= _pairs(self.folder / path)

    def _shell(self, step: Step, variables: Mapping[str, str]) -> None:
        dialect = self.workflow.dialect
        own = {name: dialect.expand(text, self.scope) for name, text in step.env.items()}
        file = dialect.output_file()
        written = self.place.folder / "outputs" / f"{self.name}-{len(self.scope.steps)}"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.touch()
        environment = _base(self.place.programs) | dict(variables) | own | ({file: str(written)} if file else {})
        # A script of GitLab is the shell's own matter, that of the others has been filled in before the shell sees it.
        script = step.text if isinstance(dialect, gitlab.GitLab) else dialect.expand(step.text, self.scope)
        code, printed = self._process(dialect.command(script), environment)
        self.has_failed = self.has_failed or code != 0
        if code:
            self.tell(f"  exit {code}")
        found = dialect.printed_outputs(printed)
        self.outputs |= {f"{step.id}.{name}": value for name, value in found.items()}
        self.scope.steps[step.id or f"step {len(self.scope.steps)}"] = _pairs(written)

    def _process(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a script to its end, telling its lines as they come; return its exit code and what it printed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = processes.start(
            command, folder=self.folder, environment=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        lines = []
        try:
            for raw in process.stdout or ():
                line = raw.decode(errors="replace").rstrip("\n")
                lines.append(line)
                self.tell(f"  {line}")
        finally:
            code = processes.end(process)
            if process.stdout:
                process.stdout.close()
        return code, "\n".join(lines)

    def _upload(self, name: str, path: str) -> None:
        source, target = self.folder / path, self.place.folder / "artifacts" / name
        if source.is_dir():
            # GitLab keeps where in the job's folder they were, the others do not.
            inside = target / path if self.job.takes_artifacts_of or name == self.job.name else target
            shutil.copytree(source, inside, dirs_exist_ok=True)
        elif source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            self.tell(f'  there is nothing at "{path}" to keep')

    def _download(self, name: str, into: Path) -> None:
        source = self.place.folder / "artifacts" / name
        if source.is_dir():
            shutil.copytree(source, into, dirs_exist_ok=True)

    def _tests(self, pattern: str) -> None:
        """Count the tests of JUnit reports; those that failed fail the job."""
        for path in sorted(self.folder.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            count, bad = text.count("<testcase"), len(re.findall(r"<(?:failure|error)\b", text))
            self.tell(f"  {path.name}: {count} cases, {bad} failed")
            self.has_failed = self.has_failed or bad > 0

    def _coverage(self, path: str) -> None:
        """Tell what a Cobertura report covers; one that is not there fails the job."""
        report = self.folder / path
        found = re.search(r'line-rate="([\d.]+)"', report.read_text(encoding="utf-8")) if report.is_file() else None
        self.tell(f"  {float(found[1]):.0%} of the lines are covered" if found else f'  there is no report at "{path}"')
        self.has_failed = self.has_failed or found is None


def _pairs(path: Path) -> dict[str, str]:
    """Return NAME=VALUE lines of a file; nothing when it is not there."""
    with contextlib.suppress(FileNotFoundError):
        lines = path.read_text(encoding="utf-8").splitlines()
        return {name: value for name, sign, value in (line.partition("=") for line in lines) if sign}
    return {}


def _base(programs: Path) -> dict[str, str]:
    """Return what every script starts with: what we were given, and our own programs first on the path."""
    given = {name: value for name, value in settings.child_environment().items() if not name.startswith("GIT_")}
    return given | {"PATH": f"{programs}:{given.get('PATH', '')}"}
