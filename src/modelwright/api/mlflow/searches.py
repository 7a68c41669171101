"""Searches of runs and experiments, in the language of MLflow's clients."""

from typing import Any

from modelwright.api.mlflow import experiments as experiment_routes
from modelwright.api.mlflow import paging, run_shapes
from modelwright.api.mlflow.calls import MOST_ORDERS, MOST_SEARCHED, Call
from modelwright.api.mlflow.filtering import Language, read_filter, read_order
from modelwright.api.mlflow.operations import reading
from modelwright.errors import ValueRefused
from modelwright.records import Order, Place
from modelwright.store import client_runs, experiments

_VIEWS = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}
_MOST_RUNS = 50_000

_RUNS = Language(
    frozenset({Place.METRIC, Place.PARAMETER, Place.TAG, Place.ATTRIBUTE, Place.DATASET}),
    {
        **{
            name: name for name in ("run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri")
        },
        **dict.fromkeys(("created", "Created"), "start_time"),
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
    times=frozenset({"start_time", "end_time"}),
    lists=frozenset({"run_id"}),
    has_presence=True,
)
_EXPERIMENTS = Language(
    frozenset({Place.TAG, Place.ATTRIBUTE}),
    {name: name for name in ("name", "experiment_id", "creation_time", "last_update_time")},
    times=frozenset({"creation_time", "last_update_time"}),
    lists=frozenset({"experiment_id"}),
    has_presence=True,
)


def _search_runs(call: Call) -> dict[str, Any]:
    limit, start = call.page_size(default=1000, most=_MOST_RUNS), paging.offset(call)
    found = client_runs.search_runs(
        call.store,
        read_filter(call.optional("filter"), _RUNS),
        experiment_ids=call.texts("experiment_ids", most=MOST_SEARCHED),
        is_deleted=_view(call, "run_view_type"),
        orders=orders(call, _RUNS),
        offset=start,
        limit=limit + 1,
    )
    return {"runs": [run_shapes.told(each) for each in found[:limit]]} | paging.next_page(found, start, limit)


def _search_experiments(call: Call) -> dict[str, Any]:
    limit, start = call.page_size(default=1000, most=_MOST_RUNS), paging.offset(call)
    found = experiments.search_experiments(
        call.store,
        read_filter(call.optional("filter"), _EXPERIMENTS),
        is_deleted=_view(call, "view_type"),
        orders=orders(call, _EXPERIMENTS),
        offset=start,
        limit=limit + 1,
    )
    told = [experiment_routes.told(each) for each in found[:limit]]
    return {"experiments": told} | paging.next_page(found, start, limit)


def orders(call: Call, language: Language) -> list[Order]:
    """Return in which order the answer is wanted. Raises ClientFilterInvalid and ValueRefused."""
    return [read_order(each, language) for each in call.texts("order_by", most=MOST_ORDERS)]


def _view(call: Call, name: str) -> bool | None:
    """Return whether only what was put away is wanted; None when that is left open."""
    found = call.optional(name) or "ACTIVE_ONLY"
    if found not in _VIEWS:
        raise ValueRefused(name=name, rule=f"it is one of {', '.join(_VIEWS)}")
    return _VIEWS[found]


OPERATIONS = (
    reading("POST", "runs/search", _search_runs),
    reading("POST", "experiments/search", _search_experiments),
    reading("GET", "experiments/search", _search_experiments),
)
