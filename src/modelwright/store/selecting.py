"""Finds what clients ask for in MLflow's language of conditions: runs, experiments, logged models.

A condition is about a column of the row itself, or about rows of names and values that belong to it, which an index
has. The statements are written as text, as in `searching`, whose language knows less and whose answers come sooner.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.records import Criterion, Order, Place
from modelwright.records.parameter_texts import value_of
from modelwright.store.loading import marks, rows

# A parameter as a text; SQLite keeps numbers in a column of JSON as numbers.
_TEXT_OF_JSON = (
    "CASE WHEN typeof(value) != 'text' THEN CAST(value AS TEXT) "
    "WHEN json_valid(value) THEN json_extract(value, '$') END"
)
_CONTEXT = (
    "(SELECT json_extract(tag.value, '$.value') FROM json_each(description, '$.tags') AS tag "
    "WHERE json_extract(tag.value, '$.key') = 'mlflow.data.context')"
)
_EXPERIMENT_ID = "(SELECT experiments.id FROM experiments WHERE experiments.name = runs.experiment)"
_STATUS = (
    "CASE runs.status WHEN 'succeeded' THEN 'FINISHED' WHEN 'cancelled' THEN 'KILLED' "
    "WHEN 'queued' THEN 'SCHEDULED' ELSE upper(runs.status) END"
)
_SPECIAL = re.compile(r"[*?\[]")


class Rows(NamedTuple):
    """Rows that belong to others: their table, the column that says to which, and their value as a text.

    `written` makes of a text what stands in the column for it.
    """

    table: str
    owner: str
    text: str = "value"
    written: Callable[[str], str] = str


class Subject(NamedTuple):
    """What is looked for: its table, its columns by MLflow's names, what belongs to it, and the usual order."""

    table: str
    columns: Mapping[str, str]
    parts: Mapping[Place, Rows]
    order: str
    sorting: Mapping[str, str] = {}  # what takes the place of a column where things are ordered
    name: str = "id"

    @property
    def key(self) -> str:
        """The column that names a row."""
        return f"{self.table}.{self.name}"


class Clause(NamedTuple):
    """A part of a statement, and the values for its question marks."""

    text: str
    values: tuple[Any, ...] = ()


def _tag_of_run(name: str, otherwise: str) -> str:
    return f"COALESCE((SELECT value FROM run_tags WHERE run_id = runs.id AND name = '{name}'), {otherwise})"  # noqa: S608 - ours


RUNS = Subject(
    "runs",
    {
        "run_id": "runs.id",
        "run_name": _tag_of_run("mlflow.runName", "runs.id"),
        "user_id": _tag_of_run("mlflow.user", "runs.actor"),
        "status": _STATUS,
        "start_time": "runs.started_at",
        "end_time": "runs.finished_at",
        "artifact_uri": f"'mlflow-artifacts:/' || {_EXPERIMENT_ID} || '/' || runs.id || '/artifacts'",
    },
    {
        Place.METRIC: Rows("run_summaries", "run_id"),
        Place.PARAMETER: Rows("run_parameters", "run_id", _TEXT_OF_JSON, lambda text: json.dumps(value_of(text))),
        Place.TAG: Rows("run_tags", "run_id"),
        Place.DATASET: Rows("run_inputs", "run_id"),
    },
    "runs.started_at DESC, runs.id DESC",
)
EXPERIMENTS = Subject(
    "experiments",
    {
        "name": "experiments.name",
        "experiment_id": "experiments.id",
        "creation_time": "experiments.created_at",
        "last_update_time": "experiments.updated_at",
    },
    {Place.TAG: Rows("experiment_tags", "experiment_id")},
    "experiments.created_at DESC, CAST(experiments.id AS INTEGER)",
    {"experiment_id": "CAST(experiments.id AS INTEGER)"},
)
LOGGED_MODELS = Subject(
    "logged_models",
    {
        "name": "logged_models.name",
        "model_id": "logged_models.id",
        "model_type": "logged_models.kind",
        "status": "upper(logged_models.status)",
        "source_run_id": "logged_models.run_id",
        "creation_timestamp": "logged_models.created_at",
        "last_updated_timestamp": "logged_models.updated_at",
    },
    {
        Place.METRIC: Rows("logged_model_metrics", "logged_model_id"),
        Place.PARAMETER: Rows("logged_model_parameters", "logged_model_id"),
        Place.TAG: Rows("logged_model_tags", "logged_model_id"),
    },
    "logged_models.created_at DESC, logged_models.id DESC",
)


def select(
    connection: sa.Connection,
    subject: Subject,
    wanted: Sequence[Criterion | Clause],
    *,
    orders: Sequence[Order],
    offset: int,
    limit: int,
) -> list[str]:
    """Return the ids of what all of `wanted` holds for, in order, from number `offset` on, at most `limit`.

    Those without what they are ordered by come last.
    """
    clauses = [each if isinstance(each, Clause) else _clause(subject, each) for each in wanted]
    ordered = [_ordered(subject, each) for each in orders]
    text = " AND ".join(f"({each.text})" for each in clauses) or "1"
    by = ", ".join([*(each.text for each in ordered), subject.order])
    statement = f"SELECT {subject.key} FROM {subject.table} WHERE {text} ORDER BY {by} LIMIT ? OFFSET ?"  # noqa: S608 - ours
    values = [value for each in (*clauses, *ordered) for value in each.values]
    return [row[0] for row in rows(connection, statement, (*values, limit, offset))]


def is_there(column: str, is_deleted: bool | None) -> list[Clause]:  # noqa: FBT001 - what is asked
    """Return the condition that something was put away, or was not; none when both are wanted."""
    return [] if is_deleted is None else [Clause(f"{column} IS {'NOT ' if is_deleted else ''}NULL")]


def among(column: str, values: Sequence[str]) -> Clause:
    """Return the condition that a column has one of these values."""
    return Clause(f"{column} IN ({marks(len(values))})", tuple(values))


def _clause(subject: Subject, term: Criterion) -> Clause:
    if term.place is Place.ATTRIBUTE:
        return _compared(subject.columns[term.name], term)
    part = subject.parts[term.place]
    if term.place is Place.DATASET:
        which = _compared(_CONTEXT if term.name == "context" else term.name, term)
    elif term.operator.endswith("NULL"):
        which = Clause("name = ?", (term.name,))
    else:
        compared = _of_part(part, term)
        which = Clause(f"name = ? AND {compared.text}", (term.name, *compared.values))
    has = "NOT EXISTS" if term.operator == "IS NULL" else "EXISTS"
    text = f"{has} (SELECT 1 FROM {part.table} WHERE {part.owner} = {subject.key} AND {which.text})"  # noqa: S608 - ours
    return Clause(text, which.values)


def _of_part(part: Rows, term: Criterion) -> Clause:
    if term.operator.endswith("LIKE"):
        return _compared(part.text, term)
    if isinstance(term.value, str):
        return _compared("value", replace(term, value=part.written(term.value)))
    found = _compared("value", term)
    # A NaN, which is kept as NULL, differs from every number.
    return Clause(f"({found.text} OR value IS NULL)", found.values) if term.operator == "!=" else found


def _compared(column: str, term: Criterion) -> Clause:
    if isinstance(term.value, tuple):
        found = among(f"{column} {'NOT' if term.operator == 'NOT IN' else ''}", term.value)
        return Clause(f"({found.text})", found.values)
    if term.operator == "ILIKE":
        return Clause(f"{column} LIKE ?", (term.value,))
    if term.operator == "LIKE":  # which SQLite's own LIKE is not: that one takes a for A
        return Clause(f"{column} GLOB ?", (_glob(str(term.value)),))
    return Clause(f"{column} {term.operator} ?", (term.value,))


def _glob(pattern: str) -> str:
    escaped = _SPECIAL.sub(lambda found: f"[{found[0]}]", pattern)
    return escaped.replace("%", "*").replace("_", "?")


def _ordered(subject: Subject, order: Order) -> Clause:
    way = "DESC" if order.is_descending else "ASC"
    if order.place is Place.ATTRIBUTE:
        column = subject.sorting.get(order.name, subject.columns[order.name])
        return Clause(f"{column} {way} NULLS LAST")
    part = subject.parts[order.place]
    found = f"SELECT {part.text} FROM {part.table} WHERE {part.owner} = {subject.key} AND name = ?"  # noqa: S608 - ours
    by = f"({found} ORDER BY 1 DESC LIMIT 1) {way} NULLS LAST"
    if order.place is Place.METRIC:  # a NaN, which is kept as NULL, comes before what has none
        return Clause(f"{by}, EXISTS ({found}) DESC", (order.name, order.name))
    return Clause(by, (order.name,))
