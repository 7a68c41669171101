"""Reads other databases, which are the user's: one query, nothing written."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright.errors import QueryFailed, SourceNotReached

_ROWS_A_FETCH = 10_000


@dataclass(frozen=True)
class Answer:
    """What a query gives: the names of its columns, and its rows as they arrive."""

    columns: tuple[str, ...]
    rows: Iterator[Sequence[object]]


@contextlib.contextmanager
def opened(source: str, query: str) -> Iterator[Answer]:
    """Send `query` to the database `source`, the path of an SQLite file or a URL, and give its answer.

    Rows are fetched while the block reads them; whatever the query did is undone at its end. Raises SourceNotReached
    and QueryFailed, neither of which shows a password.
    """
    engine = _engine(source)
    try:
        with _connected(engine, source) as connection:
            try:
                result = connection.execute(sa.text(query.replace(":", r"\:")))
                if not result.returns_rows:
                    raise QueryFailed(query=query, reason="it returns no rows")
                yield Answer(tuple(result.keys()), _rows(result))
            except sa.exc.DBAPIError as error:
                raise QueryFailed(query=query, reason=_cause(error)) from error
            except sqlite3.Warning as error:  # how Python 3.11 says that there is more than one statement
                raise QueryFailed(query=query, reason=str(error)) from error
            finally:
                connection.rollback()
    finally:
        engine.dispose()


def told(source: str) -> str:
    """Return the source as it may be shown and recorded: an absolute path, or a URL without its password."""
    url = _url(source)
    return str(Path(source).expanduser().absolute()) if url is None else url.render_as_string(hide_password=True)


def _engine(source: str) -> sa.Engine:
    url = _url(source)
    if url is None:
        path = Path(source).expanduser().absolute()
        if not path.is_file():
            raise SourceNotReached(source=source, reason="there is no such file")
        address = f"{path.as_uri()}?mode=ro"
        return sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=30))
    try:
        return sa.create_engine(url, execution_options={"stream_results": True})
    except (sa.exc.ArgumentError, ImportError) as error:
        raise SourceNotReached(source=told(source), reason=str(error)) from error


def _url(source: str) -> sa.URL | None:
    """Return the URL that `source` is; None when it is a path."""
    if "://" not in source:
        return None
    try:
        url = sa.make_url(source)
    except sa.exc.ArgumentError as error:
        # Its text may hold the password, and what cannot be parsed cannot be cleaned of it.
        raise SourceNotReached(source=source.partition("://")[0] + "://…", reason="this is no URL") from error
    return url


@contextlib.contextmanager
def _connected(engine: sa.Engine, source: str) -> Iterator[sa.Connection]:
    try:
        connection = engine.connect()
    except sa.exc.DBAPIError as error:
        raise SourceNotReached(source=told(source), reason=_cause(error)) from error
    with connection:
        yield connection


def _rows(result: sa.CursorResult[Any]) -> Iterator[Sequence[object]]:
    for some in result.partitions(_ROWS_A_FETCH):
        yield from some


def _cause(error: sa.exc.DBAPIError) -> str:
    return " ".join(str(error.orig).split())
