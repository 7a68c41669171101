"""Rollouts: a version takes over an endpoint step by step, or not at all.

`start` puts it beside what serves and leaves the rest to a watcher, a process of its own (`steering`). The traffic of a
step is a trial: the endpoint's record keeps the traffic from before, and the front itself goes back to that when the
watcher does not confirm the step in time. Only the end of a rollout changes the record.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING

from modelwright import processes
from modelwright.errors import (
    Busy,
    DeploymentMissing,
    EndpointNotRunning,
    EndpointOutdated,
    EndpointUnresponsive,
    NothingToCompare,
    RolloutNotOpen,
    RolloutNotStarted,
)
from modelwright.lifecycle import equipping, labelled
from modelwright.lifecycle.sessions import Session
from modelwright.records import (
    Check,
    Contrast,
    Deployment,
    DeploymentStatus,
    Endpoint,
    ModelVersion,
    Placement,
    Rollout,
    RolloutLimits,
    RolloutPlan,
    RolloutStatus,
    ScoringAnswer,
    Serving,
    Traffic,
)
from modelwright.records.plain import plain
from modelwright.serving import control, deployments
from modelwright.serving.capture import places
from modelwright.serving.rollout import planning, verdicts
from modelwright.serving.rollout.checking import Evidence
from modelwright.settings import runtime_folder
from modelwright.store import claims, endpoints, models, rollouts
from modelwright.store.database import Store

if TYPE_CHECKING:
    from pathlib import Path

_WATCHER = "modelwright.lifecycle.steering"
LOG = "rollouts.log"
_WHOLE = 100
# Somebody else's deployment may take minutes; what has no share any more can wait for it.
_PATIENCE_SECONDS = 600.0


def claimed(rollout: Rollout) -> str:
    """Return what the watcher of a rollout claims."""
    return rollout.id


def _ending(rollout: Rollout) -> str:
    """Return what a command claims that ends a rollout by hand.

    It is not the watcher's claim: whoever holds that is sent a signal, and this may be the process of the HTTP API.
    """
    return f"{claimed(rollout)}.end"


def start(session: Session, endpoint: str, reference: str, *, plan: RolloutPlan) -> Rollout:
    """Put a version beside the one that serves, without traffic, and let a watcher give it traffic by the plan.

    One that is there already, and gets no requests and no copies of any, is taken as it is. Raises PlanInvalid,
    EndpointMissing, EndpointNotRunning, NothingToCompare, RolloutOpen, what deploying raises, and RolloutNotStarted.
    """
    planning.check(plan)
    store = session.store
    reconcile(session)
    place = endpoints.get_endpoint(store, endpoint)
    if deployments.status(store, endpoint) is None:
        raise EndpointNotRunning(endpoint=endpoint)
    version = equipping.equipped(session, models.find_version(store, reference))
    serving = endpoints.serving(store, place)
    present = serving.traffic.control or serving.traffic.default
    if not present:
        raise NothingToCompare(endpoint=endpoint, found="none serves there")
    found = _idle(serving, version.reference)
    with session.change() as opened:
        rollouts.refuse_open(opened, place)
    replaced = serving.names.get(present)
    placement = replace(replaced.placement() if replaced else Placement(), name="", share=0.0)
    with session.stage("deploy", f"{version.reference} beside {present}") as stage:
        deployment, answer = _tried(session, place, version, found, placement)
        stage.decided = f"it answers its sample with {answer.body}"
    try:
        with session.change() as opened:
            before = endpoints.serving(store, endpoints.get_endpoint(store, endpoint)).traffic
            rollout = rollouts.add_rollout(opened, place, new=deployment, present=present, plan=plan, before=before)
    except BaseException:
        if found is None:
            why = "its rollout could not begin"
            deployments.withdraw(store, deployment, status=DeploymentStatus.FAILED, actor=session.actor, why=why)
        raise
    watch(store, rollout)
    return rollout


def _idle(serving: Serving, reference: str) -> Deployment | None:
    """Return the deployment of a version that gets no requests, None where none is of it.

    Raises NothingToCompare when it gets some.
    """
    found = next((each for each in serving.deployments if each.version == reference), None)
    if found and (serving.traffic.split().get(found.name) or found.name in serving.traffic.shadows):
        raise NothingToCompare(endpoint=found.endpoint, found=f"{reference} serves there already")
    return found


def _tried(
    session: Session, place: Endpoint, version: ModelVersion, found: Deployment | None, placement: Placement
) -> tuple[Deployment, ScoringAnswer]:
    """Return the deployment of a version that is there, else a new one, and how it answers its sample."""
    if found is not None:
        return found, deployments.smoke_test(session.store, found)
    with deployments.deploying(
        session.store, version, endpoint=place.name, actor=session.actor, why=session.why, placement=placement
    ) as deployment:
        return deployment, deployments.smoke_test(session.store, deployment)


def watch(store: Store, rollout: Rollout) -> None:
    """Start the rollout's watcher unless it has one, or is being ended by hand. Raises RolloutNotStarted."""
    if claims.is_claimed(store, claimed(rollout)) or claims.is_claimed(store, _ending(rollout)):
        return
    log = store.folder / "logs" / LOG
    log.parent.mkdir(exist_ok=True)
    arguments: list[str | Path] = ["--workspace", store.folder.absolute(), "--rollout", rollout.id]
    is_there = processes.detach(_WATCHER, arguments, log=log)
    if not is_there and not claims.is_claimed(store, claimed(rollout)):
        raise RolloutNotStarted(version=rollout.version, endpoint=rollout.endpoint, log=log)


def is_watched(store: Store, rollout: Rollout) -> bool:
    """Whether some process watches the rollout."""
    return claims.is_claimed(store, claimed(rollout))


def pause(session: Session, endpoint: str) -> Rollout:
    """Let the rollout stay at its step, watched, until it is resumed. Raises RolloutMissing, RolloutNotOpen."""
    rollout = _open(session, endpoint)
    if rollout.status is RolloutStatus.RUNNING:
        with session.change() as opened:
            rollouts.set_status(opened, rollout, status=RolloutStatus.PAUSED, reason=session.why or "paused by hand")
    return rollouts.get_rollout(session.store, endpoint)


def resume(session: Session, endpoint: str) -> Rollout:
    """Let the rollout go on; one that waits to be approved is. Raises RolloutMissing, RolloutNotOpen.

    Where somebody else has changed the endpoint's traffic, it goes on from that.
    """
    rollout = _open(session, endpoint)
    if rollout.status is RolloutStatus.PAUSED:
        with session.change() as opened:
            before = recorded(session.store, rollout).traffic
            rollouts.resume(opened, rollout, before=before, reason=session.why)
    watch(session.store, rollout)
    return rollouts.get_rollout(session.store, endpoint)


def abort(session: Session, endpoint: str) -> Rollout:
    """Go back to the traffic from before. Raises RolloutMissing, RolloutNotOpen."""
    with _taken_over(session, endpoint) as rollout:
        roll_back(session, rollout, reason=session.why or "aborted by hand")
    return rollouts.get_rollout(session.store, endpoint)


def promote(session: Session, endpoint: str) -> Rollout:
    """Give the new version all of the traffic now, whatever the checks say. Raises RolloutMissing, RolloutNotOpen."""
    with _taken_over(session, endpoint) as rollout:
        succeed(session, rollout, reason=session.why or "promoted by hand")
    return rollouts.get_rollout(session.store, endpoint)


@contextlib.contextmanager
def _taken_over(session: Session, endpoint: str) -> Iterator[Rollout]:
    """End a rollout's watcher and give the rollout, which the block is to end; when it does not, it is watched again.

    What the watcher did last counts: it may have ended the rollout. Raises Busy while somebody else ends it.
    """
    store, rollout = session.store, _open(session, endpoint)
    try:
        with claims.claim(store, _ending(rollout)):
            claims.end_holder(store, claimed(rollout))
            yield _open(session, endpoint)
    except RolloutNotOpen:
        raise
    except BaseException:
        watch(store, rollout)
        raise


def reconcile(session: Session) -> list[Rollout]:
    """Record what fronts did by themselves while nobody watched, and return those rollouts."""
    gone_back: list[Rollout] = []
    if session.store.moment:
        return gone_back
    for rollout in rollouts.list_rollouts(session.store, is_open=True):
        if claims.is_claimed(session.store, claimed(rollout)):
            continue
        with contextlib.suppress(EndpointNotRunning, EndpointUnresponsive, EndpointOutdated):
            front = control.observe(rollout.endpoint, runtime_folder=runtime_folder(session.store.folder))
            now = rollouts.find_rollout(session.store, rollout.id)
            if front.lapsed_at and now and now.is_open:  # else its watcher was quicker
                roll_back(session, rollout, reason=told_lapse(front.lapsed_at))
                gone_back.append(rollouts.get_rollout(session.store, rollout.endpoint))
    return gone_back


def take_up(session: Session) -> list[Rollout]:
    """Start the watchers of rollouts that have none, and return these rollouts."""
    reconcile(session)
    found = [
        each
        for each in rollouts.list_rollouts(session.store, is_open=True)
        if not claims.is_claimed(session.store, claimed(each))
    ]
    for each in found:
        watch(session.store, each)
    return found


def let_go(store: Store) -> list[Rollout]:
    """End every watcher; `take_up` goes on where they were. Return the rollouts that had one."""
    return [each for each in rollouts.list_rollouts(store, is_open=True) if claims.end_holder(store, claimed(each))]


def contrasts(store: Store, endpoint: str, *, metrics: Sequence[str]) -> list[Contrast]:
    """Return what can be said of the endpoint's deployments, each against the one that they are compared with.

    Raises EndpointMissing, EndpointNotRunning, NothingToCompare.
    """
    endpoints.get_endpoint(store, endpoint)
    if store.moment:
        raise EndpointNotRunning(endpoint=endpoint)
    front = control.observe(endpoint, runtime_folder=runtime_folder(store.folder))
    standing = front.contest["against"]
    if not standing:
        only = ", ".join(front.seen)
        raise NothingToCompare(endpoint=endpoint, found=f"only {only} serves" if only else "none serves")
    control_name, found = front.contest["control"], list[Contrast]()
    serving = endpoints.list_deployments(store, endpoint=endpoint, status=DeploymentStatus.HEALTHY)
    for name, state in standing.items():
        evidence = Evidence.restored(front.edges, RolloutLimits(), state)
        found += [_SAID[metric](control_name, name, evidence) for metric in metrics if metric in _SAID]
        if "label" in metrics:
            both = (control_name, name)
            since = max((each.created_at for each in serving if each.name in both), default=None)
            rows = labelled.rows(places.folder_of(store, endpoint), both, since=since)
            found.append(labelled.contrast(control_name, name, rows))
    return found


_SAID = {"errors": verdicts.of_errors, "latency": verdicts.of_latency}
METRICS = (*_SAID, "label")


def recorded(store: Store, rollout: Rollout) -> Serving:
    """Return what the rollout's endpoint serves by the record, whatever is on trial."""
    return endpoints.serving(store, endpoints.get_endpoint(store, rollout.endpoint))


def told_gone(rollout: Rollout, serving: Serving) -> str:
    """Return what others did that leaves a rollout nothing to do or to compare; else nothing."""
    if serving.traffic.default == rollout.deployment:
        return f"{rollout.deployment} was made the default one"
    for name in (rollout.deployment, rollout.present):
        found = serving.names.get(name)
        if found is None:
            return f"{name} does not serve any more"
        if found.created_at > rollout.created_at:
            return f"{name} was replaced"
    return ""


def told_lapse(lapsed_at: datetime) -> str:
    """Return why a rollout ended whose front went back by itself."""
    when = lapsed_at.isoformat(timespec="seconds")
    return f"nobody confirmed its traffic in time; the front went back to the former traffic by itself at {when}"


def traffic_of(rollout: Rollout, step: int) -> Traffic:
    """Return the traffic of a step: the new version's share, and of what it leaves everybody's share of before."""
    share, before = rollout.plan.steps[step], rollout.before
    if share == _WHOLE:
        return replace(before, shares={}, default=rollout.deployment, shadows={}, control="")
    left = (_WHOLE - share) / _WHOLE
    shares = {name: each * left for name, each in before.split().items() if name != before.default}
    shadows = {rollout.deployment: float(rollout.plan.shadow)} if share == 0 and rollout.plan.shadow else {}
    return replace(
        before,
        shares={**shares, rollout.deployment: float(share)},
        shadows={**before.shadows, **shadows},
        tolerance=rollout.plan.tolerance,
        control=rollout.present,
    )


def roll_back(session: Session, rollout: Rollout, *, reason: str, checks: tuple[Check, ...] = ()) -> None:
    """Bring back the traffic on record, end the new version, and record by which numbers that was decided.

    The rollout ends last: one whose watcher is killed on the way goes on to its end.
    """
    bring_back(session.store, rollout)
    if recorded(session.store, rollout).traffic.default != rollout.deployment:
        _withdraw(session, rollout, rollout.deployment, status=DeploymentStatus.FAILED, why=f"rolled back: {reason}")
    with session.change() as opened:
        facts = {"share": rollout.share, "checks": [plain(asdict(each)) for each in checks]}
        rollouts.set_status(opened, rollout, status=RolloutStatus.ROLLED_BACK, reason=reason, facts=facts)


def bring_back(store: Store, rollout: Rollout) -> None:
    """Have the front share out requests as is on record; one that is down does when it comes back."""
    with contextlib.suppress(EndpointNotRunning, DeploymentMissing):
        traffic = recorded(store, rollout).traffic
        control.share_out(rollout.endpoint, traffic, runtime_folder=runtime_folder(store.folder))


def succeed(session: Session, rollout: Rollout, *, reason: str) -> None:
    """Give the new version all of the traffic for good, and end what it replaces. The rollout ends last, as above."""
    deployments.set_traffic(session.store, rollout.endpoint, whole(rollout), actor=session.actor, why=reason)
    _withdraw(session, rollout, rollout.present, status=DeploymentStatus.REPLACED, why=reason)
    with session.change() as opened:
        rollouts.set_status(opened, rollout, status=RolloutStatus.SUCCEEDED, reason=reason)


def whole(rollout: Rollout) -> Traffic:
    """Return the traffic when the new version has all of it."""
    return traffic_of(rollout, len(rollout.plan.steps) - 1)


def _withdraw(session: Session, rollout: Rollout, name: str, *, status: DeploymentStatus, why: str) -> None:
    """End a deployment that has no share any more, as soon as nobody else changes the endpoint."""
    serving = endpoints.list_deployments(session.store, endpoint=rollout.endpoint, status=DeploymentStatus.HEALTHY)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for each in [each for each in serving if each.name == name and each.created_at <= rollout.created_at]:
        while True:
            try:
                deployments.withdraw(session.store, each, status=status, actor=session.actor, why=why)
            except Busy:
                if time.monotonic() > deadline:
                    raise
            else:
                break


def _open(session: Session, endpoint: str) -> Rollout:
    reconcile(session)
    endpoints.get_endpoint(session.store, endpoint)
    rollout = rollouts.get_rollout(session.store, endpoint)
    if not rollout.is_open:
        raise RolloutNotOpen(
            version=rollout.version, endpoint=endpoint, rollout_status=rollout.status, reason=rollout.reason
        )
    return rollout
