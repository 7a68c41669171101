"""Rollouts: one that is open at a time for each endpoint, and those that have ended."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from modelwright import records
from modelwright.errors import RolloutMissing, RolloutNotOpen, RolloutOpen
from modelwright.records import Deployment, Endpoint, Rollout, RolloutPlan, RolloutProgress, RolloutStatus, Traffic
from modelwright.records.decoding import decoded
from modelwright.records.plain import plain
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

_OPEN = (RolloutStatus.RUNNING, RolloutStatus.PAUSED)


def refuse_open(change: Change, endpoint: Endpoint) -> None:
    """Raise RolloutOpen while the endpoint has a rollout that has not ended."""
    table = schema.rollouts
    of_endpoint = (table.c.endpoint_id == endpoint.id) & table.c.status.in_(_OPEN)
    for row in change.rows(table.select().where(of_endpoint)):
        found = _to_rollout(row, endpoint.name)
        shown = f"{found.progress.step + 1} of {len(found.plan.steps)}"
        raise RolloutOpen(endpoint=endpoint.name, version=found.version, rollout_status=found.status, step=shown)


def add_rollout(
    change: Change, endpoint: Endpoint, *, new: Deployment, present: str, plan: RolloutPlan, before: Traffic
) -> Rollout:
    """Record a rollout that begins. Raises RolloutOpen while the endpoint has one."""
    refuse_open(change, endpoint)
    table = schema.rollouts
    rollout = Rollout(
        id=records.new_id("rollout"),
        endpoint=endpoint.name,
        version=new.version,
        deployment=new.name,
        present=present,
        plan=plan,
        before=before,
        status=RolloutStatus.RUNNING,
        reason="",
        created_at=change.at,
    )
    change.insert(
        table,
        {
            "id": rollout.id,
            "endpoint_id": endpoint.id,
            "deployment": rollout.deployment,
            "plan": _json(plan),
            "state": _state(rollout),
            "status": rollout.status,
            "reason": "",
            "created_at": rollout.created_at,
        },
    )
    after = {"rollout": rollout.id, "version": new.version, "present": present, "plan": _json(plan)}
    change.record("rollout.started", f"endpoints/{endpoint.name}", after=after)
    return rollout


def advance(change: Change, rollout: Rollout, progress: RolloutProgress, *, facts: Mapping[str, object]) -> None:
    """Record that the rollout is at its next step, and by which `facts`."""
    table = schema.rollouts
    before = {"rollout": rollout.id, "step": rollout.progress.step, "share": rollout.share}
    share = rollout.plan.steps[progress.step]
    change.update(table, table.c.id == rollout.id, state=_state(rollout, progress))
    after = {"rollout": rollout.id, "step": progress.step, "share": share, **facts}
    change.record("rollout.advanced", f"endpoints/{rollout.endpoint}", before=before, after=after)


def set_status(
    change: Change, rollout: Rollout, *, status: RolloutStatus, reason: str, facts: Mapping[str, object] | None = None
) -> None:
    """Record where the rollout stands now, why, and by which `facts`. Raises RolloutNotOpen for one that has ended."""
    finished_at = None if status in _OPEN else change.at
    _update_open(change, rollout, status=status, reason=reason, finished_at=finished_at)
    change.record(
        f"rollout.{_PAST[status]}",
        f"endpoints/{rollout.endpoint}",
        before={"rollout": rollout.id, "status": rollout.status},
        after={"rollout": rollout.id, "version": rollout.version, "status": status, "reason": reason, **(facts or {})},
    )


def resume(change: Change, rollout: Rollout, *, before: Traffic, reason: str) -> None:
    """Record that a rollout goes on, from the traffic that the endpoint has by now. Raises RolloutNotOpen."""
    _update_open(change, rollout, state=_state(replace(rollout, before=before)))
    set_status(change, rollout, status=RolloutStatus.RUNNING, reason=reason)


def _update_open(change: Change, rollout: Rollout, **values: Any) -> None:
    """Change the row of a rollout unless another has ended it meanwhile."""
    table = schema.rollouts
    if not change.update(table, (table.c.id == rollout.id) & table.c.status.in_(_OPEN), **values):
        ended = change.rows(table.select().where(table.c.id == rollout.id))
        raise RolloutNotOpen(
            version=rollout.version,
            endpoint=rollout.endpoint,
            rollout_status=ended[0].status if ended else "deleted",
            reason=ended[0].reason if ended else "its endpoint is no more",
        )


_PAST = {
    RolloutStatus.RUNNING: "resumed",
    RolloutStatus.PAUSED: "paused",
    RolloutStatus.SUCCEEDED: "succeeded",
    RolloutStatus.ROLLED_BACK: "rolled_back",
}


def note_progress(change: Change, rollout: Rollout, progress: RolloutProgress) -> None:
    """Note what was seen: no fact that an audit record is for."""
    table = schema.rollouts
    values = {"state": _state(rollout, progress)}
    change.connection.execute(table.update().where(table.c.id == rollout.id).values(**values))


def get_rollout(store: Store, endpoint: str) -> Rollout:
    """Return the endpoint's newest rollout. Raises RolloutMissing."""
    found = list_rollouts(store, endpoint=endpoint)
    if not found:
        raise RolloutMissing(endpoint=endpoint)
    return found[0]


def find_rollout(store: Store, rollout_id: str) -> Rollout | None:
    """Return the rollout with that id; None when its endpoint was deleted."""
    return next(iter(_found(store, schema.rollouts.c.id == rollout_id)), None)


def list_rollouts(store: Store, *, endpoint: str | None = None, is_open: bool = False) -> list[Rollout]:
    """Return rollouts, newest first, narrowed by what is given."""
    wanted = []
    if endpoint is not None:
        wanted.append(schema.endpoints.c.name == endpoint)
    if is_open:
        wanted.append(schema.rollouts.c.status.in_(_OPEN))
    return _found(store, *wanted)


def _found(store: Store, *wanted: sa.ColumnElement[bool]) -> list[Rollout]:
    table, endpoints = schema.rollouts, schema.endpoints
    query = (
        sa.select(table, endpoints.c.name.label("endpoint"))
        .join(endpoints, endpoints.c.id == table.c.endpoint_id)
        .where(*wanted)
        .order_by(table.c.id.desc())
    )
    with store.reader.connect() as connection:
        return [_to_rollout(row, row.endpoint) for row in connection.execute(query)]


def _json(record: object) -> dict[str, Any]:
    told: dict[str, Any] = plain(asdict(record))  # type: ignore[call-overload]
    return told


def _state(rollout: Rollout, progress: RolloutProgress | None = None) -> dict[str, Any]:
    return {
        "version": rollout.version,
        "present": rollout.present,
        "before": _json(rollout.before),
        "progress": _json(progress or rollout.progress),
    }


def _to_rollout(row: sa.Row[Any], endpoint: str) -> Rollout:
    return Rollout(
        id=row.id,
        endpoint=endpoint,
        version=row.state["version"],
        deployment=row.deployment,
        present=row.state["present"],
        plan=decoded(RolloutPlan, row.plan),
        before=decoded(Traffic, row.state["before"]),
        status=RolloutStatus(row.status),
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
        progress=decoded(RolloutProgress, row.state["progress"]),
    )
