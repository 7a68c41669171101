"""Runs one step in the project's own environment. Standard library only; started by path, never imported by the host.

`python worker.py REQUEST`: REQUEST is a JSON file naming the function, its arguments and where its outputs go. Every
output is pickled to `<outputs>/<name>.pickle`; dictionaries of numbers are also written to `<outputs>/numbers.json`.
"""

import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the step that the request describes."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.path[0] = request["project"]
    positional = []
    keywords = {}
    for argument in request["arguments"]:
        value = _load(argument["path"]) if argument["path"] else argument["value"]
        if argument["keyword"]:
            keywords[argument["keyword"]] = value
        else:
            positional.append(value)
    function = getattr(importlib.import_module(request["module"]), request["function"])
    result = function(*positional, **keywords)
    names = request["outputs"]
    values = tuple(result) if request["is_unpacked"] else (result,) * len(names)
    if len(values) != len(names):
        message = "{} gave {} values where the pipeline takes {}"
        raise ValueError(message.format(request["function"], len(values), len(names)))
    numbers = {}
    for name, value in zip(names, values):  # noqa: B905 - Python 3.9 has no strict=; lengths were compared
        with (Path(request["folder"]) / (name + ".pickle")).open("wb") as handle:
            # Protocol 5 everywhere, so that the bytes do not depend on the interpreter's default.
            pickle.dump(value, handle, protocol=5)
        if isinstance(value, dict) and all(_is_number(each) for each in value.values()):
            numbers[name] = {str(key): float(each) for key, each in value.items()}
    (Path(request["folder"]) / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")


def _load(path: str) -> object:
    try:
        from joblib import load  # reads its own files and plain pickles
    except ImportError:
        with Path(path).open("rb") as handle:
            return pickle.load(handle)  # noqa: S301 - a model of this workspace, its bytes verified
    return load(path)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bytes))


if __name__ == "__main__":
    main()
