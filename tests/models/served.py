"""A model from elsewhere and how it is served, and what `wright model` is in tests."""

from collections.abc import Callable
from typing import Any

Wright = Callable[..., Any]

SCORE = """
import json
import os
import pickle


def init():
    global factor
    folder = os.environ["AZUREML_MODEL_DIR"]
    assert folder.split("/")[-3] == "azureml-models" and folder.split("/")[-2] == "churn", folder
    with open(os.path.join(folder, "model.pkl"), "rb") as file:
        factor = pickle.load(file)


def run(raw_data):
    return {"result": [factor * each for row in json.loads(raw_data)["data"] for each in row]}
"""
