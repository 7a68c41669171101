"""A guest: measures a new model and the champion on the same rows. Standard library only; runs as a step does.

What is between the model and its metrics (one evaluation step or several) is called for both models with the same
values and the same random draws: on the real rows, on rows drawn with replacement, on the rows of each group of a
slice. Nothing is known of the metric but its name. What was seen goes to a file of JSON.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import math
import os
import pickle
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RESAMPLES = 1000
_RESAMPLING_SECONDS = 10.0
# Fewer rows, or fewer resamples, say nothing of chance.
_FEWEST_ROWS, _FEWEST_RESAMPLES = 10, 10
# How near remembered answers must come to the model's own: sums of floats depend on how many there are.
_TOLERANCE = 1e-6
_MOST_ASKED, _LATENCY_SECONDS, _BATCHES = 200, 3.0, 10
_TRIES = 3
GUESTS = ("chance", "origins", "rows", "standins")


def judge(worker: Any, plan: dict[str, Any], candidate: Any, /, **values: Any) -> None:
    """Measure what the plan asks for and write it to the plan's `report`.

    `worker` is the module that runs steps; `values` are what the steps of the plan take besides the model.
    """
    place = Path(__file__)
    guests = SimpleNamespace(**{name: worker.load(f"wright_{name}", place.with_name(f"{name}.py")) for name in GUESTS})
    models = {"candidate": candidate}
    if plan["champion"]:
        models["champion"] = _loaded(worker, plan["champion"], candidate)
    evaluation = Evaluation(worker, plan, values)
    contest = Contest(evaluation, models, guests)
    Path(plan["report"]).write_text(json.dumps(_told(contest, plan)), encoding="utf-8")


def _told(contest: Contest, plan: dict[str, Any]) -> dict[str, Any]:
    metrics = contest.measure()
    told: dict[str, Any] = {"metrics": metrics}
    if "champion" in metrics and all(plan["metric"] in each for each in metrics.values()):
        told["resampling"] = contest.resample(seed=plan["seed"], level=plan["level"])
    told["slices"] = [group for column in plan["slices"] for group in contest.slices(column)]
    if plan["is_timed"]:
        told["latency"] = contest.latencies()
    if plan["check"]:
        told["check"] = _checked(plan, contest.models, told)
    return told


class Evaluation:
    """The steps between a model and its metrics, which can be called for any model and any rows."""

    def __init__(self, worker: Any, plan: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Take the module that runs steps, the plan and the values that its steps take."""
        self.values = dict(values)
        self.metric: str = plan["metric"]
        self.sign = -1.0 if plan["goal"] == "minimize" else 1.0
        self._plan = plan
        self._worker = worker
        self._random = pickle.loads(worker.random_states())  # noqa: S301 - of this very process
        self._logged: dict[str, float] = {}
        _hear(self._logged)

    def __call__(self, model: Any, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics of the model: what the steps return, and what they log, whose last value counts."""
        self._worker.set_random(self._random)
        self._logged.clear()
        known = {**values, self._plan["model"]: model}
        metrics: dict[str, float] = {}
        for step in self._plan["steps"]:
            function = getattr(importlib.import_module(step["module"]), step["function"])
            positional, named = [], {}
            for each in step["arguments"]:
                value = known[each["name"]] if each["name"] in known else each["value"]
                if each["keyword"]:
                    named[each["keyword"]] = value
                else:
                    positional.append(value)
            result = function(*positional, **named)
            names = step["outputs"]
            known.update(zip(names, result if step["is_unpacked"] else [result]))  # noqa: B905 - Python 3.9
            if step["metrics"]:
                metrics.update(_numbers(known[step["metrics"]]))
        figures = sys.modules.get("matplotlib.pyplot")
        if figures is not None:
            figures.close("all")
        return {**self._logged, **metrics}

    def sources(self) -> Iterator[Any]:
        """Give the values that the steps above made."""
        for path in self._plan.get("sources", ()):
            yield self._worker.read_value(path)

    def fresh(self) -> dict[str, Any]:
        """Return the values as the steps above left them: an evaluation may change its own."""
        try:
            return copy.deepcopy(self.values)
        except Exception:  # noqa: BLE001 - not everything that can be passed on can be copied
            return dict(self.values)


class Contest:
    """A new model and, if there is one, the champion, on the same rows."""

    def __init__(self, evaluation: Evaluation, models: dict[str, Any], guests: Any) -> None:
        """Take the models by `candidate` and `champion`, and the other guests as modules."""
        self.models = models
        self._evaluation = evaluation
        self._guests = guests
        self._tapes = {name: guests.standins.Tape(guests.rows) for name in models}
        self._is_replayed = False
        self._groups: list[int] = []
        self._real: dict[str, dict[str, float]] = {}

    def measure(self) -> dict[str, dict[str, float]]:
        """Return the metrics of each model on the real rows; from then on its answers are remembered."""
        evaluation = self._evaluation
        found = self._real = {"candidate": evaluation(self.models["candidate"], evaluation.fresh())}
        if "champion" in self.models:
            try:
                found["champion"] = evaluation(self.models["champion"], evaluation.fresh())
            except Exception as error:
                message = "the champion cannot be measured on this run's rows: {}: {}"
                raise RuntimeError(message.format(type(error).__name__, error)) from error
        with _quiet():
            seen = [self._is_recorded(name, found[name]) for name in self.models]
        held = self._guests.rows.lengths(evaluation.values)
        answered = set().union(*(each.lengths for each in self._tapes.values()))
        self._is_replayed = all(seen) and bool(answered) and answered <= held
        self._groups = sorted(answered if self._is_replayed else held, reverse=True)
        return found

    def _is_recorded(self, name: str, real: dict[str, float]) -> bool:
        standin = self._tapes[name].recording(self.models[name])
        if standin is self.models[name]:
            return False
        try:
            return _are_alike(self._evaluation(standin, self._evaluation.fresh()), real)
        except Exception:  # noqa: BLE001 - a stand-in is not always good enough
            return False

    # --- chance ---

    def resample(self, *, seed: int, level: float) -> dict[str, Any]:
        """Return the interval of the improvement by the paired bootstrap: both models on the same drawn rows.

        Rows are drawn with replacement, as many as there are, until there are enough or time is up.
        """
        groups = [each for each in self._groups if each >= _FEWEST_ROWS]
        if not groups:
            most = max(self._groups, default=0)
            words = "they hold no rows" if not most else "1 row only" if most == 1 else f"{most} rows only"
            return {"reason": words, "rows": most}
        began = time.monotonic()
        draw = self._guests.chance.Drawing(seed)
        with _quiet():
            groups = self._relevant(groups, draw)
            self._is_replayed = self._is_replayed and self._is_faithful(groups, draw)
            found: list[float] = []
            failures: list[str] = []
            count = 0
            while count < _RESAMPLES and (time.monotonic() - began < _RESAMPLING_SECONDS or count < 1):
                count += 1
                difference = self._difference({each: draw.rows(each) for each in groups}, failures)
                if difference is not None:
                    found.append(difference)
        told: dict[str, Any] = {
            "rows": groups[0],
            "resamples": count,
            "failed": len(failures),
            "failure": failures[0] if failures else "",
            "is_remembered": self._is_replayed,
            "seconds": round(time.monotonic() - began, 3),
        }
        if len(failures) * 2 > count:
            return dict(told, reason=failures[0])
        if len(found) < _FEWEST_RESAMPLES:
            return dict(told, reason=f"{count} resamples in {told['seconds']:g} s")
        found.sort()
        low, high = self._guests.chance.interval(found, level, self._improvement(self._real))
        is_percentile = len(found) >= self._guests.chance.PERCENTILES
        share = sum(each > 0 for each in found) / len(found)
        return dict(told, low=low, high=high, is_percentile=is_percentile, share_better=share)

    def _improvement(self, metrics: Mapping[str, Mapping[str, float]]) -> float:
        new, old = (metrics[name][self._evaluation.metric] for name in ("candidate", "champion"))
        return self._evaluation.sign * (new - old)

    def _difference(self, drawn: dict[int, Any], failures: list[str]) -> float | None:
        """Return by how much the candidate is better on drawn rows; None, and the failure, when that has no answer."""
        try:
            difference = self._improvement({name: self._on(name, drawn) for name in self.models})
        except Exception as error:  # noqa: BLE001 - some metrics are not defined on some rows
            failures.append(f"{type(error).__name__}: {error}")
            return None
        if math.isnan(difference):
            failures.append(f"{self._evaluation.metric} is not a number")
            return None
        return difference

    def _value(self, name: str, drawn: dict[int, Any]) -> float:
        return self._on(name, drawn)[self._evaluation.metric]

    def _on(self, name: str, drawn: dict[int, Any]) -> dict[str, float]:
        """Return a model's metrics on these rows."""
        if self._is_replayed:
            with contextlib.suppress(self._guests.standins.Unlike):
                return self._replayed(name, drawn)
        return self._evaluation(self.models[name], self._guests.rows.taken(self._evaluation.values, drawn))

    def _replayed(self, name: str, drawn: dict[int, Any]) -> dict[str, float]:
        standin = self._tapes[name].replaying(self.models[name], drawn)
        return self._evaluation(standin, self._guests.rows.taken(self._evaluation.values, drawn))

    def _relevant(self, groups: list[int], draw: Any) -> list[int]:
        """Return the groups of rows that the metric depends on; all, when it depends on none."""
        if len(groups) == 1:
            return groups
        real = {name: each[self._evaluation.metric] for name, each in self._real.items()}
        found = []
        for group in groups:
            for _ in range(_TRIES):
                drawn = {group: draw.rows(group)}
                try:
                    are_moved = [self._value(name, drawn) != real[name] for name in real]
                except Exception:  # noqa: BLE001 - it depends on them, or it would not fail
                    are_moved = [True]
                if any(are_moved):
                    found.append(group)
                    break
        return found or groups

    def _is_faithful(self, groups: list[int], draw: Any) -> bool:
        """Whether remembered answers give what the models themselves give, tried on drawn rows."""
        for _ in range(_TRIES):
            drawn = {each: draw.rows(each) for each in groups}
            values = self._guests.rows.taken(self._evaluation.values, drawn)
            try:
                real = [self._evaluation(model, copy.deepcopy(values)) for model in self.models.values()]
            except Exception:  # noqa: BLE001, S112 - some metrics are not defined on some rows
                continue
            try:
                return all(map(_are_alike, [self._replayed(name, drawn) for name in self.models], real))
            except Exception:  # noqa: BLE001 - the models did answer
                return False
        return False

    # --- groups, time, and the user's own check ---

    def slices(self, column: str) -> list[dict[str, Any]]:
        """Return each group of a column of the evaluation's rows, with the metric of both models in it."""
        length, values = self._column(column)
        groups = self._guests.rows.grouped(values)
        told = []
        for label, rows in groups:
            metrics: dict[str, float | None] = {}
            with _quiet():
                for name in self.models:
                    try:
                        metrics[name] = self._value(name, {length: self._guests.chance.indices(rows)})
                    except Exception:  # noqa: BLE001 - some metrics are not defined on some rows
                        metrics[name] = None
            told.append({"column": column, "group": label, "rows": len(rows), **metrics})
        return told

    def _column(self, column: str) -> tuple[int, list[Any]]:
        """Return a column of the evaluation's rows, by its name or by what it was called where the rows come from."""
        evaluation = self._evaluation
        known = {length: self._guests.rows.columns(evaluation.values, length) for length in self._groups}
        for length, names in known.items():
            if column in names:
                return length, names[column]()
        tables = [each for each in evaluation.sources() if column in getattr(each, "columns", ())]
        for length in self._groups:
            for array in self._guests.rows.arrays(evaluation.values, length):
                found = self._guests.origins.names(array, tables) or ()
                if column in found:
                    return length, list(array[:, found.index(column)])
        told = ", ".join(sorted({name for each in known.values() for name in each})) or "none with a name"
        message = 'no column "{}" in the rows that the models are measured on; they have {}'
        raise LookupError(message.format(column, told))

    def latencies(self) -> dict[str, Any]:
        """Return how many milliseconds each model takes for one row (median, 95th percentile) and for all of them.

        Both are asked in turns, so that whatever else the machine does slows down both.
        """
        calls = {name: next(iter(tape.calls), None) for name, tape in self._tapes.items()}
        if not all(calls.values()) or not self._groups:
            return {"reason": "the evaluation asks the model for no predictions"}
        single: dict[str, list[float]] = {name: [] for name in calls}
        batch: dict[str, list[float]] = {name: [] for name in calls}
        with _quiet():
            self._time(calls, single, count=_MOST_ASKED, is_single=True)
            self._time(calls, batch, count=_BATCHES, is_single=False)
        quantile = self._guests.chance.quantile
        return {
            name: {
                "row_p50": quantile(sorted(times), 0.5),
                "row_p95": quantile(sorted(times), 0.95),
                "batch_p50": quantile(sorted(batch[name]), 0.5),
                "asked": len(times),
            }
            for name, times in single.items()
        }

    def _time(self, calls: dict[str, Any], times: dict[str, list[float]], *, count: int, is_single: bool) -> None:
        deadline = time.monotonic() + _LATENCY_SECONDS
        for number in range(count):
            if number > 1 and time.monotonic() > deadline:
                return
            order = list(calls) if number % 2 else list(calls)[::-1]
            for name in order:
                call = calls[name]
                given, named = call.given
                if is_single:
                    drawn = {each: self._guests.chance.indices([number % each]) for each in self._groups}
                    given = tuple(self._guests.rows.taken(each, drawn) for each in given)
                    named = self._guests.rows.taken(named, drawn)
                began = time.perf_counter()
                call.ask(*given, **named)
                if number:  # the first time pays for what is done once
                    times[name].append((time.perf_counter() - began) * 1000)


def _checked(plan: Mapping[str, Any], models: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    """Return what the user's check refuses with, None when it lets the model pass. Raises what the check raises."""
    metrics, resampling = told["metrics"], told.get("resampling", {})
    facts: dict[str, Any] = {
        "model": plan["name"],
        "metric": plan["metric"],
        "goal": plan["goal"],
        "rows": resampling.get("rows"),
        "interval": [resampling["low"], resampling["high"]] if "low" in resampling else None,
        "slices": told["slices"],
        "champion": None,
    }
    for name, model in models.items():
        facts[name] = {
            "reference": plan["references"][name],
            "model": model,
            "metrics": metrics[name],
            "size_bytes": plan["sizes"][name],
            "latency_ms": told.get("latency", {}).get(name, {}).get("row_p95"),
        }
    module, _, function = plan["check"].partition(":")
    said = getattr(importlib.import_module(module), function)(facts)
    if said is None or said is True:
        return None
    if said is False:
        return "it returned False"
    if isinstance(said, str) and said.strip():
        return said.strip()
    message = "the gate's check {} returned {!r}: it returns None or True, or a sentence that refuses"
    raise TypeError(message.format(plan["check"], said))


def _loaded(worker: Any, files: list[str], like: Any) -> Any:
    """Return the model that one of the files holds: one like the candidate, else the first that can be read."""
    found, fault = [], None
    for file in files:
        try:
            found.append(worker.read_value(file))
        except Exception as error:  # noqa: BLE001 - not every file of a model is a pickle
            fault = fault or error
            continue
        if type(found[-1]) is type(like):
            return found[-1]
    if not found:
        message = "no file of the champion can be read as a model by joblib or pickle: {}"
        raise TypeError(message.format(", ".join(Path(each).name for each in files))) from fault
    return found[0]


def _hear(logged: dict[str, float]) -> None:
    """Keep metrics that an evaluation logs from the run's record; a dataset is asked for as ever."""
    recording = sys.modules.get("modelwright")
    write = getattr(recording, "_write", None)
    if write is None:
        return

    def hear(**fields: Any) -> None:
        if fields["kind"] == "metric":
            logged[fields["name"]] = float(fields["value"])
        elif fields["kind"] in {"dataset", "cancel"}:
            write(**fields)

    setattr(recording, "_write", hear)  # noqa: B010 - a module's attribute


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {str(name): float(each) for name, each in value.items() if _is_number(each)}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bytes))


def _are_alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return set(one) == set(other) and all(
        each == other[name]
        or (each != each and other[name] != other[name])  # noqa: PLR0124 - NaN
        or math.isclose(each, other[name], rel_tol=_TOLERANCE, abs_tol=1e-12)
        for name, each in one.items()
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what an evaluation prints and warns of from being said a thousand times."""
    with open(os.devnull, "w", encoding="utf-8") as nothing, warnings.catch_warnings():  # noqa: PTH123 - no path
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            yield
