"""The processes that serve an endpoint, what they are told, their answers, and what they tell of themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from modelwright.records.traffic import Traffic


@dataclass(frozen=True)
class WorkerSpec:
    """What a deployment's processes are started from.

    `version` is a reference such as `diabetes:2`; `name` is what traffic calls the deployment, by default the same.
    `model_folder` ends in NAME/VERSION. A version without a scoring `script` is served from `model_file` as its
    `framework` says. `sample` is a request body that is scored before the version takes requests; its answer must equal
    `expected` when that is given. Byte code of the environment's packages is kept in the folder `bytecode`, by default
    beside their sources. What its script collects goes below `model_data`. `fused` is the package's folder when the
    front itself evaluates the model's arrays in it. A process that holds more than `memory_gb` is replaced. `id` is the
    deployment's on record; `is_local` says that `script` is not the registered one, `is_attached` that the process has
    our terminal.
    """

    version: str
    python: Path
    script: Path | None
    model_folder: Path
    sample: str | None = None
    expected: str | None = None
    bytecode: Path | None = None
    name: str = ""
    workers: int = 1
    framework: str = ""
    model_file: Path | None = None
    package: Path | None = None
    model_data: Path | None = None
    id: str = ""
    is_local: bool = False
    is_attached: bool = False
    fused: Path | None = None
    memory_gb: float | None = None

    @property
    def deployment(self) -> str:
        """What traffic calls it."""
        return self.name or self.version

    @property
    def memory_bytes(self) -> int | None:
        """How much memory each of its processes may hold; None is no limit."""
        return None if self.memory_gb is None else int(self.memory_gb * 1e9)


@dataclass(frozen=True)
class FrontLimits:
    """What an endpoint accepts before it refuses.

    `max_waiting` is of one deployment, `max_concurrent` of all; a request that its version has not begun within
    `max_wait_ms` is refused. 0 is no limit. JSON may be nested `max_depth` deep. A log of `max_log_bytes` is put aside.
    `max_held_bytes` is of all bodies together that are still coming in, and of those that wait for a deployment.
    """

    max_body_bytes: int = 100 * 1024 * 1024
    max_held_bytes: int = 1024 * 1024 * 1024
    max_depth: int = 500
    max_waiting: int = 1000
    max_wait_ms: int = 0
    max_concurrent: int = 0
    max_connections: int = 10_000
    max_log_bytes: int = 16 * 1024 * 1024
    header_seconds: float = 10.0
    body_seconds: float = 30.0  # without one more byte
    idle_seconds: float = 75.0


class CaptureMode(StrEnum):
    """When a request is answered: after its record is on the disk, or with the system; or not all are recorded."""

    DURABLE = "durable"
    FAST = "fast"
    SAMPLE = "sample"
    OFF = "off"


@dataclass(frozen=True)
class CaptureSettings:
    """What an endpoint records of its requests.

    `rate` counts in mode `sample`. `is_refusing` says what becomes of requests that cannot be recorded: refused, or
    answered and counted. `headers` names those that are kept; columns in `hashed` and `left_out` never reach the disk
    as they are. Partitions older than `keep_days` are deleted. `is_collecting` has the model data collector of
    scripts, if they have one, write what it is given.
    """

    mode: CaptureMode = CaptureMode.DURABLE
    rate: float = 1.0
    is_refusing: bool = True
    headers: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    keep_days: int | None = None
    is_collecting: bool = False


@dataclass(frozen=True)
class CaptureCounts:
    """What became of the requests since the front started.

    `kept` are as safe as their mode says; `skipped` were left out by it; `lost` were answered without a record, since
    it could not be kept; `failed` were refused for that; `pending` wait. `failure` is the last thing that went wrong.
    """

    mode: CaptureMode
    kept: int = 0
    skipped: int = 0
    lost: int = 0
    failed: int = 0
    pending: int = 0
    failure: str = ""


@dataclass(frozen=True)
class AccessKey:
    """A key or token that an endpoint takes, known by its SHA-256 digest alone; only tokens expire."""

    kind: str  # primary, secondary or token
    digest: str
    expires_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class EndpointToken:
    """A token of an endpoint, told this once; after `refresh_after` its holder should get the next one."""

    token: str
    expires_at: datetime
    refresh_after: datetime


@dataclass(frozen=True)
class Access:
    """Whether requests must carry a key, and which are good."""

    is_required: bool = False
    keys: tuple[AccessKey, ...] = ()


@dataclass(frozen=True)
class FrontSettings:
    """All that can be changed of an endpoint while it serves."""

    limits: FrontLimits = field(default_factory=FrontLimits)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    access: Access = field(default_factory=Access)
    timeout_ms: int = 60_000


@dataclass(frozen=True)
class DeploymentState:
    """A deployment in the front: its processes, and what came of its requests since the front knows it.

    `latency` counts answers by the buckets of `front.tally`; `mean_ms` is over all of them. `id` is the deployment's on
    record; `script` is one that was read again for debugging, instead of the version's own. With a limit, its workers
    together hold `memory_bytes` and each may hold `memory_limit_bytes`; so many as are `outgrown` held more and were
    ended, the last one as `notice` says.
    """

    name: str
    version: str
    is_ready: bool
    worker_pids: tuple[int, ...]
    workers: int
    restarts: int
    waiting: int
    requests: int
    errors: int
    mean_ms: float
    latency: tuple[int, ...]
    reason: str = ""
    id: str = ""
    script: str = ""
    is_fused: bool = False
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    outgrown: int = 0
    notice: str = ""


@dataclass(frozen=True)
class FrontStatus:
    """The process that serves an endpoint, as it tells of itself.

    `version` is that of the default deployment, None before the first one. Traffic on trial holds for `lease_seconds`
    unless somebody confirms it; `lapsed_at` is when nobody had, and the front went back to the traffic from before.
    """

    endpoint: str
    pid: int
    host: str
    port: int
    started_at: datetime
    is_healthy: bool
    version: str | None
    requests: int
    traffic: Traffic
    deployments: tuple[DeploymentState, ...]
    capture: CaptureCounts
    lease_seconds: float | None = None
    lapsed_at: datetime | None = None

    @property
    def url(self) -> str:
        """Where the endpoint takes requests."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/score"

    @property
    def restarts(self) -> int:
        """How often processes of its versions were started again."""
        return sum(each.restarts for each in self.deployments)


@dataclass(frozen=True)
class DeployAnswer:
    """A version is in service: what it replaced and how it answered its sample."""

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


@dataclass(slots=True)
class Exchange:
    """One request to a model as the front saw it, and what was answered.

    `received_at` is in seconds since the epoch. `version` and `deployment` are empty when no model was asked.
    `shadow_of` names the deployment whose answer the client got, when this one was asked beside it.
    """

    request_id: str
    received_at: float
    version: str
    deployment: str
    path: str
    status: int
    duration_ms: float
    headers: Mapping[str, str]
    input: bytes
    output: bytes
    output_type: str = "application/json"
    shadow_of: str = ""

    @property
    def input_type(self) -> str:
        """The content type of the request."""
        return self.headers.get("content-type", "")

    @property
    def trace(self) -> str:
        """The request's W3C trace context."""
        return self.headers.get("traceparent", "")


@dataclass(frozen=True)
class LogLine:
    """A line of an endpoint's log.

    `version` is who wrote it, `front` for the server. A line that was written past Python has neither time nor version.
    """

    time: str
    request_id: str
    version: str
    level: str
    text: str


@dataclass(frozen=True)
class Load:
    """What a process or the processes of a deployment did in a short time; `deployment` is empty for the front.

    Rates are per second; latencies are None where nothing was answered. `pending` records wait for the disk. Memory is
    what is resident or, of a deployment with a limit, what counts towards it; the limit is that of all its workers.
    """

    endpoint: str
    deployment: str
    version: str
    is_ready: bool
    share: float
    requests_per_second: float
    errors_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    waiting: int
    workers: int
    restarts: int
    cpu_percent: float
    memory_bytes: int
    pending: int = 0
    memory_limit_bytes: int | None = None
