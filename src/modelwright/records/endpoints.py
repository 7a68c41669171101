"""Endpoints, what is deployed to them, and what of it serves."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelwright.records.plain import plain
from modelwright.records.traffic import Traffic


class DeploymentStatus(StrEnum):
    """Where a deployment stands; `unschedulable` is one that asks for more than the machine has."""

    STARTING = "starting"
    HEALTHY = "healthy"
    REPLACED = "replaced"
    STOPPED = "stopped"
    FAILED = "failed"
    UNSCHEDULABLE = "unschedulable"


@dataclass(frozen=True)
class Endpoint:
    """A stable name and address that takes requests; `port` is None until its first deployment chose one.

    `traffic` is as it was set last, and names deployments that have been stopped since.
    """

    id: str
    name: str
    host: str
    port: int | None
    created_at: datetime
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def url(self) -> str | None:
        """Where requests go."""
        return self._at("/score")

    @property
    def scoring_uri(self) -> str | None:
        """Where requests go, as clients of Azure Machine Learning call it."""
        return self.url

    @property
    def swagger_uri(self) -> str | None:
        """Where its description is."""
        return self._at("/swagger.json")

    @property
    def service_uri(self) -> str | None:
        """Where requests go that know the address of a service on AKS."""
        return self._at(f"/api/v1/service/{self.name}/score")

    def _at(self, path: str) -> str | None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return None if self.port is None else f"http://{host}:{self.port}{path}"


@dataclass(frozen=True)
class Deployment:
    """One model version behind an endpoint. `version` is a reference such as `diabetes:1`, and `name` by default too.

    `workers` is how many processes answer for it, and each is replaced when it holds more than `memory_gb`.
    `companions` are the further versions whose files its scoring script finds by name.
    """

    id: str
    endpoint: str
    version_id: str
    version: str
    status: DeploymentStatus
    reason: str
    created_at: datetime
    finished_at: datetime | None
    name: str
    workers: int = 1
    companions: tuple[str, ...] = ()
    memory_gb: float | None = None

    def placement(self) -> "Placement":
        """How another version is put in its place."""
        return Placement(name=self.name, workers=self.workers, memory_gb=self.memory_gb, companions=self.companions)


@dataclass(frozen=True)
class Placement:
    """How a version is put behind an endpoint.

    `name` is what traffic calls the deployment; by default its version's reference. With `share` or `shadow`, in
    percent, it comes beside what serves there, else it takes all of the traffic. `memory_gb` is what one of its workers
    may hold. `companions` refer to further versions that its scoring script needs. `host` None keeps the endpoint's.
    """

    name: str = ""
    share: float | None = None
    shadow: float | None = None
    is_control: bool = False
    workers: int = 1
    memory_gb: float | None = None
    host: str | None = None
    port: int | None = None
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Serving:
    """What an endpoint serves by the record: its healthy deployments, and how requests are shared out among them."""

    deployments: tuple[Deployment, ...]
    traffic: Traffic

    @property
    def names(self) -> dict[str, Deployment]:
        """The deployments by their names."""
        return {each.name: each for each in self.deployments}

    @property
    def version(self) -> str | None:
        """The version of the default deployment; None when nothing serves."""
        default = self.names.get(self.traffic.default)
        return default.version if default else None

    def shares(self) -> str:
        """Return who has which share of the requests, in a line."""
        if len(self.deployments) == 1:
            return self._called(self.deployments[0].name)
        told = [f"{self._called(name)} {share:g} %" for name, share in self.traffic.split().items() if share]
        copied = [f"{self._called(name)} shadows {share:g} %" for name, share in self.traffic.shadows.items()]
        return ", ".join(told + copied) if self.deployments else ""

    def _called(self, name: str) -> str:
        """Return a deployment's name, with its version when it is another."""
        version = self.names[name].version
        return name if name == version else f"{name} ({version})"

    def told(self) -> dict[str, Any]:
        """Return it as audit records keep it."""
        deployed = {
            each.name: {"version": each.version, "workers": each.workers}
            | ({"companions": list(each.companions)} if each.companions else {})
            | ({"memory_gb": each.memory_gb} if each.memory_gb is not None else {})
            for each in self.deployments
        }
        return {"traffic": plain(self.traffic), "split": self.traffic.split(), "deployments": deployed}
