"""An endpoint's state in a word."""

import pytest

from modelwright import records
from modelwright.records import (
    CaptureCounts,
    CaptureMode,
    Deployment,
    DeploymentState,
    DeploymentStatus,
    FrontStatus,
    Serving,
    Traffic,
)
from modelwright.serving.states import state_of

TRAFFIC = Traffic({"blue": 10.0}, default="churn:1")


def deployment(name: str, status: DeploymentStatus, reason: str = "") -> Deployment:
    return Deployment(name, "churn", name, "churn:1", status, reason, records.now(), None, name)


def front(**ready: bool) -> FrontStatus:
    states = [
        DeploymentState(name.replace("_", ":"), "churn:1", is_ready, (), 1, 0, 0, 0, 0, 0.0, ())
        for name, is_ready in ready.items()
    ]
    counts = CaptureCounts(CaptureMode.OFF)
    return FrontStatus("churn", 1, "127.0.0.1", 1, records.now(), True, "churn:1", 0, TRAFFIC, tuple(states), counts)


HEALTHY = (deployment("churn:1", DeploymentStatus.HEALTHY), deployment("blue", DeploymentStatus.HEALTHY))
STARTING = deployment("next", DeploymentStatus.STARTING)


@pytest.mark.parametrize(
    ("deployed", "seen", "told"),
    [
        ((), None, "empty: nothing was deployed to it"),
        ((STARTING,), front(), "starting"),
        ((deployment("a", DeploymentStatus.FAILED, "it raised"),), None, "failed: it raised"),
        ((deployment("a", DeploymentStatus.UNSCHEDULABLE, "no room"),), None, "unschedulable: no room"),
        ((deployment("a", DeploymentStatus.STOPPED),), None, "stopped"),
        (HEALTHY, None, "down: not running; wright up starts it"),
        (HEALTHY, front(churn_1=True, blue=True), "healthy"),
        ((STARTING, *HEALTHY), front(churn_1=True, blue=True), "healthy: churn:1 is starting beside it"),
        (HEALTHY, front(churn_1=True, blue=False), "unhealthy: blue does not answer, it is being started again"),
        (HEALTHY, front(churn_1=True), "unhealthy: blue does not answer: the front does not have it"),
    ],
)
def test_states(deployed: tuple[Deployment, ...], seen: FrontStatus | None, told: str) -> None:
    healthy = tuple(each for each in deployed if each.status is DeploymentStatus.HEALTHY)
    assert str(state_of(deployed, Serving(healthy, TRAFFIC if healthy else Traffic()), seen)) == told
