"""Searching runs."""

from datetime import UTC, datetime, timedelta

import pytest

from modelwright import records
from modelwright.errors import FilterInvalid
from modelwright.records import AllOf, AnyOf, GitState, Kind, Place, Point, Run, Status, Term
from modelwright.runs.filtering import read_filter, read_order
from modelwright.runs.searching import find_runs
from modelwright.store import runs
from modelwright.store.changes import change
from modelwright.store.database import Store

START = datetime(2025, 1, 1, tzinfo=UTC)


def _add(store: Store, number: int, **facts: object) -> str:
    metrics: dict[str, float] = facts.pop("metrics", {})  # type: ignore[assignment]
    status = facts.pop("status", Status.SUCCEEDED)
    run = Run(
        id=records.new_id("run", milliseconds=number),
        project="",
        status=Status.RUNNING,
        reason="",
        environment_digest="",
        code_digest="c",
        git=GitState("abc", is_dirty=False, branch="main"),
        started_at=START + timedelta(days=number),
        kind=Kind.SCRIPT,
        **facts,  # type: ignore[arg-type]
    )
    with change(store, actor="ada") as opened:
        runs.add_run(opened, run, project_id=None)
        runs.log_points(opened, run.id, [Point(name, 0, value, START) for name, value in metrics.items()])
        runs.finish_run(opened, run.id, status=status, reason="why not")  # type: ignore[arg-type]
    return run.id


@pytest.fixture
def names(store: Store) -> dict[str, str]:
    """Seven runs, by id."""
    nan = float("nan")
    added = {
        "a": _add(store, 0, parameters={"alpha": 0.5, "solver": "svd"}, tags={"kind": "ridge"}, metrics={"mse": 3.0}),
        "b": _add(store, 1, parameters={"alpha": 1, "solver": "svd"}, tags={"kind": "ridge"}, metrics={"mse": 2.0}),
        "c": _add(store, 2, parameters={"alpha": 1.0, "solver": None}, tags={"kind": "lasso"}, metrics={"mse": 1.0}),
        "d": _add(store, 3, parameters={"alpha": "high", "fit": True}, metrics={"mse": nan, "val loss": 4.0}),
        "e": _add(store, 4, experiment="other", status=Status.FAILED, parameters={"alpha": float("nan")}),
        "f": _add(store, 5, experiment="other", tags={"fold": "10", "mse": "low"}, metrics={"val/loss": 1e-5}),
        "g": _add(store, 6, parameters={"fit": False, "loss": 7}, tags={"kind": 'a "b"'}, metrics={"loss": 0.5}),
    }
    return {run_id: name for name, run_id in added.items()}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("mse < 3", "cb"),
        ("mse <= 3", "cba"),
        ("mse = nan", "d"),
        ("mse != 2", "ca"),
        ("metrics.mse > -inf and metrics.mse < inf", "cba"),
        ("alpha = 1", "cb"),
        ("alpha == 1.0", "cb"),
        ("alpha >= 0.5", "cba"),
        ("parameters.alpha > 0.5 and solver = svd", "b"),
        ("alpha = high", "d"),
        ("alpha != high", ""),
        ("solver contains v", "ba"),
        ("fit = true", "d"),
        ("fit != true", "g"),
        ("kind = ridge", ""),  # an attribute: all are scripts
        ("kind = script and mse < 2", "c"),
        ("tags.kind = ridge", "ba"),
        ("tags.kind != ridge", "gc"),
        ("tags.kind contains 'a \"'", "g"),
        ("fold = '10'", "f"),
        ("tags.fold > 9", "f"),
        ("mse = low", "f"),
        ("loss > 0", "g"),
        ("loss > 6", "g"),
        ("loss = 0.5 or loss = 7", "g"),
        ("'val loss' > 3 or val/loss < 1e-4", "fd"),
        ('metrics."val loss" = 4', "d"),
        ("(mse < 2 or mse > 2) and alpha < 1", "a"),
        ("mse < 2 or mse > 2 and alpha > 1", "c"),
        ("status = failed", "e"),
        ("experiment = other and status = succeeded", "f"),
        ("started >= 2025-01-06T00:00+00:00", "gf"),
        ("started < '2025-01-02T00:00:00+00:00'", "a"),
        ("commit contains b and branch = main and mse < 2", "c"),
        ("nothing < 3", ""),
    ],
)
def test_a_filter_finds_what_it_says(store: Store, names: dict[str, str], where: str, found: str) -> None:
    assert "".join(names[run.id] for run in find_runs(store, where)) == found


@pytest.mark.parametrize("where", ["mse < 3", "mse <= 3", "alpha >= 0.5", "loss > 0", "tags.kind != ridge"])
def test_common_matches_are_found_as_rare_ones_are(
    store: Store, names: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [run.id for run in find_runs(store, where)]
    ordered = [run.id for run in find_runs(store, where, order="mse")]
    monkeypatch.setattr("modelwright.store.searching._FEW", 0)
    assert [run.id for run in find_runs(store, where)] == few
    assert [run.id for run in find_runs(store, where, order="mse")] == ordered
    assert [run.id for run in find_runs(store, (where, "status = succeeded"), limit=1)] == few[:1]


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("mse", "cbagfed"),
        ("-mse", "abcgfed"),
        ("started", "abcdefg"),
        ("-started", "gfedcba"),
        ("parameters.alpha", "acbdgfe"),
        ("status", "egfdcba"),
        ("metrics.val loss", "dgfecba"),
    ],
)
def test_runs_come_in_the_order_asked_for(store: Store, names: dict[str, str], order: str, found: str) -> None:
    assert "".join(names[run.id] for run in find_runs(store, order=order)) == found
    assert "".join(names[run.id] for run in find_runs(store, order=order, limit=5)) == found[:5]


def test_filters_tags_experiment_and_status_hold_together(store: Store, names: dict[str, str]) -> None:
    found = find_runs(store, ("mse < 3", "mse > 1"), tags={"kind": "ridge"}, status="succeeded")
    assert [names[run.id] for run in found] == ["b"]
    assert found[0].parameters == {"alpha": 1, "solver": "svd"}
    assert [names[run.id] for run in find_runs(store, experiment="other", status="failed")] == ["e"]


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("mse", 4, "one of ="),
        ("mse <", 6, "a number or a text"),
        ("mse < 3 alpha", 9, '"and" or "or"'),
        ("mse < 3 and", 12, "the name of a metric"),
        ("(mse < 3", 9, '"\\)" is missing'),
        ("mse < 3; DROP TABLE runs", 8, "means nothing"),
        ("metrics.mse = low", 15, "is a metric"),
        ("attributes.color = red", 1, '"color" is no attribute; there are id'),
        ("started > yesterday", 11, "a time looks like"),
        ("", 1, "the name of a metric"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_at_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(FilterInvalid, match=f"at character {position}: .*{reason}"):
        read_filter(text)


def test_a_filter_cannot_become_a_statement(store: Store, names: dict[str, str]) -> None:
    assert find_runs(store, """tags.kind = "x'; DROP TABLE runs; --" """) == []
    assert find_runs(store, """"x' OR 1=1 --" = 3""") == []
    assert len(find_runs(store)) == 7


def test_and_binds_closer_than_or() -> None:
    one, two, three = (Term(Place.ANY, name, "=", 1.0) for name in "abc")
    assert read_filter("a = 1 or b = 1 AND c = 1") == AnyOf((one, AllOf((two, three))))
    assert read_filter("(a = 1 or b = 1) and c = 1") == AllOf((AnyOf((one, two)), three))


def test_an_order_is_by_what_has_one() -> None:
    assert read_order("-status").place is Place.ATTRIBUTE
    with pytest.raises(FilterInvalid):
        read_order("tags.kind")
