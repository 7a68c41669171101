"""`wright why` and `wright impact`, on a run that was tracked and a version made of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner, Result

import modelwright
from modelwright import records
from modelwright.cli.program import program
from modelwright.errors import FolderNotWritable, LineageMissing, RequestMissing
from modelwright.records import ModelVersion, Run
from modelwright.runs import workspaces
from modelwright.store import database, models, runs
from modelwright.store.changes import change


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A tracked run, of which two versions were registered; the second one is derived from the first."""
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("alpha = 1\n")
    with modelwright.start_run("first", parameters={"alpha": 1}) as tracked:
        tracked.log_metrics({"mse": 3.0})
    workspaces.close_workspaces()
    store = database.open_store(tmp_path / ".wright")
    found = runs.get_run(store, tracked.id)
    with change(store, actor="ada", why="better on [March]") as opened:
        parent = None
        for model in ("churn", "churn"):
            made = ModelVersion(
                id=records.new_id("version"),
                model=model,
                version=0,
                digest="d" * 64,
                framework="sklearn",
                signature={},
                run_id=None if parent else found.id,
                proof_id=None,
                environment_digest=None,
                created_at=records.now(),
                parent_id=parent,
                source={"kind": "file"} if parent else {},
            )
            parent = made.id
            models.move_alias(opened, models.add_version(opened, made), alias="champion")
    yield found
    store.close()


def wright(*arguments: str) -> Result:
    """Run a command; what it raises is raised."""
    return CliRunner().invoke(program, arguments, catch_exceptions=False, standalone_mode=False)


def answer(*arguments: str) -> Any:
    """Run a command and return what it says with `--json`."""
    return json.loads(wright(*arguments, "--json").stdout)


def test_why_prints_the_chain_with_who_and_why(run: Run) -> None:
    printed = wright("why", "churn@champion").stdout
    lines = printed.splitlines()
    assert lines[0].startswith("model churn:2  sklearn, registered ")
    assert 'by ada: "better on [March]"' in lines[0]
    assert lines[1].startswith("model churn:1")
    assert lines[1].endswith("the parent of the version above")
    assert f"run {run.id}" in lines[2]
    assert "alpha=1, mse=3.0" in lines[2]
    assert f"snapshot {run.code_digest[:12]}" in lines[3]


def test_why_gives_nodes_and_edges(run: Run) -> None:
    found = answer("why", "churn:2")
    assert {each["kind"] for each in found["nodes"]} == {"model", "run", "snapshot", "environment"}
    edges = {(each["source"].partition("/")[0], each["target"].partition("/")[0]) for each in found["edges"]}
    assert edges == {("model", "model"), ("run", "model"), ("snapshot", "run"), ("environment", "run")}
    assert found["gaps"] == []
    assert answer("why", run.id)["root"] == answer("why", "run", run.id)["root"] == f"run/{run.id}"


def test_impact_lists_and_counts(run: Run) -> None:
    found = answer("impact", "run", run.id)
    assert {name: count for name, count in found["counts"].items() if count} == {"model": 2, "alias": 1}
    printed = wright("impact", "snapshot", run.code_digest[:10]).stdout
    assert printed.splitlines()[0] == f"on snapshot {run.code_digest[:12]} depend: 1 alias, 2 versions, 1 run"
    assert wright("impact", "model", "churn:2").stdout.splitlines()[0] == "on model churn:2 depend: 1 alias"


def test_nothing_depends_on_what_nobody_used(run: Run) -> None:
    assert run
    with modelwright.start_run("second") as other:
        pass
    workspaces.close_workspaces()
    done = wright("impact", "run", other.id)
    assert (done.exit_code, done.stdout) == (0, f"nothing depends on run {other.id}\n")
    assert answer("impact", "run", other.id)["endpoints"] == {}


def test_chains_of_all_versions_are_followed(run: Run, tmp_path: Path) -> None:
    assert run
    assert wright("why", "--all").stdout == "2 versions, no broken chain\n"
    store = database.open_store(tmp_path / ".wright")
    with store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET source = '{}' WHERE version = 2")
    store.close()
    done = wright("why", "--all")
    assert done.return_value == 1
    assert "neither a run nor a source is recorded\n2 versions, 1 broken chain\n" in done.stdout
    assert answer("why", "--all")["versions"] == 2


def test_pictures_need_nothing_but_themselves(run: Run, tmp_path: Path) -> None:
    assert run
    done = wright("why", "churn:2", "--html", "why.html", "--svg", "why.svg", "--json")
    json.loads(done.stdout)
    for name in ("why.html", "why.svg"):
        text = (tmp_path / name).read_text()
        assert "churn:2" in text
        ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    with pytest.raises(FolderNotWritable, match="no/where"):
        wright("impact", "run", run.id, "--svg", "no/where/it.svg")


@pytest.mark.parametrize(
    "arguments",
    [("why",), ("why", "cell", "3"), ("why", "a", "b", "c"), ("why", "--all", "churn:1"), ("impact", "run")],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        wright(*arguments)


def test_what_there_is_none_of_is_told_with_the_next_command(run: Run) -> None:
    assert run
    with pytest.raises(LineageMissing, match='model "churn:9": no model in this workspace is called so') as caught:
        wright("why", "churn:9")
    assert caught.value.next_command == "wright model list"
    with pytest.raises(RequestMissing, match='the id "order-1"; nothing was ever captured'):
        wright("why", "order-1")


def test_a_chain_of_a_thousand_versions_is_printed_to_its_end(run: Run, tmp_path: Path) -> None:
    assert run
    store = database.open_store(tmp_path / ".wright")
    version = models.find_version(store, "churn:2")
    with change(store, actor="ada") as opened:
        for _ in range(1200):
            made = replace(version, id=records.new_id("version"), parent_id=version.id)
            version = models.add_version(opened, made)
    store.close()
    printed = wright("why", "churn:1202").stdout
    assert printed.count("model churn:") == 1202
