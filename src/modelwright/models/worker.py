"""Describes a model package in the model's own environment. Standard library only; started by path.

`python worker.py SOURCE MODULE SAMPLE MODEL_FILE RESULT [PARTS KEY NAME]` scores the sample with the package's own
scoring script, imported as MODULE from the folder SOURCE, and writes what it saw of the model to RESULT as JSON. The
model is what MODEL_FILE holds; when that is `-`, it is the fitted one that `init()` left in the script.

Then it takes the model NAME of the script apart into the folder PARTS, with the script's answers to requests that have
their rows under KEY, or writes there why that cannot be done.
"""

import importlib
import importlib.util
import inspect
import json
import pickle
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Describe the package."""
    source, module = sys.argv[1:3]
    sample, model_file, result = (Path(argument) for argument in sys.argv[3:6])
    # A model may be of a class that the package defines.
    sys.path.insert(0, source)
    model = None if str(model_file) == "-" else _load(model_file)
    _guest("shims").install()
    script: Any = importlib.import_module(module)
    script.init()
    answer = _served(script, sample.read_bytes())
    if model is None:
        model = _fitted(vars(script))
    result.write_text(json.dumps(_described(model) | {"sample_answer": answer}), encoding="utf-8")
    if sys.argv[6:]:
        folder, key, name = sys.argv[6:9]
        _take_apart(Path(folder), script, name=name, sample=sample.read_text(encoding="utf-8"), key=key)


def _take_apart(folder: Path, script: Any, *, name: str, sample: str, key: str) -> None:
    try:
        exporting, asking = _beside("exporting"), _beside("asking")
        parts = exporting.parts_of(getattr(script, name))
        parts.write(str(folder / "arrays.bin"))
        answers = str(folder / "answers.jsonl")
        answer = asking.answering(lambda body: _scored(script.run, body))
        asking.write_answers(answers, answer=answer, parts=parts, sample=sample, key=key)
    except Exception as error:  # noqa: BLE001 - a model need not be arrays, whatever the reason
        told = str(error) if type(error).__name__ == "NotArraysError" else f"{type(error).__name__}: {error}"
        (folder / "reason.txt").write_text(told, encoding="utf-8")


def _beside(name: str) -> Any:
    """Return a module of the folder of those that take models apart; ours must not hide one of the package's."""
    place = Path(__file__).with_name("fusing") / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"_wright_{name}", str(place))
    assert specification is not None and specification.loader is not None  # noqa: S101, PT018 - the file is ours
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def _described(model: Any) -> "dict[str, Any]":
    if model is None:
        return {"framework": "", "framework_version": "", "model_class": "", "columns": [], "column_count": None}
    framework = type(model).__module__.partition(".")[0]
    return {
        "framework": framework,
        "framework_version": str(getattr(sys.modules.get(framework), "__version__", "")),
        "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
        "columns": [str(name) for name in getattr(model, "feature_names_in_", [])],
        "column_count": _int_or_none(getattr(model, "n_features_in_", None)),
    }


def _load(path: Path) -> object:
    try:
        from joblib import load  # reads its own files and plain pickles
    except ImportError:
        with path.open("rb") as handle:
            return pickle.load(handle)  # noqa: S301 - our own run's model, in its own environment
    return load(path)


def _served(script: Any, body: bytes) -> object:
    """Return what the script answers to a request when it is served: the server's own code asks it.

    So decorated scripts and names of the cloud's packages are understood here as they are there.
    """
    messages = _guest("messages")
    headers = {"Content-Type": "application/json", "X-Ms-Request-Id": "sample"}
    head = json.dumps({"headers": headers, "method": "POST", "path": "/score", "query": ""}).encode()
    asked = messages.Call(0, _guest("codes").Route.SCORE, "sample", head, body)
    return json.loads(_guest("scripts").Script(script).score(asked).body)


def _guest(name: str) -> Any:
    """Return a module of what serves scoring scripts, which is a package of its own here as well."""
    package = "modelwright_guest"
    if package not in sys.modules:
        folder = Path(__file__).with_name("guest")
        places = [str(folder)]
        spec = importlib.util.spec_from_file_location(
            package, folder / "__init__.py", submodule_search_locations=places
        )
        assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file is ours
        module = importlib.util.module_from_spec(spec)
        sys.modules[package] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{package}.{name}")


def _scored(run: Any, body: str) -> object:
    """Call `run` as the server does: the body goes to its first parameter, the headers to the one of that name."""
    parameters = inspect.signature(run).parameters
    headers: dict[str, Any] = {"request_headers": {}} if "request_headers" in parameters else {}
    first = next((name for name in parameters if name != "request_headers"), None)
    return run(body, **headers) if first is None else run(**{first: body}, **headers)


def _fitted(names: "dict[str, Any]") -> object:
    """Return the first thing among the script's variables that predicts; None when there is none."""
    return next(
        (
            each
            for each in names.values()
            if not inspect.isclass(each) and not inspect.ismodule(each) and callable(getattr(each, "predict", None))
        ),
        None,
    )


def _int_or_none(value: Any) -> object:
    return None if value is None else int(value)


if __name__ == "__main__":
    main()
