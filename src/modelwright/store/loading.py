"""Runs by their ids, many at a time, at the speed of the driver: what every list and search ends with."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from modelwright.records import GitState, Kind, Run, Status

_STATUSES = {str(each): each for each in Status}
_KINDS = {str(each): each for each in Kind}
_MOST_VALUES = 500  # a statement of SQLite takes only so many
_RUNS = (
    "SELECT runs.id, projects.name, status, reason, environment_digest, code_digest, git_commit, git_is_dirty, "
    "git_branch, git_repository, started_at, finished_at, kind, experiment, parent_id, pipeline_version_id, note, "
    "seed, machine, actor FROM runs LEFT JOIN projects ON projects.id = runs.project_id "
    "WHERE runs.id IN ({}) ORDER BY runs.id DESC"
)
_TABLES = ("run_tags", "run_summaries", "run_parameters")
# By one of these tables: the names and values of each run.
Known = Mapping[str, Mapping[str, dict[str, Any]]]
_NAMED = "SELECT run_id, name, value FROM {table} WHERE run_id IN ({}) ORDER BY run_id, name"


def rows(connection: sa.Connection, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return what a statement finds, without SQLAlchemy's part, which takes longer than SQLite's."""
    driver: Any = connection.connection.driver_connection
    found: list[tuple[Any, ...]] = driver.execute(statement, values).fetchall()
    return found


def marks(count: int) -> str:
    """Return so many question marks."""
    return ", ".join("?" * count)


def load_runs(connection: sa.Connection, run_ids: Sequence[str], *, known: Known | None = None) -> list[Run]:
    """Return the runs of these ids, newest first, without their steps and artifacts.

    What a caller has read already, or does not want, is `known`.
    """
    found: list[Run] = []
    for some in chunks(sorted(run_ids, reverse=True)):
        tags, metrics, parameters = (
            known[table] if known and table in known else _named(connection, table, some) for table in _TABLES
        )
        found += (
            _run(row, parameters=parameters[row[0]], metrics=metrics[row[0]], tags=tags[row[0]])
            for row in rows(connection, _RUNS.format(marks(len(some))), some)
        )
    return found


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give the values in parts that a statement takes."""
    return (values[start : start + _MOST_VALUES] for start in range(0, len(values), _MOST_VALUES))


def parameter(value: Any) -> Any:
    """Return a parameter as it was logged: SQLite keeps the numbers in a column of JSON as numbers."""
    return json.loads(value) if isinstance(value, str) else value


def _run(row: tuple[Any, ...], **named: dict[str, Any]) -> Run:
    commit, is_dirty, branch, repository, started_at, finished_at = row[6:12]
    return Run(
        id=row[0],
        project=row[1] or "",
        status=_STATUSES[row[2]],
        reason=row[3],
        environment_digest=row[4] or "",
        code_digest=row[5] or "",
        git=GitState(commit, bool(is_dirty), branch, repository) if commit else None,
        started_at=datetime.fromisoformat(started_at),
        finished_at=datetime.fromisoformat(finished_at) if finished_at else None,
        kind=_KINDS[row[12]],
        experiment=row[13],
        parent_id=row[14],
        pipeline_version_id=row[15],
        note=row[16],
        seed=row[17],
        machine=dict(_machine(row[18])),
        actor=row[19],
        **named,  # type: ignore[arg-type]
    )


def _named(connection: sa.Connection, table: str, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the values of a table of names and values for each of the runs."""
    found: dict[str, dict[str, Any]] = {run_id: {} for run_id in run_ids}
    is_metrics, is_parameters = table == "run_summaries", table == "run_parameters"
    for run_id, name, value in rows(connection, _NAMED.format(marks(len(run_ids)), table=table), run_ids):
        if value is None:  # of a metric it is a NaN
            found[run_id][name] = math.nan if is_metrics else None
        elif is_parameters:
            found[run_id][name] = parameter(value)
        else:
            found[run_id][name] = value
    return found


@lru_cache(maxsize=64)
def _machine(text: str) -> dict[str, Any]:
    """Return what a run's machine is; most runs of a workspace have the same."""
    found: dict[str, Any] = json.loads(text)
    return found
