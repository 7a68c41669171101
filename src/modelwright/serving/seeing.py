"""What there is to see of an endpoint: its record, what it serves by that, and what its front says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelwright.errors import EndpointOutdated, EndpointUnresponsive
from modelwright.records import Deployment, Endpoint, FrontStatus, Serving
from modelwright.records.plain import plain
from modelwright.serving import fronts
from modelwright.serving.states import State, state_of
from modelwright.store import endpoints
from modelwright.store.database import Store


@dataclass(frozen=True)
class Seen:
    """An endpoint as its record and its front tell of it; `deployed` is all that ever was there, newest first."""

    place: Endpoint
    serving: Serving
    front: FrontStatus | None
    state: State
    deployed: Sequence[Deployment]

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without what was deployed."""
        facts = {"serves": self.serving.version, "state": self.state.name, "reason": self.state.reason}
        told: dict[str, Any] = plain(self.place)
        return told | {"running": plain(self.front), **facts, "split": self.serving.traffic.split()}


def see(store: Store, name: str) -> Seen:
    """Return what there is to see of an endpoint now, or, as of a moment, by the record of then.

    Raises EndpointMissing.
    """
    return _seen(store, endpoints.get_endpoint(store, name))


def see_all(store: Store) -> list[Seen]:
    """Return what there is to see of every endpoint, by name; one whose front cannot be asked hides no other."""
    found = []
    for place in endpoints.list_endpoints(store):
        try:
            found.append(_seen(store, place))
        except (EndpointUnresponsive, EndpointOutdated) as error:
            state = State("unresponsive", str(error))
            found.append(Seen(place, endpoints.serving(store, place), None, state, ()))
    return found


def _seen(store: Store, place: Endpoint) -> Seen:
    front, serving = fronts.status(store, place.name), endpoints.serving(store, place)
    deployed = endpoints.list_deployments(store, endpoint=place.name)
    if not store.moment:
        return Seen(place, serving, front, state_of(deployed, serving, front), deployed)
    then = endpoints.served(store).get(place.name)
    if then is None:
        return Seen(place, replace(serving, deployments=()), None, State("served nothing"), deployed)
    return Seen(place, then, None, State(f"served {then.shares()}"), deployed)
