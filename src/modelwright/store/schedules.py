"""Schedules, their ticks, and what their triggers have seen."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.errors import ScheduleExists, ScheduleMissing
from modelwright.records import Missed, Schedule, Tick, Trigger, TriggerKind
from modelwright.store import schema
from modelwright.store.changes import Change
from modelwright.store.database import Store

# What a tick comes to; failed, cancelled and skipped ones say why.
RUNNING = "running"
SUCCEEDED = "succeeded"


def add_schedule(change: Change, schedule: Schedule) -> None:
    """Record a new schedule. Raises ScheduleExists."""
    table = schema.schedules
    if change.rows(sa.select(table.c.name).where(table.c.name == schedule.name)):
        raise ScheduleExists(name=schedule.name)
    values = asdict(schedule)
    change.insert(table, values)
    change.record("schedule.added", f"schedules/{schedule.name}", after=_told(schedule))


def set_enabled(
    change: Change, name: str, *, is_enabled: bool, next_at: datetime | None, state: Mapping[str, Any]
) -> None:
    """Let the schedule be due or not, from what its trigger knows now."""
    table = schema.schedules
    (was,) = change.rows(sa.select(table.c.is_enabled, table.c.next_at).where(table.c.name == name))
    change.update(table, table.c.name == name, is_enabled=is_enabled, next_at=next_at, state=dict(state))
    before = {"is_enabled": was.is_enabled, "next_at": _text(was.next_at)}
    after = {"is_enabled": is_enabled, "next_at": _text(next_at)}
    if is_enabled:
        change.record("schedule.enabled", f"schedules/{name}", before=before, after=after)
    else:
        change.record("schedule.disabled", f"schedules/{name}", before=before, after=after)


def remove_schedule(change: Change, schedule: Schedule) -> None:
    """Delete a schedule with its ticks; the audit records keep what it was, the runs that it started stay."""
    table, ticks = schema.schedules, schema.schedule_ticks
    change.delete(ticks, ticks.c.schedule == schedule.name)
    change.delete(table, table.c.name == schedule.name)
    told = {"runs": schedule.reference}
    change.record("schedule.removed", f"schedules/{schedule.name}", before=_told(schedule), told=told)


def take_tick(
    change: Change,
    known: Schedule,
    tick: Tick,
    *,
    next_at: datetime | None,
    state: Mapping[str, Any],
    facts: Mapping[str, object],
) -> bool:
    """Record that the tick is ours, unless the schedule is no longer as `known`; return whether it is.

    The transaction holds the database's write lock, and a due time is in the table once: of two workers one gets it.
    """
    table = schema.schedules
    rows = change.rows(table.select().where(table.c.name == known.name))
    if not rows or _to_schedule(rows[0]) != known:
        return False
    change.update(table, table.c.name == known.name, next_at=next_at, state=dict(state))
    change.insert(schema.schedule_ticks, asdict(tick))
    change.record(
        "schedule.ticked",
        f"schedules/{known.name}",
        before={"next_at": _text(known.next_at)},
        after={"due_at": tick.due_at.isoformat(), "next_at": _text(next_at), **facts},
    )
    return True


def finish_tick(change: Change, tick: Tick) -> None:
    """Record what became of a tick."""
    table = schema.schedule_ticks
    is_this = (table.c.schedule == tick.schedule) & (table.c.due_at == tick.due_at)
    change.update(table, is_this, run_id=tick.run_id, outcome=tick.outcome)
    after = {"due_at": tick.due_at.isoformat(), "run": tick.run_id, "outcome": tick.outcome}
    change.record("schedule.tick_ended", f"schedules/{tick.schedule}", before={"outcome": RUNNING}, after=after)


def note_state(change: Change, name: str, state: Mapping[str, Any]) -> None:
    """Note what a trigger has seen that lets nothing come due yet: no fact that an audit record is for."""
    table = schema.schedules
    change.connection.execute(table.update().where(table.c.name == name).values(state=dict(state)))


def get_schedule(store: Store, name: str) -> Schedule:
    """Return the schedule of that name. Raises ScheduleMissing."""
    table = schema.schedules
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.name == name)).one_or_none()
    if row is None:
        raise ScheduleMissing(name=name)
    return _to_schedule(row)


def list_schedules(store: Store) -> list[Schedule]:
    """Return all schedules by name."""
    with store.reader.connect() as connection:
        return [_to_schedule(row) for row in connection.execute(schema.schedules.select().order_by("name"))]


def list_ticks(store: Store, *, schedule: str | None = None, outcome: str | None = None, limit: int = 10) -> list[Tick]:
    """Return the last ticks, newest first, of one schedule or of all."""
    table = schema.schedule_ticks
    query = table.select().order_by(table.c.due_at.desc()).limit(limit)
    if schedule is not None:
        query = query.where(table.c.schedule == schedule)
    if outcome is not None:
        query = query.where(table.c.outcome == outcome)
    with store.reader.connect() as connection:
        return [
            Tick(row.schedule, row.due_at, row.run_id, row.outcome, row.taken_at) for row in connection.execute(query)
        ]


def newest_dataset_version(store: Store, dataset: str, *, schedule: str = "") -> int | None:
    """Return the number of the dataset's newest version, or None when there is no such dataset.

    Versions that runs of `schedule` itself have read or made do not count: it would start itself for ever.
    """
    datasets, versions = schema.datasets, schema.dataset_versions
    links, ticks = schema.run_datasets, schema.schedule_ticks
    own = (
        sa.select(links.c.dataset_version_id)
        .join(ticks, ticks.c.run_id == links.c.run_id)
        .where(ticks.c.schedule == schedule)
    )
    newest = sa.select(sa.func.coalesce(sa.func.max(versions.c.version), 0)).where(
        versions.c.dataset_id == datasets.c.id, versions.c.id.not_in(own)
    )
    with store.reader.connect() as connection:
        return connection.execute(
            sa.select(newest.scalar_subquery()).where(datasets.c.name == dataset)
        ).scalar_one_or_none()


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _told(schedule: Schedule) -> dict[str, object]:
    return {
        "runs": schedule.reference,
        "trigger": asdict(schedule.trigger),
        "parameters": schedule.parameters,
        "missed": schedule.missed,
    }


def _to_schedule(row: sa.Row[Any]) -> Schedule:
    return Schedule(
        name=row.name,
        pipeline=row.pipeline,
        version=row.version,
        trigger=Trigger(TriggerKind(row.trigger["kind"]), row.trigger["value"], row.trigger["time_zone"]),
        parameters=row.parameters,
        missed=Missed(row.missed),
        is_enabled=row.is_enabled,
        created_at=row.created_at,
        next_at=row.next_at,
        state=row.state,
    )
