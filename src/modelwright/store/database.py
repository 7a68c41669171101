"""Opens a workspace: its folder, its database at the right schema, its blobs."""

import contextlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright.errors import DiskFull, FolderNotWritable, WorkspaceDamaged, WorkspaceTooNew
from modelwright.store import schema
from modelwright.store.blobs import Blobs

SCHEMA_VERSION = "0008"
DATABASE = "modelwright.db"

# Long enough for a burst of writers on a slow disk; a lock that lasts longer is a fault to report.
_BUSY_TIMEOUT_MILLISECONDS = 60_000
_LOOK_SECONDS = 0.003
_MOST_IDLE = 2
_LEAST_FREE_BYTES = 1 << 16

# Where Alembic keeps the version of the schema, as it would make it.
_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


@dataclass(frozen=True)
class Store:
    """An open workspace. Reads go through `reader`, which cannot write; `changes` alone uses `writer`.

    One with a `moment` shows how things stood then.
    """

    folder: Path
    reader: sa.Engine
    writer: sa.Engine
    blobs: Blobs
    moment: datetime | None = None
    _idle: deque[sa.Connection] = field(default_factory=deque, init=False, repr=False, compare=False)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction: committed at the end of the block, undone when it raises.

        A few are kept at hand: to take one from the pool and give it back is half of what SQLAlchemy costs a change.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.writer.connect()
        is_whole = False
        try:
            with connection.begin():
                yield connection
            is_whole = True
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise DiskFull(place=f' of "{self.folder}"') from error
            raise
        finally:
            if is_whole and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close every connection."""
        while self._idle:
            self._idle.pop().close()
        self.reader.dispose()
        self.writer.dispose()


def open_store(folder: Path) -> Store:
    """Open the workspace at `folder`, making or upgrading it as needed.

    Raises FolderNotWritable, DiskFull, WorkspaceTooNew and WorkspaceDamaged; a workspace that raises is left as it was.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise FolderNotWritable(folder=folder, reason=error.strerror, option="--workspace") from error
    database = folder / DATABASE
    writer = _engine(database, begin=begin_writing, pragma="busy_timeout=0")
    reader = _engine(database, begin=lambda connection: connection.execute("BEGIN"), pragma="query_only=ON")
    try:
        _bring_up_to_date(folder, writer)
    except sa.exc.OperationalError as error:
        if _is_full(folder):
            raise DiskFull(place=f' of "{folder}"') from error
        if os.access(folder, os.W_OK) and (not database.exists() or os.access(database, os.W_OK)):
            raise WorkspaceDamaged(folder=folder, reason=error.orig) from error
        raise FolderNotWritable(folder=folder, reason=error.orig, option="--workspace") from error
    except sa.exc.DatabaseError as error:
        raise WorkspaceDamaged(folder=folder, reason=error.orig) from error
    return Store(folder, reader, writer, Blobs(folder / "blobs"))


def _is_full(folder: Path) -> bool:
    """Return whether the disk has no room for what even those need who only read: SQLite's shared memory."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < _LEAST_FREE_BYTES


def begin_writing(connection: sqlite3.Connection) -> None:
    """Begin a transaction that holds the database's write lock, as soon as that is free.

    SQLite itself would look for it ever more seldom, and so never let the one have it who has waited longest. Here all
    who wait have the same chance.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _engine(database: Path, *, begin: Callable[[sqlite3.Connection], object], pragma: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{database}", poolclass=sa.pool.QueuePool, pool_use_lifo=True)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own transaction handling would begin too late
        for each in (
            f"busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # a reported registration must survive a power cut
            "foreign_keys=ON",
            pragma,
        ):
            connection.execute(f"PRAGMA {each}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        try:
            begin(driver)
        except sqlite3.Error:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # which says in SQLAlchemy's words what is wrong
            raise

    return engine


def _bring_up_to_date(folder: Path, writer: sa.Engine) -> None:
    found = _schema_version(writer)
    if found is None:
        with writer.begin() as connection:
            found = _made(connection)
    if found == SCHEMA_VERSION:
        return
    from alembic import command, script
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    known = {each.revision for each in script.ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise WorkspaceTooNew(folder=folder, found=found, known=SCHEMA_VERSION)
    with writer.connect() as connection:
        _check_links(connection, is_on=False)  # SQLite changes a table by making it anew, which its links would forbid
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        _check_links(connection, is_on=True)


def _made(connection: sa.Connection) -> str:
    """Make the tables of a new workspace, unless another process has made them meanwhile; return their version."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        schema.metadata.create_all(connection, checkfirst=False)
        _VERSION.create(connection)
        connection.execute(_VERSION.insert().values(version_num=SCHEMA_VERSION))
    found: str = connection.execute(sa.select(_VERSION.c.version_num)).scalar_one()
    return found


def _check_links(connection: sa.Connection, *, is_on: bool) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA foreign_keys={'ON' if is_on else 'OFF'}")


def _schema_version(writer: sa.Engine) -> str | None:
    with writer.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        found: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none()
        return found
