"""Sweeps and their trials."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from modelwright.errors import SweepMissing
from modelwright.records import Goal, Point, Run, Sampler, Status, Sweep, SweepSpecification, Trial
from modelwright.store import runs, schema
from modelwright.store.changes import Change
from modelwright.store.database import Store


def set_specification(change: Change, run_id: str, specification: SweepSpecification) -> None:
    """Record what a sweep's run is to try, or to try from now on."""
    table = schema.sweeps
    values = asdict(specification)
    if not change.update(table, table.c.run_id == run_id, specification=values):
        change.insert(table, {"run_id": run_id, "specification": values, "created_at": change.at})
    was = change.before(table, run_id)
    change.record(
        "sweep.specified", f"runs/{run_id}", before=json.loads(was["specification"]) if was else None, after=values
    )


def start_trial(change: Change, trial: Trial) -> None:
    """Record a trial that begins, or begins again after it was killed."""
    table = schema.trials
    is_this = (table.c.sweep_id == trial.sweep_id) & (table.c.number == trial.number)
    begun = {"run_id": None, "status": trial.status, "parameters": trial.parameters, "value": math.nan}
    if not change.update(table, is_this, **begun):
        change.insert(table, {"sweep_id": trial.sweep_id, "number": trial.number} | begun)
    subject = f"runs/{trial.sweep_id}/trials/{trial.number}"
    was = change.before(table, trial.sweep_id, trial.number)
    change.record(
        "trial.started",
        subject,
        before={"status": was["status"], "run": was["run_id"]} if was else None,
        after={"status": trial.status, "parameters": trial.parameters},
    )


def finish_trial(change: Change, trial: Trial) -> None:
    """Record what became of a trial; its value is a point of its sweep's metric."""
    table = schema.trials
    is_this = (table.c.sweep_id == trial.sweep_id) & (table.c.number == trial.number)
    change.update(table, is_this, run_id=trial.run_id, status=trial.status, value=trial.value)
    subject = f"runs/{trial.sweep_id}/trials/{trial.number}"
    after = {"run": trial.run_id, "status": trial.status, "value": None if math.isnan(trial.value) else trial.value}
    was = change.before(table, trial.sweep_id, trial.number)
    change.record("trial.ended", subject, before={"status": was["status"]} if was else None, after=after)


def promote(change: Change, trial: Trial, run: Run) -> None:
    """Give the sweep's run what its best trial has: parameters, metrics, tags, data, and artifacts by their digests."""
    sweep_id, parameters, links = trial.sweep_id, schema.run_parameters, schema.run_datasets
    change.delete(parameters, (parameters.c.run_id == sweep_id) & parameters.c.name.in_([*trial.parameters]))
    runs.add_parameters(change, sweep_id, trial.parameters)
    points = [Point(name, trial.number, value, change.at) for name, value in run.metrics.items()]
    runs.log_points(change, sweep_id, points)
    tags = {name: value for name, value in run.tags.items() if name != "trial"}
    runs.set_tags(change, sweep_id, tags | {"best_run": run.id, "best_trial": str(trial.number)})
    change.delete(links, links.c.run_id == sweep_id)
    for dataset in run.datasets:
        runs.link_dataset(change, sweep_id, dataset=dataset, role="training data")
    artifacts = schema.run_artifacts
    is_output = sa.not_(artifacts.c.path.startswith("code/"))
    change.delete(artifacts, (artifacts.c.run_id == sweep_id) & is_output)
    outputs = [each for each in run.artifacts if not each.path.startswith("code/")]
    runs.add_artifacts(change, sweep_id, artifacts=outputs)
    change.record("sweep.promoted", f"runs/{sweep_id}", after={"trial": trial.number, "run": run.id})


def get_sweep(store: Store, run_id: str) -> Sweep:
    """Return the sweep with its trials by number. Raises SweepMissing."""
    table, trials = schema.sweeps, schema.trials
    with store.reader.connect() as connection:
        row = connection.execute(table.select().where(table.c.run_id == run_id)).one_or_none()
        if row is None:
            raise SweepMissing(run=run_id)
        found = connection.execute(trials.select().where(trials.c.sweep_id == run_id).order_by(trials.c.number)).all()
    return Sweep(run_id, _to_specification(row.specification), row.created_at, _to_trials(found))


def _to_specification(values: Mapping[str, Any]) -> SweepSpecification:
    return SweepSpecification(
        spaces=values["spaces"],
        metric=values["metric"],
        goal=Goal(values["goal"]),
        sampler=Sampler(values["sampler"]),
        trials=values["trials"],
        concurrent=values["concurrent"],
        seed=values["seed"],
        parameters=values["parameters"],
        stop=tuple(values["stop"]),
    )


def _to_trials(rows: Sequence[sa.Row[Any]]) -> tuple[Trial, ...]:
    return tuple(
        Trial(row.sweep_id, row.number, row.run_id, Status(row.status), row.parameters, row.value) for row in rows
    )
