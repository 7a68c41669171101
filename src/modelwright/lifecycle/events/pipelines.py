"""Events that start a run of a published pipeline: one run for each event, however often it is told.

The run's id is made of the event's and the subscription's, so the database itself refuses a second one. It is a child
of the process that delivers events and ends with it; a run that is killed is on record as failed, and not run again.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from blake3 import blake3

from modelwright import records
from modelwright.errors import EventMissing, ModelwrightError, RunMissing, RunNotStarted
from modelwright.lifecycle.events import envelopes, filters
from modelwright.lifecycle.launching import Launcher
from modelwright.records import Attempt, AttemptVerdict, Event, Run, Subscription
from modelwright.serving import capacity
from modelwright.store import events, hops, runs
from modelwright.store.database import Store, open_store

_MENDING_SECONDS = 300.0
_PREPARING_SECONDS = 10.0
_RANDOM_BYTES = 10
_FROM_EVENT = ("data.", "id", "type", "subject", "time", "source")


def room(store: Store) -> int:
    """Return how many more runs may start now: as many go on at once as there are processors."""
    launcher = _LAUNCHERS.get(store.folder)
    return capacity.processors() - (launcher.running if launcher else 0)


def send(store: Store, subscription: Subscription, event: Event) -> Attempt:
    """Start the run that an event is for, unless there is one; delivered as soon as it is on record."""
    run_id = run_id_for(subscription, event)
    if _find(store, run_id):
        return Attempt(AttemptVerdict.DELIVERED, f"{run_id} was started before")
    if _is_own(store, subscription, event):
        return Attempt(AttemptVerdict.DELIVERED, "left out: it is of a run that this subscription started itself")
    workspace = envelopes.workspace_name(store.folder)
    try:
        parameters = parameters_from(event, subscription.target["parameters"], workspace=workspace)
    except KeyError as error:
        return Attempt(AttemptVerdict.HOPELESS, f"the event has no {error.args[0]}, which a parameter is taken from")
    return _started(store, subscription, event, parameters=parameters)


def _started(store: Store, subscription: Subscription, event: Event, *, parameters: Mapping[str, Any]) -> Attempt:
    launcher, reference = _launcher(store.folder), subscription.target["pipeline"]
    run_id = run_id_for(subscription, event)
    try:
        with hops.led_by(event.hops + 1):
            launcher.start(
                reference,
                run_id,
                actor=subscription.created_by,
                why=f"{event.type} of {event.subject}",
                overrides=parameters,
                tags={"subscription": subscription.name, "event": event.id},
            )
        run = launcher.seen(run_id, reference, patience_seconds=subscription.policy.timeout_seconds)
    except RunNotStarted as error:
        return Attempt(AttemptVerdict.AGAIN, str(error))
    except ModelwrightError as error:
        return Attempt(AttemptVerdict.AGAIN, str(error), _MENDING_SECONDS)
    if run is None:
        return Attempt(AttemptVerdict.AGAIN, f"{run_id} is being prepared", _PREPARING_SECONDS)
    return Attempt(AttemptVerdict.DELIVERED, run.id)


def run_id_for(subscription: Subscription, event: Event) -> str:
    """Return the id of the one run that this event starts for this subscription."""
    digest = blake3(f"{subscription.name}\n{event.id}".encode()).digest(length=_RANDOM_BYTES)
    return records.new_id("run", milliseconds=int(event.at.timestamp() * 1000), randomness=digest)


def read_parameter(text: str) -> dict[str, Any]:
    """Return where a parameter's value comes from: a field of the event such as `data.version`, or the value itself.

    A text that looks like a field is written in quotes, as JSON.
    """
    if text.startswith(_FROM_EVENT[0]) or text in _FROM_EVENT:
        return {"field": text}
    try:
        return {"value": orjson.loads(text)}
    except orjson.JSONDecodeError:
        return {"value": text}


def parameters_from(event: Event, wanted: Mapping[str, Mapping[str, Any]], *, workspace: str) -> dict[str, Any]:
    """Return the parameters of the run for an event. Raises KeyError for a field that it has not."""
    told = envelopes.cloud_event(event, workspace=workspace)
    return {name: _value(told, where) for name, where in wanted.items()}


def _value(told: dict[str, Any], where: Mapping[str, Any]) -> Any:
    if "field" not in where:
        return where["value"]
    value = filters.find(told, where["field"])
    if value is None:
        raise KeyError(where["field"])
    return value


def _is_own(store: Store, subscription: Subscription, event: Event) -> bool:
    """Whether this subscription led to an event: by a run that it started, by what that made, or by what that led to.

    Else a subscription to runs would start itself for ever, and two would start each other.
    """
    cause: Event | None = event
    while cause:
        run = _run_of(store, cause)
        while run and "event" not in run.tags and run.parent_id:
            run = _find(store, run.parent_id)
        if run and run.tags.get("subscription") == subscription.name:
            return True
        cause = _cause_of(store, run, before=cause) if run else None
    return False


def _run_of(store: Store, event: Event) -> Run | None:
    """Return the run that an event tells of, or that made what it tells of."""
    run_id = event.subject.split("/")[1] if event.subject.startswith("runs/") else event.data.get("run")
    return _find(store, run_id) if isinstance(run_id, str) else None


def _cause_of(store: Store, run: Run, *, before: Event) -> Event | None:
    """Return the event that a run was started for. A tag of the user's own that points to a later one is none."""
    try:
        found = events.get_event(store, run.tags.get("event", ""))
    except EventMissing:
        return None
    return found if found.sequence < before.sequence else None


def _find(store: Store, run_id: str) -> Run | None:
    try:
        return runs.get_run(store, run_id)
    except RunMissing:
        return None


def wait(store: Store, run_id: str) -> Run:
    """Wait for the end of a run that this process has started, and return it. Raises RunMissing."""
    _launcher(store.folder).wait(run_id)
    return runs.get_run(store, run_id)


def end() -> None:
    """End the runs that this process has started and that go on; they are on record as cancelled."""
    while _LAUNCHERS:
        _, launcher = _LAUNCHERS.popitem()
        launcher.end()
        launcher.store.close()


# What holds the runs that this process has started, for each workspace: while it lives they do.
_LAUNCHERS: dict[Path, Launcher] = {}
_LOCK = threading.Lock()


def _launcher(folder: Path) -> Launcher:
    with _LOCK:
        if folder not in _LAUNCHERS:
            _LAUNCHERS[folder] = Launcher(open_store(folder))
        return _LAUNCHERS[folder]
