"""The Open Inference Protocol over gRPC, beside a real endpoint."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from modelwright.errors import NoFreePort
from modelwright.serving.gateway.protocol import SERVICE, messages
from modelwright.serving.gateway.serving import Gateway

SCRIPT = """
import json
def init(): ...
def run(raw_data):
    rows = json.loads(raw_data)["data"]
    if rows[0][0] == 13:
        raise ValueError("a secret of the script")
    return {"result": [sum(row) if isinstance(row[0], float) else " ".join(row) for row in rows]}
"""


class Client:
    """Calls the service's methods."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, method: str, **fields: Any) -> Any:
        """Send a request and return its response."""
        request, response = messages()[f"{method}Request"], messages()[f"{method}Response"]
        stub = self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return stub(request(**fields), timeout=120)


@pytest.fixture(scope="module")
def place(make_served: Callable[[], Any]) -> Iterator[Any]:
    """Return an endpoint and a gateway beside it."""
    served = make_served()
    served.start()
    served.deploy(SCRIPT)
    gateway = Gateway(f"http://127.0.0.1:{served.started.port}/score", host="127.0.0.1", port=0)
    gateway.start()
    yield served, gateway
    gateway.stop(grace_seconds=0)
    served.stop()


@pytest.fixture
def client(place: Any) -> Iterator[Client]:
    """Return a client of the gateway."""
    client = Client(place[1].port)
    yield client
    client.channel.close()


def tensor(datatype: str, shape: list[int], **contents: Any) -> dict[str, Any]:
    """Return an input with its values in its contents."""
    return {"name": "x", "datatype": datatype, "shape": shape, "contents": contents}


def test_the_server_and_its_model_are_told_of(client: Client) -> None:
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ServerMetadata").name == "modelwright"
    assert client.call("ModelReady", name="diabetes").ready
    assert not client.call("ModelReady", name="diabetes", version="9").ready
    assert client.call("ModelMetadata", name="diabetes", version="1").versions == ["1"]


def test_rows_come_as_values_or_as_bytes(client: Client) -> None:
    values = {"inputs": [tensor("FP64", [2, 2], fp64_contents=[1, 2, 3, 4])]}
    raw = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2]}],
        "raw_input_contents": [struct.pack("<4f", 1, 2, 3, 4)],
    }
    for sent in (values, raw):
        found = client.call("ModelInfer", model_name="diabetes", id="7", outputs=[{"name": "predict"}], **sent)
        assert (found.model_name, found.model_version, found.id) == ("diabetes", "1", "7")
        assert [(each.name, each.datatype, list(each.shape)) for each in found.outputs] == [("predict", "FP64", [2])]
        assert struct.unpack("<2d", found.raw_output_contents[0]) == (3.0, 7.0)


def test_texts_come_and_go(client: Client) -> None:
    sent = tensor("BYTES", [1, 2], bytes_contents=["é".encode(), b"b"])
    found = client.call("ModelInfer", model_name="diabetes", inputs=[sent])
    assert found.raw_output_contents[0] == struct.pack("<I", 4) + "é b".encode()


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"model_name": "none"}, "NOT_FOUND", "'none' is not found"),
        ({"model_name": "diabetes", "inputs": [tensor("FP64", [3])]}, "INVALID_ARGUMENT", "has 0 values"),
        ({"model_name": "diabetes", "inputs": [tensor("FP16", [1])]}, "INVALID_ARGUMENT", "has to be sent raw"),
        (
            {"model_name": "diabetes", "inputs": [tensor("BYTES", [1], bytes_contents=[b"\xff"])]},
            "INVALID_ARGUMENT",
            "has a text that is no UTF-8",
        ),
        (
            {"model_name": "diabetes", "inputs": [tensor("FP64", [1, 1], fp64_contents=[13])]},
            "INTERNAL",
            "An unexpected error occurred in scoring script",
        ),
    ],
)
def test_what_goes_wrong_has_a_status_of_grpc(client: Client, fields: Any, code: str, text: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.call("ModelInfer", **fields)
    assert refused.value.code() is grpc.StatusCode[code]
    assert text in refused.value.details()


def test_a_port_that_is_taken_is_refused(place: Any) -> None:
    with pytest.raises(NoFreePort):
        Gateway("http://127.0.0.1:1/score", host="127.0.0.1", port=place[1].port)


def test_an_endpoint_that_is_gone_is_unavailable() -> None:
    gateway = Gateway("http://127.0.0.1:1/score", host="127.0.0.1", port=0)
    gateway.start()
    client = Client(gateway.port)
    with pytest.raises(grpc.RpcError) as refused:
        client.call("ServerReady")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    client.channel.close()
    gateway.stop(grace_seconds=0)
