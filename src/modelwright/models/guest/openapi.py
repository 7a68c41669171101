"""The endpoint's document: what `/score` takes and gives, in Swagger 2.0 and OpenAPI 3.0 and 3.1."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from .columns import Columns

VERSIONS = ("2", "3", "3.1")
_INPUT, _OUTPUT, _ERROR = "ServiceInput", "ServiceOutput", "ErrorResponse"
_SECURITY = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "One of the endpoint's keys or a token: Bearer abc123",
}
_OPERATIONS = (
    ("/", "get", "ServiceHealthCheck", "Tells whether a request would be answered now.", "Healthy"),
    ("/score", "post", "RunMLService", "Runs the model on the rows of the request.", "What the model gives."),
    ("/swagger.json", "get", "GetSwaggerSpec", "Gives this document.", "The document."),
)
# A request's headers are none of its values, though the package of the decorators lists them among these.
_HEADERS = "request_headers"
_ANYTHING: dict[str, Any] = {"type": "object", "example": {}}


class Described(NamedTuple):
    """What the document is about: a served version, and the schemas of what it takes and gives."""

    title: str
    version: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]


def document(described: Described, *, version: str, prefix: str = "") -> dict[str, Any]:
    """Return the document in one of the `VERSIONS`; `prefix` is what a proxy has before the endpoint's paths."""
    schemas = {
        _INPUT: _spoken(described.input, version),
        _OUTPUT: _spoken(described.output, version),
        _ERROR: {"type": "object", "properties": {"message": {"type": "string"}}},
    }
    about = f"{described.title}, version {described.version}, served by Modelwright"
    info = {"title": described.title, "version": described.version, "description": about}
    if version == "2":
        return {
            "swagger": "2.0",
            "info": info,
            "basePath": prefix or "/",
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {"Bearer": _SECURITY},
            "paths": {path: {method: _operation_2(path, *told)} for path, method, *told in _OPERATIONS},
            "definitions": schemas,
        }
    return {
        "openapi": "3.1.0" if version == "3.1" else "3.0.3",
        "info": info,
        "servers": [{"url": prefix or "/"}],
        "paths": {path: {method: _operation_3(path, *told)} for path, method, *told in _OPERATIONS},
        "components": {"schemas": schemas, "securitySchemes": {"Bearer": _SECURITY}},
    }


def of_signature(signature: Mapping[str, Any], sample: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schemas of a script that says nothing itself, from its package's signature and sample."""
    output = dict(signature.get("outputs") or _ANYTHING)
    inputs = dict(signature.get("inputs") or _ANYTHING)
    if sample is not None:
        inputs = {**(inputs if inputs.get("type") == _kind(sample) else {"type": _kind(sample)}), "example": sample}
    return inputs, output


def of_columns(known: Columns, sample: Any, signature: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schemas of a model without a script, from its columns."""
    kinds = [known.kind(index) for index in range(len(known.names))] or [known.kind(0)] * (known.count or 0)
    same = set(kinds) <= {"number", "integer", ""}
    row: dict[str, Any] = {"type": "array", "items": {"type": "number"} if same else {}}
    if known.count is not None:
        row["minItems"] = row["maxItems"] = known.count
    if known.names:
        row["description"] = ", ".join(known.names)
    made_up = [{"string": "", "boolean": False}.get(kind, 0.0) for kind in kinds]
    example: dict[str, Any] = {"data": [made_up]} if made_up else {"data": [[0.0]]}
    properties: dict[str, Any] = {"data": {"type": "array", "items": row}}
    if known.names:
        example = {"columns": list(known.names), **example}
        properties = {"columns": {"type": "array", "items": {"type": "string"}}, **properties}
    inputs = {"type": "object", "required": ["data"], "properties": properties}
    if isinstance(sample, dict):
        example = sample
        inputs = inputs if "data" in sample else {"type": "object"}
    result = (signature.get("outputs") or {}) if "data" not in (signature.get("outputs") or {}) else {}
    outputs = result if result.get("type") == "object" else {"type": "object", "properties": {"result": _list(result)}}
    return {**inputs, "example": example}, dict(outputs)


def prefix_of(path: str, forwarded: Optional[str]) -> str:
    """Return what stands before an endpoint's own paths for a client that asked for `path` of them."""
    here = path.rpartition("/")[0]
    before = (forwarded or "").split(",")[0].strip().rstrip("/")
    return f"{'/' if before and not before.startswith('/') else ''}{before}{here}"


def _list(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return schema if schema.get("type") == "array" else {"type": "array", "items": {}}


def _operation_2(path: str, operation: str, told: str, given: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation,
        "description": told,
        "responses": {
            "200": {"description": given, "schema": _given(path, "#/definitions/")},
            "default": {"description": "What went wrong.", "schema": {"$ref": f"#/definitions/{_ERROR}"}},
        },
    }
    if path == "/":
        found["produces"] = ["text/plain"]
    if path == "/score":
        body = {"name": "serviceInputPayload", "in": "body", "required": True, "description": "The rows."}
        found["parameters"] = [{**body, "schema": {"$ref": f"#/definitions/{_INPUT}"}}]
        found["security"] = [{"Bearer": []}]
    if path == "/swagger.json":
        found["parameters"] = [{"name": "version", "in": "query", "type": "string", "enum": list(VERSIONS)}]
    return found


def _operation_3(path: str, operation: str, told: str, given: str) -> dict[str, Any]:
    media = "text/plain" if path == "/" else "application/json"
    where = "#/components/schemas/"
    error = {"application/json": {"schema": {"$ref": where + _ERROR}}}
    found: dict[str, Any] = {
        "operationId": operation,
        "description": told,
        "responses": {
            "200": {"description": given, "content": {media: {"schema": _given(path, where)}}},
            "default": {"description": "What went wrong.", "content": error},
        },
    }
    if path == "/score":
        found["requestBody"] = {"required": True, "content": {media: {"schema": {"$ref": where + _INPUT}}}}
        found["security"] = [{"Bearer": []}]
    if path == "/swagger.json":
        schema = {"type": "string", "enum": list(VERSIONS)}
        found["parameters"] = [{"name": "version", "in": "query", "required": False, "schema": schema}]
    return found


def _given(path: str, where: str) -> dict[str, Any]:
    if path == "/score":
        return {"$ref": where + _OUTPUT}
    return {"type": "string"} if path == "/" else {"type": "object"}


def _spoken(schema: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a JSON Schema in the dialect of a version of the document, without what belongs to no request."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _spoken(each, version) for name, each in value.items() if name != _HEADERS}
        elif key == "items":
            found[key] = _spoken(value, version)
        elif key == "required":
            found |= {key: named} if (named := [name for name in value if name != _HEADERS]) else {}
        elif key == "example":
            example = _strict(value)
            if isinstance(example, dict):
                example.pop(_HEADERS, None)
            found |= {"examples": [example]} if version == "3.1" else {key: example}
        elif key == "type" and value == "null" and version != "3.1":
            continue  # a value of any type: these versions have no word for the one
        else:
            found[key] = value
    return found


def _strict(value: Any) -> Any:
    """Return an example without the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): _strict(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, type(None))) else json.loads(json.dumps(value, default=str))


def _kind(value: Any) -> str:
    return {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
