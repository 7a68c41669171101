"""Describes a model package in the model's own environment. Standard library only; started by path.

`python worker.py SOURCE MODULE SAMPLE MODEL_FILE RESULT` loads the model, scores the sample with the package's own
scoring script, imported as MODULE from the folder SOURCE, and writes what it saw to RESULT as JSON.
"""

import importlib
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
    model = _load(model_file)
    framework = type(model).__module__.partition(".")[0]
    described = {
        "framework": framework,
        "framework_version": str(getattr(sys.modules.get(framework), "__version__", "")),
        "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
        "columns": [str(name) for name in getattr(model, "feature_names_in_", [])],
        "column_count": _int_or_none(getattr(model, "n_features_in_", None)),
    }
    script: Any = importlib.import_module(module)
    script.init()
    described["sample_answer"] = script.run(sample.read_text(encoding="utf-8"), {})
    result.write_text(json.dumps(described), encoding="utf-8")


def _load(path: Path) -> object:
    try:
        from joblib import load  # reads its own files and plain pickles
    except ImportError:
        with path.open("rb") as handle:
            return pickle.load(handle)  # noqa: S301 - our own run's model, in its own environment
    return load(path)


def _int_or_none(value: Any) -> object:
    return None if value is None else int(value)


if __name__ == "__main__":
    main()
