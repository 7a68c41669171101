"""Which deployments were taken back because what they served did not hold."""

from collections.abc import Sequence

from modelwright.records import Deployment
from modelwright.store import events
from modelwright.store.changes import Change
from modelwright.store.database import Store


def note(change: Change, taken_back: Sequence[Deployment], *, to: str | None) -> None:
    """Record that deployments of one endpoint are taken back, for the version `to`, or for nothing."""
    told = {"versions": sorted({each.version for each in taken_back}), "deployments": [each.id for each in taken_back]}
    change.record("deployment.rolled_back", f"endpoints/{taken_back[0].endpoint}", after=told | {"to": to})


def of(store: Store, endpoint: str) -> frozenset[str]:
    """Return the ids of the deployments of an endpoint that were taken back."""
    found = events.list_events(store, types="deployment.rolled_back", subject=f"endpoints/{endpoint}")
    return frozenset(each for event in found for each in event.data["deployments"])
