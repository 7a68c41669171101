"""A client of a workspace's HTTP API, for programs: `modelwright.connect(url, token)`.

It needs the standard library alone. What the API refuses is raised as `Refused`, with the code, message and next
command that the command line tells. Answers are what JSON holds; `docs/reference/api.md` names all routes, and
`client.get`, `client.post` and the others reach those that have no method here.
"""

from modelwright.client.nouns import (
    LEFT_BEHIND,
    Datasets,
    Endpoints,
    Models,
    Pipelines,
    Resource,
    Rollouts,
    Runs,
    Schedules,
)
from modelwright.client.sending import Sender

__all__ = ["LEFT_BEHIND", "Client", "connect"]


def connect(url: str, token: str | None = None, *, timeout_seconds: float = 700.0) -> "Client":
    """Return a client of the workspace that is served at `url`.

    On the same machine the workspace's user needs no token. `timeout_seconds` is how long an answer may take. Raises
    WorkspaceNotReached for what is no address, and TokenUnknown for what can be no token.
    """
    return Client(url, token, timeout_seconds=timeout_seconds)


class Client(Sender):
    """Sends requests to a workspace's API, a noun at a time: `client.models.list()`."""

    def __init__(self, url: str, token: str | None = None, *, timeout_seconds: float = 700.0) -> None:
        """Take where the workspace is served; nothing is sent yet."""
        super().__init__(url, token, timeout_seconds=timeout_seconds)
        self.models = Models(self, "models")
        self.runs = Runs(self, "runs")
        self.experiments = Resource(self, "experiments")
        self.pipelines = Pipelines(self, "pipelines")
        self.schedules = Schedules(self, "schedules")
        self.sweeps = Resource(self, "sweeps")
        self.datasets = Datasets(self, "datasets")
        self.environments = Resource(self, "environments")
        self.endpoints = Endpoints(self, "endpoints")
        self.rollouts = Rollouts(self, "rollouts")
        self.captures = Resource(self, "captures")
        self.audit = Resource(self, "audit")
        self.events = Resource(self, "events")
        self.subscriptions = Resource(self, "subscriptions")
        self.deliveries = Resource(self, "deliveries")
        self.tokens = Resource(self, "tokens")
        self.settings = Resource(self, "settings")
