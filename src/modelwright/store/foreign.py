"""Databases of other programs: read, never written, and left as they are found."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelwright.errors import ImportSourceInvalid


class ForeignDatabase:
    """A SQLite file of another program."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Read `path` through `connection`."""
        self._path = path
        self._connection = connection
        self._connection.row_factory = sqlite3.Row

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return what a statement finds, by the names of its columns. Raises ImportSourceInvalid."""
        try:
            return [dict(row) for row in self._connection.execute(statement, values)]
        except sqlite3.Error as error:
            raise ImportSourceInvalid(source=self._path, reason=str(error)) from error

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns; none when there is no such table."""
        return {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ForeignDatabase]:
    """Open a SQLite file for reading alone. Raises ImportSourceInvalid."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise ImportSourceInvalid(source=path, reason=str(error)) from error
    try:
        yield ForeignDatabase(path, connection)
    finally:
        connection.close()
