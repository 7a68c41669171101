"""The one door for writes."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright.errors import DeletedMeanwhile
from modelwright.store import audit, projects, schema
from modelwright.store.changes import Change, UnrecordedChange, change
from modelwright.store.database import Store


def test_rows_audit_record_and_event_are_committed_together(store: Store) -> None:
    with change(store, actor="ada", why="a first try") as opened:
        projects.ensure_project(opened, "churn", folder=Path("/somewhere"))

    assert projects.find_project(store, "churn")
    (written,) = audit.list_audit_records(store, subject="projects/churn")
    assert (written["actor"], written["why"], written["action"]) == ("ada", "a first try", "project.created")
    assert written["after"] == {"folder": "/somewhere"}
    (event,) = audit.list_events(store, subject="projects/churn")
    assert event["type"] == "project.created"
    assert event["id"].startswith("event_")


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    def add_and_fail(opened: Change) -> None:
        projects.ensure_project(opened, "churn", folder=Path("/somewhere"))
        raise RuntimeError

    with pytest.raises(RuntimeError), change(store, actor="ada") as opened:
        add_and_fail(opened)

    assert projects.find_project(store, "churn") is None
    assert audit.list_audit_records(store) == []
    assert audit.list_events(store) == []


def test_rows_without_a_record_are_refused(store: Store) -> None:
    row = {"id": "dataset_1", "name": "churn", "created_at": None}
    with pytest.raises((UnrecordedChange, sa.exc.IntegrityError)), change(store, actor="ada") as opened:
        opened.insert(schema.datasets, row | {"created_at": opened.at})

    with store.reader.connect() as connection:
        assert connection.execute(schema.datasets.select()).all() == []


def test_the_reading_connection_cannot_write(store: Store) -> None:
    with pytest.raises(sa.exc.OperationalError, match="readonly"), store.reader.begin() as connection:
        connection.execute(schema.projects.delete())


def test_a_project_that_moved_is_the_same_project(store: Store) -> None:
    with change(store, actor="ada") as opened:
        first = projects.ensure_project(opened, "churn", folder=Path("/old"))
        second = projects.ensure_project(opened, "churn", folder=Path("/new"))

    assert first == second
    moved = audit.list_audit_records(store, subject="projects/churn")[-1]
    assert (moved["before"], moved["after"]) == ({"folder": "/old"}, {"folder": "/new"})


def test_foreign_keys_are_enforced(store: Store) -> None:
    with pytest.raises(DeletedMeanwhile), change(store, actor="ada") as opened:
        opened.insert(schema.aliases, {"model": "x", "alias": "champion", "version_id": "y", "moved_at": opened.at})
    assert audit.list_audit_records(store) == []
