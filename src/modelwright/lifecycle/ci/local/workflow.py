"""A workflow in no system's language: jobs with what they wait for, and their steps."""

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
    """A step of a job; `text` is a script, or the path of files, and `id` what others call it."""

    kind: StepKind
    name: str
    text: str = ""
    artifact: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    id: str = ""


@dataclass(frozen=True)
class Condition:
    """What must hold for a job: an expression of the system's language, which sees what came of the jobs it `needs`."""

    text: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job. `approval` is what somebody must approve of before it runs."""

    name: str
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
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


class Dialect(Protocol):
    """How a system's own language is understood."""

    def variables(self, scope: Scope, job: Job) -> dict[str, str]:
        """Return the environment variables of a job's steps."""

    def expand(self, text: str, scope: Scope) -> str:
        """Return a text with its expressions replaced."""

    def holds(self, condition: str, scope: Scope) -> bool:
        """Whether a condition holds; an empty one does when nothing before has failed or was skipped."""

    def command(self, script: str) -> list[str]:
        """Return what runs a script as the system does."""

    def output_file(self) -> str | None:
        """Return the variable that names the file which a step writes its outputs to; None when there is none."""

    def printed_outputs(self, text: str) -> dict[str, str]:
        """Return the outputs that a step has printed."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file as it was read. `reason` says why it has nothing to do in the situation it was read for."""

    path: Path
    dialect: Dialect
    jobs: tuple[Job, ...]
    reason: str = ""


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
