"""A guest: calls a project's functions as its tests will, and notes what they give, print and change, and how long.

Standard library only. What is noted twice alike, in two processes, is what tests can hold.
"""

import contextlib
import importlib
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_DESCRIBING = runpy.run_path(str(_HERE / "describing.py"))
_STEPPING = runpy.run_path(str(_HERE / "stepping.py"))
_DEPICTING = runpy.run_path(str(_HERE / "depicting.py"))
_TIMING = runpy.run_path(str(_HERE / "timing.py"))
contents, describe, said = (_DESCRIBING[each] for each in ("contents", "describe", "said"))
Clock, TooSlow, limited = (_TIMING[each] for each in ("Clock", "TooSlow", "limited"))
# What a call may take to be made once more, or with other parameters.
_AGAIN_SECONDS, _OTHER_SECONDS = 0.7, 1.5
_ALL_OTHERS_SECONDS = 8.0
# Calls that together make up the trial of one function.
_MOST_CALLS = 4


def try_project(request: Any) -> Any:
    """Try the project with all its rows, else with ever fewer until it is quick enough; return what was noted.

    When it never is, the functions that are too slow are left out, with those that need what they give. Those that
    the request knows to be slow are not tried with all rows.
    """
    sys.path[0] = request["source"]
    functions, left = request["functions"], dict(request["left"])
    functions = [each for each in functions if each["name"] not in left]
    slow: Any = dict(request["slow"])
    reason = next(iter(slow.values()), "")
    for most_rows in request["most_rows"]:
        if most_rows is None and slow:
            continue
        try:
            return dict(_tried_warm(request, functions, most_rows), most_rows=most_rows, left=left)
        except TooSlow as error:
            reason = reason or str(error)
            slow = slow or {error.name: reason}
        except Exception as error:  # noqa: BLE001 - fewer rows may be too few for the project
            reason = reason or f"{type(error).__name__}: {error}"
    while slow and functions:
        for name, told in slow.items():
            functions = _without(functions, name, told, left)
        try:
            return dict(_tried_warm(request, functions, None), most_rows=None, left=left)
        except TooSlow as error:
            slow = {error.name: str(error)}
        except Exception as error:  # noqa: BLE001 - then nothing is tested
            reason, slow = f"{type(error).__name__}: {error}", {}
    return {"failure": reason}


def _without(functions: Any, slow: str, reason: str, left: Any) -> Any:
    """Return the functions but for a slow one and those that need what it gives; note these among those left."""
    kept = []
    missing: Any = set()
    for each in functions:
        if each["name"] == slow or missing & set(each["inputs"]):
            left.setdefault(
                each["name"], reason if each["name"] == slow else f"it needs what {slow} gives, which is too slow"
            )
            missing |= set(each["outputs"])
        else:
            missing -= set(each["outputs"])
            kept.append(each)
    return kept


def _tried_warm(request: Any, functions: Any, most_rows: Any) -> Any:
    """Try the functions, once more where what was slow is that libraries were imported by a first use."""
    known = len(sys.modules)
    try:
        return _tried(request, functions, most_rows)
    except TooSlow:
        if len(sys.modules) < known + _TIMING["MANY_MODULES"]:
            raise
    return _tried(request, functions, most_rows)


def _tried(request: Any, functions: Any, most_rows: Any) -> Any:
    steps = _STEPPING["Steps"](functions, request["output_folder"], most_rows)
    most_each = request["limit_each_seconds"]
    clock = Clock()
    noted: Any = {"functions": {}, "others": {}}
    # Once through before anything else: whether it is quick enough shows soon.
    for each, after in zip(functions, functions[1:]):  # noqa: B905, RUF007 - Python 3.9 has neither
        with limited(each["name"], min(most_each, request["limit_seconds"] - clock.seconds())):
            steps.given(after["name"])
    spent = 0.0
    for each in functions:
        with limited(each["name"], most_each * _MOST_CALLS):
            found = noted["functions"][each["name"]] = _called(steps, each)
        if found["seconds"] > most_each:
            raise TooSlow(each["name"], found["seconds"])
        if "error" in found or found["seconds"] > _OTHER_SECONDS:
            continue
        for parameter, value in each["others"].items():
            if spent > _ALL_OTHERS_SECONDS:
                break
            one = Clock()
            with contextlib.suppress(TooSlow), limited(each["name"], _ALL_OTHERS_SECONDS - spent):
                noted["others"][f"{each['name']}.{parameter}"] = _called(steps, each, {parameter: value})
            spent += one.seconds()
    is_whole = len(functions) == len(request["functions"])
    noted["main"] = _main(request, steps) if is_whole else {"error": "it takes too long"}
    noted["pipeline"] = _pipeline(request, steps) if is_whole else {"error": "it takes too long"}
    if request["report"]:
        noted["report"] = _report(request, steps) if is_whole else {"error": "it takes too long"}
    return noted


def _called(steps: Any, function: Any, parameters: Any = None) -> Any:
    """Call a function with what it is given; return what it gave, printed and changed, and whether it does so again."""
    given = steps.given(function["name"])
    inputs = (given,) if len(function["inputs"]) == 1 else given
    before = [describe(each) for each in inputs]
    called = getattr(importlib.import_module(function["module"]), function["name"])
    clock = Clock()
    try:
        found = _outcome(called, inputs, function, parameters or {})
    except Exception as error:  # noqa: BLE001 - other parameters may be wrong ones
        return {"error": type(error).__name__, "message": str(error), "seconds": clock.seconds()}
    found["seconds"] = clock.seconds()
    after = [describe(each) for each in inputs]
    pairs = zip(function["inputs"], before, after)  # noqa: B905 - Python 3.9 has no strict
    found["changes"] = [name for name, one, other in pairs if _DESCRIBING["difference"](one, other)]
    found["repeats"] = False
    if not found["changes"] and found["seconds"] < _AGAIN_SECONDS and not parameters:
        # What it is given may be of use only once, as what torch goes back through is.
        with contextlib.suppress(Exception):
            again = _outcome(called, inputs, function, {})
            found["repeats"] = all(not _DESCRIBING["difference"](found[key], again[key]) for key in again)
    return found


def _outcome(called: Any, inputs: Any, function: Any, parameters: Any) -> Any:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = called(*inputs, **parameters)
    outputs = function["outputs"]
    values = result if len(outputs) > 1 else (result,)
    parts = {name: json.loads(json.dumps(describe(each))) for name, each in zip(outputs, values)}  # noqa: B905 - as above
    shown = _DESCRIBING["overlaps"](dict(zip(outputs, values))) if function["role"] == "split" else {}  # noqa: B905 - as above
    return {"outputs": parts, "printed": said(printed.getvalue()), "overlaps": shown}


def _main(request: Any, steps: Any) -> Any:
    """Run the whole training, and ask the scoring script."""
    train = importlib.import_module(request["train"])
    steps.restart()
    sys.argv = ["train.py", "--output-folder", request["output_folder"]]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), steps.fewer_rows():
            train.main()
        found = {"printed": said(printed.getvalue())}
        file = Path(request["output_folder"], request["model_file"])
        found["is_saved"] = file.is_file() and file.stat().st_size > 0
        found["files"] = json.loads(json.dumps(contents(request["output_folder"])))
    except Exception as error:  # noqa: BLE001 - it is then not tested, and said why
        return {"error": f"{type(error).__name__}: {error}"}
    if request["request"] is not None:
        found["score"] = _scored(request)
    return found


def _pipeline(request: Any, steps: Any) -> Any:
    steps.restart()
    printed = io.StringIO()
    try:
        module = importlib.import_module(request["pipeline"])
        with contextlib.redirect_stdout(printed), steps.fewer_rows():
            result = module.pipeline(output_folder=request["pipeline_folder"])
        found = {"printed": said(printed.getvalue()), "result": json.loads(json.dumps(describe(result)))}
        return dict(found, files=json.loads(json.dumps(contents(request["pipeline_folder"]))))
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": f"{type(error).__name__}: {error}"}


def _report(request: Any, steps: Any) -> Any:
    """Run the report; return what its figures show, by the names of their pictures."""
    steps.restart()
    sys.argv = ["report.py", "--output-folder", request["report_folder"]]
    quiet, depicted = contextlib.redirect_stdout(io.StringIO()), _DEPICTING["depicted"]()
    try:
        with limited("it", request["limit_seconds"]), quiet, steps.fewer_rows(), depicted as drawn:
            importlib.import_module(request["report"]).main()
        return {"figures": {name: json.loads(json.dumps(describe(each))) for name, each in drawn.items()}}
    except TooSlow as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": f"{type(error).__name__}: {error}"}


def _scored(request: Any) -> Any:
    try:
        score: Any = importlib.import_module(request["score"])
        early = _error_of(lambda: score.run(request["request"], {}))
        score.init()
        answers = [json.loads(json.dumps(score.run(request["request"], {}))) for _ in range(2)]
        found = {"early": early, "answer": answers[0], "repeats": answers[0] == answers[1]}
        score.model_folder = lambda: request["empty_folder"]
        return dict(found, missing=_error_of(score.init))
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": f"{type(error).__name__}: {error}"}


def _error_of(call: Any) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which one is asked
        return type(error).__name__
    return ""


def main() -> None:
    """Try the project named in the request file; write what was noted to the answer file."""
    request_file, answer_file = Path(sys.argv[1]), Path(sys.argv[2])
    noted = try_project(json.loads(request_file.read_text(encoding="utf-8")))
    answer_file.write_text(json.dumps(noted), encoding="utf-8")


if __name__ == "__main__":
    main()
