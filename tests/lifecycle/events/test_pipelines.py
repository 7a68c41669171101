"""Events that start runs: one run for each event, with parameters taken from it, and none for its own."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lifecycle.events.told import AT, registered, subscription

from modelwright.errors import PublishedParameterUnknown
from modelwright.lifecycle import publishing
from modelwright.lifecycle.events import handlers, pipelines, subscribing, targets
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import AttemptVerdict, DeliveryPolicy, Event, HandlerKind, Run, Status, Subscription, new_id
from modelwright.store import events, projects, runs, subscriptions
from modelwright.store.database import Store

AGAIN, DELIVERED, HOPELESS = AttemptVerdict.AGAIN, AttemptVerdict.DELIVERED, AttemptVerdict.HOPELESS


def starting(store: Store, seconds: float = 300.0, **parameters: str) -> Subscription:
    target = targets.pipeline(store, "small", parameters=parameters)
    return subscription(HandlerKind.PIPELINE, target, policy=DeliveryPolicy(timeout_seconds=seconds))


def ended(store: Store, run_id: str) -> Run:
    deadline = time.monotonic() + 300
    while (found := runs.get_run(store, run_id)).finished_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def registered_by(session: Session, run: Run, subject: str) -> Event:
    """Let a run register a version; return the event."""
    with session.change() as opened:
        project = projects.ensure_project(opened, run.project, folder=session.store.folder.parent)
        runs.add_run(opened, run, project_id=project)
        opened.record("model.registered", subject, after={"run": run.id})
    (found,) = events.list_events(session.store, subject=subject)
    return found


@pytest.fixture
def published(session: Session, locked: Path) -> Iterator[Session]:
    """A workspace with the small pipeline."""
    publishing.publish(session, read_manifest(locked))
    yield session
    pipelines.end()


@pytest.mark.slow
def test_an_event_starts_one_run_however_often_it_is_told(published: Session) -> None:
    store = published.store
    wanted = starting(store, alpha="data.metrics.mse")
    run_id = pipelines.run_id_for(wanted, registered())
    hasty = replace(wanted, policy=DeliveryPolicy(timeout_seconds=0.01))
    came = [handlers.send(store, hasty, registered(), attempt=1)]
    assert (came[0].verdict, came[0].told) == (AGAIN, f"{run_id} is being prepared")
    with ThreadPoolExecutor(3) as pool:
        came = list(pool.map(lambda number: handlers.send(store, wanted, registered(), attempt=number), (1, 2, 3)))
    assert [each.verdict for each in came] == [DELIVERED] * 3, came
    assert [each.id for each in runs.list_runs(store)] == [run_id]
    run = ended(store, run_id)
    assert (run.status, run.parameters) == (Status.SUCCEEDED, {"alpha": 0.25})
    assert run.tags["subscription"] == "watcher"
    assert run.tags["event"] == registered().id
    assert run.actor == "ada"
    again = handlers.send(store, wanted, registered(), attempt=4)
    assert (again.verdict, again.told) == (DELIVERED, f"{run.id} was started before")

    assert {each.hops for each in events.list_events(store, subject=f"runs/{run.id}*")} == {1}
    of_own = Event(9, "event_9", "run.succeeded", f"runs/{run.id}", AT, {"tags": run.tags})
    made_by_own = replace(registered(), id="event_10", data=registered().data | {"run": run.id})
    # A run below it is its doing too, and so is what another subscription's run did that this one led to.
    child = replace(run, id=new_id("run"), parent_id=run.id, tags={})
    by_child = registered_by(published, child, "models/churn:21")
    answer = replace(child, id=new_id("run"), parent_id=None, tags={"subscription": "other", "event": by_child.id})
    by_answer = registered_by(published, answer, "models/churn:22")
    for event in (of_own, made_by_own, by_child, by_answer):
        assert handlers.send(store, wanted, event, attempt=1).told.startswith("left out: it is of a run that this")
    assert {each.id for each in runs.list_runs(store)} == {run.id, child.id, answer.id}

    constant = replace(wanted, name="constant", target=targets.pipeline(store, "small", parameters={"alpha": "1"}))
    with published.change() as opened:
        subscriptions.add_subscription(opened, constant)
    tried = subscribing.test(store, "constant")
    sample = runs.list_runs(store)[0]
    assert (tried.verdict, tried.told) == (DELIVERED, f"{sample.id} succeeded")
    assert sample.parameters == {"alpha": 1}


def test_a_field_that_the_event_has_not_will_never_come(published: Session) -> None:
    came = handlers.send(published.store, starting(published.store, alpha="data.nothing"), registered(), attempt=1)
    assert (came.verdict, came.told) == (HOPELESS, "the event has no data.nothing, which a parameter is taken from")


def test_a_pipeline_that_may_not_run_is_to_be_mended(published: Session) -> None:
    wanted = starting(published.store)
    with pytest.raises(PublishedParameterUnknown):
        targets.pipeline(published.store, "small:1", parameters={"beta": "1"})
    publishing.set_enabled(published, "small", is_enabled=False)
    came = handlers.send(published.store, wanted, registered(), attempt=1)
    assert (came.verdict, came.wait_seconds) == (AGAIN, 300.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("data.version", 20),
        ("data.tags.AREA", "Diabetes"),
        ("subject", "models/churn:20"),
        ("type", "model.registered"),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ("some words", "some words"),
        ('"data.version"', "data.version"),
    ],
)
def test_parameters_are_fields_of_the_event_or_values(text: str, value: Any) -> None:
    wanted = {"it": pipelines.read_parameter(text)}
    assert pipelines.parameters_from(registered(), wanted, workspace="team") == {"it": value}
