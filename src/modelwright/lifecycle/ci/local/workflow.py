"""A workflow in no system's language: jobs with what they wait for, and their steps."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn, Protocol

from modelwright.errors import WorkflowUnknown


class Event(StrEnum):
    """What starts a workflow; `completed` is that another one has ended."""

    PUSH = "push"
    PULL_REQUEST = "pull_request"
    MANUAL = "manual"
    SCHEDULE = "schedule"
    COMPLETED = "completed"


class Result(StrEnum):
    """What a job came to; one that waits has come to where a person decides."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    WAITS = "waits"


class StepKind(StrEnum):
    """What a step does. One of `nothing` prepares what this machine has already."""

    SHELL = "shell"
    CHECKOUT = "checkout"
    NOTHING = "nothing"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    TESTS = "tests"
    COVERAGE = "coverage"
    OUTPUTS = "outputs"


@dataclass(frozen=True)
class Step:
    """A step of a job; `text` is a script, or the path of files, and `id` what others call it.

    Of files that it `keeps_paths` of, an artifact says where in the job's folder they were.
    """

    kind: StepKind
    name: str
    text: str = ""
    artifact: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    id: str = ""
    keeps_paths: bool = False


@dataclass(frozen=True)
class Condition:
    """What must hold for a job: an expression of the system's language, which sees what came of the jobs it `needs`."""

    text: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job. `approval` is what somebody must approve of before it runs; after its time it is ended."""

    name: str
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    timeout_minutes: float
    stage: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    approval: str = ""
    takes_artifacts_of: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The jobs that must have ended before."""
        return tuple(dict.fromkeys(each for condition in self.conditions for each in condition.needs))


@dataclass(frozen=True)
class Situation:
    """What a workflow runs for: an event on a branch, with its commit and the files that it changes.

    `variables` are what the system keeps for a project, secrets among them; `inputs` are given when it is started.
    """

    event: Event
    branch: str
    commit: str
    changed: tuple[str, ...]
    build: str
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scope:
    """What an expression sees. `statuses` are those that its status functions ask for; `steps` the outputs of steps."""

    situation: Situation
    statuses: Sequence[Result]
    results: Mapping[str, Result]
    outputs: Mapping[str, Mapping[str, str]]
    env: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, str]] = field(default_factory=dict)


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


class Dialect(Protocol):
    """How a system's own language is understood."""

    def variables(self, scope: Scope, job: Job) -> dict[str, str]:
        """Return the environment variables of a job's steps."""

    def expand(self, text: str, scope: Scope) -> str:
        """Return a text with its expressions replaced."""

    def holds(self, condition: str, scope: Scope) -> bool:
        """Whether a condition holds; an empty one does when nothing before has failed or was skipped."""

    def command(self, script: str, scope: Scope) -> list[str]:
        """Return what runs a script as the system does, its expressions replaced."""

    def output_file(self) -> str | None:
        """Return the variable that names the file which a step writes its outputs to; None when there is none."""

    def printed_outputs(self, text: str) -> dict[str, str]:
        """Return the outputs that a step has printed."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file as it was read. `reason` says why it has nothing to do in the situation it was read for.

    One that is not `is_for_event` has nothing to do for any event of that kind.
    """

    path: Path
    dialect: Dialect
    jobs: tuple[Job, ...]
    reason: str = ""
    is_for_event: bool = True


@dataclass(frozen=True)
class Reader:
    """Reads a file's parts, and refuses those that nobody here knows."""

    path: Path

    def refuse(self, reason: str) -> NoReturn:
        """Raise WorkflowUnknown for what is not known."""
        raise WorkflowUnknown(path=self.path, reason=reason)

    def only(self, told: Mapping[str, Any], known: Sequence[str], where: str) -> Mapping[str, Any]:
        """Return a mapping that has only known keys. Raises WorkflowUnknown."""
        if not isinstance(told, dict):
            self.refuse(f"{where} is no mapping")
        for key in told:
            if key not in known:
                self.refuse(f'{where} says "{key}"')
        return told

    def minutes(self, told: object, otherwise: float) -> float:
        """Return how long something may take, `otherwise` when the file does not say. Raises WorkflowUnknown."""
        text = scalar(told)
        if text and not text.isdecimal():
            self.refuse(f'"{text}" is no number of minutes')
        return float(text or otherwise)

    def texts(self, told: Mapping[str, Any] | None, where: str) -> dict[str, str]:
        """Return a mapping of plain values as texts. Raises WorkflowUnknown."""
        for name, value in (told or {}).items():
            if isinstance(value, dict | list):
                self.refuse(f'{where} gives "{name}" more than a plain value')
        return {str(name): scalar(value) for name, value in (told or {}).items()}


def scalar(value: object) -> str:
    """Return a plain value as the text that it has in a file."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(value: object) -> list[Any]:
    """Return a value that may be one thing or a list of them as a list."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]


Tell = Callable[[str], None]
