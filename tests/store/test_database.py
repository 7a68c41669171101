"""Opening a workspace."""

import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from modelwright.errors import FolderNotWritable, WorkspaceDamaged, WorkspaceTooNew
from modelwright.store import database, schema


def test_migrations_build_exactly_the_schema(tmp_path: Path) -> None:
    store = database.open_store(tmp_path / ".wright")
    with store.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_a_workspace_keeps_itself_out_of_git(tmp_path: Path) -> None:
    database.open_store(tmp_path / ".wright")
    assert (tmp_path / ".wright" / ".gitignore").read_text() == "*\n"


def test_a_workspace_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".wright"
    database.open_store(folder).close()
    with sqlite3.connect(folder / "modelwright.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WorkspaceTooNew, match=r'"9999".*"0002"') as refused:
        database.open_store(folder)
    assert "upgrade" in refused.value.next_command
    with sqlite3.connect(folder / "modelwright.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".wright"
    folder.mkdir()
    (folder / "modelwright.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(WorkspaceDamaged, match="not a database"):
        database.open_store(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderNotWritable, match="--workspace"):
        database.open_store(tmp_path / ".wright")


def test_a_file_in_the_workspace_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotWritable) as refused:
        database.open_store(tmp_path / "file" / ".wright")
    assert "--workspace" in refused.value.next_command


def _open(folder: Path) -> str | None:
    store = database.open_store(folder)
    with store.reader.connect() as connection:
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def test_processes_that_open_a_new_workspace_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_open, [tmp_path / ".wright"] * 4) == [database.SCHEMA_VERSION] * 4
