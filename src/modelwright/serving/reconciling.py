"""Keeps the record of an endpoint and its front in agreement, also after whoever changed them was killed.

Every change holds a claim on its endpoint, is told to the front, and only then recorded. So when nobody holds the claim
and both differ, the change was killed, and the front is made to do what is on record.
"""

import contextlib
import logging
import time
from collections.abc import Iterator

from modelwright.errors import Busy, ModelwrightError
from modelwright.records import Deployment, DeploymentState, DeploymentStatus, Endpoint, Traffic
from modelwright.serving import control, fronts, specs
from modelwright.settings import runtime_folder
from modelwright.store import claims, endpoints
from modelwright.store.changes import change
from modelwright.store.database import Store

_LOG = logging.getLogger(__name__)
# Who looks whether a claim is held holds it for a moment.
_PATIENCE_SECONDS = 1.0
_POLL_SECONDS = 0.02


@contextlib.contextmanager
def changing(
    store: Store, endpoint: str, *, actor: str, patience_seconds: float = _PATIENCE_SECONDS, is_agreeing: bool = True
) -> Iterator[list[Deployment]]:
    """Let nobody else change the endpoint while the block runs; first undo or finish what a killed command left.

    Gives the deployments that were left half done, and are `failed` now. Raises Busy.
    """
    with contextlib.ExitStack() as held:
        was_killed = claims.is_abandoned(store, _claimed(endpoint))
        _claim(store, endpoint, held, patience_seconds=patience_seconds)
        killed = _fail_killed(store, endpoint, actor=actor)
        if is_agreeing and (was_killed or killed):
            with contextlib.suppress(ModelwrightError):  # whatever is asked for finds out for itself
                agree(store, endpoints.get_endpoint(store, endpoint))
        yield killed


def agree(store: Store, place: Endpoint) -> list[ModelwrightError]:
    """Make the endpoint's front, if it runs, serve what is on record; return why deployments could not be started.

    The traffic of those goes to the default one. Traffic on trial is left to its lease. Raises EndpointUnresponsive.
    """
    folder = runtime_folder(store.folder)
    front = fronts.status(store, place.name)
    if front is None:
        return []
    serving = endpoints.serving(store, place)
    if not serving.deployments:
        control.stop(place.name, runtime_folder=folder)
        return []
    there = {each.name: each for each in front.deployments}
    present, failures = set[str](), list[ModelwrightError]()
    for name in sorted(serving.names, key=lambda each: each != serving.traffic.default):
        try:
            _start(store, serving.names[name], there.get(name))
        except ModelwrightError as error:
            _LOG.warning("%s of endpoint %s does not serve: %s", name, place.name, error)
            failures.append(error)
            continue
        present.add(name)
        if front.version is None and len(present) == 1:  # what is there answers, while the others start
            control.share_out(place.name, Traffic(default=name), runtime_folder=folder)
    wanted = serving.traffic.among(sorted(present))
    if front.lease_seconds is None and (front.traffic != wanted or not present <= there.keys()):
        control.share_out(place.name, wanted, runtime_folder=folder)
    for name in there.keys() - serving.names.keys():
        control.retire(place.name, name, runtime_folder=folder)
    return failures


def reconcile(store: Store, *, actor: str) -> list[Deployment]:
    """Fail the deployments whose deploying process was killed, and serve what is on record; return them."""
    starting = {each.endpoint for each in endpoints.list_deployments(store, status=DeploymentStatus.STARTING)}
    killed: list[Deployment] = []
    for place in endpoints.list_endpoints(store):
        if place.name in starting or claims.is_abandoned(store, _claimed(place.name)):
            with contextlib.suppress(Busy), changing(store, place.name, actor=actor, patience_seconds=0.0) as found:
                killed += found
    return killed


def _claimed(endpoint: str) -> str:
    return f"endpoint-{endpoint}"


def _claim(store: Store, endpoint: str, held: contextlib.ExitStack, *, patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            held.enter_context(claims.claim(store, _claimed(endpoint)))
        except Busy as error:
            if time.monotonic() > deadline:
                raise Busy(
                    thing=f'endpoint "{endpoint}"', holder=error.facts["holder"], command="the same command"
                ) from error
            time.sleep(_POLL_SECONDS)
        else:
            return


def _fail_killed(store: Store, endpoint: str, *, actor: str) -> list[Deployment]:
    killed = [
        each
        for each in endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.STARTING)
        if not claims.is_claimed(store, each.id)
    ]
    reason = "the process that deployed it was killed"
    for each in killed:
        with change(store, actor=actor, why=reason) as opened:
            endpoints.set_deployment_status(opened, each, status=DeploymentStatus.FAILED, reason=reason)
    return killed


def _start(store: Store, deployment: Deployment, state: DeploymentState | None) -> None:
    """Start the deployment in the front unless it is there, with as many workers as are on record."""
    folder = runtime_folder(store.folder)
    is_there = state is not None and state.id in ("", deployment.id) and state.version == deployment.version
    if not is_there:
        worker = specs.worker_of(store, deployment)
        control.deploy(deployment.endpoint, runtime_folder=folder, worker=worker, is_replacing=False)
    elif state is not None and state.id and state.workers != deployment.workers:
        control.scale(deployment.endpoint, deployment.name, deployment.workers, runtime_folder=folder)
