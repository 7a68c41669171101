"""What scoring scripts are given, and what becomes of what they give."""

import base64
import gzip
import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from models.guest.asking import JSON, call, script, told

from modelwright.models.guest.codes import Outcome, Route
from modelwright.models.guest.importing import ScriptUnfit

INIT = "def init(): ...\n"
SCHEMA = """
import datetime
import numpy
import pandas
from modelwright.models.guest.parameters import (
    NumpyParameterType, PandasParameterType, StandardPythonParameterType,
)
from modelwright.models.guest.schemas import input_schema, output_schema
from modelwright.models.guest.rawhttp import AMLResponse, rawhttp

def init(): ...
"""


def ask(text: str, body: Any, **more: Any) -> Any:
    """Return a script's answer to one request: its status, and its body read as JSON."""
    reply = script(text).answer(call(body=body, **more))
    return reply.status, told(reply)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("numpy.array([[1, 2], [3, 4]])", [[1, 2], [3, 4]]),
        ("{'result': numpy.float32(1.5), 'n': numpy.int64(3)}", {"result": 1.5, "n": 3}),
        ("pandas.DataFrame({'a': [1, 2]})", [{"a": 1}, {"a": 2}]),
        ("pandas.Series([1, 2])", [1, 2]),
        ("{'at': pandas.Timestamp('2026-01-02')}", {"at": "2026-01-02T00:00:00"}),
        ("None", {}),
    ],
)
def test_arrays_and_tables_become_json(given: str, answer: object) -> None:
    assert ask(SCHEMA + f"def run(raw): return {given}", {}) == (200, answer)


def test_what_is_no_json_is_the_servers_to_tell() -> None:
    reply = script(INIT + "def run(raw): return object()").answer(call(body="x"))
    assert (reply.outcome, reply.body) == (Outcome.UNSERIALIZABLE, b"")


@pytest.mark.parametrize(
    ("kind", "given", "answer"),
    [
        ("NumpyParameterType(numpy.array([[1.0, 2.0]]))", [[1, None]], "[[ 1. nan]]"),
        ("NumpyParameterType(numpy.array([[1, 2]]))", [[1.9, 2]], "[[1 2]]"),
        ("NumpyParameterType(numpy.array([[1, 2]]), enforce_shape=False)", [1, 2, 3], "[1 2 3]"),
        ("NumpyParameterType(numpy.array([(1, 'a')], dtype=[('x', int), ('y', 'U5')]))", [{"y": "b", "x": 2}],
         "[(2, 'b')]"),
        ("PandasParameterType(pandas.DataFrame({'a': [1.5], 'b': ['x']}))", [{"a": 1, "b": "y"}], "1.0 y"),
        ("PandasParameterType(pandas.DataFrame({'a': [1.5], 'b': ['x']}), apply_column_names=True)", [[1, "y"]],
         "1.0 y"),
        ("PandasParameterType(pandas.DataFrame({'a': [1.5], 'b': ['x']}), orient='split')",
         {"columns": ["a", "b"], "data": [[1, "y"]]}, "1.0 y"),
        ("StandardPythonParameterType(1.5)", 2, "2.0"),
        ("StandardPythonParameterType(b'x')", base64.b64encode(b"yes").decode(), "b'yes'"),
        ("StandardPythonParameterType(datetime.date(2026, 1, 1))", "2026-02-03", "2026-02-03"),
        ("StandardPythonParameterType({'n': NumpyParameterType(numpy.array([1])), 's': 'x'})", {"n": [4], "s": "y"},
         "{'n': array([4]), 's': 'y'}"),
        ("StandardPythonParameterType([NumpyParameterType(numpy.array([1]))])", [[1], [2]], "[array([1]), array([2])]"),
    ],
)  # fmt: skip
def test_a_value_becomes_what_its_sample_is(kind: str, given: object, answer: str) -> None:
    told_as = "' '.join(map(str, data.iloc[0]))" if "Pandas" in kind else "str(data)"
    text = SCHEMA + f"@input_schema('data', {kind})\ndef run(data): return {told_as}"
    assert ask(text, {"data": given}) == (200, answer)


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        ("NumpyParameterType(numpy.array([[1.0]]))", [["x"]], "could not convert string to float"),
        ("PandasParameterType(pandas.DataFrame({'a': [1.5], 'b': ['x']}))", [{"a": 1}], "there is no column 'b'"),
        ("PandasParameterType(pandas.DataFrame({'a': [1]}))", [{"a": "x"}], "while type casting for column 'a'"),
        ("PandasParameterType(pandas.DataFrame({'a': [1]}))", 3, "unable to convert input of type"),
        ("StandardPythonParameterType(1)", "1", "Expected: <class 'int'> but got <class 'str'>"),
        ("StandardPythonParameterType(1)", True, "Expected: <class 'int'> but got <class 'bool'>"),
        ("StandardPythonParameterType({'n': NumpyParameterType(numpy.array([1]))})", {}, "there is no value for 'n'"),
        ("StandardPythonParameterType({'n': NumpyParameterType(numpy.array([1]))})", {"n": 3}, "an array of items"),
        ("StandardPythonParameterType(datetime.date(2026, 1, 1))", "soon", "isoformat"),
    ],
)
def test_a_value_that_is_no_such_thing_is_refused(kind: str, given: object, reason: str) -> None:
    text = SCHEMA + f"@input_schema('data', {kind})\ndef run(data): return 'entered'"
    status, answer = ask(text, {"data": given})
    assert (status, answer["message"].startswith("The value of 'data' does not fit the schema")) == (400, True)
    assert reason in answer["message"]


def test_several_parameters_get_their_values_by_name() -> None:
    text = (
        SCHEMA
        + """
@input_schema("Inputs", NumpyParameterType(numpy.array([[1.0, 2.0]])))
@input_schema("GlobalParameters", StandardPythonParameterType({"scale": 1.0}), optional=True)
@input_schema("note", StandardPythonParameterType("x"))
@output_schema(StandardPythonParameterType({"Results": [1.0]}))
def run(Inputs, request_headers, GlobalParameters=None, note="none"):
    scale = (GlobalParameters or {"scale": 1})["scale"]
    return {"Results": (Inputs.sum(axis=1) * scale).tolist(), "note": note, "told": request_headers["Content-Type"]}
"""
    )
    answer = {"Results": [6.0], "note": "none", "told": "application/json"}
    assert ask(text, {"Inputs": [[1, 2]], "GlobalParameters": {"scale": 2.0}}) == (200, answer)
    assert ask(text, {"Inputs": [[1, 5]], "note": "y"})[1]["note"] == "y"
    assert ask(text, {}) == (400, {"message": "A value is not provided for the 'Inputs' parameter."})


def test_an_error_of_the_script_is_not_taken_for_one_of_the_request() -> None:
    text = SCHEMA + "@input_schema('data', StandardPythonParameterType(1))\ndef run(data): raise ValueError('its own')"
    reply = script(text).answer(call(body={"data": 1}))
    assert (reply.outcome, reply.status, reply.body) == (Outcome.RAISED, 500, b"")


def test_two_ways_of_being_called_are_one_too_many() -> None:
    text = SCHEMA + "@rawhttp\n@input_schema('data', StandardPythonParameterType(1))\ndef run(data): ..."
    with pytest.raises(ScriptUnfit, match="with a schema or with rawhttp, not with both"):
        script(text)


RAW = (
    SCHEMA
    + """
@rawhttp
def run(request):
    if request.files:
        image = request.files["image"]
        return [image.filename, image.read().hex(), request.form["k"]]
    if request.get_data() == b"teapot":
        return AMLResponse("short and stout", 418, {"X-Spout": "here"}, run_function_failed=True)
    if request.get_data() == b"json":
        return AMLResponse({"a": 1}, 201, json_str=True)
    if request.args.get("n", type=int):
        return [request.args.get("n", type=int), request.args.get("m", 7, type=int), request.args.get("none", 8, int)]
    args = {name: request.args.getlist(name) for name in request.args}
    return [request.method, request.full_path, args, request.headers["content-type"], request.get_data(as_text=True)]
"""
)


def test_a_raw_script_gets_the_request_and_words_its_answer() -> None:
    serving = script(RAW)
    head = {"Content-Type": "text/x-own"}
    reply = serving.answer(call(body="é", headers=head, query="a=1&a=2"))
    assert told(reply) == ["POST", "/score?a=1&a=2", {"a": ["1", "2"]}, "text/x-own", "é"]
    assert told(serving.answer(call(headers=head, method="GET", query="b=")))[:3] == ["GET", "/score?b=", {"b": [""]}]
    assert told(serving.answer(call(headers=head, query="n=2&m=x"))) == [2, 7, 8]
    reply = serving.answer(call(body="teapot", headers=head))
    assert (reply.status, reply.body, reply.headers) == (418, b"short and stout", (("X-Spout", "here"),))
    assert (reply.outcome, reply.content_type) == (Outcome.RAISED, "text/html; charset=utf-8")
    reply = serving.answer(call(body="json", headers=head))
    assert (reply.status, told(reply), reply.content_type) == (201, {"a": 1}, "application/json")


def test_a_raw_script_gets_what_was_sent() -> None:
    packed = gzip.compress(b"hello")
    text = SCHEMA + "@rawhttp\ndef run(request): return request.get_data().hex()"
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert told(script(text).answer(call(body=packed, headers=headers))) == packed.hex()
    rows = gzip.compress(b'{"instances": [[1]]}')
    (given,) = told(script(text).answer(call(Route.INVOCATIONS, rows, headers=headers)))["predictions"]
    assert bytes.fromhex(given) == b'{"data": [[1]]}'


def test_a_raw_script_reads_the_files_of_a_form() -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"image", b'; filename="a.png"', b"\x89PNG\xff") + part % (b"k", b"", b"v") + b"--B--\r\n"
    reply = script(RAW).answer(call(body=body, headers={"Content-Type": "multipart/form-data; boundary=B"}))
    assert told(reply) == ["a.png", "89504e47ff", "v"]


ECHO = INIT + "def run(raw): return raw"
SUM = SCHEMA + (
    "@input_schema('data', NumpyParameterType(numpy.array([[1.0, 2.0]])))\n"
    "def run(data): return {'result': data.sum(axis=1)}"
)


def test_rows_of_another_dialect_become_the_scripts_own_request() -> None:
    for body in (
        {"instances": [[1, 2]]},
        {"inputs": [[1, 2]]},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}},
        {"dataframe_records": [{"a": 1, "b": 2}]},
    ):
        assert told(script(SUM).answer(call(Route.INVOCATIONS, body))) == {"predictions": [3.0]}
        (given,) = told(script(ECHO).answer(call(Route.INVOCATIONS, body)))["predictions"]
        assert json.loads(given) == {"data": [[1, 2]]}
    csv = call(Route.INVOCATIONS, "a,b\n1,2\n", headers={"Content-Type": "text/csv"})
    assert told(script(SUM).answer(csv)) == {"predictions": [3.0]}


def test_columns_go_to_the_parameters_of_their_names() -> None:
    text = SCHEMA + (
        "@input_schema('age', StandardPythonParameterType([1]))\n"
        "@input_schema('name', StandardPythonParameterType(['x']))\n"
        "def run(age, name): return {'result': [f'{n} is {a}' for a, n in zip(age, name)]}"
    )
    inputs = [
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [36, 41]},
        {"name": "name", "datatype": "BYTES", "shape": [2, 1], "data": ["Ada", "Alan"]},
    ]
    reply = script(text).answer(call(Route.INFER, {"inputs": inputs}, path="/v2/models/diabetes/infer"))
    output = {"name": "predict", "datatype": "BYTES", "shape": [2], "data": ["Ada is 36", "Alan is 41"]}
    assert told(reply)["outputs"] == [output]


def test_a_table_goes_to_a_parameter_of_tables_with_its_names() -> None:
    text = SCHEMA + (
        "@input_schema('rows', PandasParameterType(pandas.DataFrame({'a': [1], 'b': [2]})))\n"
        "def run(rows): return {'result': (rows.a - rows.b).tolist()}"
    )
    body = {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 5]]}}
    assert told(script(text).answer(call(Route.INVOCATIONS, body))) == {"predictions": [4]}


def npy(array: Any) -> bytes:
    """Return an array as a file of NumPy."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def test_arrays_are_taken_and_given_as_they_are() -> None:
    body, kind = npy(np.array([[1.0, 2.0], [3.0, 4.0]])), "application/x-npy"
    reply = script(SUM).answer(call(body=body, headers={"Content-Type": kind, "Accept": kind}))
    assert (reply.content_type, np.load(io.BytesIO(reply.body)).tolist()) == (kind, [3.0, 7.0])
    assert json.loads(ask(ECHO, body, headers={"Content-Type": kind})[1]) == {"data": [[1.0, 2.0], [3.0, 4.0]]}
    assert ask(SUM, "1,2\n3,4\n", headers={"Content-Type": "text/csv"}) == (200, {"result": [3.0, 7.0]})
    assert ask(ECHO, "1,2\n", headers={"Content-Type": "text/csv"}) == (200, "1,2\n")
    assert ask(SUM, b"\x93NUMPY", headers={"Content-Type": kind})[0] == 400


@pytest.mark.parametrize(
    ("route", "path", "key"),
    [(Route.INVOCATIONS, "/invocations", "message"), (Route.INFER, "/v2/models/diabetes/infer", "error")],
)
def test_what_a_script_raises_is_told_in_the_dialects_words(route: Route, path: str, key: str) -> None:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1]}
    body = {"instances": [[1]], "inputs": [tensor]} if route is Route.INFER else {"instances": [[1]]}
    reply = script(INIT + "def run(raw): raise ValueError('a secret')").answer(call(route, body, path=path))
    assert (reply.status, reply.outcome) == (500, Outcome.RAISED)
    assert told(reply)[key].startswith("An unexpected error occurred in scoring script")


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 200), ("deflate", 200), ("br", 415)])
def test_packed_bodies_are_unpacked(encoding: str, status: int) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "br": bytes}[encoding](b"hello")
    reply = script(ECHO).answer(call(body=packed, headers={"Content-Encoding": encoding}))
    assert reply.status == status
    assert status != 200 or told(reply) == "hello"


def test_a_body_that_is_not_what_it_was_packed_by_is_refused() -> None:
    for body in (b"hello", gzip.compress(b"hello" * 99)[:-9]):
        assert script(ECHO).answer(call(body=body, headers={**JSON, "Content-Encoding": "gzip"})).status == 400
