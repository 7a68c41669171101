"""Describes a model package in the model's own environment. Standard library only; started by path.

`python worker.py PACKAGE MODEL_FILE RESULT` loads the model, scores the package's sample with the package's own
scoring script, and writes what it saw to RESULT as JSON.
"""

import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Describe the package."""
    package, model_file, result = (Path(argument) for argument in sys.argv[1:4])
    model = _load(model_file)
    framework = type(model).__module__.partition(".")[0]
    described = {
        "framework": framework,
        "framework_version": str(getattr(sys.modules.get(framework), "__version__", "")),
        "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
        "columns": [str(name) for name in getattr(model, "feature_names_in_", [])],
        "column_count": _int_or_none(getattr(model, "n_features_in_", None)),
    }
    sample = (package / "sample.json").read_text(encoding="utf-8")
    sys.path.insert(0, str(package))
    script: Any = importlib.import_module("score")
    script.init()
    described["sample_answer"] = script.run(sample, {})
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
