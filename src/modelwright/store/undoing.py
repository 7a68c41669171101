"""What takes a change back: the keys of the rows that it added, and what the rows were that it changed or deleted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from modelwright.store import schema

# So many points are kept of a run that is deleted; of one with more, only the last of each metric.
_MOST_POINTS = 10_000

Key = tuple[object, ...]


class Rows:
    """What one record says of the rows of one table: what each was before, or that it was not there."""

    def __init__(self, key_length: int) -> None:
        """Take how many columns name a row; `lost` gives them first."""
        self._key_length = key_length
        self._before: dict[Key, Mapping[str, Any] | None] = {}

    def added(self, keys: Iterable[Key]) -> None:
        """Note rows that were not there."""
        for key in keys:
            self._before.setdefault(key, None)

    def lost(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Note rows that are about to change or to go."""
        for row in rows:
            self._before.setdefault(tuple(row.values())[: self._key_length], row)

    def before(self, key: Key) -> Mapping[str, Any] | None:
        """Return the row as it was; None when it was not there or has not changed."""
        return self._before.get(key)

    def __bool__(self) -> bool:
        """Whether anything was noted."""
        return bool(self._before)

    def plain(self) -> dict[str, list[Any]]:
        """Return what JSON can hold: the keys of rows that were not there, and the rows that were."""
        parts: dict[str, list[Any]] = {
            "added": [key for key, row in self._before.items() if row is None],
            "before": [row for row in self._before.values() if row is not None],
        }
        return {name: part for name, part in parts.items() if part}


def key_columns(table: sa.Table) -> list[str]:
    """Return the names of the columns that name a row."""
    return [column.name for column in table.primary_key]


def keys(table: sa.Table, rows: Sequence[Mapping[str, object]], dialect: sa.Dialect) -> Iterator[Key]:
    """Yield the keys of `rows` as the database keeps them."""
    binds = _binds(table, dialect)
    for row in rows:
        yield tuple([bind(row[name]) if bind else row[name] for name, bind in binds])


def rows(table: sa.Table, where: sa.ColumnElement[bool], connection: sa.Connection) -> Iterator[Mapping[str, object]]:
    """Yield the rows that `where` picks, as the database keeps them, key columns first."""
    query, names = _stored(table)
    if table is schema.run_metrics and _count(table, where, connection) > _MOST_POINTS:
        last = sa.select(sa.func.max(table.c.sequence)).where(where).group_by(table.c.run_id, table.c.name)
        query = query.where(table.c.sequence.in_(last))
    for row in connection.execute(query.where(where)):
        yield dict(zip(names, row, strict=True))


def row(table: sa.Table, key: Sequence[object], connection: sa.Connection) -> Iterator[Mapping[str, object]]:
    """Yield the row of that primary key, if there is one: `rows` at the speed of the driver."""
    statement, names = _stored_row(table, connection.dialect)
    binds = _binds(table, connection.dialect)
    driver: Any = connection.connection.driver_connection
    values = [bind(each) if bind else each for each, (_, bind) in zip(key, binds, strict=True)]
    for found in driver.execute(statement, values):
        yield dict(zip(names, found, strict=True))


@lru_cache(maxsize=128)
def _stored_row(table: sa.Table, dialect: sa.Dialect) -> tuple[str, list[str]]:
    query, names = _stored(table)
    is_this = [column == sa.bindparam(column.name) for column in table.primary_key]
    return str(query.where(*is_this).compile(dialect=dialect)), names


@lru_cache(maxsize=128)
def _binds(table: sa.Table, dialect: sa.Dialect) -> list[tuple[str, Any]]:
    return [(each.name, each.type.dialect_impl(dialect).bind_processor(dialect)) for each in table.primary_key]


@lru_cache(maxsize=128)
def _stored(table: sa.Table) -> tuple[sa.Select[Any], list[str]]:
    """Return the query for whole rows, and its columns: as text, which is what is read without being understood."""
    first = key_columns(table)
    names = [*first, *(column.name for column in table.c if column.name not in first)]
    as_kept: list[sa.ColumnElement[Any]] = [sa.type_coerce(table.c[name], sa.Text()).label(name) for name in names]
    return sa.select(*as_kept), names


def _count(table: sa.Table, where: sa.ColumnElement[bool], connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar_one()
