"""A guest: calls a project's functions as its tests will, and notes what they give, print, change and how long it takes.

Standard library only. What is noted twice alike, in two processes, is what tests can hold.
"""

import contextlib
import importlib
import io
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_DESCRIBING = runpy.run_path(str(_HERE / "describing.py"))
_STEPPING = runpy.run_path(str(_HERE / "stepping.py"))
describe, said = _DESCRIBING["describe"], _DESCRIBING["said"]
# What a call may take to be made once more, or with other parameters.
_AGAIN_SECONDS, _OTHER_SECONDS = 0.7, 1.5
_ALL_OTHERS_SECONDS = 8.0


class _TooSlow(Exception):
    """The steps take longer than tests may."""


def try_project(request: Any) -> Any:
    """Try the project with all its rows, else with ever fewer until it is quick enough; return what was noted."""
    sys.path[0] = request["source"]
    slow = ""
    for most_rows in request["most_rows"]:
        try:
            noted = _tried(request, most_rows)
        except _TooSlow as error:
            slow = str(error)
            continue
        except Exception as error:  # noqa: BLE001 - fewer rows may be too few for the project
            slow = slow or f"{type(error).__name__}: {error}"
            continue
        return dict(noted, most_rows=most_rows)
    return {"failure": slow}


def _tried(request: Any, most_rows: Any) -> Any:
    functions = request["functions"]
    steps = _STEPPING["Steps"](functions, request["output_folder"], most_rows)
    began = time.monotonic()
    noted: Any = {"functions": {}, "others": {}}
    # Once through before anything else: whether it is quick enough shows soon.
    for each in functions:
        at = time.monotonic()
        steps.given(each["name"])
        is_slow = time.monotonic() - began > request["limit_seconds"]
        if is_slow or time.monotonic() - at > request["limit_each_seconds"]:
            message = f"{each['name']} and what comes before it take {time.monotonic() - began:.1f} s"
            raise _TooSlow(message)
    spent = 0.0
    for each in functions:
        found = noted["functions"][each["name"]] = _called(steps, each)
        if found["seconds"] > request["limit_each_seconds"]:
            message = f"{each['name']} takes {found['seconds']:.1f} s"
            raise _TooSlow(message)
        if "error" in found or found["seconds"] > _OTHER_SECONDS:
            continue
        for parameter, value in each["others"].items():
            if spent < _ALL_OTHERS_SECONDS:
                other = noted["others"][f"{each['name']}.{parameter}"] = _called(steps, each, {parameter: value})
                spent += other["seconds"]
    noted["main"] = _main(request, steps)
    return noted


def _called(steps: Any, function: Any, parameters: Any = None) -> Any:
    """Call a function with what it is given; return what it gave, printed and changed, and whether it does so again."""
    given = steps.given(function["name"])
    inputs = (given,) if len(function["inputs"]) == 1 else given
    before = [describe(each) for each in inputs]
    called = getattr(importlib.import_module(function["module"]), function["name"])
    began = time.monotonic()
    try:
        found = _outcome(called, inputs, function, parameters or {})
    except Exception as error:  # noqa: BLE001 - other parameters may be wrong ones
        return {"error": type(error).__name__, "message": str(error), "seconds": time.monotonic() - began}
    found["seconds"] = time.monotonic() - began
    after = [describe(each) for each in inputs]
    pairs = zip(function["inputs"], before, after)  # noqa: B905 - Python 3.9 has no strict
    found["changes"] = [name for name, one, other in pairs if _DESCRIBING["difference"](one, other)]
    found["repeats"] = False
    if not found["changes"] and found["seconds"] < _AGAIN_SECONDS and not parameters:
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
    except Exception as error:  # noqa: BLE001 - it is then not tested, and said why
        return {"error": f"{type(error).__name__}: {error}"}
    if request["request"] is not None:
        found["score"] = _scored(request)
    return found


def _scored(request: Any) -> Any:
    try:
        score = importlib.import_module(request["score"])
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
