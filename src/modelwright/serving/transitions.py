"""From what an endpoint serves to what it is to serve: newcomers start beside the others, requests move, others end.

A kill leaves what was on record before, or what is to be: `reconciling` brings the front to either.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelwright.errors import (
    DeploymentMissing,
    DeploymentUnschedulable,
    EndpointNotRunning,
    EndpointUnresponsive,
    ModelwrightError,
)
from modelwright.records import Deployment, DeploymentStatus, ModelVersion, Placement, Serving, Traffic
from modelwright.serving import capacity, control, fronts, reconciling, specs
from modelwright.settings import runtime_folder
from modelwright.store import claims, endpoints, reasons
from modelwright.store.changes import change
from modelwright.store.database import Store

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Transition:
    """What is to change at an endpoint.

    `traffic` is how requests are shared out in the end, `staying` names the deployments that go on. `newcomers` are
    versions and how they are placed, each with its name; one that is called as a deployment there takes its place.
    What does not stay becomes `leaving`.
    """

    endpoint: str
    traffic: Traffic
    staying: frozenset[str]
    newcomers: tuple[tuple[ModelVersion, Placement], ...] = ()
    leaving: DeploymentStatus = DeploymentStatus.REPLACED


@dataclass(frozen=True)
class Author:
    """Who makes a change, and why."""

    actor: str
    why: str = ""


def before(store: Store, endpoint: str) -> Serving:
    """Return what the endpoint serves now by the record; nothing when there is no such endpoint."""
    found = [each for each in endpoints.list_endpoints(store) if each.name == endpoint]
    return endpoints.serving(store, found[0]) if found else Serving((), Traffic())


@contextlib.contextmanager
def carry_out(store: Store, transition: Transition, author: Author) -> Iterator[list[Deployment]]:
    """Make the transition; the caller has claimed the endpoint. Inside the block newcomers run and get no requests yet.

    When the block, or anything before it, raises, they are `failed` or `unschedulable` and the endpoint serves what it
    served before. Raises DeploymentFailed, DeploymentUnschedulable, NoFreePort, ReasonMissing.
    """
    present = before(store, transition.endpoint)
    if not transition.newcomers and _moves(present, transition):
        reasons.require(store, "traffic.changed", f"endpoints/{transition.endpoint}", why=author.why)
    with contextlib.ExitStack() as held:
        started = _announce(store, transition, author, held)
        try:
            _start(store, transition, present, started, author)
            yield started
            after = _record(store, transition, present, started, author)
        except BaseException as error:
            _undo(store, transition.endpoint, started, error, author)
            raise
        for each in present.deployments:
            if each.name not in after.names:
                # It is on record by now; a front that does not hear of it does so with `wright up`.
                with contextlib.suppress(EndpointNotRunning, EndpointUnresponsive, DeploymentMissing):
                    control.retire(transition.endpoint, each.name, runtime_folder=runtime_folder(store.folder))


def _announce(store: Store, transition: Transition, author: Author, held: contextlib.ExitStack) -> list[Deployment]:
    """Record that the newcomers start, each claimed before anybody can see it: else it would count as killed."""
    if not transition.newcomers:
        return []
    started = []
    companions = [specs.others_of(store, version, placement.companions) for version, placement in transition.newcomers]
    with change(store, actor=author.actor, why=author.why) as opened:
        host = transition.newcomers[0][1].host or LOOPBACK
        place = endpoints.ensure_endpoint(opened, transition.endpoint, host=host)
        for (version, placement), further in zip(transition.newcomers, companions, strict=True):
            deployment = endpoints.add_deployment(
                opened,
                place,
                version=version,
                name=placement.name,
                workers=placement.workers,
                memory_gb=placement.memory_gb,
                companions=further,
            )
            held.enter_context(claims.claim(store, deployment.id))
            started.append(deployment)
    return started


def _start(store: Store, transition: Transition, present: Serving, started: list[Deployment], author: Author) -> None:
    """Start the newcomers in the endpoint's front, which is started, or moved, when it must be."""
    if not started:
        return
    for version, placement in transition.newcomers:
        capacity.check(
            version.reference,
            endpoint=transition.endpoint,
            workers=placement.workers,
            memory_gb=placement.memory_gb,
        )
    workers = [specs.worker_of(store, each) for each in started]
    place = endpoints.get_endpoint(store, transition.endpoint)
    placement = transition.newcomers[0][1]
    is_new = fronts.ensure(store, place, host=placement.host, port=placement.port, actor=author.actor, why=author.why)
    if is_new and present.deployments:
        reconciling.agree(store, endpoints.get_endpoint(store, place.name))
    for worker in workers:
        control.deploy(place.name, runtime_folder=runtime_folder(store.folder), worker=worker, is_replacing=False)


def _record(
    store: Store, transition: Transition, present: Serving, started: list[Deployment], author: Author
) -> Serving:
    """Move the requests, record what serves now, and return it."""
    names = {each.name for each in started}
    staying = [each for each in present.deployments if each.name in transition.staying - names]
    serving = [replace(each, status=DeploymentStatus.HEALTHY) for each in started] + staying
    after = Serving(tuple(serving), transition.traffic)
    folder = runtime_folder(store.folder)
    if after.traffic != present.traffic and after.deployments and fronts.status(store, transition.endpoint):
        control.share_out(transition.endpoint, after.traffic, runtime_folder=folder)
    with change(store, actor=author.actor, why=author.why) as opened:
        for each in present.deployments:
            if each not in staying:
                reason = author.why if transition.leaving is DeploymentStatus.FAILED else ""
                endpoints.set_deployment_status(opened, each, status=transition.leaving, reason=reason)
        for each in started:
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.HEALTHY)
        if _moves(present, transition):
            place = endpoints.get_endpoint(store, transition.endpoint)
            endpoints.set_traffic(opened, place, before=present, after=after)
    return after


def _undo(store: Store, endpoint: str, started: list[Deployment], error: BaseException, author: Author) -> None:
    """Record that the newcomers failed, and have the front serve what it served before.

    Where even that cannot be recorded they are found as those of a killed command are: `starting`, and nobody's.
    """
    reason = (str(error) or type(error).__name__) if isinstance(error, Exception) else "it was interrupted"
    status = DeploymentStatus.FAILED
    if isinstance(error, DeploymentUnschedulable):
        status = DeploymentStatus.UNSCHEDULABLE
    try:
        if started:
            with change(store, actor=author.actor, why=reason) as opened:
                for each in started:
                    endpoints.set_deployment_status(opened, each, status=status, reason=reason)
    finally:
        with contextlib.suppress(ModelwrightError):
            reconciling.agree(store, endpoints.get_endpoint(store, endpoint))


def _moves(present: Serving, transition: Transition) -> bool:
    """Whether requests get other answers, or are shared out otherwise."""
    if present.traffic != transition.traffic:
        return True
    answering = {
        name for name, share in transition.traffic.split().items() if share
    } | transition.traffic.shadows.keys()
    return any(placement.name in answering for _, placement in transition.newcomers)
