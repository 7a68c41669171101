"""What is found in a place where MLflow keeps its records, whichever of its formats that is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from modelwright.records import LoggedModelStatus, ModelPoint, Point, RunInput, RunOutput, Status

STATUSES = {
    "SCHEDULED": Status.QUEUED,
    "RUNNING": Status.RUNNING,
    "FINISHED": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "KILLED": Status.CANCELLED,
}
LOGGED_STATUSES = {
    1: LoggedModelStatus.PENDING,
    2: LoggedModelStatus.READY,
    3: LoggedModelStatus.FAILED,
}
DELETED_STAGE = "Deleted_Internal"
_Thing = TypeVar("_Thing")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class FoundExperiment:
    """An experiment. Of one that was deleted `updated_at` says when."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    is_deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundRun:
    """A run with every point of its metrics."""

    id: str
    name: str
    user: str
    status: Status
    started_at: datetime
    finished_at: datetime | None
    deleted_at: datetime | None
    artifact_uri: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Point] = ()
    inputs: Sequence[RunInput] = ()
    outputs: Sequence[RunOutput] = ()


@dataclass(frozen=True)
class FoundLoggedModel:
    """A model that a run logged."""

    id: str
    run_id: str
    name: str
    kind: str
    status: LoggedModelStatus
    created_at: datetime
    updated_at: datetime
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[ModelPoint] = ()


@dataclass(frozen=True)
class FoundVersion:
    """A version of a registered model; `artifact_uri` is where its files are, `uri` what it was registered from."""

    number: int
    created_at: datetime
    updated_at: datetime
    description: str
    user: str
    stage: str
    uri: str
    artifact_uri: str
    run_id: str
    run_link: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundModel:
    """A registered model with its versions, without those that were deleted."""

    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: Sequence[FoundVersion] = ()


@dataclass(frozen=True)
class FoundFiles:
    """Files by their paths below one address, and those that are named there but cannot be had, with the reason.

    `is_absent` when there is no such folder, as for a run that wrote no file, or when it was moved.
    """

    paths: Mapping[str, Path] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    is_absent: bool = False


@dataclass(frozen=True)
class Unreadable:
    """Something of a kind that is there and cannot be read, and why."""

    kind: str
    what: str
    why: str


class Source(Protocol):
    """A place where MLflow keeps its records."""

    def experiments(self) -> Sequence[FoundExperiment | Unreadable]:
        """Return the experiments, deleted ones too."""

    def count_runs(self) -> int:
        """Return how many runs there are."""

    def runs(self, experiment: FoundExperiment) -> Iterator[FoundRun | Unreadable]:
        """Give the runs of an experiment, deleted ones too, those that began first at first."""

    def logged_models(self, experiment: FoundExperiment) -> Iterator[FoundLoggedModel | Unreadable]:
        """Give the models that runs of an experiment logged."""

    def models(self) -> Iterator[FoundModel | Unreadable]:
        """Give the registered models."""

    def files(self, uri: str, owner: str) -> AbstractContextManager[FoundFiles]:
        """Give the files at an address, which are those of the `owner`, a run's or model's id, if it has one."""

    def left_out(self) -> Mapping[str, int]:
        """Return what there is besides, which is not taken over, and how much of it."""


def moment(milliseconds: object) -> datetime:
    """Return a time that is kept in milliseconds since 1970; the first one for what is none."""
    whole = int(milliseconds) if isinstance(milliseconds, int | float | str) and milliseconds != "" else 0
    return datetime.fromtimestamp(whole // 1000, UTC).replace(microsecond=whole % 1000 * 1000)


def each_read(
    kind: str, things: Iterable[_Thing], read: Callable[[_Thing], _Found], name: Callable[[_Thing], object]
) -> Iterator[_Found | Unreadable]:
    """Give what `read` makes of each of the things; what is not as MLflow writes it keeps none of the others away."""
    for each in things:
        found: _Found | Unreadable
        try:
            found = read(each)
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            found = Unreadable(kind, str(name(each)), f"it is not as MLflow writes it: {said}")
        yield found
