"""Schedules: made, switched on and off, removed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from modelwright.errors import TriggerInvalid
from modelwright.lifecycle import publishing, timing, watching
from modelwright.lifecycle.sessions import Session
from modelwright.models import registry
from modelwright.records import Missed, Schedule, Tick, Trigger, TriggerKind
from modelwright.records.plain import plain
from modelwright.store import schedules
from modelwright.store.database import Store

OF_TIME = frozenset({TriggerKind.CRON, TriggerKind.INTERVAL})
_SHOWN = 5  # of the times to come


def add(
    session: Session,
    name: str,
    *,
    pipeline: str,
    trigger: Trigger,
    parameters: dict[str, object],
    missed: Missed,
    now: datetime,
) -> Schedule:
    """Let the published pipeline `pipeline`, `NAME` or `NAME:VERSION`, run by itself; return the schedule.

    What is there already is not new data. Raises NameInvalid, TriggerInvalid, ScheduleExists and what makes a published
    pipeline not run.
    """
    registry.check_name(name, noun="schedule", way="name")
    version = publishing.runnable(session.store, pipeline, overrides=parameters)
    schedule = Schedule(
        name=name,
        pipeline=version.pipeline,
        version=version.version if ":" in pipeline else None,
        trigger=trigger,
        parameters=parameters,
        missed=missed,
        is_enabled=True,
        created_at=now,
    )
    next_at, state = _from_now(session.store, schedule, now=now)
    schedule = replace(schedule, next_at=next_at, state=state)
    with session.change() as opened:
        schedules.add_schedule(opened, schedule)
    return schedule


@dataclass(frozen=True)
class Scheduled:
    """A schedule with its next times and its last ticks."""

    schedule: Schedule
    following: Sequence[datetime]
    ticks: Sequence[Tick]

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found: dict[str, Any] = plain(self.schedule)
        return found | {"next": plain(self.following), "ticks": plain(self.ticks)}


def describe(store: Store, name: str) -> Scheduled:
    """Return a schedule with what is next and what was last. Raises ScheduleMissing."""
    found = schedules.get_schedule(store, name)
    begin = found.next_at
    following = timing.upcoming(found.trigger, begin, _SHOWN, anchor=found.created_at) if begin else []
    return Scheduled(found, following, schedules.list_ticks(store, schedule=name))


def set_enabled(session: Session, name: str, *, is_enabled: bool, now: datetime) -> Schedule:
    """Let a schedule be due or not, and return it. What came due, or came in, while it was not is not made up for.

    Raises ScheduleMissing and TriggerInvalid.
    """
    schedule = schedules.get_schedule(session.store, name)
    if schedule.is_enabled == is_enabled:
        return schedule
    next_at, state = _from_now(session.store, schedule, now=now) if is_enabled else (None, {})
    with session.change() as opened:
        schedules.set_enabled(opened, name, is_enabled=is_enabled, next_at=next_at, state=state)
    return schedules.get_schedule(session.store, name)


def remove(session: Session, name: str) -> None:
    """Delete a schedule. The runs that it started stay. Raises ScheduleMissing."""
    schedule = schedules.get_schedule(session.store, name)
    with session.change() as opened:
        schedules.remove_schedule(opened, schedule)


def _from_now(store: Store, schedule: Schedule, *, now: datetime) -> tuple[datetime | None, dict[str, Any]]:
    """Return when the schedule is due first after `now`, and what its trigger knows. Raises TriggerInvalid."""
    trigger = schedule.trigger
    if trigger.kind in OF_TIME:
        timing.check(trigger)
        return timing.following(trigger, now, anchor=schedule.created_at), {}
    if trigger.kind is TriggerKind.PATH:
        _check_path(trigger)
        return None, watching.begin(trigger.value)
    newest = schedules.newest_dataset_version(store, trigger.value)
    if newest is None:
        rule = "this workspace has no dataset of that name"
        raise TriggerInvalid(value=trigger.value, rule=rule, example="--on-dataset NAME, of: wright dataset list")
    return None, {"version": newest}


def _check_path(trigger: Trigger) -> None:
    """Find out whether the folder that files are to come to is there. Raises TriggerInvalid."""
    parts = Path(trigger.value).parts
    fixed = next((number for number, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    folder = Path(trigger.value) if Path(trigger.value).is_dir() else Path(*parts[:fixed])
    if not folder.is_dir():
        rule = f'there is no folder "{folder}" that files could come to'
        raise TriggerInvalid(value=trigger.value, rule=rule, example="--on-new-data 'data/*.csv'")
