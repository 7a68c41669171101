"""Packs a pickled model as MLflow's own format: `python mlflow_model.py MODEL.pkl FOLDER`."""

import pickle
import sys
from pathlib import Path

import mlflow.sklearn

mlflow.sklearn.save_model(
    pickle.loads(Path(sys.argv[1]).read_bytes()),  # noqa: S301 - written by models.py
    sys.argv[2],
    serialization_format="cloudpickle",
)
