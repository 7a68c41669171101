"""A Ray Serve deployment of one replica: `python ray_serve.py PORT`."""

import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.5})
class Scoring:
    """The model."""

    def __init__(self, model: str) -> None:
        """Load it."""
        self.model = pickle.loads(Path(model).read_bytes())  # noqa: S301 - written by models.py

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        """Answer one request."""
        rows = (await request.json())["data"]
        return {"result": self.model.predict(np.array(rows)).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Scoring.bind(os.environ["MODEL"]), route_prefix="/score")
    signal.pause()
