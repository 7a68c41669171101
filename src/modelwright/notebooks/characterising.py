"""What a project's functions give, as its tests hold it: each is tried twice, in fresh processes of its Python.

What both trials note alike, and the notebook gave too where it was looked at, is golden; all else is listed as not
tested, with the reason.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from modelwright import processes
from modelwright.errors import CommandTimedOut
from modelwright.notebooks import arranging, paths, seeds
from modelwright.notebooks.describing import difference
from modelwright.notebooks.layouts import Layout
from modelwright.notebooks.proof import TOLERANCE, ProjectRun, expected_answer, sample_request
from modelwright.records import Function, NotebookRun, Parameter, Plan

_TRYING = Path(__file__).with_name("trying.py")
# All functions together, and each of them, may take so long in a test run; otherwise fewer rows are loaded.
_LIMIT_SECONDS = 8.0
_LIMIT_EACH_SECONDS = 2.0
# What was quick enough once is, whatever else the machine is doing the second time.
_AGAIN_SECONDS = 60.0
_TIMEOUT_SECONDS = 600.0
_FEWER_ROWS = (3000, 600, 150)
# A function that needed so many times its limit when the whole project ran needs no trial with all rows.
_SURELY = 1.5
# Two trials, in which sets of texts lie in other orders, and sums of floats are cut among other numbers of threads.
_HASH_SEEDS = ("0", "1")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Floats that are no further apart in both are held loosely: within so many times as much.
_MOST_APART = 1e-3
_LOOSELY = 10.0

Noted = Mapping[str, Any]


def trials(
    plan: Plan,
    training_run: NotebookRun,
    *,
    project: Path,
    layout: Layout,
    python: Path,
    environment: Mapping[str, str],
    work_folder: Path,
    project_run: ProjectRun,
) -> list[Noted]:
    """Try the project's functions in fresh processes of `python`; return what each trial noted.

    `project_run` is an earlier run of the whole, which tells what is too slow. A trial that broke off is noted as its
    `failure`.
    """
    functions = _functions(plan, layout)
    loaded = max((project_run.rows.get(each["name"], 0) for each in functions if each["role"] == "load"), default=0)
    request: dict[str, Any] = {
        "source": str((project / layout.source).absolute()),
        "train": layout.train,
        "score": layout.score,
        "pipeline": layout.pipeline,
        "report": layout.report if plan.report else None,
        "left": {},
        "slow": _slow(project_run.seconds),
        "functions": functions,
        "request": sample_request(plan, training_run),
        "model_file": plan.model_file,
        "limit_seconds": _LIMIT_SECONDS,
        "limit_each_seconds": _LIMIT_EACH_SECONDS,
    }
    found: list[Noted] = []
    most_rows: Sequence[int | None] = (None, *(each for each in _FEWER_ROWS if each < loaded))
    for hash_seed in _HASH_SEEDS:
        folder = work_folder / f"trial-{hash_seed}"
        variables = {**environment, **seeds.ENVIRONMENT, "PYTHONHASHSEED": hash_seed}
        if found:
            variables |= dict.fromkeys(_THREADS, "1" if (os.cpu_count() or 1) > 1 else "2")
        noted = _trial(request | {"most_rows": most_rows}, folder, python, variables)
        found.append(noted)
        if "failure" in noted:
            break
        most_rows = (noted["most_rows"],)
        request |= {"left": noted["left"], "slow": {}}
        request |= {"limit_seconds": _AGAIN_SECONDS, "limit_each_seconds": _AGAIN_SECONDS}
    return found


def _slow(seconds: Mapping[str, float]) -> dict[str, str]:
    """Return the functions that are surely too slow for tests, with the reason."""
    found = {name for name, each in seconds.items() if each > _LIMIT_EACH_SECONDS * _SURELY}
    if not found and sum(seconds.values()) > _LIMIT_SECONDS * _SURELY:
        found = {max(seconds, key=lambda name: seconds[name])}
    return {name: f"{name} takes {each:.1f} s" for name, each in seconds.items() if name in found}


def _trial(request: Mapping[str, Any], folder: Path, python: Path, environment: Mapping[str, str]) -> Noted:
    elsewhere = folder / "elsewhere"
    places = {
        "output_folder": "model/1",
        "empty_folder": "empty",
        "pipeline_folder": "pipeline",
        "report_folder": "report",
    }
    folders = {name: str((folder / place).absolute()) for name, place in places.items()}
    for each in (elsewhere, *map(Path, folders.values())):
        each.mkdir(parents=True, exist_ok=True)
    request_file, answer_file = folder / "request.json", folder / "answer.json"
    request_file.write_text(json.dumps({**request, **folders}), encoding="utf-8")
    try:
        done = processes.run(
            [python, _TRYING, request_file.absolute(), answer_file.absolute()],
            folder=elsewhere,
            environment={**environment, "AZUREML_MODEL_DIR": folders["output_folder"]},
            timeout_seconds=_TIMEOUT_SECONDS,
        )
    except CommandTimedOut:
        return {"failure": f"the functions take longer than {_TIMEOUT_SECONDS:.0f} s"}
    if done.returncode or not answer_file.exists():
        return {"failure": (done.stderr.strip().splitlines() or ["the process died"])[-1]}
    noted: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
    return noted


def _functions(plan: Plan, layout: Layout) -> list[dict[str, Any]]:
    """Return the functions as trials and tests call them."""
    modules = arranging.arrange(plan, layout).functions
    homes = {each.name: module for module, found in modules.items() for each in found}
    values = {each.name: each for each in plan.parameters}
    return [
        {
            "name": each.name,
            "module": homes[each.name],
            "inputs": each.inputs,
            "outputs": each.outputs,
            "role": each.role,
            "others": {
                name: other for name in each.parameters if (other := _other(values.get(name), plan)) is not None
            },
        }
        for each in plan.functions
    ]


def _other(parameter: Parameter | None, plan: Plan) -> bool | int | float | str | None:
    """Return a value near the parameter's own, of a path one where nothing is; None where none is known."""
    value = parameter.value if parameter else None
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 or 0.5
        case str() if value in {*plan.data_files, *map(paths.in_project, plan.data_files)}:
            return str(PurePosixPath(value).with_name("missing" + PurePosixPath(value).suffix))
    return None


# --- golden ---


def golden(
    plan: Plan,
    training_run: NotebookRun,
    scoring_run: NotebookRun | None,
    *,
    noted: Sequence[Noted],
    layout: Layout,
) -> dict[str, Any]:
    """Return what the tests of the project compare with, and what is not tested with the reasons."""
    known = {each.name for each in plan.metrics}
    rows = _rows(training_run)
    steps = [{key: each[key] for key in each if key != "others"} for each in _functions(plan, layout)]
    found: dict[str, Any] = {
        "not tested": [],
        "most rows": None,
        "steps": steps,
        "calls": None,
        "gives": {},
        "with": {},
        "metrics": {name: value for name, value in training_run.metrics.items() if name in known},
        "main": None,
        "files": None,
        "pipeline": None,
        "report": None,
        "within": {},
        "rows": rows,
        "predictions": _shown(training_run.predictions, rows),
        "certainty": _shown(training_run.certainty, rows),
        "request": sample_request(plan, training_run),
        "answer": expected_answer(plan, training_run, scoring_run),
    }
    failure = next((each["failure"] for each in noted if "failure" in each), "" if noted else "nothing was tried")
    if failure:
        found["not tested"].append(f"the functions: {failure}")
        return found | {"answer": None, "metrics": {}, "predictions": None, "certainty": None}
    first, second = noted[0], noted[-1]
    left = {**second["left"], **first["left"]}
    found["most rows"] = first["most_rows"]
    found["steps"] = [each for each in steps if each["name"] not in left]
    if len(found["steps"]) < len(steps):
        found["calls"] = _calls(plan)
    others = {each["name"]: each["others"] for each in _functions(plan, layout)}
    _Choosing(found, training_run, first, second).run(plan, left)
    for key, held in found["with"].items():
        function, _, parameter = key.partition(".")
        held["value"] = others[function][parameter]
    return found


def _calls(plan: Plan) -> list[dict[str, Any]]:
    """Return what each function is called with, for tests in which the slow ones are mocked."""
    defaults = {each.name: each.value for each in plan.parameters}
    return [
        {
            "name": each.name,
            "inputs": each.inputs,
            "parameters": {name: defaults[name] for name in each.parameters},
            "outputs": each.outputs,
        }
        for each in plan.functions
    ]


def _shown(values: object, rows: Mapping[str, Any] | None) -> object:
    """Return what the model gave for the rows that are shown, of what it gave for all that were put aside."""
    return values[: len(rows["rows"])] if rows and isinstance(values, list) else None


def _rows(run: NotebookRun) -> dict[str, Any] | None:
    """Return the rows shown if they can be made again from plain numbers and texts."""
    if not isinstance(run.rows, dict) or not isinstance(run.rows.get("rows"), list):
        return None
    values = [each for row in run.rows["rows"] for each in (row if isinstance(row, list) else [row])]
    return run.rows if all(isinstance(each, int | float | str) for each in values) else None


class _Choosing:
    """Puts into the golden values what holds, and among those not tested what does not."""

    def __init__(self, found: dict[str, Any], training_run: NotebookRun, first: Noted, second: Noted) -> None:
        self.found = found
        self.parts = training_run.parts
        self.first, self.second = first, second
        self.is_whole = found["most rows"] is None

    def run(self, plan: Plan, left: Mapping[str, str]) -> None:
        for name, reason in left.items():
            self._leave(name, reason)
        for each in plan.functions:
            if each.name in left:
                continue
            self._function(each)
            for parameter in each.parameters:
                self._parameter(each, parameter)
        self._main()
        self._pipeline()
        self._score()
        self._report()

    def _leave(self, what: str, reason: str) -> None:
        self.found["not tested"].append(f"{what}: {reason}")

    @staticmethod
    def _within(one: object, other: object) -> float | None:
        """Return how near a test must come to what two trials noted; None where it cannot hold that."""
        apart = difference(one, other)
        if apart <= TOLERANCE:
            return TOLERANCE
        if apart > _MOST_APART:
            return None
        loose = apart * _LOOSELY
        digit = 10.0 ** math.floor(math.log10(loose))
        return float(f"{math.ceil(loose / digit) * digit:.0e}")

    def _function(self, function: Function) -> None:
        noted = self.first["functions"][function.name]
        again = self.second["functions"][function.name]
        if "error" in noted or "error" in again:
            reason = noted.get("message") or again.get("message") or noted.get("error")
            self._leave(function.name, f"called by itself with copies of what it is given, it raises: {reason}")
            return
        kept: dict[str, Any] = {}
        within: dict[str, float] = {}
        for name, value in noted["outputs"].items():
            part = f"{function.name}.{name}"
            near = self._within(value, again["outputs"].get(name))
            if near is None:
                self._leave(part, "two runs give different values")
            elif self.is_whole and part in self.parts and not _is_near(value, _plain(self.parts[part])):
                self._leave(part, "the notebook gave another value")
            else:
                kept[name], within[name] = value, near
        entry: dict[str, Any] = {"outputs": kept, "printed": None, "overlaps": {}}
        if noted["printed"]["words"]:
            near = self._within(noted["printed"], again["printed"])
            if near is None:
                self._leave(f"what {function.name} prints", "two runs print different texts")
            else:
                entry["printed"], within["printed"] = noted["printed"], near
        if _is_near(noted["overlaps"], again["overlaps"]):
            entry["overlaps"] = noted["overlaps"]
        entry["repeats"] = noted["repeats"] and again["repeats"]
        entry["changes"] = sorted({*noted["changes"], *again["changes"]})
        entry["within"] = _loose(within)
        self.found["gives"][function.name] = entry

    def _parameter(self, function: Function, parameter: str) -> None:
        key = f"{function.name}.{parameter}"
        noted, again = (each["others"].get(key) for each in (self.first, self.second))
        usual = self.first["functions"][function.name]
        if noted is None or again is None or "error" in usual:
            self._leave(f"another {parameter} of {function.name}", "which other value is right is not known, or slow")
        elif "error" in noted:
            if noted["error"] == again.get("error") == "FileNotFoundError":
                self.found["with"][key] = {"raises": noted["error"]}
            else:
                self._leave(f"another {parameter} of {function.name}", f"it raises {noted['error']}")
        else:
            pairs = {name: (value, again.get("outputs", {}).get(name)) for name, value in noted["outputs"].items()}
            near = {name: self._within(*pair) for name, pair in pairs.items()}
            kept = {
                name: value
                for name, value in noted["outputs"].items()
                if (most := near[name]) is not None and difference(value, usual["outputs"][name]) > most
            }
            most = self._within(noted["printed"], again.get("printed"))
            is_printed = most is not None and difference(noted["printed"], usual["printed"]) > most
            if kept or is_printed:
                within = {**{name: near[name] for name in kept}, "printed": most}
                printed = noted["printed"] if is_printed else None
                self.found["with"][key] = {"outputs": kept, "printed": printed, "within": _loose(within)}
            else:
                self._leave(f"another {parameter} of {function.name}", "nothing that it gives changes, or not surely")

    def _main(self) -> None:
        noted, again = self.first["main"], self.second["main"]
        error = noted.get("error") or again.get("error")
        if error:
            self._leave("main", error)
            self.found |= {"answer": None, "metrics": {}, "predictions": None, "certainty": None}
            return
        near = self._within(noted["printed"], again["printed"])
        if not self.is_whole or near != TOLERANCE:
            # What the notebook gave, it gave with all rows, and on its own machine.
            self.found |= {"metrics": {}, "predictions": None, "certainty": None}
        if near is None:
            self._leave("what main prints", "two runs print different texts")
        else:
            self.found["main"] = noted["printed"]
        self.found["is saved"] = noted["is_saved"] and again["is_saved"]
        near_files = self._within(noted["files"], again["files"])
        if near_files is None:
            self._leave("what main saves", "two runs save different contents")
        else:
            self.found["files"] = noted["files"]
        if near_files != TOLERANCE:
            self.found |= {"predictions": None, "certainty": None}
        self.found["within"] |= _loose({"main": near, "files": near_files})

    def _pipeline(self) -> None:
        noted, again = self.first["pipeline"], self.second["pipeline"]
        error = noted.get("error") or again.get("error")
        if error:
            self._leave("pipeline", error)
            return
        near = {key: self._within(noted[key], again[key]) for key in noted}
        kept = {key: noted[key] for key in noted if near[key] is not None}
        for key in noted.keys() - kept.keys():
            self._leave(f"the {key} of pipeline", "two runs differ")
        self.found["pipeline"] = kept
        self.found["within"] |= _loose({f"pipeline.{key}": each for key, each in near.items()})

    def _score(self) -> None:
        noted = self.first["main"].get("score")
        again = self.second["main"].get("score")
        if noted is None or again is None:
            self.found["answer"] = None
            return
        error = noted.get("error") or again.get("error")
        answer = noted.get("answer")
        near = self._within(answer, again.get("answer"))
        if error or near is None:
            self._leave("the scoring script", error or "two trainings answer differently")
            answer = None
        elif self.is_whole and self.found["answer"] is not None and not _is_near(answer, self.found["answer"]):
            self._leave("the scoring script", "the notebook answered otherwise")
            answer = None
        self.found["answer"] = answer
        self.found["within"] |= _loose({"answer": near})
        self.found["score"] = {each: noted.get(each) for each in ("early", "missing", "repeats")}

    def _report(self) -> None:
        noted, again = (each.get("report", {"figures": {}}) for each in (self.first, self.second))
        error = noted.get("error") or again.get("error")
        if error:
            self._leave("the report", error)
        elif noted["figures"]:
            near = {name: self._within(each, again["figures"].get(name)) for name, each in noted["figures"].items()}
            kept = {name: each for name, each in noted["figures"].items() if near[name] is not None}
            for name in noted["figures"].keys() - kept.keys():
                self._leave(f"what {name} shows", "two runs draw different figures")
            self.found["report"] = {"pictures": list(noted["figures"]), "figures": kept}
            self.found["within"] |= _loose({"report": max((near[name] or 0.0 for name in kept), default=None)})


def _loose(within: Mapping[str, float | None]) -> dict[str, float]:
    """Return those tolerances that are not the usual one."""
    return {name: each for name, each in within.items() if each is not None and each > TOLERANCE}


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value))


def _is_near(one: object, other: object) -> bool:
    return difference(one, other) <= TOLERANCE
