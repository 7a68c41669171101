"""A workspace with something of every noun in it, so that requests meet what is there."""

from pathlib import Path

from integrity import things

from modelwright import records
from modelwright.api.events import NewSubscription
from modelwright.lifecycle import publishing, scheduling
from modelwright.lifecycle.events import subscribing
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import read_manifest
from modelwright.records import DeploymentStatus, Missed, Point, Trigger, TriggerKind
from modelwright.store import audit, models, runs

# What the path parameters of routes may be, so that about every other request is of something that is there.
NAMES = {
    "alias": ["champion", "candidate"],
    "deployment": ["churn:1", "churn:2"],
    "endpoint": ["live", "still"],
    "kind": ["model", "run", "dataset", "primary"],
    "name": ["churn", "sales", "production", "live", "still", "nightly", "require-reason", "churn:1", "ada", "told"],
    "other": ["small:1", "production:1", "churn:2"],
    "path": ["model.txt", "file-0", "deep/model.pkl"],
    "reference": ["small", "small:1", "production", "production:1"],
    "version": [1, 2, 3],
}


def furnish(session: Session, project: Path) -> dict[str, list[object]]:
    """Put something of every noun into an empty workspace, and return what the path parameters may be.

    `project` is published as it is; nothing of it runs.
    """
    publishing.publish(session, read_manifest(project))
    data = things.add_data(session)
    run = things.add_run(session, data=[data])
    child = things.add_run(session, parent=run)
    with session.change() as opened:
        runs.log_points(opened, run.id, [Point("error", step, 1 / (step + 1), records.now()) for step in range(5)])
        runs.log_points(opened, run.id, [Point("loss", 0, float("nan"), records.now())])
        runs.set_tags(opened, run.id, {"team": "risk"})
        runs.add_parameters(opened, run.id, {"huge": 2**70, "none": float("nan")})
    versions = [things.add_version(session, run=run, data=data), things.add_version(session, content="another")]
    with session.change() as opened:
        models.move_alias(opened, versions[0], alias="champion")
    things.add_environment(session)
    for version in versions:
        things.deploy(session, version, DeploymentStatus.HEALTHY, endpoint="live")
        things.deploy(session, version, DeploymentStatus.STOPPED, endpoint="still")
    scheduling.add(
        session,
        "nightly",
        pipeline="small",
        trigger=Trigger(TriggerKind.CRON, "0 3 * * *"),
        parameters={},
        missed=Missed.SKIP,
        now=records.now(),
    )
    told = NewSubscription(name="told", file={"path": "told.jsonl"}).subscription(session.store)
    subscribing.subscribe(session, told)
    return NAMES | {
        "delivery": ["delivery_1", "told"],
        "event": [audit.list_events(session.store)[0]["id"]],
        "other": [*NAMES["other"], run.id],
        "request": [versions[0].id],
        "run_id": [run.id, child.id],
    }
