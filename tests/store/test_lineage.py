"""The graph of all rows: found by indices alone, both ways, in circles too."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelwright import records
from modelwright.errors import LineageMissing
from modelwright.records import DatasetVersion, Direction, Key, Lock, ModelVersion, NodeKind
from modelwright.store import datasets, descriptions, environments, lineage, models, projects, schema
from modelwright.store.changes import change
from modelwright.store.database import Store
from modelwright.store.relations import RELATIONS


def _scans(store: Store, statement: str, values: Sequence[object]) -> list[str]:
    """Return what SQLite would read whole for a statement; what is in a row's own JSON is no table."""
    with store.reader.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver
        plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    return [line for line in plan if line.startswith("SCAN") and "VIRTUAL" not in line and "CONSTANT" not in line]


def test_no_table_is_read_whole_on_a_walk(store: Store) -> None:
    for each in RELATIONS:
        for direction in Direction:
            if each.up if direction is Direction.UP else each.down:
                statement = each.statement(direction, 2)
                assert _scans(store, statement, ("x", "y")) == [], statement


def test_no_table_is_read_whole_to_answer_anything(
    store: Store, monkeypatch: pytest.MonkeyPatch, filled: list[Key]
) -> None:
    asked: dict[str, Sequence[object]] = {}
    rows = lineage.rows

    def noted(connection: sa.Connection, statement: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        asked[statement] = values
        return rows(connection, statement, values)

    for module in (lineage, descriptions, projects):
        monkeypatch.setattr(module, "rows", noted)
    keys = [*filled, *(Key(kind, "a/b") for kind in NodeKind)]
    for is_brief in (False, True):
        descriptions.describe(store, keys, is_brief=is_brief)
    descriptions.values(store, keys)
    descriptions.said(store, ["models/churn:1"])
    lineage.deployment_of(store, "churn", version_id="version_1", at="2026")
    for kind, name in [(kind, name) for kind in NodeKind for name in ("x", "x:1", "x@y")]:
        with pytest.raises(LineageMissing):
            lineage.find(store, kind, name)
    list(projects.list_conversions(store, "project_1", until="2026"))
    projects.conversions_of(store, Path("/n.ipynb"))
    projects.runs_by_code(store, "project_1")
    projects.code_of(store, "run_1")
    assert len(asked) > 25
    for statement, values in asked.items():
        assert _scans(store, statement, values) == [], statement


@pytest.fixture
def filled(store: Store) -> list[Key]:
    """Three versions of one model without a run, each derived from the one before."""
    lock = Lock(text="", python_version="3", platform="here", digest="e" * 64)
    made: list[Key] = []
    with change(store, actor="ada", why="to begin") as opened:
        environments.ensure_environment(opened, lock)
        for number in (1, 2, 3):
            version = ModelVersion(
                id=records.new_id("version"),
                model="churn",
                version=0,
                digest=str(number) * 64,
                framework="sklearn",
                signature={},
                run_id=None,
                proof_id=None,
                environment_digest=lock.digest,
                created_at=datetime.now().astimezone(),
                source={"kind": "file"},
                parent_id=made[-1].id if made else None,
            )
            models.add_version(opened, version)
            made.append(Key(NodeKind.MODEL, version.id))
    return made


def test_a_walk_goes_up_and_down_and_knows_what_it_met(store: Store, filled: list[Key]) -> None:
    first, second, third = filled
    edges, nodes = lineage.walk(store, [third], Direction.UP)
    assert {(each.source, each.target) for each in edges if each.role == "derived"} == {
        (second, third),
        (first, second),
    }
    assert {each.name for each in nodes.values()} == {"churn:1", "churn:2", "churn:3", "e" * 12}
    assert nodes[third].facts["source"] == {"kind": "file"}
    _, below = lineage.walk(store, [second], Direction.DOWN)
    assert set(below) == {second, third}


def test_a_walk_in_a_circle_ends(store: Store, filled: list[Key]) -> None:
    with store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET parent_id = ? WHERE id = ?", (filled[2].id, filled[0].id))
    edges, _ = lineage.walk(store, [filled[1]], Direction.UP)
    assert len([each for each in edges if each.role == "derived"]) == 3


def test_a_reference_is_found(store: Store, filled: list[Key]) -> None:
    for name, number in [("churn:1", 0), ("churn:3", 2), ("churn", 2), ("churn:latest", 2)]:
        assert lineage.find(store, NodeKind.MODEL, name) == filled[number]


def test_a_digest_is_found_by_its_beginning_if_it_is_the_only_one(store: Store, filled: list[Key]) -> None:
    assert filled
    assert lineage.find(store, NodeKind.ENVIRONMENT, "eee").id == "e" * 64
    with change(store, actor="ada") as opened:
        environments.ensure_environment(opened, Lock("", "3", "here", "e" * 63 + "f"))
    with pytest.raises(LineageMissing, match="more than one environment begins so"):
        lineage.find(store, NodeKind.ENVIRONMENT, "eee")
    with pytest.raises(LineageMissing, match='environment "f": no environment in this workspace is called so'):
        lineage.find(store, NodeKind.ENVIRONMENT, "f")


def test_who_made_a_version_and_why_is_read_from_the_record(store: Store, filled: list[Key]) -> None:
    assert filled
    (said,) = descriptions.said(store, ["models/churn:2"])["models/churn:2"]
    assert (said.action, said.actor, said.why) == ("model.registered", "ada", "to begin")


def test_data_that_a_version_is_linked_with_leads_to_it(store: Store, filled: list[Key]) -> None:
    wanted = DatasetVersion("", "sales", 0, "d" * 64, 10, datetime.now().astimezone())
    with change(store, actor="ada") as opened:
        data = datasets.ensure_dataset_version(opened, wanted)
        opened.insert(
            schema.version_datasets,
            {"version_id": filled[0].id, "dataset_version_id": data.id, "role": "validation"},
        )
        opened.record("model.tagged", "models/churn:1")
    found = lineage.find(store, NodeKind.DATASET, "sales:1")
    edges, nodes = lineage.walk(store, [found], Direction.DOWN)
    assert [each.role for each in edges] == ["validation", "derived", "derived"]
    assert [each.name for each in nodes.values()] == ["sales:1", "churn:1", "churn:2", "churn:3"]
