"""A BentoML service: `bentoml serve bento:Scoring`."""

import os
import pickle
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service(workers=1)
class Scoring:
    """The model."""

    def __init__(self) -> None:
        """Load it."""
        self.model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301 - written by models.py

    @bentoml.api(route="/score")
    def score(self, data: np.ndarray) -> np.ndarray:
        """Answer one request."""
        return self.model.predict(data)
