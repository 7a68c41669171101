"""Guest: prints the sketch of a file's content as JSON: tables and texts by their numbers, models by what they learnt.

`file_worker.py FILE`, with the Python and the modules that the file was written with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_MODELS = {".pkl", ".pickle", ".joblib", ".sav", ".model", ".mdl"}
_TEXTS = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".md", ".toml", ".yaml", ".yml", ".arff"}


def _content(path: Path) -> Any:
    kind = path.suffix.lower()
    if kind in _MODELS:
        return _unpickled(path)
    if kind in {".npy", ".npz"}:
        import numpy as np

        loaded = np.load(path, allow_pickle=True)
        return dict(loaded) if kind == ".npz" else loaded
    if kind in {".pt", ".pth"}:
        import torch  # the notebook brings it

        return torch.load(path, weights_only=False)
    return path.read_text(encoding="utf-8") if kind in _TEXTS else repr(path.read_bytes())


def _unpickled(path: Path) -> Any:
    try:
        import joblib

        return joblib.load(path)
    except Exception:  # noqa: BLE001 - any reader may be the right one
        import pickle

        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - the notebook's own file


def main() -> None:
    """Print the sketch, or why there is none."""
    path = Path(sys.argv[1])
    sys.path.pop(0)
    sys.path.insert(0, str(Path(__file__).parent))
    import sketch

    sys.path.pop(0)
    try:
        content = _content(path)
        seen = sketch.sketch_text(content) if isinstance(content, str) else sketch.sketch(content)
        print(json.dumps({"sketch": seen}))
    except Exception as error:  # noqa: BLE001 - what cannot be read is the answer
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))


if __name__ == "__main__":
    main()
