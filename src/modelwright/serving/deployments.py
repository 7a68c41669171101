"""Puts model versions behind endpoints, and keeps the record and the processes in agreement."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

from modelwright.environments import placing
from modelwright.errors import DeploymentFailed, DeploymentMissing, EndpointNotRunning, EndpointRunning
from modelwright.models import packages
from modelwright.models.fusing import fusing
from modelwright.records import (
    Deployment,
    DeploymentStatus,
    Endpoint,
    FrontStatus,
    ModelVersion,
    ScoringAnswer,
    Traffic,
    WorkerSpec,
)
from modelwright.serving import configuring, control
from modelwright.serving.capture import places
from modelwright.serving.front.versions import agree
from modelwright.settings import runtime_folder
from modelwright.store import claims, endpoints, environments, models, reasons
from modelwright.store.changes import change
from modelwright.store.database import Store

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def deploying(
    store: Store,
    version: ModelVersion,
    *,
    endpoint: str,
    port: int | None,
    actor: str,
    why: str = "",
    is_replacing: bool = True,
) -> Iterator[Deployment]:
    """Let `version` take the endpoint's requests; inside the block it is on trial, at its end it is `healthy`.

    Unless it `is_replacing` it is put beside what serves, and gets no requests but those that name it. A version that
    was serving goes on until the new one has answered the package's sample with the answer that was recorded at
    registration; then requests move over without one being refused. When the block, or anything before it, raises, the
    deployment is `failed` and the endpoint serves what it served before. From its first record on a deployment keeps
    its version. Raises DeploymentFailed; VersionIncomplete for a version that lacks what serving takes, and
    ModelMissing for one that was deleted.
    """
    packages.check_servable(version)
    with contextlib.ExitStack() as held:
        with change(store, actor=actor, why=why) as opened:
            place = endpoints.ensure_endpoint(opened, endpoint, host=LOOPBACK)
            deployment = endpoints.add_deployment(opened, place, version=version)
            # Before anybody can see it: a deployment that starts and is not claimed counts as killed.
            held.enter_context(claims.claim(store, deployment.id))
        try:
            package = packages.restore(store, version)
            _ensure_front(store, place, port=port, actor=actor, why=why)
            control.deploy(
                endpoint,
                runtime_folder=runtime_folder(store.folder),
                worker=_worker(store, version, package=package),
                is_replacing=is_replacing,
            )
            yield deployment
        except BaseException as error:
            reason = str(error) or type(error).__name__
            with change(store, actor=actor, why=reason) as opened:
                endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.FAILED, reason=reason)
            _serve_what_is_healthy(store, endpoint)
            raise
        before = endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY)
        with change(store, actor=actor, why=why) as opened:
            if is_replacing:
                for each in before:
                    endpoints.set_deployment_status(opened, each, status=DeploymentStatus.REPLACED)
                endpoints.set_traffic(opened, place, Traffic(default=version.reference))
            endpoints.set_deployment_status(opened, deployment, status=DeploymentStatus.HEALTHY)


def smoke_test(store: Store, deployment: Deployment) -> ScoringAnswer:
    """Have the deployment score its package's sample through the endpoint's URL, and return the answer.

    Raises DeploymentFailed when it is not the answer that was recorded at registration.
    """
    version = models.get_version(store, deployment.version_id)
    package = packages.restore(store, version)
    pinned = {"x-modelwright-deployment": deployment.version}
    answer = score(store, deployment.endpoint, body=sample_of(store, version).encode(), headers=pinned)
    expected = json.loads((package / packages.EXPECTED).read_text(encoding="utf-8"))
    if answer.status != HTTPStatus.OK or not agree(json.loads(answer.body), expected):
        raise DeploymentFailed(
            version=deployment.version,
            endpoint=deployment.endpoint,
            reason=f"it answers the sample with {answer.body} where {json.dumps(expected)} was recorded",
        )
    return answer


def sample_of(store: Store, version: ModelVersion) -> str:
    """Return the sample request in the version's package. Raises VersionIncomplete when it has none."""
    packages.check_servable(version)
    return (packages.restore(store, version) / packages.SAMPLE).read_text(encoding="utf-8").strip()


def score(store: Store, endpoint: str, *, body: bytes, headers: Mapping[str, str] | None = None) -> ScoringAnswer:
    """Send `body` to the endpoint and return its answer. Raises EndpointMissing, EndpointNotRunning."""
    place = endpoints.get_endpoint(store, endpoint)
    if place.url is None or status(store, endpoint) is None:
        raise EndpointNotRunning(endpoint=endpoint)
    return control.score(place.url, body, headers=headers)


def set_traffic(store: Store, endpoint: str, traffic: Traffic, *, actor: str, why: str = "") -> None:
    """Share the endpoint's requests out like that, for good. Raises EndpointMissing, DeploymentMissing."""
    place = endpoints.get_endpoint(store, endpoint)
    control.share_out(endpoint, traffic.check(), runtime_folder=runtime_folder(store.folder))
    with change(store, actor=actor, why=why) as opened:
        endpoints.set_traffic(opened, place, traffic)


def withdraw(store: Store, deployment: Deployment, *, status: DeploymentStatus, actor: str, why: str) -> None:
    """Let a deployment that gets no requests any more finish those it has, and end it."""
    with contextlib.suppress(EndpointNotRunning, DeploymentMissing):
        control.retire(deployment.endpoint, deployment.version, runtime_folder=runtime_folder(store.folder))
    with change(store, actor=actor, why=why) as opened:
        endpoints.set_deployment_status(opened, deployment, status=status, reason=why)


def check_port(store: Store, endpoint: str, *, port: int | None) -> None:
    """Find out, before any work is done, whether the endpoint can have `port`, or its last one. Raises NoFreePort."""
    known = next((each for each in endpoints.list_endpoints(store) if each.name == endpoint), None)
    running = status(store, endpoint) if known else None
    wanted = port or (known.port if known else None)
    if wanted and not (running and running.port == wanted):
        control.check_port(wanted, host=LOOPBACK)


def status(store: Store, endpoint: str) -> FrontStatus | None:
    """Return what the endpoint's front says of itself; None when it is not running, or may have been then."""
    if store.moment:
        return None
    return control.status(endpoint, runtime_folder=runtime_folder(store.folder))


def stop(store: Store, endpoint: str, *, actor: str, why: str = "") -> None:
    """Stop an endpoint: requests in flight are answered, then its processes end. Raises EndpointMissing."""
    place = endpoints.get_endpoint(store, endpoint)
    if endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY):
        reasons.require(store, "deployment.stopped", f"endpoints/{endpoint}", why=why)
    control.stop(place.name, runtime_folder=runtime_folder(store.folder))
    with change(store, actor=actor, why=why) as opened:
        for each in endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY):
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.STOPPED)


def delete(store: Store, endpoint: str, *, actor: str, why: str = "") -> None:
    """Delete a stopped endpoint. Raises EndpointMissing, EndpointRunning, and InUse while one is being deployed."""
    reconcile(store, actor=actor)
    place = endpoints.get_endpoint(store, endpoint)
    if status(store, endpoint):
        raise EndpointRunning(endpoint=endpoint)
    with change(store, actor=actor, why=why) as opened:
        endpoints.delete_endpoint(opened, place)


def undeploy(store: Store, endpoint: str, reference: str, *, actor: str, why: str = "") -> list[Deployment]:
    """Forget that a version was deployed to an endpoint where it no longer serves; return what was forgotten.

    Raises EndpointMissing, ModelMissing, DeploymentMissing, and InUse while it is healthy or starting.
    """
    reconcile(store, actor=actor)
    place = endpoints.get_endpoint(store, endpoint)
    version = models.find_version(store, reference)
    with change(store, actor=actor, why=why) as opened:
        return endpoints.forget_deployments(opened, place, version=version)


def up(store: Store, *, actor: str, why: str = "") -> list[Endpoint]:
    """Start every endpoint that has a healthy deployment and is not running; return those that were started."""
    started = []
    for place in endpoints.list_endpoints(store):
        healthy = endpoints.list_deployments(store, endpoint=place.name, status=DeploymentStatus.HEALTHY)
        if not healthy or status(store, place.name):
            continue
        _ensure_front(store, place, port=place.port, actor=actor, why=why)
        _serve_what_is_healthy(store, place.name)
        with change(store, actor=actor, why=why) as opened:
            endpoints.note_running(opened, place, is_running=True)
        started.append(endpoints.get_endpoint(store, place.name))
    return started


def down(store: Store, *, actor: str, why: str = "") -> list[Endpoint]:
    """Stop the processes of every endpoint; `up` brings back what was serving. Return those that were running."""
    stopped = []
    for place in endpoints.list_endpoints(store):
        if status(store, place.name):
            reasons.require(store, "endpoint.down", f"endpoints/{place.name}", why=why)
        if control.stop(place.name, runtime_folder=runtime_folder(store.folder)):
            stopped.append(place)
            with change(store, actor=actor, why=why) as opened:
                endpoints.note_running(opened, place, is_running=False)
    return stopped


def reconcile(store: Store, *, actor: str) -> list[Deployment]:
    """Fail the deployments whose deploying process was killed, and serve what was served before; return them."""
    killed = [
        each
        for each in endpoints.list_deployments(store, status=DeploymentStatus.STARTING)
        if not claims.is_claimed(store, each.id)
    ]
    for each in killed:
        reason = "the process that deployed it was killed"
        with change(store, actor=actor, why=reason) as opened:
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.FAILED, reason=reason)
        _serve_what_is_healthy(store, each.endpoint)
    return killed


def log_file(store: Store, endpoint: str) -> Path:
    """Return the file that the endpoint's front and scoring scripts log to."""
    return store.folder / "logs" / f"{endpoint}.log"


def capture_folder(store: Store) -> Path:
    """Return the folder below which every endpoint's requests and answers are captured."""
    return places.root(store)


def _ensure_front(store: Store, place: Endpoint, *, port: int | None, actor: str, why: str) -> None:
    folder = runtime_folder(store.folder)
    running = control.status(place.name, runtime_folder=folder)
    if running and port in {None, running.port}:
        return
    if running:
        control.stop(place.name, runtime_folder=folder)
    log = log_file(store, place.name)
    log.parent.mkdir(exist_ok=True)
    started = control.start(
        place.name,
        runtime_folder=folder,
        log=log,
        capture_folder=capture_folder(store),
        host=place.host,
        port=port or place.port,
        settings=configuring.settings_of(store, place.name),
    )
    if started.port != place.port:
        with change(store, actor=actor, why=why) as opened:
            endpoints.set_port(opened, place, port=started.port)


def _serve_what_is_healthy(store: Store, endpoint: str) -> None:
    """Make the front serve the endpoint's healthy deployments by the traffic on record, or end when there are none."""
    folder = runtime_folder(store.folder)
    healthy = endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY)
    running = control.status(endpoint, runtime_folder=folder)
    if not healthy:
        control.stop(endpoint, runtime_folder=folder)
        return
    serving = {each.name for each in running.deployments} if running else set()
    wanted = {each.version: each for each in healthy}
    if running is None or serving == wanted.keys():
        return
    for name in wanted.keys() - serving:
        version = models.get_version(store, wanted[name].version_id)
        worker = _worker(store, version, package=packages.restore(store, version))
        control.deploy(endpoint, runtime_folder=folder, worker=worker, is_replacing=False)
    traffic = endpoints.get_traffic(store, endpoint)
    known = traffic if traffic.default in wanted else Traffic(default=healthy[0].version)
    control.share_out(endpoint, known, runtime_folder=folder)
    for name in serving - wanted.keys():
        control.retire(endpoint, name, runtime_folder=folder)


def _worker(store: Store, version: ModelVersion, *, package: Path) -> WorkerSpec:
    packages.check_servable(version)
    environment = placing.build_in(store, environments.get_environment(store, str(version.environment_digest)))
    return WorkerSpec(
        version=version.reference,
        python=environment.python,
        bytecode=environment.bytecode,
        script=packages.scoring_script(package),
        model_folder=packages.model_folder(package, version),
        sample=(package / packages.SAMPLE).read_text(encoding="utf-8"),
        expected=(package / packages.EXPECTED).read_text(encoding="utf-8"),
        fused=package if fusing.is_fused(package) else None,
    )
