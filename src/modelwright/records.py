"""The nouns: frozen records that the rooms exchange. No I/O."""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(prefix: str, *, milliseconds: int | None = None, randomness: bytes | None = None) -> str:
    """Return an id such as `run_01J…`: 48 bits of time and 80 of randomness in Crockford base 32, so ids sort by time.

    Source: the ULID specification, github.com/ulid/spec.
    """
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    value = (stamp << 80) | int.from_bytes(randomness or os.urandom(10), "big")
    digits = "".join(_BASE32[(value >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}"


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class Status(StrEnum):
    """Where a run or one of its steps stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeploymentStatus(StrEnum):
    """Where a deployment stands."""

    STARTING = "starting"
    HEALTHY = "healthy"
    REPLACED = "replaced"
    STOPPED = "stopped"
    FAILED = "failed"


class Goal(StrEnum):
    """Which direction of a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True)
class Finding:
    """What analysis reports about a notebook: a stable code, a place and a fix.

    `cell` and `line` count from 1; 0 means the whole notebook. An `is_error` finding stops the conversion.
    """

    code: str
    message: str
    fix: str
    notebook: str
    cell: int = 0
    line: int = 0
    is_error: bool = False


@dataclass(frozen=True)
class Removal:
    """A statement of a notebook that the project does not have, and why."""

    notebook: str
    cell: int
    line: int
    source: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """One result of the notebook beside the project's.

    `difference` is the largest relative difference of any number in it (0.0 when identical).
    """

    name: str
    kind: str  # "metric", "predictions" or "scores"
    notebook: object
    project: object
    is_equal: bool
    difference: float


@dataclass(frozen=True)
class Proof:
    """The recorded comparison of a notebook's run with its project's run."""

    comparisons: tuple[Comparison, ...]
    tolerance: float
    notebook_digest: str
    project_digest: str
    python_version: str
    id: str = field(default_factory=lambda: new_id("proof"))
    created_at: datetime = field(default_factory=now)

    @property
    def is_equal(self) -> bool:
        """Whether every result agreed; a proof without any comparison proves nothing."""
        return bool(self.comparisons) and all(each.is_equal for each in self.comparisons)


@dataclass(frozen=True)
class Requirement:
    """One distribution in one exact version."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return it as a line of a pip requirements file."""
        return f"{self.name}=={self.version}"


class LockSource(StrEnum):
    """Where a lock's hashes came from, and so where its files can be had again."""

    CACHE = "cache"  # the index, as uv's cache remembers it
    INDEX = "index"
    WHEELS = "wheels"  # wheels remade from the installed files; no index has them


@dataclass(frozen=True)
class Lock:
    """Exact versions and hashes of an environment.

    `text` is a pip requirements file; `digest` names text, Python version and platform together. `source` says how it
    was made and is no part of what it is.
    """

    text: str
    python_version: str
    platform: str
    digest: str
    source: LockSource = field(default=LockSource.INDEX, compare=False)


@dataclass(frozen=True)
class BuiltEnvironment:
    """A lock made into a folder on disk."""

    lock: Lock
    folder: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def variables(self) -> dict[str, str]:
        """The variables to start it with: byte code is kept beside the environment, never in the user's folders."""
        return {"PYTHONPYCACHEPREFIX": str(self.folder.with_name(f"{self.folder.name}.pycache"))}


@dataclass(frozen=True)
class Project:
    """A folder with a manifest, code, parameters, environment and tests."""

    id: str
    name: str
    folder: Path
    created_at: datetime


@dataclass(frozen=True)
class GitState:
    """The commit that a folder's files come from; `is_dirty` when they differ from it."""

    commit: str
    is_dirty: bool


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable content of a named dataset."""

    id: str
    dataset: str
    version: int
    digest: str
    size_bytes: int
    created_at: datetime

    @property
    def reference(self) -> str:
        """The dataset version as users write it, for example `diabetes:1`."""
        return f"{self.dataset}:{self.version}"


@dataclass(frozen=True)
class Artifact:
    """A file that a run wrote, kept as a blob. `path` is relative to the run's output folder."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class StepRun:
    """One execution of a step; `outputs` maps each value's name to the digest of its bytes."""

    name: str
    position: int
    status: Status
    outputs: dict[str, str]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Run:
    """One execution of a project's pipeline."""

    id: str
    project: str
    status: Status
    reason: str
    environment_digest: str
    code_digest: str
    git: GitState | None
    started_at: datetime
    finished_at: datetime | None = None
    parameters: dict[str, object] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    steps: tuple[StepRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    datasets: tuple[DatasetVersion, ...] = ()


@dataclass(frozen=True)
class PackageFile:
    """A file of a model package. `path` is relative to the package."""

    path: str
    digest: str
    size_bytes: int
    is_executable: bool = False


@dataclass(frozen=True)
class ModelVersion:
    """An immutable numbered entry of a model."""

    id: str
    model: str
    version: int
    digest: str
    framework: str
    signature: dict[str, object]
    run_id: str
    proof_id: str | None
    environment_digest: str
    created_at: datetime
    files: tuple[PackageFile, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The version as users write it, for example `diabetes:1`."""
        return f"{self.model}:{self.version}"


@dataclass(frozen=True)
class Endpoint:
    """A stable name and address that takes requests; `port` is None until its first deployment chose one."""

    id: str
    name: str
    host: str
    port: int | None
    created_at: datetime

    @property
    def url(self) -> str | None:
        """Where requests go."""
        return None if self.port is None else f"http://{self.host}:{self.port}/score"


@dataclass(frozen=True)
class Deployment:
    """One model version behind an endpoint. `version` is a reference such as `diabetes:1`."""

    id: str
    endpoint: str
    version_id: str
    version: str
    status: DeploymentStatus
    reason: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Cell:
    """A code cell that is not empty.

    `number` counts such cells from 1, as `In [n]` does after a run from top to bottom. `code` is plain Python with
    the lines of `source`: notebook syntax in it became comments.
    """

    number: int
    source: str
    code: str
    execution_count: int | None = None


@dataclass(frozen=True)
class Notebook:
    """A notebook as read from its file. `digest` is the BLAKE3 of its cells' sources."""

    path: Path
    digest: str
    cells: tuple[Cell, ...]
    removals: tuple[Removal, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A value of the notebook that became a keyword parameter of the project."""

    name: str
    value: bool | int | float | str


@dataclass(frozen=True)
class Metric:
    """A number that tells how good a model is, and which direction is better."""

    name: str
    goal: Goal


@dataclass(frozen=True)
class Function:
    """A function of the project: its code, and the names that flow in and out."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    code: str


@dataclass(frozen=True)
class ProbePoint:
    """What is looked at in a notebook's kernel: `expression`, right after `line` of `cell` has run.

    `kind` says what becomes of it: "metric" a number, "part" a description of its rows, "rows" are put aside,
    "predictions" are those of the model that the expression names on the rows put aside, "overlap" counts test rows
    that are train rows too, "answer" is kept as JSON.
    """

    cell: int
    line: int
    kind: str
    name: str
    expression: str


@dataclass(frozen=True)
class Plan:
    """What a training notebook, with its scoring notebook if there is one, becomes.

    `functions` stand in the order in which they are called. `data_files` are files beside the notebook that the
    project needs, relative to it; `modules` the installed packages that it imports, by import name.
    `model_file` is the model's name in an output folder, `notebook_model_path` where the notebook itself saves it.
    `estimator_keywords` are the parameters that the model is built with, each with its keyword.
    """

    notebook: str
    digest: str
    imports: tuple[str, ...]
    definitions: str
    functions: tuple[Function, ...]
    parameters: tuple[Parameter, ...]
    metrics: tuple[Metric, ...]
    model: str
    model_file: str
    notebook_model_path: str | None
    loader: str
    score: str
    sample_request: str | None
    scoring_model_path: str | None
    modules: tuple[str, ...]
    data_files: tuple[str, ...]
    estimator_keywords: tuple[tuple[str, str], ...]
    removals: tuple[Removal, ...]
    findings: tuple[Finding, ...]
    training_probe: tuple[ProbePoint, ...]
    scoring_probe: tuple[ProbePoint, ...]


@dataclass(frozen=True)
class NotebookRun:
    """What was seen when a notebook ran: printed text by cell, and what its probe points gave.

    `rows` are the first of those in `rows_file`, a pickle: {"columns": names or None, "rows": lists}. `unseen` are the
    points whose expression raised, each with its error.
    """

    notebook: str
    python_version: str
    outputs: tuple[tuple[int, str], ...]
    metrics: dict[str, float]
    parts: dict[str, object]
    overlaps: dict[str, object]
    rows_file: Path | None
    rows: object
    predictions: object
    answer: object
    unseen: dict[str, str]
    folder: Path
    elapsed_seconds: float


@dataclass(frozen=True)
class WorkerSpec:
    """What a model version's process is started from.

    `version` is a reference such as `diabetes:2`; `model_folder` ends in NAME/VERSION. `sample` is a request body that
    is scored before the version takes requests; its answer must equal `expected` when that is given.
    """

    version: str
    python: Path
    script: Path
    model_folder: Path
    sample: str | None = None
    expected: str | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FrontLimits:
    """What an endpoint accepts before it refuses."""

    max_body_bytes: int = 100 * 1024 * 1024
    max_waiting: int = 1000
    header_seconds: float = 10.0
    body_seconds: float = 30.0  # without one more byte
    idle_seconds: float = 75.0


@dataclass(frozen=True)
class FrontStatus:
    """The process that serves an endpoint, as it tells of itself.

    `version` is None before the first deployment; `worker_pid` is None while the version's process is down.
    """

    endpoint: str
    pid: int
    host: str
    port: int
    started_at: datetime
    is_healthy: bool
    version: str | None
    worker_pid: int | None
    restarts: int
    requests: int

    @property
    def url(self) -> str:
        """Where the endpoint takes requests."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/score"


@dataclass(frozen=True)
class DeployAnswer:
    """A version took over an endpoint: what it replaced and how it answered its sample."""

    endpoint: str
    version: str
    replaced: str | None
    answer: str | None


@dataclass(frozen=True)
class ScoringAnswer:
    """What an endpoint answered to one request."""

    status: int
    body: str
    request_id: str
    version: str | None


@dataclass(frozen=True)
class CaptureRecord:
    """One request as it was received, and what was answered.

    `input` is text, or base64 of it when it was not UTF-8. `version` is None when no model version was asked.
    """

    request_id: str
    received_at: datetime
    version: str | None
    status: int
    duration_ms: float
    input: str
    is_base64: bool
    output: str
