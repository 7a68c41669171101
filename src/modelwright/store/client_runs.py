"""Runs that clients make over HTTP: how they begin, what is logged to them, how they end, and how they are put away."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.errors import NotOfClient, RunDeleted, RunMissing, TagMissing
from modelwright.records import Criterion, Kind, Order, Point, RunDetails, RunInput, RunOutput, Status
from modelwright.store import experiments, schema, selecting, telling
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import chunks, load_runs, marks, rows

_STATE = "SELECT kind, status, experiment, deleted_at FROM runs WHERE id = ?"


class _State(NamedTuple):
    kind: str
    status: str
    experiment: str
    deleted_at: str | None


def ensure_open(connection: sa.Connection, run_id: str) -> str:
    """Return the experiment's name of a run that its client may add to.

    Raises RunMissing, RunDeleted, and NotOfClient for a run that was made by what it says: its record is its proof.
    """
    return _open_state(connection, run_id).experiment


def ensure_taggable(connection: sa.Connection, run_id: str) -> None:
    """Refuse a run that is not there, or was put away. Raises RunMissing and RunDeleted."""
    if _state(connection, run_id).deleted_at is not None:
        raise RunDeleted(run=run_id)


def set_status(change: Change, run_id: str, status: Status | None, *, finished_at: datetime | None) -> None:
    """Record how a client says that its run stands, as before when it does not say, and since when it has ended."""
    was = Status(_open_state(change.connection, run_id).status)
    status = status or was
    has_ended = status not in {Status.RUNNING, Status.QUEUED}
    ended_at = (finished_at or change.at) if has_ended else None
    change.update_row(schema.runs, [run_id], status=status, finished_at=ended_at)
    fact = str(status) if has_ended else "resumed"
    after = {"status": status, "reason": "", **telling.of_run(change, run_id)}
    change.record(f"run.{fact}", f"runs/{run_id}", before={"status": was}, after=after)


def remove_tag(change: Change, run_id: str, name: str) -> None:
    """Remove a tag of a run. Raises TagMissing."""
    ensure_taggable(change.connection, run_id)
    table = schema.run_tags
    if not change.delete(table, (table.c.run_id == run_id) & (table.c.name == name)):
        raise TagMissing(name=name, thing=run_id)
    was = change.before(table, run_id, name)
    change.record("run.tagged", f"runs/{run_id}", before={name: was["value"]} if was else None, after={name: None})


def put_away(change: Change, run_id: str) -> None:
    """Put a run away: lists leave it out, and it can be brought back. Raises InUse when something needs it."""
    state = _state(change.connection, run_id)
    if state.deleted_at is not None:
        return
    experiments.refuse_needed(change, run_id, thing=f"run {run_id}")
    change.update_row(schema.runs, [run_id], deleted_at=change.at)
    change.record("run.put_away", f"runs/{run_id}", before={"experiment": state.experiment})


def restore(change: Change, run_id: str) -> None:
    """Bring a run back that was put away."""
    state = _state(change.connection, run_id)
    if state.deleted_at is not None:
        change.update_row(schema.runs, [run_id], deleted_at=None)
        change.record("run.restored", f"runs/{run_id}", after={"experiment": state.experiment})


def add_inputs(change: Change, run_id: str, inputs: Sequence[RunInput]) -> None:
    """Record what data a run read; what it has by this name and digest stays."""
    ensure_open(change.connection, run_id)
    new = insert_inputs(change, run_id, inputs)
    if new:
        change.record("run.inputs_read", f"runs/{run_id}", after={"inputs": new})


def insert_inputs(change: Change, run_id: str, inputs: Sequence[RunInput]) -> list[str]:
    """Add what a run has not of these, and return it in words; its record is the caller's."""
    table = schema.run_inputs
    known = {(row.name, row.digest) for row in change.rows(table.select().where(table.c.run_id == run_id))}
    new: dict[tuple[str, str], RunInput] = {}
    for each in inputs:
        if (each.name, each.digest) not in known:
            new.setdefault((each.name, each.digest), each)
    described = [
        {"run_id": run_id, "name": each.name, "digest": each.digest, "description": each.description}
        for each in new.values()
    ]
    change.insert(table, *described)
    return [f"{name} {digest}" for name, digest in new]


def add_outputs(change: Change, run_id: str, outputs: Sequence[RunOutput]) -> None:
    """Record which logged models a run put out, and at which step."""
    ensure_open(change.connection, run_id)
    keep_outputs(change, run_id, outputs)


def keep_outputs(change: Change, run_id: str, outputs: Iterable[RunOutput]) -> None:
    """Record the same of a run that its client may add nothing to."""
    table = schema.run_outputs
    known = {row.logged_model_id for row in change.rows(table.select().where(table.c.run_id == run_id))}
    new = {each.logged_model_id: each.step for each in outputs if each.logged_model_id not in known}
    if new:
        change.insert(table, *({"run_id": run_id, "logged_model_id": each, "step": step} for each, step in new.items()))
        change.record("run.models_logged", f"runs/{run_id}", after={"models": new})


def find_details(store: Store, run_id: str) -> RunDetails:
    """Return a run with all that its client wants to know. Raises RunMissing."""
    with store.reader.connect() as connection:
        found = load_details(connection, [run_id])
    if not found:
        raise RunMissing(run=run_id)
    return found[0]


def load_head(connection: sa.Connection, run_id: str) -> RunDetails:
    """Return a run with its tags, without what was logged to it. Raises RunMissing."""
    nothing: dict[str, dict[str, Any]] = {run_id: {}}
    found = load_runs(connection, [run_id], known={"run_summaries": nothing, "run_parameters": nothing})
    if not found:
        raise RunMissing(run=run_id)
    return RunDetails(found[0], *_whereabouts(connection, [run_id])[run_id], points=())


def load_details(connection: sa.Connection, run_ids: Sequence[str]) -> list[RunDetails]:
    """Return the runs of these ids with all that clients want to know, in the order of the ids."""
    found: dict[str, RunDetails] = {}
    for some in chunks(run_ids):
        points = _by_run(connection, "run_summaries", "name, step, value, recorded_at", some)
        metrics = {
            run_id: {name: math.nan if value is None else value for name, _, value, _ in each}
            for run_id, each in points.items()
        }
        inputs = _by_run(connection, "run_inputs", "name, digest, description", some)
        outputs = _by_run(connection, "run_outputs", "logged_model_id, step", some)
        where = _whereabouts(connection, some)
        for run in load_runs(connection, some, known={"run_summaries": metrics}):
            found[run.id] = RunDetails(
                run,
                *where[run.id],
                points=tuple(_point(row, run.started_at) for row in points[run.id]),
                inputs=tuple(RunInput(name, digest, json.loads(text)) for name, digest, text in inputs[run.id]),
                outputs=tuple(RunOutput(*row) for row in outputs[run.id]),
            )
    return [found[each] for each in run_ids if each in found]


def search_runs(
    store: Store,
    wanted: Sequence[Criterion],
    *,
    experiment_ids: Sequence[str],
    is_deleted: bool | None,
    orders: Sequence[Order],
    offset: int,
    limit: int,
) -> list[RunDetails]:
    """Return the runs of these experiments that all of `wanted` holds for; `is_deleted` None takes both kinds."""
    with store.reader.connect() as connection:
        names = f"SELECT name FROM experiments WHERE id IN ({marks(len(experiment_ids))})"  # noqa: S608 - ours
        found = rows(connection, names, experiment_ids)
        conditions: list[selecting.Clause | Criterion] = [
            selecting.among("runs.experiment", [row[0] for row in found]),
            *selecting.is_there("runs.deleted_at", is_deleted),
            *wanted,
        ]
        ids = selecting.select(connection, selecting.RUNS, conditions, orders=orders, offset=offset, limit=limit)
        return load_details(connection, ids)


def list_history(store: Store, run_id: str, name: str, *, offset: int, limit: int) -> list[Point]:
    """Return the points of a metric by their times, beginning with number `offset`. Raises RunMissing."""
    statement = (
        "SELECT name, step, value, recorded_at FROM run_metrics WHERE run_id = ? AND name = ? "
        "ORDER BY recorded_at, step, value LIMIT ? OFFSET ?"
    )
    with store.reader.connect() as connection:
        _state(connection, run_id)
        found = rows(connection, statement, (run_id, name, limit, offset))
    return [_point(row, None) for row in found]


def _state(connection: sa.Connection, run_id: str) -> _State:
    found = rows(connection, _STATE, (run_id,))
    if not found:
        raise RunMissing(run=run_id)
    return _State(*found[0])


def _open_state(connection: sa.Connection, run_id: str) -> _State:
    found = _state(connection, run_id)
    if found.deleted_at is not None:
        raise RunDeleted(run=run_id)
    if found.kind != Kind.TRACKED:
        raise NotOfClient(run=run_id, kind=found.kind)
    return found


def _point(row: Sequence[Any], otherwise: datetime | None) -> Point:
    name, step, value, recorded_at = row
    at = datetime.fromisoformat(recorded_at) if recorded_at else otherwise
    assert at is not None  # noqa: S101 - only a summary of an older release has no time of its own
    return Point(name, step, math.nan if value is None else value, at)


def _by_run(
    connection: sa.Connection, table: str, columns: str, run_ids: Sequence[str]
) -> Mapping[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {run_id: [] for run_id in run_ids}
    statement = f"SELECT run_id, {columns} FROM {table} WHERE run_id IN ({marks(len(run_ids))})"  # noqa: S608 - ours
    for row in rows(connection, statement, run_ids):
        found[row[0]].append(row[1:])
    return found


def _whereabouts(connection: sa.Connection, run_ids: Sequence[str]) -> Mapping[str, tuple[str, datetime | None]]:
    """Return the experiment's id of each run, and since when it is put away."""
    statement = (
        "SELECT runs.id, experiments.id, runs.deleted_at FROM runs "  # noqa: S608 - ours
        "LEFT JOIN experiments ON experiments.name = runs.experiment "
        f"WHERE runs.id IN ({marks(len(run_ids))})"
    )
    return {
        row[0]: (row[1] or "", datetime.fromisoformat(row[2]) if row[2] else None)
        for row in rows(connection, statement, run_ids)
    }
