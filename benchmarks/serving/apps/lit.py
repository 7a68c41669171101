"""A LitServe server: `python lit.py PORT`."""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np


class Scoring(litserve.LitAPI):
    """The model."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - what it is called with
        """Load it."""
        self.model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301 - written by models.py

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return the rows."""
        return np.array(request["data"])

    def predict(self, x: Any) -> Any:
        """Score them."""
        return self.model.predict(x)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the answer."""
        return {"result": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scoring(api_path="/score"), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)
