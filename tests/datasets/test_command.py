"""`wright dataset`, as a user types it."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from modelwright import records
from modelwright.cli.program import program
from modelwright.datasets import versions
from modelwright.errors import ModelwrightError
from modelwright.records import BuiltEnvironment, ModelVersion, Run, Status
from modelwright.store import datasets, endpoints, environments, models, projects, runs
from modelwright.store.changes import change
from modelwright.store.database import Store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    for number in (1, 2):
        (tmp_path / "data" / f"{number}.csv").write_text(f"day,amount\n2024-01-0{number},{number}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wright(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(program, ["dataset", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def test_a_dataset_is_added_listed_shown_and_exported(folder: Path) -> None:
    assert wright("add", "sales", "data", "--tag", "area=eu", "--description", "by day").startswith("sales:1 ")
    assert "sales:1" in wright("list")
    shown = wright("show", "sales")
    assert all(each in shown for each in ("sales:1 of 1", "by day", "area=eu", "1.csv", "copy", str(folder / "data")))
    wright("export", "sales:1", "out")
    assert (folder / "out" / "2.csv").read_text() == (folder / "data" / "2.csv").read_text()


def test_lists_are_narrowed_by_all_tags_and_by_name(folder: Path) -> None:
    for name, tags in {"a": ["area=eu"], "b": ["area=eu", "year=2024"], "a_b": ["area=us", "year=2024"]}.items():
        wright("add", name, "data", *(part for tag in tags for part in ("--tag", tag)))

    def names(*options: str) -> list[str]:
        return [each["name"] for each in json.loads(wright("list", "--json", *options))]

    assert names() == ["a", "a_b", "b"]
    assert names("--tag", "area=eu") == ["a", "b"]
    assert names("--tag", "area=eu", "--tag", "year=2024") == ["b"]
    assert names("--tag", "year") == ["a_b", "b"]
    assert names("--search", "_") == ["a_b"]
    assert "no such dataset" in wright("list", "--tag", "gone")


def test_tags_are_set_replaced_and_removed(folder: Path) -> None:
    wright("add", "sales", "data", "--tag", "area=eu")
    assert wright("tag", "sales", "area=us", "year=2024") == "area=us\nyear=2024\n"
    assert wright("tag", "sales", "--remove", "year") == "area=us\n"
    assert json.loads(wright("tag", "sales", "--remove", "area", "--json")) == {}
    wright("tag", "sales", "area", code=2)


def test_a_query_is_added(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    assert wright("add", "t", "--query", "SELECT * FROM t", "--source", "shop.db").startswith("t:1 ")
    assert "SELECT * FROM t" in wright("show", "t")


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "--query", "SELECT 1", "--source", "x.db"],
        [],
        ["--query", "SELECT 1"],
        ["--query", "SELECT 1", "--source", "x.db", "--storage", "reference"],
        ["data", "--storage", "moved"],
        ["data", "--tag", "no-value"],
    ],
)
def test_wrong_usage_exits_2(folder: Path, arguments: list[str]) -> None:
    wright("add", "sales", *arguments, code=2)


def test_verify_exits_1_and_names_what_differs(folder: Path) -> None:
    wright("add", "sales", "data", "--storage", "reference")
    assert "is what was registered" in wright("verify", "sales")
    (folder / "data" / "1.csv").write_text("other")
    (folder / "data" / "2.csv").unlink()
    told = wright("verify", "sales:1", code=1)
    assert "1.csv is now" in told
    assert "2.csv is gone" in told
    assert len(json.loads(wright("verify", "sales", "--json", code=1))["faults"]) == 2


def test_a_profile_shows_every_column(folder: Path) -> None:
    wright("add", "sales", "data")
    shown = wright("profile", "sales:1")
    assert "amount" in shown
    assert "2 rows" in shown
    told = json.loads(wright("profile", "sales:1", "--json"))
    assert told["columns"]["amount"]["mean"] == 1.5


def test_a_missing_dataset_is_an_error_of_ours(folder: Path) -> None:
    wright("add", "sales", "data")
    for arguments in (["show", "gone"], ["users", "sales:9"], ["export", "x:1", "out"], ["tag", "gone"]):
        with pytest.raises(ModelwrightError, match="no dataset version"):
            wright(*arguments)


def test_who_used_a_version_is_told_in_one_answer(
    store: Store, environment: BuiltEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").write_text("rows")
    version = versions.pin(store, "sales", files={"rows": tmp_path / "rows"}, actor="me")
    digest, at = environment.lock.digest, records.now()
    run = Run(records.new_id("run"), "shop", Status.RUNNING, "", digest, "code", None, at)
    made = ModelVersion(records.new_id("model"), "shop", 0, "d", "sklearn", {}, run.id, None, digest, at)
    with change(store, actor="me") as opened:
        environments.ensure_environment(opened, environment.lock)
        runs.add_run(opened, run, project_id=projects.ensure_project(opened, "shop", folder=tmp_path))
        runs.link_dataset(opened, run.id, dataset=version, role="training data")
        runs.link_dataset(opened, run.id, dataset=version, role="validation data")
        model = models.add_version(opened, made)
        endpoints.add_deployment(opened, endpoints.ensure_endpoint(opened, "shop", host="127.0.0.1"), version=model)
    found = [(each.kind, each.reference) for each in datasets.list_users(store, version)]
    assert sorted(found) == [("deployment", "shop"), ("model", "shop:1"), ("run", run.id), ("run", run.id)]
    monkeypatch.chdir(tmp_path)
    shown = wright("users", "sales:1")
    assert all(each in shown for each in ("training data, running", "shop:1, starting"))
