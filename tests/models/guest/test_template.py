"""Scripts of the template's shape, unmodified, behind a real endpoint: what its clients rely on, row by row."""

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from modelwright.serving import control

# As the template's own: the model is found by the name in the folder's path, the schema is made of samples, and one
# line of JSON is printed for each request.
SCORE = """
import json
import os

import joblib
import numpy
from azureml.core.model import Model
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    global model
    name = os.getenv("AZUREML_MODEL_DIR").split("/")[-2]
    model = joblib.load(Model.get_model_path(name))


input_sample = numpy.array([[1.0] * 10, [2.0] * 10])
output_sample = numpy.array([5021.509689995557, 3693.645386402646])


@input_schema("data", NumpyParameterType(input_sample))
@output_schema(NumpyParameterType(output_sample))
def run(data, request_headers):
    result = model.predict(data)
    print(
        json.dumps(
            {
                "RequestId": request_headers.get("X-Ms-Request-Id", ""),
                "TraceParent": request_headers.get("Traceparent", ""),
                "NumberOfPredictions": len(result),
            }
        )
    )
    return {"result": result.tolist()}
"""
# As the two stand-ins of its rollout: no model is read, and a bare text is given back.
SCORE_A = """
def init():
    global model


def run(raw_data):
    return "New Model A"
"""
SCORE_B = SCORE_A.replace("Model A", "Model B")
# As the tutorial's, with a file's name for a model's.
TUTORIAL = """
import json

import joblib
import numpy
from azureml.core.model import Model


def init():
    global model
    model = joblib.load(Model.get_model_path(model_name="sklearn_regression_model.pkl"))


def run(raw_data, request_headers):
    data = numpy.array(json.loads(raw_data)["data"])
    return {"result": model.predict(data).tolist()}
"""
ROWS = [[float(number) for number in range(1, 11)], [float(number) for number in range(10, 0, -1)]]
SUMS = [55.0, 55.0]
JSON = {"Content-Type": "application/json"}
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


# Quickly unpickled: it adds up rows, and does not take what is missing.
SUMS_MODULE = """
class Sums:
    def predict(self, rows):
        if (rows != rows).any():
            raise ValueError("Input X contains NaN.")
        return rows.sum(axis=1)
"""


def serve(served: Any, script: str, *, file: str = "model.pkl") -> None:
    """Deploy a script whose package has the one model."""
    spec = served.spec(script)
    (spec.script.parent / "sums.py").write_text(SUMS_MODULE)
    module = ModuleType("sums")
    exec(SUMS_MODULE, vars(module))
    sys.modules["sums"] = module
    (spec.model_folder / file).write_bytes(pickle.dumps(module.Sums()))
    del sys.modules["sums"]
    served.deploy(script)


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint that serves the template's script."""
    served = make_served()
    served.start()
    serve(served, SCORE)
    yield served
    served.stop()


def test_rows_are_scored(endpoint: Any) -> None:
    given = endpoint.ask(body=json.dumps({"data": ROWS}), headers=JSON)
    assert (given.status, json.loads(given.body)) == (200, {"result": SUMS})
    assert float(given.headers["x-ms-run-fn-exec-ms"]) > 0


def test_the_line_that_is_printed_has_the_ids_of_the_request(endpoint: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    endpoint.ask(body=json.dumps({"data": ROWS}), headers={**JSON, "x-request-id": "mine", "traceparent": trace})
    (line,) = [each for each in endpoint.log.read_text().splitlines() if " mine diabetes:1 " in each]
    printed = json.loads("{" + line.partition("{")[2])
    assert printed["TraceParent"].split("-")[1] == trace.split("-")[1], "its own step of the client's trace"
    assert (printed["RequestId"], printed["NumberOfPredictions"]) == ("mine", 2)


@pytest.mark.parametrize(
    ("body", "headers", "status", "text"),
    [
        ('{"rows": []}', JSON, 400, "A value is not provided for the 'data' parameter."),
        ("[]", JSON, 400, "POST body should be a JSON dictionary."),
        ("{", JSON, 400, "POST body could not be decoded as JSON: Expecting property name enclosed in double quotes"),
        ("", JSON, 400, "POST body is empty. Expecting a JSON dictionary."),
        (b"\xff", JSON, 400, "Input cannot be decoded as UTF-8"),
        ('{"data": []}', {"Content-Type": "text/plain"}, 415, "Expects Content-Type to be application/json"),
        ('{"data": []}', {}, 415, "Expects Content-Type to be application/json"),
        # Where the original says 500, and lays it at the script's door, these are the request's own faults.
        ('{"data": [[1, 2]]}', JSON, 400, "array has size 2 on dimension #1, while expected value is 10"),
        ('{"data": [1, 2]}', JSON, 400, "an array with 2 dimensions is expected; input has 1"),
        ('{"data": 3}', JSON, 400, "expected an array of items"),
        ('{"data": [[1,2,3,4,5,6,7,8,9,"x"]]}', JSON, 400, "could not convert string to float: 'x'"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_reason(
    endpoint: Any, body: Any, headers: dict[str, str], status: int, text: str
) -> None:
    given = endpoint.ask(body=body, headers=headers)
    assert given.status == status
    assert text in json.loads(given.body)["message"]
    assert given.headers["x-ms-run-function-failed"] == "False"


def test_what_only_the_model_does_not_take_fails_in_the_script(endpoint: Any) -> None:
    given = endpoint.ask(body='{"data": [[1,2,3,4,5,6,7,8,9,null]]}', headers={**JSON, "x-request-id": "with-null"})
    assert (given.status, json.loads(given.body)) == (500, {"message": FAILED})
    assert given.headers["x-ms-run-function-failed"] == "True"
    lines = [each for each in endpoint.log.read_text().splitlines() if " with-null diabetes:1 " in each]
    assert lines[-1].endswith("ValueError: Input X contains NaN.")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_values_that_nobody_asked_for_are_left_out(endpoint: Any, content_type: str) -> None:
    body = json.dumps({"data": ROWS, "more": 1})
    assert endpoint.ask(body=body, headers={"Content-Type": content_type}).status == 200


def test_a_query_is_scored_too(endpoint: Any) -> None:
    given = endpoint.ask("GET", f"/score?data={json.dumps(ROWS).replace(' ', '')}")
    assert (given.status, json.loads(given.body)) == (200, {"result": SUMS})


def test_the_published_address_of_a_cluster_is_understood(endpoint: Any) -> None:
    given = endpoint.ask(path="/api/v1/service/diabetes/score", body=json.dumps({"data": ROWS}), headers=JSON)
    assert json.loads(given.body) == {"result": SUMS}
    document = json.loads(endpoint.ask("GET", "/api/v1/service/diabetes/swagger.json").body)
    assert document["basePath"] == "/api/v1/service/diabetes"
    assert json.loads(endpoint.ask("GET", "/swagger.json").body)["basePath"] == "/"
    given = endpoint.ask("GET", "/swagger.json?version=3", headers={"X-Forwarded-Prefix": "/models/diabetes/"})
    assert json.loads(given.body)["servers"] == [{"url": "/models/diabetes"}]


def test_every_dialect_is_answered_in_its_own_form(endpoint: Any) -> None:
    given = endpoint.ask(path="/invocations", body=json.dumps({"instances": ROWS}), headers=JSON)
    assert json.loads(given.body) == {"predictions": SUMS}
    inputs = [{"name": "data", "datatype": "FP64", "shape": [2, 10], "data": ROWS}]
    for path in ("/v2/models/diabetes/infer", "/v2/models/diabetes/versions/1/infer"):
        given = endpoint.ask(path=path, body=json.dumps({"id": "7", "inputs": inputs}), headers=JSON)
        outputs = [{"name": "predict", "datatype": "FP64", "shape": [2], "data": SUMS}]
        assert json.loads(given.body) == {
            "model_name": "diabetes", "model_version": "1", "id": "7", "outputs": outputs
        }  # fmt: skip
    for path, key in (("/invocations", "message"), ("/v2/models/diabetes/infer", "error"), ("/score", "message")):
        assert key in json.loads(endpoint.ask(path=path, body="{", headers=JSON).body)
    given = endpoint.ask(path="/v2/models/diabetes/versions/9/infer", body="{}", headers=JSON)
    assert (given.status, "version 9 is not found" in given.body) == (404, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", "Healthy"),
        ("/ping", "\n"),
        ("/health", "\n"),
        ("/v2/health/live", '{"live": true}'),
        ("/v2/health/ready", '{"ready": true}'),
        ("/v2/models/diabetes/ready", '{"name": "diabetes", "ready": true}'),
    ],
)
def test_health_has_a_name_in_each_dialect(endpoint: Any, path: str, body: str) -> None:
    assert (endpoint.ask("GET", path).status, endpoint.ask("GET", path).body) == (200, body)
    assert endpoint.ask("POST", path).status == 405


def test_the_page_and_the_server_are_there(endpoint: Any) -> None:
    page = endpoint.ask("GET", "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "http" not in page.body.replace("https://", ""), "it loads nothing from elsewhere"
    assert endpoint.ask("GET", "/version").body.startswith("modelwright/")
    assert json.loads(endpoint.ask("GET", "/v2").body)["extensions"] == ["binary_tensor_data"]


def test_what_is_only_told_is_not_recorded(endpoint: Any) -> None:
    before = endpoint.status().deployments[0].requests
    for path in ("/swagger.json", "/docs", "/v2", "/v2/models/diabetes", "/ping"):
        assert endpoint.ask("GET", path, headers={"x-request-id": "telling"}).status == 200
    assert endpoint.status().deployments[0].requests == before
    assert "telling" not in [each.request_id for each in endpoint.captured()]


@pytest.mark.parametrize(("script", "answer"), [(SCORE_A, "New Model A"), (SCORE_B, "New Model B")])
def test_the_stand_ins_answer_with_their_bare_text(endpoint: Any, script: str, answer: str) -> None:
    endpoint.deploy(script, version=2 if answer.endswith("A") else 3)
    given = endpoint.ask(body='{"data": [[1]]}')
    assert (given.status, given.body) == (200, json.dumps(answer))


def test_a_path_that_names_a_version_is_answered_by_it(served: Any) -> None:
    served.start()
    served.deploy(SCORE_A)
    beside = served.spec(SCORE_B, version=2)
    control.deploy(served.name, runtime_folder=served.runtime_folder, worker=beside, is_replacing=False)
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1]}]})
    for path, model in (("/versions/1", "New Model A"), ("/versions/2", "New Model B"), ("", "New Model A")):
        given = served.ask(path=f"/v2/models/diabetes{path}/infer", body=body, headers=JSON)
        assert json.loads(given.body)["outputs"][0]["data"] == [model]


def test_the_tutorial_finds_its_model_by_the_file(served: Any) -> None:
    served.start()
    serve(served, TUTORIAL, file="sklearn_regression_model.pkl")
    assert json.loads(served.ask(body=json.dumps({"data": ROWS})).body) == {"result": SUMS}
