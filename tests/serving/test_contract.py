"""What clients and scripts of Azure's inference server rely on, row by row, for undecorated scripts."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SCRIPT = """
import json
import os

def init():
    global model
    model = os.environ["AZUREML_MODEL_DIR"]

def run(raw_data, request_headers):
    assert type(raw_data) is str
    if raw_data == "raise":
        raise ValueError("a secret of the script")
    if raw_data == "exit":
        raise SystemExit(1)
    if raw_data == "none":
        return None
    if raw_data == "text":
        return "New Model A"
    if raw_data == "list":
        return [1, 2]
    if raw_data == "object":
        return object()
    if raw_data == "headers":
        return request_headers
    if raw_data == "model":
        return model
    return {"got": raw_data}
"""
SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL = "An unexpected internal error occurred. Check the logs for more info."


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint that serves SCRIPT."""
    served = make_served()
    served.start()
    served.deploy(SCRIPT)
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("body", "status", "answer", "has_run_failed"),
    [
        (b'{"data": [[1, 2]]}', 200, {"got": '{"data": [[1, 2]]}'}, "False"),
        (b"", 200, {"got": ""}, "False"),
        ("é ☃".encode(), 200, {"got": "é ☃"}, "False"),
        (b"none", 200, {}, "False"),
        (b"text", 200, "New Model A", "False"),
        (b"list", 200, [1, 2], "False"),
        (b"raise", 500, {"message": SCRIPT_FAILED}, "True"),
        (b"exit", 500, {"message": SCRIPT_FAILED}, "True"),
        (b"object", 500, {"message": INTERNAL}, "False"),
    ],
)
def test_a_body_is_answered_as_the_contract_says(
    endpoint: Any, body: bytes, status: int, answer: object, has_run_failed: str
) -> None:
    given = endpoint.ask(body=body)
    assert given.status == status
    assert json.loads(given.body) == answer
    assert given.headers["x-ms-run-function-failed"] == has_run_failed
    assert given.headers["content-type"] == "application/json"
    assert given.headers["x-modelwright-version"] == "diabetes:1"
    assert ("x-ms-run-fn-exec-ms" in given.headers) == (status == 200)


def test_the_time_of_run_is_told_in_milliseconds(endpoint: Any) -> None:
    whole, _, fraction = endpoint.ask(body="x").headers["x-ms-run-fn-exec-ms"].partition(".")
    assert int(whole) < 1000
    assert len(fraction) == 3


def test_a_body_that_is_not_utf8_is_refused(endpoint: Any) -> None:
    given = endpoint.ask(body=b"\xff\xfe")
    assert given.status == 400
    assert json.loads(given.body)["message"].startswith("Input cannot be decoded as UTF-8")
    assert given.headers["x-ms-run-function-failed"] == "False"


def test_the_content_type_does_not_matter(endpoint: Any) -> None:
    assert endpoint.ask(body="x", headers={"Content-Type": "text/plain"}).status == 200


@pytest.mark.parametrize(
    ("query", "object_given"),
    [
        ("", {}),
        ("?data=[[1,2]]", {"data": [[1, 2]]}),
        ("?a=1&b=%5B1%2C2%5D&c=a&d=null", {"a": 1, "b": [1, 2], "c": "a", "d": None}),
        ("?foo=bar1&foo=2&x=", {"foo": ["bar1", 2], "x": ""}),
    ],
)
def test_a_get_passes_its_query_as_json(endpoint: Any, query: str, object_given: object) -> None:
    given = endpoint.ask("GET", f"/score{query}")
    assert given.status == 200
    assert json.loads(json.loads(given.body)["got"]) == object_given


def test_a_query_that_is_nested_too_deeply_is_refused(endpoint: Any) -> None:
    assert endpoint.ask("GET", "/score?a=" + "[" * 30_000).status == 400


def test_health_is_told_at_the_root(endpoint: Any) -> None:
    given = endpoint.ask("GET", "/")
    assert (given.status, given.body) == (200, "Healthy")


def test_a_head_has_no_body(endpoint: Any) -> None:
    given = endpoint.ask("HEAD", "/")
    assert (given.status, given.body, given.headers["content-length"]) == (200, "", "7")


def test_options_is_answered_with_nothing(endpoint: Any) -> None:
    given = endpoint.ask("OPTIONS")
    assert (given.status, given.body) == (200, "")
    assert given.headers["allow"] == "GET, POST, OPTIONS"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/score", 405),
        ("DELETE", "/score", 405),
        ("POST", "/", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/score/", 404),
        ("GET", "/swagger.yaml", 404),
    ],
)
def test_other_methods_and_paths_are_refused_in_json(endpoint: Any, method: str, path: str, status: int) -> None:
    given = endpoint.ask(method, path)
    assert given.status == status
    assert json.loads(given.body)["message"]
    assert ("allow" in given.headers) == (status == 405)


def test_an_encoded_path_is_the_path_it_encodes(endpoint: Any) -> None:
    assert endpoint.ask("POST", "/%73core", body="x").status == 200


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ({"x-request-id": "r"}, {"x-request-id": "r", "x-ms-request-id": "r"}),
        (
            {"x-request-id": "r", "x-ms-client-request-id": "c"},
            {"x-request-id": "r", "x-ms-request-id": "c", "x-ms-client-request-id": "c"},
        ),
        (
            {"x-request-id": "r", "x-ms-request-id": "m"},
            {"x-request-id": "r", "x-ms-request-id": "m", "x-ms-client-request-id": "m"},
        ),
        (
            {"x-request-id": "r", "x-ms-request-id": "m", "x-ms-client-request-id": "c", "TraceId": "t"},
            {"x-request-id": "r", "x-ms-request-id": "m", "x-ms-client-request-id": "c", "traceid": "t"},
        ),
        ({"x-request-id": "x" * 100}, {"x-request-id": "x" * 100, "x-ms-request-id": "x" * 100}),
    ],
)
def test_ids_are_echoed(endpoint: Any, sent: dict[str, str], echoed: dict[str, str]) -> None:
    given = endpoint.ask(body="x", headers=sent)
    names = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid")
    assert {name: given.headers[name] for name in names if name in given.headers} == echoed


def test_a_request_without_an_id_gets_one(endpoint: Any) -> None:
    given = endpoint.ask(body="x")
    assert uuid.UUID(given.headers["x-request-id"]).version == 7
    assert given.headers["x-ms-request-id"] == given.headers["x-request-id"]
    assert "x-ms-client-request-id" not in given.headers
    assert given.headers["x-ms-server-version"].startswith("modelwright/")


@pytest.mark.parametrize("path", ["/score", "/"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x-request-id", "x-request-id must not exceed 100 characters"),
        ("x-ms-request-id", "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"),
        ("x-ms-client-request-id", "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"),
    ],
)
def test_a_long_id_is_refused(endpoint: Any, path: str, name: str, message: str) -> None:
    given = endpoint.ask("GET", path, headers={name: "x" * 101})
    assert (given.status, json.loads(given.body)) == (431, {"message": message})


def test_run_gets_title_case_headers_with_the_request_id_put_in(endpoint: Any) -> None:
    given = endpoint.ask(body="headers", headers={"x-trace": "t", "x-request-id": "r"})
    headers = json.loads(given.body)
    assert headers["X-Trace"] == "t"
    assert headers["X-Request-Id"] == "r"
    assert headers["X-Ms-Request-Id"] == "r"
    assert json.loads(endpoint.ask(body="headers", headers={"X-MS-request-ID": "m"}).body)["X-Ms-Request-Id"] == "m"


def test_the_model_folder_ends_in_name_and_version(endpoint: Any) -> None:
    folder = json.loads(endpoint.ask(body="model").body)
    assert folder.split("/")[-3:] == ["azureml-models", "diabetes", "1"]


def test_a_failure_tells_the_client_nothing_and_the_log_everything(endpoint: Any) -> None:
    given = endpoint.ask(body="raise", headers={"x-request-id": "the-failing-one"})
    assert "secret" not in given.body
    lines = [line for line in endpoint.log.read_text().splitlines() if " the-failing-one diabetes:1 " in line]
    assert "Traceback (most recent call last):" in lines[0]
    assert "ValueError: a secret of the script" in lines[-1]
