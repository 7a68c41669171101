"""Names of the cloud's packages in a scoring script: ours stand in only where the real ones are not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwright.serving import control

SCRIPT = """
import os
import sys

import azureml.contrib.services.aml_request
import azureml.core
import azureml.exceptions
import inference_schema.parameter_types.spark_parameter_type
from azureml.contrib.services.aml_response import AMLResponse
from azureml.core.model import Model
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType

def init():
    assert azureml.core.Model is Model

def run(raw):
    try:
        return os.path.relpath(eval(raw), os.environ["AML_APP_ROOT"])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint whose deployment has several models."""
    served = make_served()
    served.start()
    spec = served.spec(SCRIPT)
    models = spec.model_folder.parents[1]
    for place in ("diabetes/1/ridge.pkl", "other/2/a.txt", "other/10/folder/b.txt", "two/1/a", "two/1/b"):
        (models / place).parent.mkdir(parents=True, exist_ok=True)
        (models / place).touch()
    (spec.script.parent / "beside.pkl").touch()
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=replace(spec, model_folder=models))
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ('os.environ["AZUREML_MODEL_DIR"]', "azureml-models"),
        ('Model.get_model_path("diabetes")', "azureml-models/diabetes/1/ridge.pkl"),
        ('Model.get_model_path("other")', "azureml-models/other/10/folder"),
        ('Model.get_model_path("other", version=2)', "azureml-models/other/2/a.txt"),
        ('Model.get_model_path("ridge.pkl")', "azureml-models/diabetes/1/ridge.pkl"),
        ('Model.get_model_path("beside.pkl")', "beside.pkl"),
        ('Model.get_model_path("other", version="2")', "WebserviceException: version should be an int, got str"),
        ('Model.get_model_path("other", version=3)', "ModelNotFoundException: Model other:3 not found"),
        ('Model.get_model_path("none")', "ModelNotFoundException: Model none not found"),
        ('Model.get_model_path("two")', "can contain only 1 file or folder. Found 2."),
    ],
)
def test_models_are_found_by_name_and_version(endpoint: Any, asked: str, path: str) -> None:
    assert path in json.loads(endpoint.ask(body=asked).body)


def test_a_real_package_is_not_stood_in_for(served: Any) -> None:
    served.start()
    spec = served.spec(
        """
        from azureml.core.model import Model
        from azureml.contrib.services.aml_request import rawhttp
        def init(): ...
        def run(raw): return [Model, rawhttp.__module__]
        """
    )
    real = spec.script.parent / "azureml" / "core"
    real.mkdir(parents=True)
    (real.parent / "__init__.py").touch()
    (real / "__init__.py").touch()
    (real / "model.py").write_text("Model = 'the real one'")
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=spec)
    assert json.loads(served.ask(body="").body) == ["the real one", "modelwright_guest.rawhttp"]
    assert not list(Path(spec.script.parent).rglob("__pycache__"))
