"""Ticks: which are due, who takes them, what became of them.

A worker holds the claim on a schedule from before it takes a tick until the run of it has ended, so the runs of one
schedule never overlap, and a tick whose claim nobody holds was killed. What comes due during a run counts as missed
when the run ends. A tick is run at most once: one whose process is killed is failed, not run again.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from modelwright.errors import Busy, ModelwrightError, RunCancelled
from modelwright.lifecycle import publishing, timing, watching
from modelwright.lifecycle.scheduling import OF_TIME
from modelwright.lifecycle.sessions import Session
from modelwright.records import Missed, Schedule, Tick, TriggerKind
from modelwright.store import claims, runs, schedules
from modelwright.store.database import Store

# A tick that is taken later than this was missed. Long enough for who calls `wright schedule tick` every minute.
LATE = timedelta(minutes=2)


@dataclass(frozen=True)
class _Due:
    """What is to be done with a schedule now; nothing but noting `state` when `due_at` is None."""

    due_at: datetime | None
    next_at: datetime | None = None
    state: dict[str, Any] = field(default_factory=dict)
    outcome: str = schedules.RUNNING
    facts: dict[str, object] = field(default_factory=dict)


def claimed(name: str) -> str:
    """Return what a worker claims while it is at a schedule."""
    return f"schedule-{name}"


def pass_once(session: Session, *, now: datetime) -> list[Tick]:
    """Take and run everything that is due, one after the other, and return what became of it."""
    clear_killed(session)
    return [
        tick for schedule in schedules.list_schedules(session.store) for tick in _run_all(session, schedule, now=now)
    ]


def take(session: Session, name: str, *, now: datetime) -> Tick | None:
    """Take the schedule's next tick that is due, if there is one; the caller holds the claim on the schedule.

    A tick that the schedule's policy leaves out is recorded as skipped, and a trigger that cannot be asked as failed;
    neither is returned. Raises ScheduleMissing.
    """
    schedule = schedules.get_schedule(session.store, name)
    if not schedule.is_enabled:
        return None
    try:
        due = _due(session.store, schedule, now=now)
    except (ModelwrightError, OSError) as error:
        outcome = f"failed: {error}"
        last = schedules.list_ticks(session.store, schedule=name, limit=1)
        if last and last[0].outcome == outcome:
            return None
        due = _Due(now, schedule.next_at, schedule.state, outcome=outcome)
    return _taken(session, schedule, due, now=now)


def run_now(session: Session, name: str, *, now: datetime) -> Tick:
    """Run the schedule's pipeline at once, due or not. Raises ScheduleMissing, and Busy while a run of it goes on."""
    schedules.get_schedule(session.store, name)
    with claims.claim(session.store, claimed(name)):
        schedule = schedules.get_schedule(session.store, name)
        tick = _taken(session, schedule, _Due(now, schedule.next_at, schedule.state, facts={"by_hand": True}), now=now)
        if tick is None:
            raise Busy(
                thing=f'schedule "{name}"', holder="it is being changed", command=f"wright schedule run-now {name}"
            )
        return run_tick(session, tick)


def run_tick(session: Session, tick: Tick) -> Tick:
    """Run the pipeline of a tick that was taken, and record what became of it. A failure is recorded, not raised."""
    tags = {"schedule": tick.schedule, "due_at": tick.due_at.isoformat()}
    outcome = "cancelled: it was interrupted"
    try:
        schedule = schedules.get_schedule(session.store, tick.schedule)
        publishing.run_published(session, schedule.reference, overrides=schedule.parameters, tags=tags)
        outcome = schedules.SUCCEEDED
    except RunCancelled as verdict:
        outcome = f"cancelled: {verdict}"
    except ModelwrightError as error:
        outcome = f"failed: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the other schedules go on
        outcome = f"failed: {type(error).__name__}: {error}"
    finally:
        ended = _ended(session, tick, outcome=outcome)
    return ended


def clear_killed(session: Session) -> list[Tick]:
    """Fail the ticks whose process was killed, and return them."""
    killed = []
    for tick in schedules.list_ticks(session.store, outcome=schedules.RUNNING, limit=1000):
        with suppress(Busy), claims.claim(session.store, claimed(tick.schedule)):
            if tick in schedules.list_ticks(session.store, schedule=tick.schedule, outcome=schedules.RUNNING):
                killed.append(_ended(session, tick, outcome="failed: its process was killed"))
    return killed


def _run_all(session: Session, schedule: Schedule, *, now: datetime) -> Iterator[Tick]:
    with suppress(Busy), claims.claim(session.store, claimed(schedule.name)):
        while tick := take(session, schedule.name, now=now):
            yield run_tick(session, tick)


def _taken(session: Session, schedule: Schedule, due: _Due, *, now: datetime) -> Tick | None:
    if due.due_at is None:
        if due.state != schedule.state:
            with session.change() as opened:
                schedules.note_state(opened, schedule.name, due.state)
        return None
    tick = Tick(schedule.name, due.due_at, None, due.outcome, now)
    with session.change() as opened:
        is_ours = schedules.take_tick(opened, schedule, tick, next_at=due.next_at, state=due.state, facts=due.facts)
    return tick if is_ours and tick.outcome == schedules.RUNNING else None


def _due(store: Store, schedule: Schedule, *, now: datetime) -> _Due:
    if schedule.trigger.kind in OF_TIME:
        return _due_time(schedule, now=now)
    if schedule.trigger.kind is TriggerKind.PATH:
        found = watching.look(schedule.trigger.value, schedule.state, now=now)
        return _Due(now if found.new else None, state=found.state, facts={"files": list(found.new)})
    newest = schedules.newest_dataset_version(store, schedule.trigger.value, schedule=schedule.name) or 0
    if newest <= schedule.state["version"]:
        return _Due(None, state=schedule.state)
    return _Due(now, state={"version": newest}, facts={"dataset": f"{schedule.trigger.value}:{newest}"})


def _due_time(schedule: Schedule, *, now: datetime) -> _Due:
    first, trigger = schedule.next_at, schedule.trigger
    if first is None or first > now:
        return _Due(None, state=schedule.state)
    if schedule.missed is Missed.ALL:
        return _Due(first, timing.following(trigger, first, anchor=schedule.created_at))
    count, last = timing.passed(trigger, first, now)
    next_at = timing.following(trigger, now, anchor=schedule.created_at)
    facts: dict[str, object] = {"missed": count - 1} if count > 1 else {}
    if schedule.missed is Missed.SKIP and now - last > LATE:
        return _Due(last, next_at, outcome=f"skipped: {count} missed", facts={"missed": count})
    return _Due(last, next_at, facts=facts)


def _ended(session: Session, tick: Tick, *, outcome: str) -> Tick:
    tags = {"schedule": tick.schedule, "due_at": tick.due_at.isoformat()}
    run = next(iter(runs.list_runs(session.store, tags=tags)), None)
    ended = replace(tick, run_id=run.id if run else None, outcome=outcome)
    with session.change() as opened:
        schedules.finish_tick(opened, ended)
    return ended
