"""A guest: looks at values inside a notebook's kernel, and runs a project in a fresh process. Standard library only.

Runs in the user's own Python, from 3.9 on; what it sees it writes to files that the host reads.
"""

import contextlib
import functools
import importlib
import io
import json
import os
import pickle
import platform
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

# Rows put aside from the model's own test rows: enough to tell two models apart, cheap to keep.
ROWS_KEPT = 100
ROWS_SHOWN = 10

_DESCRIBING = runpy.run_path(str(Path(__file__).resolve().with_name("describing.py")))
_REHEARSING = runpy.run_path(str(Path(__file__).resolve().with_name("rehearsing.py")))
_SPELLING = runpy.run_path(str(Path(__file__).resolve().with_name("spelling.py")))
_STEPPING = runpy.run_path(str(Path(__file__).resolve().with_name("stepping.py")))
_TIMING = runpy.run_path(str(Path(__file__).resolve().with_name("timing.py")))


def look(namespace: Any, points: Any, folder: str) -> None:
    """Write what each point's expression gives in `namespace` to `folder`, a line of JSON each."""
    with Path(folder, "seen.jsonl").open("a", encoding="utf-8") as seen:
        for point in points:
            try:
                value = _value(namespace, point, folder)
            except Exception as error:  # noqa: BLE001 - whatever the user's objects raise is what was seen
                entry = dict(point, error=f"{type(error).__name__}: {error}")
            else:
                entry = dict(point, value=value)
            seen.write(json.dumps(entry) + "\n")


def place_of_error() -> str:
    """Return line, name and text of the last exception's frames, outermost first, as JSON."""
    frames = traceback.extract_tb(getattr(sys, "last_traceback", None))
    return json.dumps([[each.filename, each.lineno, each.name, each.line] for each in frames])


def _value(namespace: Any, point: Any, folder: str) -> Any:
    value = eval(point["expression"], namespace)  # noqa: S307 - an expression of the user's own notebook
    kind, file = point["kind"], Path(folder, "rows.pickle")
    if kind == "rows":
        rows = value[:ROWS_KEPT]
        file.write_bytes(pickle.dumps(rows, protocol=4))
        return _shown_rows(rows)
    if kind == "predictions":
        return _DESCRIBING["plain"](value.predict(_unpickled(str(file))))
    if kind == "certainty":
        return _DESCRIBING["certainty"](value, _unpickled(str(file)))
    if kind in {"raw", "split"}:
        return _REHEARSING["keep" if kind == "raw" else "keep_split"](point["name"], value)
    if kind == "replay":
        return _REHEARSING["attempt"](namespace, value, _unpickled(str(file)), _DESCRIBING)
    shown = {"metric": float, "part": _DESCRIBING["describe"], "overlap": _DESCRIBING["overlaps"]}
    return shown.get(kind, _DESCRIBING["plain"])(value)


def _shown_rows(rows: Any) -> Any:
    """Return the first rows as plain data, with the columns' names if they have any."""
    shown = rows[:ROWS_SHOWN]
    columns = getattr(shown, "columns", None)
    return {
        "columns": None if columns is None else [str(each) for each in columns],
        "rows": _DESCRIBING["plain"](shown),
    }


class _Missing:
    """Lets modules look as if they were not installed."""

    def __init__(self, names: Any) -> None:
        self.names = frozenset(names)
        self.asked: Any = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - the import system's signature
        """Refuse the modules; leave all others to whoever comes next."""
        if name.partition(".")[0] in self.names:
            self.asked.add(name)
            message = f"No module named {name!r}"
            raise ModuleNotFoundError(message, name=name)


def run_project(request: Any) -> Any:
    """Run the project's training and scoring as `request` says; return what they gave."""
    before = {name.partition(".")[0] for name in sys.modules}
    missing = _Missing(request["without"])
    sys.meta_path.insert(0, missing)
    sys.path[0] = request["source"]
    os.environ["AZUREML_MODEL_DIR"] = request["output_folder"]
    plain = _DESCRIBING["plain"]
    seen: Any = {"python_version": platform.python_version(), "predictions": None, "certainty": None, "answer": None}
    train = importlib.import_module(request["train"])
    spelled = _SPELLING["speller"](request["imports"], request["train"].partition(".")[0])
    seen |= _looked_at(train, request["functions"], spelled)
    sys.argv = ["train.py", "--output-folder", request["output_folder"]]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        train.main()
    seen["printed"] = printed.getvalue()
    seen["metrics"] = _metrics(printed.getvalue(), request["metrics"])
    if request["rows_file"]:
        rows = _unpickled(request["rows_file"])
        model = _load(str(Path(request["output_folder"], request["model_file"])), request["loader"])
        seen["predictions"] = plain(model.predict(rows))
        seen["certainty"] = _DESCRIBING["certainty"](model, rows)
    if request["sample_request"] is not None:
        try:
            score = importlib.import_module(request["score"])
            score.init()
            seen["answer"] = plain(score.run(request["sample_request"], {}))
        except Exception as error:  # noqa: BLE001 - that it does not answer is what was seen
            seen["answer"] = type(error).__name__ + ": " + str(error)
    seen["missed"] = sorted(missing.asked)
    seen["modules"] = sorted({name.partition(".")[0] for name in sys.modules} - before)
    return seen


def _looked_at(train: Any, functions: Any, spelled: Any) -> Any:
    """Let the functions that the module calls note what they give, its types and rows, and how long they take."""
    noted: Any = {"parts": {}, "types": {}, "rows": {}, "seconds": {}}

    def looking(name: str, outputs: Any, function: Any) -> Any:
        @functools.wraps(function)
        def called(*given: Any, **named: Any) -> Any:
            taken = [spelled(each) for each in given]
            clock, known = _TIMING["Clock"](), len(sys.modules)
            result = function(*given, **named)
            # What libraries import on their first use takes no time the next.
            noted["seconds"][name] = clock.seconds() if len(sys.modules) < known + _TIMING["MANY_MODULES"] else 0.0
            noted["rows"][name] = _STEPPING["rows"](result)
            values = result if len(outputs) > 1 else (result,)
            noted["types"][name] = {"inputs": taken, "outputs": [spelled(each) for each in values]}
            for output, value in zip(outputs, values):  # noqa: B905 - Python 3.9 has no strict
                noted["parts"][name + "." + output] = _DESCRIBING["describe"](value)
            return result

        return called

    for name, outputs in functions.items():
        if hasattr(train, name):
            setattr(train, name, looking(name, outputs, getattr(train, name)))
    return noted


def _load(path: str, loader: str) -> Any:
    if loader == "joblib":
        return importlib.import_module("joblib").load(path)
    return _unpickled(path)


def _unpickled(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())  # noqa: S301 - the user's own objects, in the user's own process


def _metrics(printed: str, names: Any) -> Any:
    """Return the metrics that a training printed as `name: value`; the last of a name counts."""
    found: Any = {}
    for line in printed.splitlines():
        name, colon, value = line.partition(": ")
        if colon and name in names:
            with contextlib.suppress(ValueError):
                found[name] = float(value)
    return found


def main() -> None:
    """Run the project named in the request file; write what it gave to the answer file."""
    request_file, answer_file = Path(sys.argv[1]), Path(sys.argv[2])
    seen = run_project(json.loads(request_file.read_text(encoding="utf-8")))
    answer_file.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main()
