"""Writes the settings of an MLServer for a pickled model: `python mlserver_model.py MODEL.pkl FOLDER PORT WORKERS`."""

import json
import pickle
import sys
from pathlib import Path

import joblib

model, folder, port, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
folder.mkdir(parents=True, exist_ok=True)
joblib.dump(pickle.loads(model.read_bytes()), folder / "model.joblib")  # noqa: S301 - written by models.py
(folder / "settings.json").write_text(
    json.dumps(
        {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": port + 1,
            "metrics_port": port + 2,
            "parallel_workers": workers,
            "debug": False,
        }
    )
)
(folder / "model-settings.json").write_text(
    json.dumps(
        {
            "name": "scoring",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib"},
        }
    )
)
