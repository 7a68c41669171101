"""What the front tells of its deployments to those who decide about them, and how long its traffic holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelwright.records import Traffic
from modelwright.serving.front.leases import Lease
from modelwright.serving.front.routing import Router
from modelwright.serving.front.tally import LATENCY_BOUNDS_MS
from modelwright.serving.front.versions import Version
from modelwright.serving.rollout import observing
from modelwright.serving.rollout.agreement import Agreement
from modelwright.serving.rollout.checking import Seen
from modelwright.serving.rollout.contest import Contest


class Standings:
    """The deployments of a router side by side."""

    def __init__(self, router: Router, *, on_change: Callable[[], None] = lambda: None) -> None:
        """Compare what `router` shares requests out to; `on_change` is called when it does so in another way."""
        self._router = router
        self._on_change = on_change
        self._contest = Contest(LATENCY_BOUNDS_MS)
        self._known: dict[str, Version] = {}
        self.lease = Lease(self.share_out)

    def share_out(self, traffic: Traffic) -> None:
        """Share out requests like that, and sample answers anew: those of before are of other requests."""
        self._router.share_out(traffic)
        self._on_change()
        for name, version in self._router.versions.items():
            version.tally.predictions.restart()
            if name in traffic.shadows and version.tally.agreement.tolerance != traffic.tolerance:
                version.tally.agreement = Agreement(traffic.tolerance)

    def look(self) -> None:
        """Take what was done since the last look into the comparison. Nothing is compared while one serves alone."""
        versions = dict(self._router.versions)
        for name in versions.keys() & self._known.keys():
            if versions[name] is not self._known[name]:
                self._contest.forget(name)
        self._known = versions
        if len(versions) > 1 or not self._contest.is_over:
            self._contest.take(self._control, {name: _counted(each) for name, each in versions.items()})

    def told(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        self.look()
        lapsed_at = self.lease.lapsed_at
        return {
            "deployments": {name: observing.told(_seen(each)) for name, each in self._router.versions.items()},
            "edges": list(LATENCY_BOUNDS_MS),
            "contest": self._contest.told(),
            "lease_seconds": self.lease.left_seconds,
            "lapsed_at": lapsed_at.isoformat() if lapsed_at else None,
        }

    @property
    def _control(self) -> str:
        return self._router.traffic.control or self._router.traffic.default


def _seen(version: Version) -> Seen:
    """Return all that is known of a deployment."""
    agreement, predictions = version.tally.agreement, version.tally.predictions
    return replace(
        _counted(version),
        sample=predictions.sample(),
        answers=predictions.answers,
        examples=tuple(agreement.examples),
        largest=agreement.largest,
    )


def _counted(version: Version) -> Seen:
    """Return what is counted of a deployment, without its answers: those are looked at by who asks for them."""
    tally, state = version.tally, version.state
    return Seen(
        requests=tally.requests,
        errors=tally.errors,
        latencies=tuple(tally.latency),
        compared=tally.agreement.compared,
        differing=tally.agreement.differing,
        is_ready=state.is_ready,
        restarts=state.restarts,
        dropped=tally.shadows_dropped,
    )
