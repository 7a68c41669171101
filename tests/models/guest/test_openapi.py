"""The document of an endpoint: valid, with its samples, in each version, for whatever is served."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.guest.asking import call, model, script, told
from models.guest.test_scripts import INIT, SCHEMA
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator, OpenAPIV31SpecValidator, validate
from sklearn.linear_model import LinearRegression

from modelwright.models.guest.codes import Route

VALIDATORS = {"2": OpenAPIV2SpecValidator, "3": OpenAPIV30SpecValidator, "3.1": OpenAPIV31SpecValidator}
DECORATED = (
    SCHEMA
    + """
@input_schema("data", NumpyParameterType(numpy.array([[1.0, 2.0]])))
@input_schema("people", PandasParameterType(pandas.DataFrame({"age": [1.5], "name": ["x"]})))
@input_schema("more", StandardPythonParameterType({"scale": 1.0, "names": ["x"], "when": datetime.date(2026, 1, 1)}))
@output_schema(StandardPythonParameterType({"result": [1.0]}))
def run(data, people, more, request_headers): ...
"""
)
SIGNATURE = {
    "inputs": {"type": "object", "properties": {"data": {"type": "array", "items": {}}}, "required": ["data"]},
    "outputs": {"type": "object", "properties": {"result": {"type": "null"}}, "required": []},
}


def document(serving: Any, version: str, *, path: str = "/swagger.json", headers: Any = None) -> Any:
    """Return the document in a version, which is valid."""
    reply = serving.answer(call(Route.SWAGGER, method="GET", path=path, query=f"version={version}", headers=headers))
    found = told(reply)
    assert reply.status == 200
    validate(found, cls=VALIDATORS[version])
    return found


def schema_of(found: Any, name: str = "ServiceInput") -> Any:
    """Return one of the document's schemas."""
    return (found.get("definitions") or found["components"]["schemas"])[name]


@pytest.mark.parametrize("version", VALIDATORS)
def test_a_decorated_script_is_described_by_its_samples(version: str) -> None:
    found = document(script(DECORATED), version)
    schema = schema_of(found)
    assert list(schema["properties"]) == ["data", "people", "more"], "headers are no values of a request"
    example = schema["examples"][0] if version == "3.1" else schema["example"]
    assert example == {
        "data": [[1.0, 2.0]],
        "people": [{"age": 1.5, "name": "x"}],
        "more": {"scale": 1.0, "names": ["x"], "when": "2026-01-01"},
    }
    assert schema["properties"]["data"]["format"] == "numpy.ndarray"
    assert schema["required"] == ["data", "people", "more"]
    operations = {each["operationId"] for path in found["paths"].values() for each in path.values()}
    assert operations == {"ServiceHealthCheck", "RunMLService", "GetSwaggerSpec"}


@pytest.mark.parametrize("version", VALIDATORS)
def test_an_undecorated_script_is_described_by_its_package(tmp_path: Path, version: str) -> None:
    serving = script(INIT + "def run(raw): ...", package=tmp_path)
    assert schema_of(document(serving, version))["type"] == "object"
    (tmp_path / "signature.json").write_text(json.dumps(SIGNATURE))
    (tmp_path / "sample.json").write_text('{"data": [[1, null]]}')
    found = document(serving, version)
    schema = schema_of(found)
    assert (schema["examples"][0] if version == "3.1" else schema["example"]) == {"data": [[1, None]]}
    assert "required" not in schema_of(found, "ServiceOutput")


@pytest.mark.parametrize("version", VALIDATORS)
def test_a_model_is_described_by_its_columns(tmp_path: Path, version: str) -> None:
    schema = schema_of(document(model(LinearRegression().fit(np.eye(3), [1, 2, 3]), tmp_path), version))
    assert schema["properties"]["data"]["items"] == {
        "type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3
    }  # fmt: skip
    assert (schema["examples"][0] if version == "3.1" else schema["example"]) == {"data": [[0.0, 0.0, 0.0]]}


def test_it_knows_where_it_stands() -> None:
    serving = script(DECORATED)
    forwarded = {"X-Forwarded-Prefix": "/models/"}
    assert document(serving, "2")["basePath"] == "/"
    assert document(serving, "2", headers=forwarded)["basePath"] == "/models"
    for prefix, headers in (("/api/v1/service/a", {}), ("/models/api/v1/service/a", forwarded)):
        found = document(serving, "3", path="/api/v1/service/a/swagger.json", headers=headers)
        assert found["servers"] == [{"url": prefix}]


def test_a_version_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    reply = script(DECORATED).answer(call(Route.SWAGGER, method="GET", path="/swagger.json", query="version=4"))
    text = "Swagger version [4] is not valid. Supported versions: [2, 3, 3.1]."
    assert (reply.status, told(reply)) == (404, {"message": text})


def test_a_document_in_the_package_stands_in_for_ours(tmp_path: Path) -> None:
    (tmp_path / "swagger.json").write_text('{"own": true}')
    serving = script(DECORATED, package=tmp_path)
    assert told(serving.answer(call(Route.SWAGGER, method="GET", path="/swagger.json"))) == {"own": True}
