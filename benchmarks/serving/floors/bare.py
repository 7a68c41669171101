"""What the model itself costs: `predict` in process, no server. `python bare.py FOLDER` prints microseconds as JSON."""

import json
import pickle
import statistics
import sys
import time
from pathlib import Path

import numpy as np

_ROUNDS, _SECONDS = 5, 0.3


def cost(folder: Path, rows: int) -> float:
    """Return what one call of `predict` takes, in microseconds of CPU; the median of several rounds."""
    model = pickle.loads((folder / "model.pkl").read_bytes())  # noqa: S301 - written by models.py
    asked = np.array(json.loads((folder / f"rows-{rows}.json").read_text()))
    found = []
    for _ in range(_ROUNDS):
        calls, started = 0, time.process_time()
        while time.process_time() - started < _SECONDS:
            model.predict(asked)
            calls += 1
        found.append((time.process_time() - started) / calls * 1e6)
    return statistics.median(found)


if __name__ == "__main__":
    print(json.dumps({rows: cost(Path(sys.argv[1]), rows) for rows in (1, 100)}))
