"""What an endpoint served before, by its audit records, and the way back to it."""

from typing import Any

from modelwright.errors import NothingToRollBack
from modelwright.records import Placement, Serving, Traffic
from modelwright.records.decoding import decoded
from modelwright.serving import deployments
from modelwright.serving.reconciling import changing
from modelwright.serving.transitions import Author, Transition, carry_out
from modelwright.store import audit, endpoints, models
from modelwright.store.database import Store

_CREATED, _CHANGED = "endpoint.created", "traffic.changed"


def history(store: Store, endpoint: str) -> list[dict[str, Any]]:
    """Return what was done to the endpoint of that name, oldest first: when, by whom, what, before, after, why."""
    return audit.find_audit_records(store, audit.AuditFilter(subject=f"endpoints/{endpoint}"))


def rollback(store: Store, endpoint: str, *, actor: str, why: str = "") -> Serving:
    """Bring back the traffic, and the versions behind it, from before the last change; return what serves now.

    A rollback is a change: a second one takes it back. Raises NothingToRollBack, ModelMissing for a version that was
    deleted since, and what deploying raises.
    """
    with changing(store, endpoint, actor=actor):
        present = endpoints.serving(store, endpoints.get_endpoint(store, endpoint))
        wanted = _last(store, endpoint)
        newcomers, staying = [], set()
        for name, told in wanted["deployments"].items():
            version, companions, memory_gb = told["version"], tuple(told.get("companions", ())), told.get("memory_gb")
            found = present.names.get(name)
            if found and (found.version, found.companions, found.memory_gb) == (version, companions, memory_gb):
                staying.add(name)
            else:
                placed = Placement(name=name, workers=told["workers"], memory_gb=memory_gb, companions=companions)
                newcomers.append((models.find_version(store, version), placed))
        traffic: Traffic = decoded(Traffic, wanted["traffic"])
        transition = Transition(endpoint, traffic, frozenset(staying), tuple(newcomers))
        with carry_out(store, transition, Author(actor, why)) as started:
            for each in started:
                deployments.smoke_test(store, each)
    return endpoints.serving(store, endpoints.get_endpoint(store, endpoint))


def _last(store: Store, endpoint: str) -> dict[str, Any]:
    """Return what the endpoint served before the last change of its traffic."""
    for record in reversed(history(store, endpoint)):
        if record["action"] == _CREATED:
            break
        if record["action"] == _CHANGED:
            found: dict[str, Any] = record["before"]
            if not found["deployments"]:
                raise NothingToRollBack(endpoint=endpoint, reason="nothing served there before")
            return found
    raise NothingToRollBack(endpoint=endpoint, reason="its traffic was never changed")
