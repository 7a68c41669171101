"""Pipelines called as functions, in the process of the tests."""

import importlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import modelwright
from modelwright.errors import ParameterUnknown, ProjectInvalid
from modelwright.records import Run, Status
from modelwright.runs import inprocess
from modelwright.runs.workspaces import close_workspaces, open_workspace
from modelwright.settings import child_environment, find_workspace
from modelwright.store import database, runs

SHOP = """
import random

from modelwright.runs.inprocess import pipeline, step

CALLS = []


def load(count):
    CALLS.append("load")
    return list(range(count))


def shuffled(rows):
    CALLS.append("shuffled")
    random.shuffle(rows)
    return rows


@step(cache=False)
def first(rows):
    CALLS.append("first")
    return rows[0]


@pipeline
def shop(count=5):
    rows = load(count)
    mixed = shuffled(rows)
    best = first(rows)
    return {"rows": rows, "mixed": mixed, "best": best}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with a pipeline, and an empty workspace beside it."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.setenv("WRIGHT_WORKSPACE", str(tmp_path / ".wright"))
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("shop", None)
    yield importlib.import_module("shop")
    close_workspaces()


def _last() -> Run:
    store = open_workspace(find_workspace(Path.cwd())).store
    return runs.get_run(store, runs.list_runs(store)[0].id)


def test_a_call_runs_the_steps_and_the_next_one_reuses_them(shop: ModuleType) -> None:
    results = shop.shop()
    assert shop.CALLS == ["load", "shuffled", "first"]
    assert results["rows"] == [0, 1, 2, 3, 4]  # a step that changes its input changes its own copy
    assert shop.shop() == results
    assert shop.CALLS == ["load", "shuffled", "first", "first"]
    assert shop.shop(is_fresh=True) == results  # draws begin from the run's seed
    run = _last()
    assert (run.status, run.experiment, run.parameters) == (Status.SUCCEEDED, "shop", {"count": 5})
    assert [each.name for each in run.steps] == ["load", "shuffled", "first"]


def test_another_parameter_runs_again_and_an_unknown_one_is_refused(shop: ModuleType) -> None:
    shop.shop()
    assert len(shop.shop(count=2)["rows"]) == 2
    with pytest.raises(ParameterUnknown, match=r'"counts" is no parameter.*it has count'):
        shop.shop(counts=2)


def test_a_step_that_logs_to_the_run_is_not_reused(shop: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(count: int) -> list[int]:
        modelwright.log_metric("count", count)
        return [count]

    load.__module__, load.__qualname__ = "__main__", "load"
    monkeypatch.setattr(shop, "load", load)
    for _ in range(2):
        shop.shop()
        assert _last().metrics == {"count": 5.0}


def test_the_callers_own_random_draws_go_on(shop: ModuleType) -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    shop.shop()
    assert random.random() == expected


def test_what_a_step_raises_goes_through_and_the_run_has_failed(shop: ModuleType) -> None:
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        shop.shop(count="x")
    assert _last().status is Status.FAILED


def test_a_function_that_is_no_pipeline_is_refused_with_its_line(shop: ModuleType) -> None:
    def bad(count=1):
        for _ in range(count):
            pass

    with pytest.raises(ProjectInvalid, match=r"line \d+: "):
        inprocess.pipeline(bad)()


SCRIPT = """
from modelwright.runs.inprocess import pipeline

FACTOR = {factor}


def scale(rows):
    {comment}
    return [each * FACTOR for each in rows]


def rows():
    return [1, 2]


@pipeline
def main():
    a = rows()
    b = scale(a)
    return {{"b": b}}


print(main()["b"])
"""


def test_the_functions_of_a_script_are_compared_as_they_live(tmp_path: Path) -> None:
    script = tmp_path / "script.py"

    def run(factor: int, comment: str) -> None:
        script.write_text(SCRIPT.format(factor=factor, comment=comment))
        told = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            env=child_environment({"WRIGHT_WORKSPACE": str(tmp_path / ".wright")}),
        )
        assert told.stdout == f"{[factor, 2 * factor]}\n"

    run(2, "# one")
    run(2, "# another")
    run(3, "# another")
    store = database.open_store(tmp_path / ".wright")
    found = [runs.get_run(store, each.id) for each in runs.list_runs(store)]
    assert [[bool(step.reused_from) for step in run.steps] for run in found[::-1]] == [
        [False, False],
        [True, True],
        [True, False],
    ]
    store.close()
