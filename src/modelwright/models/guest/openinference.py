"""The Open Inference Protocol, version 2 over HTTP, with its binary tensor extension.

Source: kserve/open-inference-protocol, "Predict Protocol, version 2", and Triton's "Binary Tensor Data Extension".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Optional
from urllib.parse import unquote

from . import bodies
from .columns import Columns
from .messages import Reply
from .refusals import Refused
from .results import encode_strictly
from .tables import Table, check_names, of_array, of_columns, of_rows
from .tensors import Tensor, of_result, parameters, read, told_of

PREDICT, PROBABILITIES = "predict", "predict_proba"
_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?:infer|ready))?/?$")
_HEADER_LENGTH = "Inference-Header-Content-Length"
_LENGTH = re.compile("[0-9]{1,18}")
_MATRIX = 2  # dimensions
# Parameters of outputs that would change what is answered, and where to.
_OF_EXTENSIONS = ("classification", "shared_memory_region")
_DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}


def check_address(path: str, *, name: str, version: str) -> None:
    """Compare the model that a path names with the one that is served. Raises Refused when it is another."""
    found = _MODEL.search(path)
    if found is None:
        raise Refused(HTTPStatus.NOT_FOUND, "The requested URL was not found on the server.")
    asked = unquote(found["name"])
    if asked != name:
        raise Refused(HTTPStatus.NOT_FOUND, f"Request for unknown model: '{asked}' is not found; '{name}' is here")
    if found["version"] is not None and unquote(found["version"]) != version:
        told = f"Request for unknown model: '{asked}' version {found['version']} is not found; {version} is here"
        raise Refused(HTTPStatus.NOT_FOUND, told)


def table_of(told: Mapping[str, str], body: bytes) -> tuple[Table, dict[str, Any]]:
    """Return the rows in a request, and the request's own JSON. Raises Refused."""
    length = told.get(_HEADER_LENGTH)
    if length is not None and not (_LENGTH.fullmatch(length) and int(length) <= len(body)):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{_HEADER_LENGTH} is no length inside the body: {length}")
    split = len(body) if length is None else int(length)
    request = bodies.json_of(body[:split])
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise Refused(HTTPStatus.BAD_REQUEST, 'the request has no "inputs"')
    rest = memoryview(body)[split:]
    tensors = []
    for each in inputs:
        tensor, used = read(each, rest)
        rest = rest[used:]
        tensors.append(tensor)
    if rest:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body has {len(rest)} bytes after those of its inputs")
    check_names([each.name for each in tensors])
    return _table(tensors), request


def asks_for(request: Mapping[str, Any]) -> list[str]:
    """Return which outputs a request wants; the prediction when it does not say. Raises Refused."""
    outputs = request.get("outputs") or []
    if not isinstance(outputs, list):
        raise Refused(HTTPStatus.BAD_REQUEST, '"outputs" is no list')
    wanted = [each.get("name") if isinstance(each, dict) else None for each in outputs]
    unknown = [name for name in wanted if name not in (PREDICT, PROBABILITIES)]
    if unknown:
        told = f"unexpected inference output '{unknown[0]}'; there are {PREDICT} and {PROBABILITIES}"
        raise Refused(HTTPStatus.BAD_REQUEST, told)
    foreign = [name for each in outputs for name in _OF_EXTENSIONS if name in parameters(each)]
    if foreign:
        told = f"the parameter '{foreign[0]}' of an output belongs to an extension that is not served here"
        raise Refused(HTTPStatus.BAD_REQUEST, told)
    return [str(name) for name in wanted] or [PREDICT]


def reply(request: Mapping[str, Any], found: Mapping[str, Any], *, name: str, version: str) -> Reply:
    """Return the answer with the outputs that were `found`, in JSON or in binary as each was asked for."""
    asked = {each["name"]: parameters(each) for each in request.get("outputs") or ()}
    everything = bool(parameters(request).get("binary_data_output"))
    outputs, binary = [], []
    for output, result in found.items():
        is_binary = bool(asked.get(output, {}).get("binary_data", everything))
        told, data = told_of(of_result(output, result), is_binary=is_binary)
        outputs.append(told)
        binary.append(data)
    answer = {"model_name": name, "model_version": version, "outputs": outputs}
    if isinstance(request.get("id"), str):
        answer["id"] = request["id"]
    head = encode_strictly(answer)
    if not any(binary):
        return Reply(head)
    headers = ((_HEADER_LENGTH, str(len(head))),)
    return Reply(head + b"".join(binary), content_type="application/octet-stream", headers=headers)


def inputs_of_columns(known: Columns) -> list[dict[str, Any]]:
    """Return the inputs that metadata tells of: one array of numbers, or a column each where they are of kinds."""
    kinds = [known.kind(index) for index in range(len(known.names))]
    if any(kind not in ("", "number", "integer") for kind in kinds):
        return [
            {"name": name, "datatype": _DATATYPES.get(kind, "FP64"), "shape": [-1]}
            for name, kind in zip(known.names, kinds)
        ]
    return [{"name": "input-0", "datatype": "FP64", "shape": [-1, -1 if known.count is None else known.count]}]


def inputs_of_schema(schema: Optional[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the inputs of a decorated script, from the schema of its request; a guess without one."""
    found = []
    example = (schema or {}).get("example") or {}
    for name, each in (schema or {}).get("properties", {}).items():
        if name == "request_headers":
            continue
        shape: list[int] = []
        inner, value = each, example.get(name)
        while inner.get("type") == "array":
            is_rows = not shape
            shape.append(-1 if is_rows or not isinstance(value, list) else len(value))
            inner, value = inner.get("items", {}), value[0] if isinstance(value, list) and value else None
        found.append({"name": name, "datatype": _DATATYPES.get(inner.get("type", ""), "BYTES"), "shape": shape or [1]})
    return found or [{"name": "input-0", "datatype": "FP64", "shape": [-1, -1]}]


def outputs_of(classes: Optional[list[Any]]) -> list[dict[str, Any]]:
    """Return the outputs that metadata tells of."""
    if not classes:
        return [{"name": PREDICT, "datatype": "FP64", "shape": [-1]}]
    datatype = of_result(PREDICT, classes).datatype
    return [
        {"name": PREDICT, "datatype": datatype, "shape": [-1]},
        {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(classes)]},
    ]


def _table(tensors: list[Tensor]) -> Table:
    if len(tensors) > 1:
        sizes = {each.shape[0] if each.shape else 0 for each in tensors}
        if len(sizes) > 1:
            told = ", ".join(f"'{each.name}' {list(each.shape)}" for each in tensors)
            raise Refused(HTTPStatus.BAD_REQUEST, f"the inputs are not of one number of rows: {told}")
        return of_columns({each.name: _listed(each.values) for each in tensors})
    only = tensors[0]
    if hasattr(only.values, "reshape"):
        table = of_array(only.values)
    else:
        table = of_rows(only.values if len(only.shape) >= _MATRIX else [[each] for each in only.values])
    table.named = {only.name: _listed(only.values)}
    return table


def _listed(values: Any) -> Any:
    return values.tolist() if hasattr(values, "tolist") else values
