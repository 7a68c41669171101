"""The FastAPI app that a user would write first: `uvicorn naive:app`, with everything as it comes."""

import os
import pickle
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())  # noqa: S301 - written by models.py


class Rows(BaseModel):
    """A request."""

    data: list[list[float]]


@app.post("/score")
def score(rows: Rows) -> dict[str, list[float]]:
    """Answer one request."""
    return {"result": model.predict(np.array(rows.data)).tolist()}
