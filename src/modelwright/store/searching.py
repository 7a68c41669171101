"""Finds runs by conditions, in a time that does not grow with the number of runs.

Without being told, SQLite does not know whether a condition picks three runs or all. So each is asked for its first
hundred matches, which an index has: the first that has no more leaves only these to be looked at; when every one has
more, the runs are gone through in the order wanted until there are enough.

The statements are written as text: to put one together from SQLAlchemy's parts takes longer than to answer it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.records import AllOf, Condition, Order, Place, Run, Status, Term
from modelwright.store.database import Store
from modelwright.store.loading import load_runs, marks, rows

_FEW = 100

_ATTRIBUTES = {
    "project": "(SELECT name FROM projects WHERE projects.id = runs.project_id)",
    "parent": "runs.parent_id",
    "code": "runs.code_digest",
    "environment": "runs.environment_digest",
    "commit": "runs.git_commit",
    "branch": "runs.git_branch",
    "repository": "runs.git_repository",
    "started": "runs.started_at",
    "finished": "runs.finished_at",
}
_TABLES = {Place.METRIC: "run_summaries", Place.PARAMETER: "run_parameters", Place.TAG: "run_tags"}
# What is no JSON for the database, such as a NaN, equals nothing.
_PARAMETER = "CASE WHEN json_valid(value) THEN json_extract(value, '$') END"
# A tag under any value: every text is greater or equal to the empty one.
_ANY = (">=", "")
_OPERATORS = frozenset({"=", "!=", "<", "<=", ">", ">="})


class _Clause(NamedTuple):
    """A part of a statement, and the values for its question marks."""

    text: str
    values: tuple[Any, ...] = ()


def search(
    store: Store,
    condition: Condition,
    *,
    experiment: str | None,
    status: Status | None,
    tags: Mapping[str, str | None],
    order: Order,
    limit: int | None,
    after: str = "",
) -> list[Run]:
    """Return the runs that all this holds for, in order, without their steps and artifacts.

    `after` is the id of one of them, which the others are to come after; none come after one that is not among them.
    """
    labels = [Term(Place.TAG, name, *(_ANY if value is None else ("=", value))) for name, value in tags.items()]
    with store.reader.connect() as connection:
        parts = [*(_located(connection, part) for part in _parts(condition)), *labels]
        few: set[str] | None = None
        wanted = []
        for part in parts:
            found = _matches(connection, part) if few is None else None
            if found is None:
                wanted.append(_clause(part))
            else:
                few = found
        if few is not None:
            wanted.append(_Clause(f"runs.id IN ({marks(len(few))})", tuple(few)))
        wanted.append(_Clause("runs.deleted_at IS NULL"))
        wanted += [_Clause("runs.experiment = ?", (experiment,))] if experiment else []
        wanted += [_Clause("runs.status = ?", (str(status),))] if status else []
        picked = _joined(wanted, " AND ")
        most = None if after else limit
        ids = _ordered(connection, picked, parts=parts, order=order, limit=most, are_few=few is not None)
        if after:
            begin = ids.index(after) + 1 if after in ids else len(ids)
            ids = ids[begin : None if limit is None else begin + limit]
        by_id = {run.id: run for run in load_runs(connection, ids)}
    return [by_id[each] for each in ids]


def _parts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, AllOf):
        for part in condition.parts:
            yield from _parts(part)
    else:
        yield condition


def _located(connection: sa.Connection, part: Condition) -> Condition:
    """Return `part` with a bare name as that of the only thing that has it, when there is only one."""
    if not isinstance(part, Term) or part.place is not Place.ANY:
        return part
    found = [
        place
        for place in _places(part)
        if rows(connection, f"SELECT 1 FROM {_TABLES[place]} WHERE name = ? LIMIT 1", (part.name,))  # noqa: S608 - ours
    ]
    return replace(part, place=found[0]) if len(found) == 1 else part


def _places(term: Term) -> tuple[Place, ...]:
    if term.place is not Place.ANY:
        return (term.place,)
    return (Place.METRIC, Place.PARAMETER) if isinstance(term.value, float) else (Place.PARAMETER, Place.TAG)


def _matches(connection: sa.Connection, part: Condition) -> set[str] | None:
    """Return the runs that `part` picks when an index finds them and they are few; None otherwise."""
    if not isinstance(part, Term) or part.place is Place.ATTRIBUTE:
        return None
    found: set[str] = set()
    for place in _places(part):
        picked = _picked(place, part)
        query = f"SELECT run_id FROM {_TABLES[place]} WHERE {picked.text} LIMIT {_FEW + 1}"  # noqa: S608 - ours
        found.update(row[0] for row in rows(connection, query, picked.values))
    return found if len(found) <= _FEW else None


def _clause(condition: Condition) -> _Clause:
    """Return what holds for a row of `runs` when the condition does."""
    if not isinstance(condition, Term):
        return _joined([_clause(each) for each in condition.parts], " AND " if isinstance(condition, AllOf) else " OR ")
    if condition.place is Place.ATTRIBUTE:
        column = _ATTRIBUTES.get(condition.name, f"runs.{condition.name}")
        is_time = condition.name in {"started", "finished"}
        return _compared(column, condition.operator, _moment(condition.value) if is_time else condition.value)
    found = []
    for place in _places(condition):
        text, values = _picked(place, condition)
        found.append(_Clause(f"EXISTS (SELECT 1 FROM {_TABLES[place]} WHERE run_id = runs.id AND {text})", values))  # noqa: S608 - ours
    return _joined(found, " OR ")


def _picked(place: Place, term: Term) -> _Clause:
    """Return what holds for the rows of a place's table that the term is true of."""
    which = {Place.METRIC: _measured, Place.PARAMETER: _given, Place.TAG: _labelled}[place](term)
    return _Clause(f"name = ? AND {which.text}", (term.name, *which.values))


def _measured(term: Term, column: str = "value") -> _Clause:
    if math.isnan(float(term.value)):
        return _Clause(f"{column} IS {'NOT ' if term.operator == '!=' else ''}NULL")
    return _compared(column, term.operator, term.value)


def _labelled(term: Term) -> _Clause:
    if isinstance(term.value, float):
        return _compared("CAST(value AS REAL)", term.operator, term.value)
    return _compared("value", term.operator, str(term.value).lower() if isinstance(term.value, bool) else term.value)


def _given(term: Term) -> _Clause:
    if term.operator == "=":
        written = [json.dumps(term.value)]
        if isinstance(term.value, float) and term.value.is_integer():
            written.append(json.dumps(int(term.value)))
        return _Clause(f"value IN ({marks(len(written))})", tuple(written))
    kinds = "'true', 'false'" if isinstance(term.value, bool) else "'integer', 'real'"
    if isinstance(term.value, str):
        kinds = "'text'"
    compared = _compared(_PARAMETER, term.operator, term.value)
    kind = f"CASE WHEN json_valid(value) THEN json_type(value) END IN ({kinds})"
    return _Clause(f"{kind} AND {compared.text}", compared.values)


def _compared(column: str, operator: str, value: object) -> _Clause:
    if operator in _OPERATORS:
        return _Clause(f"{column} {operator} ?", (value,))
    return _Clause(f"instr({column}, ?) > 0", (str(value),))


def _ordered(
    connection: sa.Connection,
    wanted: _Clause,
    *,
    parts: list[Condition],
    order: Order,
    limit: int | None,
    are_few: bool,
) -> list[str]:
    """Return the ids of the runs that are wanted, in order; those without what they are ordered by come last."""
    way = "DESC" if order.is_descending else "ASC"
    most = -1 if limit is None else limit
    if order.place is Place.ATTRIBUTE:
        column = "runs.id" if order.name == "started" else _ATTRIBUTES.get(order.name, f"runs.{order.name}")
        by = f"{column} {way}" if column == "runs.id" else f"{column} {way} NULLS LAST, runs.id DESC"
        statement = f"SELECT id FROM runs WHERE {wanted.text} ORDER BY {by} LIMIT ?"  # noqa: S608 - ours
        return [row[0] for row in rows(connection, statement, (*wanted.values, most))]
    table = _TABLES[order.place]
    value = "sorted.value" if order.place is Place.METRIC else _PARAMETER.replace("value", "sorted.value", 2)
    # A condition on what they are ordered by says where in the index to begin.
    bounds = [
        _measured(part, "sorted.value")
        for part in parts
        if isinstance(part, Term) and part.place is order.place is Place.METRIC and part.name == order.name
    ]
    bounded = _joined([wanted, *bounds], " AND ")
    # CROSS tells SQLite what to go through first: the few runs, or the index in its order until there are enough.
    joined = f"runs CROSS JOIN {table} AS sorted" if are_few else f"{table} AS sorted CROSS JOIN runs"
    statement = (
        f"SELECT runs.id FROM {joined} ON runs.id = sorted.run_id "  # noqa: S608 - ours
        f"WHERE sorted.name = ? AND {value} IS NOT NULL AND {bounded.text} ORDER BY {value} {way}, runs.id DESC LIMIT ?"
    )
    found = [row[0] for row in rows(connection, statement, (order.name, *bounded.values, most))]
    if limit is None or len(found) < limit:
        without = (
            f"SELECT id FROM runs WHERE {wanted.text} AND NOT EXISTS "  # noqa: S608 - ours
            f"(SELECT 1 FROM {table} AS sorted WHERE run_id = runs.id AND name = ? AND {value} IS NOT NULL) "
            "ORDER BY id DESC LIMIT ?"
        )
        most = -1 if limit is None else limit - len(found)
        found += [row[0] for row in rows(connection, without, (*wanted.values, order.name, most))]
    return found


def _joined(clauses: list[_Clause], word: str) -> _Clause:
    if not clauses:
        return _Clause("1")
    text = word.join(f"({each.text})" for each in clauses)
    return _Clause(text, tuple(value for each in clauses for value in each.values))


def _moment(value: object) -> str:
    return datetime.fromisoformat(str(value)).astimezone(UTC).isoformat(timespec="microseconds")
