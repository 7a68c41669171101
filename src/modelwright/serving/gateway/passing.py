"""Messages of gRPC as requests of HTTP, and answers of HTTP as messages: one protocol in two forms."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from email.message import Message
from typing import Any
from urllib.parse import quote, urlsplit

from modelwright.serving.gateway.protocol import messages

_HEADER_LENGTH = "Inference-Header-Content-Length"
_JSON = "application/json"
_TIMEOUT_SECONDS = 3600.0  # the endpoint has a clock of its own
# Where a tensor's values are when they are not raw, by datatype.
_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


class Refused(Exception):
    """The endpoint did not answer with what was asked for: a status of HTTP, and its words."""

    def __init__(self, status: int, text: str) -> None:
        """Tell both."""
        super().__init__(text)
        self.status = status
        self.text = text


class Passing:
    """Asks an endpoint over HTTP, by connections that are kept."""

    def __init__(self, url: str) -> None:
        """Pass requests on to the endpoint at `url`."""
        place = urlsplit(url)
        self._host, self._port = place.hostname or "127.0.0.1", place.port
        self._idle: list[http.client.HTTPConnection] = []

    def answer(self, method: str, request: Any, headers: Mapping[str, str]) -> Any:
        """Return the response to a request of one of the protocol's methods. Raises Refused."""
        response = messages()[f"{method}Response"]
        match method:
            case "ServerLive":
                return response(live=self._is_well("/v2/health/live"))
            case "ServerReady":
                return response(ready=self._is_well("/v2/health/ready"))
            case "ServerMetadata":
                return response(**self._read("/v2", headers))
            case "ModelReady":
                return response(ready=self._is_well(f"{_path(request.name, request.version)}/ready", headers))
            case "ModelMetadata":
                return response(**self._read(_path(request.name, request.version), headers))
            case _:
                return self._inferred(request, headers)

    def _inferred(self, request: Any, headers: Mapping[str, str]) -> Any:
        body, length = _as_http(request)
        given = {**headers, "Content-Type": "application/octet-stream", _HEADER_LENGTH: str(length)}
        path = f"{_path(request.model_name, request.model_version)}/infer"
        status, told, data = self._ask("POST", path, given, body)
        if status != http.client.OK:
            raise Refused(status, _text(data))
        return _as_response(data, told.get(_HEADER_LENGTH))

    def _is_well(self, path: str, headers: Mapping[str, str] | None = None) -> bool:
        return self._ask("GET", path, headers or {})[0] == http.client.OK

    def _read(self, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        status, _, data = self._ask("GET", path, headers)
        if status != http.client.OK:
            raise Refused(status, _text(data))
        found: dict[str, Any] = json.loads(data)
        return found

    def close(self) -> None:
        """Close what was kept open."""
        while self._idle:
            self._idle.pop().close()

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, Message, bytes]:
        """Send a request by a connection that nobody uses; anew when the endpoint had closed it meanwhile."""
        while True:
            kept = self._kept()
            connection = kept or http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
            try:
                connection.request(method, path, body=body or None, headers=dict(headers))
                answer = connection.getresponse()
                found = answer.status, answer.headers, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # One that was kept may have been closed before the request was read: that one was not answered.
                if kept is None or not isinstance(error, ConnectionError):
                    raise Refused(http.client.SERVICE_UNAVAILABLE, f"the endpoint does not answer: {error}") from error
            else:
                self._idle.append(connection)
                return found

    def _kept(self) -> http.client.HTTPConnection | None:
        """Return a connection that nobody uses, if there is one; many threads ask at once."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return None


def _as_http(request: Any) -> tuple[bytes, int]:
    """Return the body of HTTP that says what a message says, and how much of it is JSON."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise Refused(http.client.BAD_REQUEST, f"there are {len(raw)} raw contents for {len(request.inputs)} inputs")
    inputs = []
    for index, each in enumerate(request.inputs):
        told = {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)}
        if raw:
            told["parameters"] = {"binary_data_size": len(raw[index])}
        else:
            told["data"] = _values(each)
        inputs.append(told)
    head: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if request.id:
        head["id"] = request.id
    if request.outputs:
        head["outputs"] = [{"name": each.name} for each in request.outputs]
    text = json.dumps(head).encode()
    return text + b"".join(raw), len(text)


def _values(tensor: Any) -> list[Any]:
    place = _CONTENTS.get(tensor.datatype)
    if place is None:
        raise Refused(http.client.BAD_REQUEST, f"input '{tensor.name}' of {tensor.datatype} has to be sent raw")
    values = list(getattr(tensor.contents, place))
    if place != "bytes_contents":
        return values
    try:
        return [each.decode() for each in values]
    except UnicodeDecodeError as error:
        told = f"input '{tensor.name}' has a text that is no UTF-8"
        raise Refused(http.client.BAD_REQUEST, told) from error


def _as_response(data: bytes, header_length: str | None) -> Any:
    length = len(data) if header_length is None else int(header_length)
    told = json.loads(data[:length])
    response = messages()["ModelInferResponse"]
    found = response(model_name=told["model_name"], model_version=told["model_version"], id=told.get("id", ""))
    start = length
    for each in told["outputs"]:
        size = int(each["parameters"]["binary_data_size"])
        found.outputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        found.raw_output_contents.append(data[start : start + size])
        start += size
    return found


def _path(name: str, version: str) -> str:
    return f"/v2/models/{quote(name, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")


def _text(data: bytes) -> str:
    try:
        found = json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
    return str(found.get("error") or found.get("message")) if isinstance(found, dict) else str(found)
