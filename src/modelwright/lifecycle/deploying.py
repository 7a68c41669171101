"""Puts a version behind an endpoint as a user asks for it: tried by its sample, with keys if they are wanted."""

from dataclasses import dataclass, field

from modelwright.lifecycle import equipping, recovery
from modelwright.lifecycle.sessions import Session
from modelwright.records import Deployment, Endpoint, Placement, Serving
from modelwright.serving import access, deployments, past
from modelwright.store import endpoints, models


@dataclass(frozen=True)
class Deployed:
    """A deployment that serves, its endpoint, what serves there now, and the keys that were made, told this once."""

    endpoint: Endpoint
    deployment: Deployment
    serving: Serving
    made_keys: dict[str, str] = field(default_factory=dict)


def deploy(session: Session, reference: str, *, endpoint: str | None, placement: Placement) -> Deployed:
    """Put the version behind `endpoint`, by default that of its model's name, once it has answered its sample.

    Raises ModelMissing, and what deploying and the test of it raise.
    """
    store = session.store
    recovery.recover(session)
    version = equipping.equipped(session, models.find_version(store, reference))
    with session.stage("deploy", f"starting {version.reference}") as stage:
        with deployments.deploying(
            store,
            version,
            endpoint=endpoint or version.model,
            actor=session.actor,
            why=session.why,
            placement=placement,
        ) as started:
            deployments.smoke_test(store, started)
        stage.decided = f"{version.reference} proved itself and serves at endpoint {started.endpoint}"
    place = endpoints.get_endpoint(store, started.endpoint)
    made = access.make_missing_keys(store, place.name, actor=session.actor, why=session.why)
    return Deployed(place, started, endpoints.serving(store, place), made)


def update(session: Session, endpoint: str, deployment: str, reference: str) -> Deployment:
    """Let a deployment serve another version, and return the one that does. Raises ModelMissing, and what it raises."""
    recovery.recover(session)
    version = equipping.equipped(session, models.find_version(session.store, reference))
    with session.stage("update", f"starting {version.reference}") as stage:
        updated = deployments.update(session.store, endpoint, deployment, version, actor=session.actor, why=session.why)
        stage.decided = f'{version.reference} took the place of {deployment} at endpoint "{endpoint}"'
    return updated


def roll_back(session: Session, endpoint: str) -> Serving:
    """Bring back what served before the last change of the endpoint's traffic, and return it."""
    recovery.recover(session)
    with session.stage("rollback", f'endpoint "{endpoint}"') as stage:
        serving = past.rollback(session.store, endpoint, actor=session.actor, why=session.why)
        stage.decided = serving.shares()
    return serving
