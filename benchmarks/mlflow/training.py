"""What the comparison's client does: runs as a training script makes them, with the real client of MLflow.

    python training.py RUNS

Runs in an environment of its own that has `mlflow`, against the server that MLFLOW_TRACKING_URI names. Prints how many
requests went over the wire.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

_METRICS, _PARAMETERS, _SEARCH_EVERY = 20, 10, 10
_count = 0
_send = requests.Session.send


def _counted(self: requests.Session, *arguments: Any, **options: Any) -> Any:
    global _count  # noqa: PLW0603 - one number
    _count += 1
    return _send(self, *arguments, **options)


def main() -> None:
    """Make the runs."""
    requests.Session.send = _counted  # type: ignore[method-assign]
    client, runs = MlflowClient(), int(sys.argv[1])
    experiment = mlflow.set_experiment(f"benchmark-{time.time_ns()}").experiment_id
    file = Path(tempfile.mkdtemp()) / "notes.txt"
    file.write_text("x" * 1000)
    begun = time.monotonic()
    for number in range(runs):
        run_id = client.create_run(experiment, run_name=f"run-{number}").info.run_id
        now = time.time_ns() // 1_000_000
        client.log_batch(
            run_id,
            [Metric(f"m{each}", number / (each + 1), now, 0) for each in range(_METRICS)],
            [Param(f"p{each}", str(number % (each + 1))) for each in range(_PARAMETERS)],
        )
        for step in range(3):
            client.log_metric(run_id, "loss", 1 / (step + 1 + number), step=step)
        client.set_tag(run_id, "kind", "a" if number % 2 else "b")
        client.log_artifact(run_id, str(file))
        client.get_run(run_id)
        if number % _SEARCH_EVERY == 0:
            client.search_runs([experiment], "metrics.loss < 0.5 and tags.kind = 'a'", max_results=20)
        client.set_terminated(run_id)
    print(json.dumps({"requests": _count, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
