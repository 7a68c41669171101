"""The state of an endpoint in a word, from its record and from what its front says. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelwright.records import Deployment, DeploymentStatus, FrontStatus, Serving


@dataclass(frozen=True)
class State:
    """A state's name, and why it is so.

    `starting`, `healthy`, `unhealthy` and `down` change by themselves or by `wright up`; `failed`, `unschedulable`,
    `stopped` and `empty` stay until something is deployed. `unresponsive` is one whose front does not answer us.
    """

    name: str
    reason: str = ""

    def __str__(self) -> str:
        """Return both."""
        return f"{self.name}: {self.reason}" if self.reason else self.name


def state_of(deployed: Sequence[Deployment], serving: Serving, front: FrontStatus | None) -> State:
    """Return the state of an endpoint: `deployed` is everything that was, newest first, `serving` what is healthy."""
    newest = deployed[0] if deployed else None
    if not serving.deployments:
        if newest is None:
            return State("empty", "nothing was deployed to it")
        return State(newest.status, newest.reason)
    if front is None:
        return State("down", "not running; wright up starts it")
    silent = _silent(serving, front)
    if silent:
        return State("unhealthy", "; ".join(silent))
    reasons = (
        [f"{newest.version} is starting beside it"] if newest and newest.status is DeploymentStatus.STARTING else []
    )
    return State("healthy", "; ".join(reasons + _outgrown(serving, front)))


def _outgrown(serving: Serving, front: FrontStatus) -> list[str]:
    """Return, of each deployment whose processes held more memory than they may, which was the last and how many."""
    return [
        f"of {each.name} {each.notice}" + (f", the last of {each.outgrown}" if each.outgrown > 1 else "")
        for each in front.deployments
        if each.outgrown and each.name in serving.names
    ]


def _silent(serving: Serving, front: FrontStatus) -> list[str]:
    """Return, of each deployment that requests go to and that does not answer, why."""
    there = {each.name: each for each in front.deployments}
    found = []
    for name, share in serving.traffic.split().items():
        state = there.get(name)
        if share and (state is None or not state.is_ready):
            reason = state.reason if state is not None else "the front does not have it"
            found.append(f"{name} does not answer" + (f": {reason}" if reason else ", it is being started again"))
    return found
