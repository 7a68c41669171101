"""Releases: a version goes from target to target, is tried at each, and what served before comes back when it fails."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from modelwright.errors import (
    ApprovalMissing,
    ApprovalRefused,
    AutomationInvalid,
    EndpointNotReached,
    EndpointNotRunning,
    ModelwrightError,
    RollbackFailed,
    SmokeTestFailed,
)
from modelwright.lifecycle import equipping
from modelwright.lifecycle.ci.builds import turn
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.projects.ci.automation import AUTOMATION_FILE, Automation, Target
from modelwright.records import Approval, Deployment, DeploymentStatus, ModelVersion, Placement, ScoringAnswer
from modelwright.serving import access, control, deployments, specs
from modelwright.store import approvals, endpoints, models, rollbacks
from modelwright.store.database import Store

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.5


def approve(session: Session, version: ModelVersion, *, stage: str, is_approved: bool) -> Approval:
    """Record that the session's actor lets a version go on to a stage, or does not."""
    with session.change() as opened:
        return approvals.add_approval(opened, _subject(version), stage=stage, is_approved=is_approved)


def find_approval(store: Store, version: ModelVersion, *, stage: str) -> Approval | None:
    """Return the last word on whether a version goes on to a stage; None while there is none."""
    return approvals.find_approval(store, _subject(version), stage=stage)


def check_approval(store: Store, version: ModelVersion, target: Target) -> None:
    """Raise ApprovalMissing or ApprovalRefused unless the version may go on to the target."""
    if not target.needs_approval:
        return
    found = find_approval(store, version, stage=target.name)
    if found is None:
        raise ApprovalMissing(version=version.reference, stage=target.name)
    if not found.is_approved:
        raise ApprovalRefused(version=version.reference, stage=target.name, actor=found.actor, why=found.why)


def deploy(session: Session, version: ModelVersion, target: Target) -> bool:
    """Let the version serve at the target's endpoint; return whether that changed anything.

    What served before goes on until the new one has answered its sample. Raises ApprovalMissing, ApprovalRefused, and
    what deploying raises.
    """
    store = session.store
    check_approval(store, version, target)
    version = equipping.equipped(session, version)
    with session.stage("deploy", f"starting {version.reference}") as stage:
        stage.recorded = target.endpoint
        if [each.version for each in _serving(store, target)] == [version.reference] and _is_up(store, target):
            stage.decided = f"{version.reference} serves at {target.endpoint} already"
            return False
        placement = Placement(port=target.port, host=target.host, workers=target.workers)
        with deployments.deploying(
            store, version, endpoint=target.endpoint, actor=session.actor, why=session.why, placement=placement
        ) as deployment:
            deployments.smoke_test(store, deployment)
        access.make_missing_keys(store, target.endpoint, actor=session.actor, why=session.why)
        stage.decided = f"{version.reference} serves at {target.endpoint}"
    return True


def smoke_test(
    session: Session, automation: Automation, target: Target, *, patience_seconds: float = PATIENCE_SECONDS
) -> ScoringAnswer:
    """Send the project's request to the target's endpoint and look at what is answered: its shape, not its numbers.

    While nobody listens there it is tried again. Raises SmokeTestFailed.
    """
    store = session.store
    body = request_of(automation)
    with session.stage("smoke-test", target.endpoint) as stage:

        def ask() -> ScoringAnswer:
            headers = access.pass_headers(store, target.endpoint)
            return deployments.score(store, target.endpoint, body=body.encode(), headers=headers)

        answer = _patiently(ask, where=target.endpoint, patience_seconds=patience_seconds)
        served = _serving(store, target)
        check_answer(target.endpoint, body, answer, expected=_recorded(store, served[0]) if served else None)
        stage.decided = f"{automation.request} is answered: {answer.body}"
    return answer


def smoke_test_url(
    url: str, automation: Automation, *, headers: Mapping[str, str], patience_seconds: float = PATIENCE_SECONDS
) -> ScoringAnswer:
    """Send the project's request to a scoring URL anywhere, and look at what is answered, as `smoke_test` does."""
    body = request_of(automation)
    answer = _patiently(lambda: control.score(url, body, headers=headers), where=url, patience_seconds=patience_seconds)
    check_answer(url, body, answer, expected=None)
    return answer


def request_of(automation: Automation) -> str:
    """Return what a smoke test sends. Raises AutomationInvalid when it is not there, or no JSON."""
    try:
        body = (automation.folder / automation.request).read_text(encoding="utf-8")
        json.loads(body)
    except (OSError, ValueError) as error:
        reason = f'its request "{automation.request}" cannot be sent: {getattr(error, "strerror", None) or error}'
        raise AutomationInvalid(path=automation.folder / AUTOMATION_FILE, reason=reason) from error
    return body


def _patiently(ask: Callable[[], ScoringAnswer], *, where: str, patience_seconds: float) -> ScoringAnswer:
    """Return the answer of whoever listens there, or comes to listen there in time. Raises SmokeTestFailed."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            answer = ask()
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() >= deadline:
                return answer
        except (EndpointNotReached, EndpointNotRunning) as error:
            if time.monotonic() >= deadline:
                raise SmokeTestFailed(where=where, reason=error) from error
        time.sleep(_POLL_SECONDS)


def check_answer(where: str, body: str, answer: ScoringAnswer, *, expected: str | None) -> None:
    """Raise SmokeTestFailed unless there is a result for every row, of the kind that the sample's answer has."""
    if answer.status != HTTPStatus.OK:
        raise SmokeTestFailed(where=where, reason=f"it answers {answer.status}: {answer.body[:200]}")
    try:
        got = json.loads(answer.body)
    except ValueError as error:
        raise SmokeTestFailed(where=where, reason=f"its answer is no JSON: {answer.body[:200]}") from error
    wanted, found = _rows(json.loads(body)), _rows(got)
    if wanted is not None and found != wanted:
        reason = f"{wanted} rows were asked, and {'no list' if found is None else f'{found} results'} came back"
        raise SmokeTestFailed(where=where, reason=f"{reason}: {answer.body[:200]}")
    kind = _kind(json.loads(expected)) if expected else None
    if kind is not None and _kind(got) != kind:
        raise SmokeTestFailed(where=where, reason=f"its answer is {_kind(got)}, and that to the sample was {kind}")


def rollback(session: Session, version: ModelVersion, automation: Automation) -> list[str]:
    """Let each endpoint that serves the version serve again what it served before; return what was done, in words.

    One that served nothing before is stopped. Where that does not work at one, the others are rolled back all the same.
    Raises RollbackFailed.
    """
    done, failures = [], []
    for target in reversed(automation.targets):
        try:
            with session.stage("rollback", target.endpoint) as stage:
                stage.decided = _rolled_back(session, version, target)
                stage.recorded = target.endpoint
                done.append(stage.decided)
        except ModelwrightError as error:
            failures.append(f"{target.endpoint}: {error}")
    if failures:
        raise RollbackFailed(version=version.reference, told="; ".join(failures))
    return done


def release(session: Session, automation: Automation, version: ModelVersion, *, is_waiting: bool = False) -> None:
    """Take the version through all targets; when one does not hold, roll back, and raise what it failed with.

    Where nobody has approved yet it is waited for that when it `is_waiting`, else ApprovalMissing is raised.
    """
    for target in automation.targets:
        if is_waiting:
            _await(session, version, target)
        with turn(session, f"release-{version.model}"):
            advance(session, automation, version, target)


def advance(session: Session, automation: Automation, version: ModelVersion, target: Target) -> None:
    """Take the version to one target, and try it there; when it does not hold, roll back everywhere and raise why."""
    check_approval(session.store, version, target)
    request_of(automation)  # before anything serves that could not be tried
    try:
        deploy(session, version, target)
        smoke_test(session, automation, target)
    except ModelwrightError as error:
        try:
            rollback(session, version, automation)
        except RollbackFailed as failed:
            told = f"{failed.facts['told']}; it was to be rolled back because {error}"
            raise RollbackFailed(version=version.reference, told=told) from error
        raise


def _await(session: Session, version: ModelVersion, target: Target) -> None:
    if not target.needs_approval or find_approval(session.store, version, stage=target.name):
        return
    with session.stage("approval", f"waiting for: wright approve {version.reference} --stage {target.name}") as stage:
        while (found := find_approval(session.store, version, stage=target.name)) is None:
            time.sleep(_POLL_SECONDS)
        stage.decided = f"{found.actor} {'approved' if found.is_approved else 'refused'}: {found.why}"
        stage.recorded = found.id


def _rolled_back(session: Session, version: ModelVersion, target: Target) -> str:
    store = session.store
    serving = _serving(store, target)
    if version.reference not in {each.version for each in serving}:
        shown = ", ".join(each.version for each in serving) or "nothing"
        return f"{target.endpoint} serves {shown}, and is left as it is"
    before = _before(store, serving, target)
    why = session.why or f"{version.reference} was rolled back"
    with replace(session, why=why).change() as opened:
        rollbacks.note(opened, serving, to=before.version if before else None)
    if before is None:
        deployments.stop(store, target.endpoint, actor=session.actor, why=why)
        return f"{target.endpoint} served nothing before {version.reference}: it is stopped"
    with deployments.deploying(
        store,
        models.get_version(store, before.version_id),
        endpoint=target.endpoint,
        actor=session.actor,
        why=why,
        placement=Placement(port=target.port, host=target.host, workers=target.workers),
    ) as deployment:
        deployments.smoke_test(store, deployment)
    return f"{target.endpoint} serves {before.version} again"


def _before(store: Store, serving: Sequence[Deployment], target: Target) -> Deployment | None:
    """Return the last that another version served the endpoint with before these came; None when none did.

    What was rolled back itself does not come back.
    """
    came = min(each.created_at for each in serving)
    versions = {each.version for each in serving}
    taken_back = rollbacks.of(store, target.endpoint)
    replaced = endpoints.list_deployments(store, endpoint=target.endpoint, status=DeploymentStatus.REPLACED)
    return next(
        (
            each
            for each in replaced
            if each.created_at < came and each.version not in versions and each.id not in taken_back
        ),
        None,
    )


def _serving(store: Store, target: Target) -> tuple[Deployment, ...]:
    known = [each for each in endpoints.list_endpoints(store) if each.name == target.endpoint]
    return endpoints.serving(store, known[0]).deployments if known else ()


def _is_up(store: Store, target: Target) -> bool:
    with contextlib.suppress(ModelwrightError):
        return deployments.status(store, target.endpoint) is not None
    return False


def _recorded(store: Store, deployment: Deployment) -> str | None:
    version = models.get_version(store, deployment.version_id)
    packages.check_servable(version)
    return specs.worker(store, version).expected


def _subject(version: ModelVersion) -> str:
    return f"models/{version.reference}"


def _rows(value: Any) -> int | None:
    """Return how many rows a request, or an answer, has: the length of its first list; None when it has none."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict):
        return next((found for found in map(_rows, value.values()) if found is not None), None)
    return None


def _kind(value: Any) -> str:
    """Return what an answer is, in words: a list, an object with these names, or else a plain value."""
    if isinstance(value, dict):
        return f"an object with {', '.join(sorted(value))}"
    return "a list" if isinstance(value, list) else "a plain value"
