"""One job of a workflow at work: its steps, each as its system would do it, in a folder of the job's own."""

import contextlib
import os
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelwright import processes, settings
from modelwright.lifecycle.ci import commits
from modelwright.lifecycle.ci.local.workflow import (
    Dialect,
    Job,
    Place,
    Report,
    Result,
    Scope,
    Situation,
    Step,
    StepKind,
    Tell,
)

_LOOK_SECONDS = 0.1
# What a script leaves running may print for ever: so long is it listened to.
_LAST_WORDS_SECONDS = 1.0
_PIECE_BYTES = 1 << 16


def run(
    job: Job,
    dialect: Dialect,
    situation: Situation,
    place: Place,
    *,
    report: Report,
    tell: Tell,
    stopped: threading.Event,
) -> Result:
    """Run a job and return what it came to; its outputs are in the report. Raises ExpressionInvalid and GitFailed.

    When `stopped` is set, the step that goes on is ended, and no other begins.
    """
    return _Work(job, dialect, situation, place, report, tell, stopped).run()


@dataclass
class _Work:
    job: Job
    dialect: Dialect
    situation: Situation
    place: Place
    report: Report
    tell: Tell
    stopped: threading.Event
    has_failed: bool = False

    def __post_init__(self) -> None:
        self.name = re.sub(r"\W+", "-", self.job.name)
        self.folder = self.place.folder / "jobs" / self.name
        self.scope = Scope(self.situation, [Result.SUCCEEDED], self.report.results, self.report.outputs)
        self.outputs: dict[str, str] = {}
        self.deadline = time.monotonic() + 60 * self.job.timeout_minutes

    def run(self) -> Result:
        variables = self.dialect.variables(self.scope, self.job)
        for step in self.job.steps:
            if self.stopped.is_set():
                self.has_failed = True
                break
            self.scope.statuses = [Result.FAILED if self.has_failed else Result.SUCCEEDED]
            if not self.dialect.holds(step.condition, self.scope):
                continue
            self.tell(f"{self.job.name} > {step.name}")
            self._do(step, variables)
        self.outputs |= {name: self.dialect.expand(text, self.scope) for name, text in self.job.outputs.items()}
        self.report.outputs[self.job.name] = self.outputs
        return Result.FAILED if self.has_failed else Result.SUCCEEDED

    def _do(self, step: Step, variables: Mapping[str, str]) -> None:
        path = self.dialect.expand(step.text, self.scope) if step.kind is not StepKind.SHELL else ""
        match step.kind:
            case StepKind.SHELL:
                self._shell(step, variables)
            case StepKind.CHECKOUT:
                self._check_out()
            case StepKind.NOTHING:
                self.tell("  on this machine there is nothing to do for that")
            case StepKind.UPLOAD:
                self._upload(step, path)
            case StepKind.DOWNLOAD:
                self._download(step.artifact, path)
            case StepKind.TESTS:
                self._tests(path)
            case StepKind.COVERAGE:
                self._coverage(path)
            case StepKind.OUTPUTS:
                self.outputs |= _pairs(self.folder / path)

    def _check_out(self) -> None:
        commits.check_out(self.place.repository, self.situation.commit, into=self.folder, branch=self.situation.branch)
        for source in map(self._artifact, self.job.takes_artifacts_of):
            if source.is_dir():
                shutil.copytree(source, self.folder, dirs_exist_ok=True)

    def _fail(self, reason: str) -> None:
        self.tell(f"  {reason}")
        self.has_failed = True

    def _shell(self, step: Step, variables: Mapping[str, str]) -> None:
        own = {name: self.dialect.expand(text, self.scope) for name, text in step.env.items()}
        file = self.dialect.output_file()
        written = self.place.folder / "outputs" / f"{self.name}-{len(self.scope.steps)}"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.touch()
        environment = _base(self.place.programs) | dict(variables) | own | ({file: str(written)} if file else {})
        printed = self._process(self.dialect.command(step.text, self.scope), environment)
        found = self.dialect.printed_outputs(printed)
        self.outputs |= {f"{step.id}.{name}": value for name, value in found.items()}
        self.scope.steps[step.id or f"step {len(self.scope.steps)}"] = _pairs(written)

    def _process(self, command: Sequence[str], environment: Mapping[str, str]) -> str:
        """Run a script to its end, or to that of the job's time, telling its lines as they come; return all of them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = processes.start(
            command, folder=self.folder, environment=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        lines = []
        try:
            for line in _lines(process, self.deadline, self.stopped):
                lines.append(line)
                self.tell(f"  {line}")
            if process.poll() is None and time.monotonic() >= self.deadline:
                self.tell(f"  it is ended: the job may take {self.job.timeout_minutes:g} min")
        finally:
            code = processes.end(process)
            if process.stdout:
                process.stdout.close()
        if code:
            self._fail(f"exit {code}")
        return "\n".join(lines)

    def _upload(self, step: Step, path: str) -> None:
        source, target = self.folder / path, self._artifact(step.artifact)
        if source.is_dir():
            shutil.copytree(source, target / path if step.keeps_paths else target, dirs_exist_ok=True)
        elif source.is_file():
            into = target / Path(path).parent if step.keeps_paths else target
            into.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, into)
        else:
            self.tell(f'  there is nothing at "{path}" to keep')

    def _download(self, name: str, path: str) -> None:
        """Copy an artifact to the job's folder; one that is not there fails the job."""
        source = self._artifact(name)
        if source.is_dir():
            shutil.copytree(source, self.folder / path, dirs_exist_ok=True)
        else:
            self._fail(f'there is no artifact "{name}"')

    def _artifact(self, name: str) -> Path:
        return self.place.folder / "artifacts" / name

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
        if found:
            self.tell(f"  {float(found[1]):.0%} of the lines are covered")
        else:
            self._fail(f'there is no report at "{path}"')


def _lines(process: "subprocess.Popen[bytes]", deadline: float, stopped: threading.Event) -> Iterator[str]:
    """Give the lines that a process prints, up to its end, though others keep its output open, or to the deadline."""
    rest = b""
    for piece in _pieces(process, deadline, stopped):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (each.decode(errors="replace") for each in whole)
    if rest:
        yield rest.decode(errors="replace")


def _pieces(process: "subprocess.Popen[bytes]", deadline: float, stopped: threading.Event) -> Iterator[bytes]:
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    output = process.stdout.fileno()
    has_ended = False
    while time.monotonic() < deadline and not stopped.is_set():
        if not has_ended and process.poll() is not None:
            has_ended, deadline = True, min(deadline, time.monotonic() + _LAST_WORDS_SECONDS)
        if select.select([output], [], [], 0.0 if has_ended else _LOOK_SECONDS)[0]:
            piece = os.read(output, _PIECE_BYTES)
            if not piece:
                return
            yield piece
        elif has_ended:
            return


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
