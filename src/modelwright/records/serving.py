"""The processes that serve an endpoint, their answers, and what was captured of them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class WorkerSpec:
    """What a model version's process is started from.

    `version` is a reference such as `diabetes:2`; `model_folder` ends in NAME/VERSION. `sample` is a request body that
    is scored before the version takes requests; its answer must equal `expected` when that is given. Byte code of the
    environment's packages is kept in the folder `bytecode`, by default beside their sources.
    """

    version: str
    python: Path
    script: Path
    model_folder: Path
    sample: str | None = None
    expected: str | None = None
    bytecode: Path | None = None


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
