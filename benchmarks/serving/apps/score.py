"""A scoring script as Azure's inference server takes it; served by that server and by ours, not one byte different.

It counts what it scores, so that it is more than a model with a form around it, which ours would serve without it.
"""

import json
import os
import pickle

import numpy as np


def init():
    """Load the model."""
    global model, scored
    scored = 0
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"), "rb") as file:
        model = pickle.load(file)


def run(raw_data):
    """Answer one request."""
    global scored
    scored += 1
    data = np.array(json.loads(raw_data)["data"])
    return {"result": model.predict(data).tolist()}
