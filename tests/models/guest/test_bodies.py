"""Bodies that are not what they say: refused with the reason, and never believed by code in C."""

import gzip
import io
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from models.guest.asking import JSON, call, script, told

from modelwright.models.guest import frameworks
from modelwright.models.guest.codes import Route
from modelwright.models.guest.importing import ScriptUnfit

ECHO = "def init(): ...\ndef run(raw): return raw"
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
NUMPY = {"Content-Type": "application/x-npy"}
INFER = "/v2/models/diabetes/infer"


def npy(shape: str, *, kind: str = "<f8", body: bytes = b"") -> bytes:
    """Return an array of NumPy that says that it is of that shape."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


def saved(array: Any) -> bytes:
    """Return an array as NumPy saves it."""
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=True)
    return sink.getvalue()


def zipped() -> bytes:
    """Return an archive of arrays."""
    sink = io.BytesIO()
    np.savez(sink, np.ones((1, 2)))
    return sink.getvalue()


def stream(*columns: Any, names: str = "abc") -> bytes:
    """Return a stream of Arrow."""
    batch = pa.RecordBatch.from_arrays([pa.array(each) for each in columns], names=list(names[: len(columns)]))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def beyond() -> bytes:
    """Return a stream whose texts are said to lie beyond its end."""
    return stream(["xx", "yy"]).replace(struct.pack("<3i", 0, 2, 4), struct.pack("<3i", 0, 2**30, 2**31 - 1))


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (npy("(1000000000000, 3)"), NUMPY, "could not be read as an array"),
        (npy(f"({10**30}, 3)"), NUMPY, "could not be read as an array"),
        (npy("(True, 3)", body=b"\0" * 24), NUMPY, "could not be read as an array"),
        (npy("(1000000000, 0)"), NUMPY, "There are no rows"),
        (npy("(" * 200), NUMPY, "could not be read as an array"),
        (zipped(), NUMPY, "could not be read as an array"),
        (saved(np.array([[None]])), NUMPY, "Object arrays cannot be loaded"),
        (saved(np.ones((1, 2), complex)), NUMPY, "An array of complex128 is not served here"),
        (saved(np.ones((1, 2), "g")), NUMPY, "An array of float128 is not served here"),
        (beyond(), ARROW, "could not be read as an Arrow stream"),
        (stream(pa.nulls(30_000_000)), ARROW, "says that it has 30000000 rows"),
        (stream([[None] * 3]), ARROW, "says that it has 1 rows"),
        (stream([1.0], [2.0], names="aa"), ARROW, 'There are several columns "a"'),
        (stream([b"\xff"]), ARROW, "values that JSON does not have: bytes"),
        (
            gzip.compress(b"[[1,", mtime=0) + gzip.compress(b"2]]", mtime=0),
            {**JSON, "Content-Encoding": "gzip"},
            "goes on after its gzip",
        ),
    ],
)
def test_a_body_that_lies_is_refused(body: bytes, headers: dict[str, str], text: str) -> None:
    reply = script(ECHO).answer(call(body=body, headers=headers))
    assert reply.status == 400
    assert text in told(reply)["message"]


@pytest.mark.parametrize("length", ["²", "-1", "3", "1" * 5000])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    headers = {**JSON, "Inference-Header-Content-Length": length}
    reply = script(ECHO).answer(call(Route.INFER, b"{}", headers=headers, path=INFER))
    assert (reply.status, "is no length inside the body" in told(reply)["error"]) == (400, True)


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        ({"datatype": "INT64", "shape": [1], "data": [1.5]}, "the values are not of INT64"),
        ({"datatype": "INT8", "shape": [1], "data": [300]}, "the values are not of INT8"),
        ({"datatype": "BOOL", "shape": [1], "data": ["false"]}, "the values are not of BOOL"),
        ({"datatype": "FP64", "shape": [1], "data": ["1.5"]}, "the values are not of FP64"),
        ({"datatype": "BYTES", "shape": [1_000_000_000, 0], "data": []}, "has no values"),
    ],
)
def test_values_are_never_made_into_others(tensor: dict[str, Any], text: str) -> None:
    body = {"inputs": [{"name": "x", **tensor}]}
    reply = script(ECHO).answer(call(Route.INFER, body, path=INFER))
    assert (reply.status, text in told(reply)["error"]) == (400, True)


@pytest.mark.parametrize(
    ("rows", "kind"), [([[1.5]], "int64"), ([[np.nan]], "int64"), ([[1e30]], "int64"), ([[2]], "bool")]
)
def test_a_graph_of_whole_numbers_is_given_no_others(rows: list[list[float]], kind: str) -> None:
    with pytest.raises(ValueError, match="it takes"):
        frameworks.cast(np.array(rows), kind)
    assert frameworks.cast(np.array([[1.0]]), kind).tolist() == [[1]]


def test_whole_numbers_are_whole_however_they_are_written() -> None:
    tensors = [{"name": "x", "datatype": "INT64", "shape": [2], "data": [1.0, 2]}]
    reply = script(ECHO).answer(call(Route.INFER, {"inputs": tensors}, path=INFER))
    assert told(reply)["outputs"][0]["data"] == ['{"data": [[1], [2]]}']


def test_an_extension_that_is_not_served_is_not_passed_over() -> None:
    inputs = [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]
    for name in ("classification", "shared_memory_region"):
        body = {"inputs": inputs, "outputs": [{"name": "predict", "parameters": {name: 1}}]}
        reply = script(ECHO).answer(call(Route.INFER, body, path=INFER))
        assert (reply.status, name in told(reply)["error"]) == (400, True)


def test_a_tensor_in_json_has_no_number_that_json_does_not_have() -> None:
    inputs = [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]
    text = "def init(): ...\ndef run(raw): return [1.0, float('nan')]"
    reply = script(text).answer(call(Route.INFER, {"inputs": inputs}, path=INFER))
    assert told(reply)["outputs"][0]["data"] == [1.0, None]


def test_inputs_are_told_apart_and_use_all_of_the_body() -> None:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}
    twice = script(ECHO).answer(call(Route.INFER, {"inputs": [tensor, tensor]}, path=INFER))
    assert (twice.status, told(twice)["error"]) == (400, 'There are several columns "x"')
    body = b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}'
    headers = {**JSON, "Inference-Header-Content-Length": str(len(body))}
    longer = script(ECHO).answer(call(Route.INFER, body + b"1234", headers=headers, path=INFER))
    assert (longer.status, "4 bytes after those of its inputs" in told(longer)["error"]) == (400, True)


@pytest.mark.parametrize("name", ["init", "run"])
@pytest.mark.parametrize("code", ["async def {name}(raw=0): return 1", "def {name}(raw=0): yield 1"])
def test_a_function_that_would_not_be_done_when_it_returns_is_unfit(name: str, code: str) -> None:
    with pytest.raises(ScriptUnfit, match=f"{name}.. is called and done"):
        script(f"{ECHO}\n{code.format(name=name)}")
