"""Puts model versions behind endpoints and takes them away, and shares out requests among them.

Every change is checked, told to the endpoint's front, and recorded, in this order; `transitions` makes them.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from modelwright.errors import (
    Busy,
    DeploymentExists,
    DeploymentFailed,
    DeploymentHasTraffic,
    EndpointNotRunning,
    EndpointRunning,
    ModelwrightError,
)
from modelwright.models import packages, registry
from modelwright.records import (
    Deployment,
    DeploymentStatus,
    Endpoint,
    ModelVersion,
    Placement,
    ScoringAnswer,
    Serving,
    Traffic,
)
from modelwright.serving import access, capacity, control, fronts, reconciling, sharing, specs
from modelwright.serving.front.versions import is_expected
from modelwright.serving.fronts import capture_folder, log_file, status
from modelwright.serving.reconciling import changing, reconcile
from modelwright.serving.sharing import Shift
from modelwright.serving.transitions import LOOPBACK, Author, Transition, before, carry_out
from modelwright.settings import runtime_folder
from modelwright.store import endpoints, models, reasons
from modelwright.store.changes import change
from modelwright.store.database import Store

__all__ = ["capture_folder", "log_file", "reconcile", "status"]

PIN = "x-modelwright-deployment"


@contextlib.contextmanager
def deploying(
    store: Store,
    version: ModelVersion,
    *,
    endpoint: str,
    actor: str,
    why: str = "",
    placement: Placement = Placement(),  # noqa: B008 - frozen
) -> Iterator[Deployment]:
    """Let `version` serve at the endpoint; inside the block it is on trial, at its end it is `healthy`.

    With a share in `placement` it comes beside what serves there, else it takes all requests, and what served goes on
    until the new one has answered the package's sample with the answer that was recorded at registration. When the
    block, or anything before it, raises, the deployment is `failed` and the endpoint serves what it served before. From
    its first record on a deployment keeps its version. Raises DeploymentFailed; DeploymentUnschedulable; Busy;
    TrafficInvalid and DeploymentExists; VersionIncomplete for a version that lacks what serving takes, and ModelMissing
    for one that was deleted.
    """
    packages.check_servable(version)
    registry.check_name(endpoint, noun="endpoint", way="with --name")
    placed = replace(placement, name=sharing.check_name(placement.name or version.reference, version=version.reference))
    with changing(store, endpoint, actor=actor):
        present = before(store, endpoint)
        staying = set[str]()
        if placed.share is None and placed.shadow is None:
            traffic = sharing.with_only(present, placed.name, placed)
        else:
            if placed.name in present.names:
                found = present.names[placed.name]
                raise DeploymentExists(endpoint=endpoint, name=found.name, version=found.version)
            staying = set(present.names)
            traffic = sharing.with_newcomer(present, placed.name, placed)
        transition = Transition(endpoint, traffic, frozenset(staying), ((version, placed),))
        with carry_out(store, transition, Author(actor, why)) as (deployment,):
            yield deployment


def update(store: Store, endpoint: str, name: str, version: ModelVersion, *, actor: str, why: str = "") -> Deployment:
    """Let a deployment serve another version, with the same share and workers; return the one that serves it.

    One that is called as its version is called as the new one from now on. Raises what `deploying` raises, and
    DeploymentMissing.
    """
    packages.check_servable(version)
    with changing(store, endpoint, actor=actor):
        endpoints.get_endpoint(store, endpoint)
        present = before(store, endpoint)
        sharing.of_serving(present, name, endpoint=endpoint)
        old = present.names[name]
        new_name = version.reference if old.name == old.version else old.name
        if new_name != old.name and new_name in present.names:
            raise DeploymentExists(endpoint=endpoint, name=new_name, version=version.reference)
        transition = Transition(
            endpoint,
            sharing.renamed(present.traffic, old.name, new_name),
            frozenset(present.names) - {old.name},
            ((version, replace(old.placement(), name=new_name)),),
        )
        with carry_out(store, transition, Author(actor, why)) as (deployment,):
            smoke_test(store, deployment)
    return replace(deployment, status=DeploymentStatus.HEALTHY)


def shift_traffic(store: Store, endpoint: str, shift: Shift, *, actor: str, why: str = "") -> Traffic:
    """Change how requests are shared out, at once and without losing one; return how they are now.

    An endpoint that is down does so when it is up again. Raises EndpointMissing, TrafficInvalid, Busy.
    """
    with changing(store, endpoint, actor=actor):
        present = _present(store, endpoint)
        traffic = sharing.shifted(present.traffic, shift, names=list(present.names))
        return _share_out(store, endpoint, present, traffic, Author(actor, why))


def set_traffic(store: Store, endpoint: str, traffic: Traffic, *, actor: str, why: str = "") -> Traffic:
    """Share out requests like that. Raises EndpointMissing, TrafficInvalid, Busy."""
    with changing(store, endpoint, actor=actor):
        present = _present(store, endpoint)
        shift = Shift(default=traffic.default, control=traffic.control, shares=traffic.shares, shadows=traffic.shadows)
        checked = sharing.shifted(replace(traffic, shares={}, shadows={}), shift, names=list(present.names))
        return _share_out(store, endpoint, present, checked, Author(actor, why))


def withdraw(store: Store, deployment: Deployment, *, status: DeploymentStatus, actor: str, why: str) -> None:
    """End a deployment that serves, and record what it is then; a share that it has goes to the default one."""
    with changing(store, deployment.endpoint, actor=actor):
        present = before(store, deployment.endpoint)
        if deployment.id in {each.id for each in present.deployments}:
            _take_away(store, deployment.endpoint, present, {deployment.name}, Author(actor, why), status=status)


def undeploy(
    store: Store, endpoint: str, called: str, *, actor: str, why: str = "", is_forced: bool = False
) -> list[Deployment]:
    """End the deployment of that name, or those of that version, and forget them; return what was forgotten.

    One that has a share of the requests is ended when that `is_forced`: its share goes to the default one. Raises
    EndpointMissing, DeploymentMissing, DeploymentHasTraffic, and InUse while one is starting.
    """
    with changing(store, endpoint, actor=actor):
        place = endpoints.get_endpoint(store, endpoint)
        present = endpoints.serving(store, place)
        reasons.require(store, "deployment.deleted", f"endpoints/{endpoint}", why=why)
        leaving = {each.name for each in present.deployments if called in (each.name, each.version)}
        for name in leaving:
            _check_leaving(endpoint, present, name, is_forced=is_forced)
        if leaving:
            _take_away(store, endpoint, present, leaving, Author(actor, why))
        with change(store, actor=actor, why=why) as opened:
            return endpoints.forget_deployments(opened, place, called=called)


def restart(store: Store, endpoint: str, name: str | None = None, *, actor: str, why: str = "") -> list[Deployment]:
    """Replace the processes of a deployment, or of all, one after the other; no request is refused meanwhile.

    One whose script was read again for debugging serves the registered one again. Raises DeploymentMissing,
    DeploymentFailed, EndpointNotRunning, Busy.
    """
    folder = runtime_folder(store.folder)
    with changing(store, endpoint, actor=actor):
        present, front = _present(store, endpoint), status(store, endpoint)
        if front is None:
            raise EndpointNotRunning(endpoint=endpoint)
        if name is not None:
            sharing.of_serving(present, name, endpoint=endpoint)
        local = {each.name for each in front.deployments if each.script}
        restarted = [each for each in present.deployments if name in (None, each.name)]
        for each in restarted:
            if each.name in local:
                worker = specs.worker_of(store, each)
                control.deploy(endpoint, runtime_folder=folder, worker=worker, is_replacing=False)
            else:
                control.restart(endpoint, each.name, runtime_folder=folder)
            with change(store, actor=actor, why=why) as opened:
                endpoints.note_restart(opened, each)
    return restarted


def reload(store: Store, endpoint: str, name: str | None, script: Path, *, actor: str, why: str = "") -> Deployment:
    """Let a deployment, by default the default one, serve with `script` as it is on disk now: for debugging, here only.

    The version stays as it is registered, and `restart` goes back to it. Raises what `restart` raises.
    """
    with changing(store, endpoint, actor=actor):
        present = _present(store, endpoint)
        name = name or present.traffic.default
        sharing.of_serving(present, name, endpoint=endpoint)
        deployment = present.names[name]
        worker = replace(
            specs.worker_of(store, deployment), script=script.absolute(), is_local=True, sample=None, expected=None
        )
        control.deploy(endpoint, runtime_folder=runtime_folder(store.folder), worker=worker, is_replacing=False)
        with change(store, actor=actor, why=why) as opened:
            endpoints.note_restart(opened, deployment, script=str(script))
    return deployment


def scale(store: Store, endpoint: str, name: str | None, workers: int, *, actor: str, why: str = "") -> Deployment:
    """Have a deployment, by default the default one, served by so many processes; no request is refused meanwhile.

    Raises DeploymentMissing, DeploymentUnschedulable, DeploymentFailed, EndpointNotRunning, Busy.
    """
    with changing(store, endpoint, actor=actor):
        present = _present(store, endpoint)
        name = name or present.traffic.default
        sharing.of_serving(present, name, endpoint=endpoint)
        deployment = present.names[name]
        capacity.check(deployment.version, endpoint=endpoint, workers=workers, memory_gb=deployment.memory_gb)
        if workers != deployment.workers:
            control.scale(endpoint, name, workers, runtime_folder=runtime_folder(store.folder))
            with change(store, actor=actor, why=why) as opened:
                endpoints.set_workers(opened, deployment, workers=workers)
    return replace(deployment, workers=workers)


def smoke_test(store: Store, deployment: Deployment) -> ScoringAnswer:
    """Score the package's sample at the endpoint's URL by this very deployment, and return the answer.

    A package without a sample is not asked. Raises DeploymentFailed when it is not the answer that was recorded at
    registration.
    """
    version = models.get_version(store, deployment.version_id)
    worker = specs.worker_of(store, deployment)
    if worker.sample is None:
        return ScoringAnswer(HTTPStatus.OK, "", "", version.reference)
    ours = {PIN: deployment.name, **access.pass_headers(store, deployment.endpoint)}
    answer = score(store, deployment.endpoint, body=worker.sample.encode(), headers=ours)
    if answer.status != HTTPStatus.OK or not is_expected(answer.body, worker.expected):
        raise DeploymentFailed(
            version=deployment.version,
            endpoint=deployment.endpoint,
            reason=f"it answers the sample with {answer.body} where {worker.expected} was recorded",
        )
    return answer


def sample_of(store: Store, version: ModelVersion) -> str:
    """Return the sample request in the version's package. Raises VersionIncomplete when it has none."""
    packages.check_servable(version)
    return (packages.restore(store, version) / packages.SAMPLE).read_text(encoding="utf-8").strip()


def score(store: Store, endpoint: str, *, body: bytes, headers: dict[str, str] | None = None) -> ScoringAnswer:
    """Send `body` to the endpoint and return its answer. Raises EndpointMissing, EndpointNotRunning."""
    place = endpoints.get_endpoint(store, endpoint)
    if place.url is None or status(store, endpoint) is None:
        raise EndpointNotRunning(endpoint=endpoint)
    return control.score(place.url, body, headers=headers)


def check_port(store: Store, endpoint: str, *, port: int | None) -> None:
    """Find out, before any work is done, whether the endpoint can have `port`, or its last one. Raises NoFreePort."""
    known = next((each for each in endpoints.list_endpoints(store) if each.name == endpoint), None)
    running = status(store, endpoint) if known else None
    wanted = port or (known.port if known else None)
    if wanted and not (running and running.port == wanted):
        control.check_port(wanted, host=known.host if known else LOOPBACK)


def stop(store: Store, endpoint: str, *, actor: str, why: str = "") -> None:
    """Stop an endpoint: requests in flight are answered, then its processes end. Raises EndpointMissing, Busy."""
    place = endpoints.get_endpoint(store, endpoint)
    with changing(store, endpoint, actor=actor, is_agreeing=False):
        healthy = endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY)
        if healthy:
            reasons.require(store, "deployment.stopped", f"endpoints/{endpoint}", why=why)
        control.stop(place.name, runtime_folder=runtime_folder(store.folder))
        with change(store, actor=actor, why=why) as opened:
            for each in healthy:
                endpoints.set_deployment_status(opened, each, status=DeploymentStatus.STOPPED)


def delete(store: Store, endpoint: str, *, actor: str, why: str = "") -> None:
    """Delete a stopped endpoint. Raises EndpointMissing, EndpointRunning, and Busy while one is being deployed."""
    with changing(store, endpoint, actor=actor, is_agreeing=False):
        place = endpoints.get_endpoint(store, endpoint)
        if status(store, endpoint):
            raise EndpointRunning(endpoint=endpoint)
        with change(store, actor=actor, why=why) as opened:
            endpoints.delete_endpoint(opened, place)


def up(store: Store, *, actor: str, why: str = "") -> list[Endpoint]:
    """Have every endpoint serve all that is healthy on record; return those that were started for it.

    All are tried before the first failure is raised.
    """
    started, failures = [], list[ModelwrightError]()
    for place in endpoints.list_endpoints(store):
        try:
            if revive(store, place.name, actor=actor, why=why):
                started.append(endpoints.get_endpoint(store, place.name))
        except Busy:
            continue
        except ModelwrightError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return started


def revive(store: Store, endpoint: str, *, actor: str, why: str = "") -> bool:
    """Have all that is healthy on record serve, where and with the traffic it had; return whether nothing ran.

    Raises what `deploying` raises of a deployment that does not start again; the others serve.
    """
    with changing(store, endpoint, actor=actor, is_agreeing=False):
        place = endpoints.get_endpoint(store, endpoint)
        if not endpoints.serving(store, place).deployments:
            return False
        is_started = fronts.ensure(store, place, actor=actor, why=why)
        failures = reconciling.agree(store, place)
        if is_started:
            with change(store, actor=actor, why=why) as opened:
                endpoints.note_running(opened, place, is_running=True)
    if failures:
        raise failures[0]
    return is_started


def down(store: Store, *, actor: str, why: str = "") -> list[Endpoint]:
    """Stop the processes of every endpoint; `up` brings back what was serving. Return those that were running."""
    stopped = []
    for place in endpoints.list_endpoints(store):
        if control.is_running(place.name, runtime_folder=runtime_folder(store.folder)):
            reasons.require(store, "endpoint.down", f"endpoints/{place.name}", why=why)
        if control.stop(place.name, runtime_folder=runtime_folder(store.folder)):
            stopped.append(place)
            with change(store, actor=actor, why=why) as opened:
                endpoints.note_running(opened, place, is_running=False)
    return stopped


def _present(store: Store, endpoint: str) -> Serving:
    return endpoints.serving(store, endpoints.get_endpoint(store, endpoint))


def _share_out(store: Store, endpoint: str, present: Serving, traffic: Traffic, author: Author) -> Traffic:
    front = status(store, endpoint)
    if traffic != present.traffic:
        with carry_out(store, Transition(endpoint, traffic, frozenset(present.names)), author):
            pass
    elif front is not None and front.lease_seconds is not None:  # what is on record is not what is on trial
        control.share_out(endpoint, traffic, runtime_folder=runtime_folder(store.folder))
    return traffic


def _take_away(
    store: Store,
    endpoint: str,
    present: Serving,
    leaving: set[str],
    author: Author,
    *,
    status: DeploymentStatus = DeploymentStatus.REPLACED,
) -> None:
    staying = frozenset(present.names) - leaving
    left = present.traffic.among(sorted(staying))
    with carry_out(store, Transition(endpoint, left, staying, leaving=status), author):
        pass


def _check_leaving(endpoint: str, present: Serving, name: str, *, is_forced: bool) -> None:
    """Raise DeploymentHasTraffic unless the deployment may be taken away."""
    share = present.traffic.split().get(name, 0.0)
    others = [each for each in present.names if each != name]
    if not others:
        reason, following = "is all that serves there", f"wright endpoint stop {endpoint}"
    elif name == present.traffic.default:
        reason = "is the default one: what the others leave of the requests goes to it"
        heir = present.traffic.among(others).default
        following = f"wright endpoint traffic {endpoint} --default {heir}"
    elif share and not is_forced:
        reason = f"has {share:g} % of the requests"
        following = f"wright endpoint traffic {endpoint} {name}=0; or with --force its share goes to the default one"
    else:
        return
    raise DeploymentHasTraffic(endpoint=endpoint, name=name, reason=reason, next=following)
