"""Endpoints and deployments."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeploymentStatus(StrEnum):
    """Where a deployment stands."""

    STARTING = "starting"
    HEALTHY = "healthy"
    REPLACED = "replaced"
    STOPPED = "stopped"
    FAILED = "failed"


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
