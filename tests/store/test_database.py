"""Opening a workspace."""

import multiprocessing
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from modelwright.errors import DiskFull, FolderNotWritable, WorkspaceDamaged, WorkspaceTooNew
from modelwright.records import Kind, Status
from modelwright.store import audit, database, runs, schema
from modelwright.store.changes import change

AT = "2026-01-01T00:00:00.000000+00:00"
# A workspace as the first schema kept it: a run with a step and two points of a metric.
FIRST = (
    f"INSERT INTO projects VALUES ('project_1', 'shop', '/shop', '{AT}')",
    f"INSERT INTO environments VALUES ('digest', '3.11', 'linux', '', '{AT}')",
    (
        "INSERT INTO runs (id, project_id, status, reason, environment_digest, code_digest, started_at) "
        f"VALUES ('run_1', 'project_1', 'succeeded', '', 'digest', 'code', '{AT}')"
    ),
    (
        "INSERT INTO run_steps (run_id, name, position, status, outputs, started_at) "
        f"VALUES ('run_1', 'load', 1, 'succeeded', '{{\"rows\": \"abc\"}}', '{AT}')"
    ),
    f"INSERT INTO run_metrics VALUES ('run_1', 'mse', 0, 1.0, '{AT}')",
    f"INSERT INTO run_metrics VALUES ('run_1', 'mse', 1, 2.0, '{AT}')",
    *(
        "INSERT INTO audit_records (at, actor, action, subject, why, before, after) "
        f"VALUES ('{AT}', 'ada', '{action}', 'runs/run_1', '', 'null', '{{\"reason\": \"\"}}')"
        for action in ("run.started", "run.succeeded")
    ),
)


def test_migrations_build_exactly_the_schema(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    with sa.create_engine(f"sqlite:///{tmp_path / 'migrated.db'}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_a_workspace_of_the_first_schema_keeps_what_it_has(tmp_path: Path) -> None:
    folder = tmp_path / ".wright"
    folder.mkdir()
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    writer = sa.create_engine(f"sqlite:///{folder / 'modelwright.db'}")
    with writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in FIRST:
            connection.execute(sa.text(row))
    writer.dispose()

    store = database.open_store(folder)
    run = runs.get_run(store, "run_1")
    assert (run.status, run.kind, run.metrics) == (Status.SUCCEEDED, Kind.PIPELINE, {"mse": 2.0})
    assert [(point.name, point.step, point.value) for _, point in runs.list_points(store, "run_1")] == [
        ("mse", 0, 1.0),
        ("mse", 1, 2.0),
    ]
    assert [each.outputs for each in run.steps] == [{"rows": "abc"}]
    with change(store, actor="ada") as opened:
        runs.set_note(opened, "run_1", "from of old")
    assert audit.check(store).count == 3
    assert not audit.check(store).fault
    with store.writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    store.close()


def test_a_workspace_keeps_itself_out_of_git(tmp_path: Path) -> None:
    database.open_store(tmp_path / ".wright")
    assert (tmp_path / ".wright" / ".gitignore").read_text() == "*\n"


def test_a_workspace_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".wright"
    database.open_store(folder).close()
    with sqlite3.connect(folder / "modelwright.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(WorkspaceTooNew, match=r'"9999".*"0008"') as refused:
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


def test_a_full_disk_is_named_and_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = database.open_store(tmp_path / ".wright")
    with store.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(DiskFull, match=r'on the disk of ".*\.wright"'), store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO settings VALUES ('much', hex(zeroblob(1000000)))")
    store.close()
    (tmp_path / ".wright" / "modelwright.db").write_bytes(b"")
    monkeypatch.setattr(database, "_bring_up_to_date", lambda _folder, writer: writer.connect().exec_driver_sql("x"))
    monkeypatch.setattr(database.os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096))
    with pytest.raises(DiskFull):
        database.open_store(tmp_path / ".wright")


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
