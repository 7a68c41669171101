"""A scoring script: how its `run` is called with a request, and what becomes of the result.

A script takes requests in one of three ways. Undecorated, it gets the body as text. Under `@input_schema` it gets the
values of a JSON object by the names of its parameters, converted. Under `@rawhttp` it gets the request.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import CodeType, ModuleType
from typing import Any, Optional

from . import bodies, schemas
from .codes import Outcome
from .importing import ScriptUnfit
from .messages import Call, Reply, Told
from .rawhttp import AMLRequest, is_raw
from .refusals import NotSerializable, Refused
from .results import encode, plain
from .tables import Table

_NO_FUNCTION = "it defines no function {name}()"
_POSTPONED = "{name}() is called and done: it may not be async, and not yield"
_POSTPONING = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_BAD_PARAMETERS = "run() may not take positional-only parameters, *args or **kwargs"
_NO_BODY = "run() needs a parameter for the request's body"
_NO_DEFAULT = "run() gets one body, but its parameter {name!r} has no default"
_BOTH = "run() may be decorated with a schema or with rawhttp, not with both"
# Under one of these keys scripts give the rows' answers.
_RESULTS = ("result", "results", "predictions", "Results", "output", "outputs")
# Bodies that no script reads as they come: its rows are made of them. CSV is text, which an undecorated one gets.
_NO_TEXT = (bodies.ARROW, bodies.NUMPY)
_ROWS = (*_NO_TEXT, bodies.CSV)
# Statuses of answers; those below say that another is to come.
_FIRST_STATUS, _LAST_STATUS = 200, 599
_WITHOUT_BODY = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED))
_NO_STATUS = "run() answered with the status {status}, which is none of an answer"
# Headers of an answer that are the server's to write, since they say where the answer ends.
_OF_SERVER = {
    *("connection", "content-length", "content-type", "date", "keep-alive", "trailer", "transfer-encoding", "upgrade"),
    "x-ms-run-function-failed",
}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Script:
    """A scoring script that was imported."""

    def __init__(self, module: ModuleType) -> None:
        """Find out how its `run` wants to be called. Raises ScriptUnfit for what breaks a rule of the contract."""
        for name in ("init", "run"):
            function = getattr(module, name, None)
            if not callable(function):
                raise ScriptUnfit(_NO_FUNCTION.format(name=name))
            if any(is_so(inspect.unwrap(function)) for is_so in _POSTPONING):
                raise ScriptUnfit(_POSTPONED.format(name=name))
        self._run: Callable[..., Any] = module.run
        parameters = list(inspect.signature(self._run).parameters.values())
        if any(each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) for each in parameters):
            raise ScriptUnfit(_BAD_PARAMETERS)
        self._inputs = [each for each in parameters if each.name != "request_headers"]
        if not self._inputs:
            raise ScriptUnfit(_NO_BODY)
        self.input_schema, self.output_schema = _schemas(self._run)
        self.is_raw = is_raw(inspect.unwrap(self._run)) or is_raw(self._run)
        self._gets_headers = len(self._inputs) != len(parameters)
        # Whether the head of every request has to be told.
        self.takes_head = self._gets_headers or self.is_raw or self.input_schema is not None
        self._first = self._inputs[0].name
        self._entry = _code(self._run)
        self._check()

    def _check(self) -> None:
        if self.input_schema is not None and self.is_raw:
            raise ScriptUnfit(_BOTH)
        missing = [each.name for each in self._inputs[1:] if each.default is each.empty]
        if self.input_schema is None and missing:
            raise ScriptUnfit(_NO_DEFAULT.format(name=missing[0]))

    def score(self, call: Call) -> Reply:
        """Answer a request to `/score`. Raises Refused, NotSerializable, and whatever `run` raises."""
        if not (call.head or self.takes_head):
            return _reply(self._run(**{self._first: _text(call.body)}))
        told = call.told()
        kind = told.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.is_raw:
            return _reply(self._call({self._first: _request(call, told)}, told))
        if told.method != "GET" and kind in (_NO_TEXT if self.input_schema is None else _ROWS):
            result = self.predict(bodies.decode(kind, call.body)[0], call)
        elif self.input_schema is None:
            result = self._call({self._first: _text(call.body)}, told)
        elif told.method != "GET" and kind != bodies.JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Expects Content-Type to be {bodies.JSON}")
        else:
            result = self._call(self._arguments(_json_object(call.body)), told)
        accept = told.headers.get("Accept", "")
        return bodies.encode_as(accept, predictions_of(result)) if bodies.is_binary(accept) else _reply(result)

    def predict(self, table: Table, call: Call) -> Any:
        """Return what the script gives for the rows of a request that came in another dialect.

        An undecorated script gets `{"data": rows}` as JSON text, the form that scripts are written for; a decorated one
        its parameters, by their names where the rows' columns are called so, else its one parameter.
        """
        told = call.told()
        if self.input_schema is not None:
            return self._call(self._arguments(self._values_of(table)), told)
        try:
            text = encode({"data": table.rows()}).decode()
        except (TypeError, ValueError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The rows have values that JSON does not have: {error}") from error
        if self.is_raw:
            scoring = Told({**told.headers, "Content-Type": bodies.JSON}, "POST", "/score", "")
            return self._call({self._first: _request(call._replace(body=text.encode()), scoring)}, told)
        return self._call({self._first: text}, told)

    def _values_of(self, table: Table) -> dict[str, Any]:
        required = [each.name for each in self._inputs if each.default is each.empty]
        if table.named and set(required) <= set(table.named):
            return dict(table.named)
        schema = (self.input_schema or {}).get("properties", {}).get(self._first, {})
        wants_records = schema.get("items", {}).get("type") == "object"
        return {self._first: table.records() if wants_records and table.names else table.rows()}

    def _arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that `run` asks for; those it does not know are left out. Raises Refused."""
        given = {}
        optional = _optional(self.input_schema or {})
        for each in self._inputs:
            if each.name in values:
                given[each.name] = values[each.name]
            elif each.default is each.empty and each.name not in optional:
                raise Refused(HTTPStatus.BAD_REQUEST, f"A value is not provided for the '{each.name}' parameter.")
        return given

    def _call(self, given: dict[str, Any], told: Told) -> Any:
        if self._gets_headers:
            given["request_headers"] = dict(told.headers)
        if self.input_schema is None:
            return self._run(**given)
        try:
            return self._run(**given)
        except Exception as error:
            # Before the script's own code was entered there was only the conversion to what its schema says.
            if _was_entered(error, self._entry):
                raise
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error


def _schemas(run: Callable[..., Any]) -> tuple[Optional[dict[str, Any]], Optional[dict[str, Any]]]:
    """Return the schemas of a decorated function's request and answer, by our decorators or by the real package's."""
    decorated: Any = schemas
    if not schemas.is_schema_decorated(run):
        if "inference_schema.schema_decorators" not in sys.modules:
            return None, None
        decorated = importlib.import_module("inference_schema.schema_util")
        if not decorated.is_schema_decorated(run):
            return None, None
    return decorated.get_input_schema(run), decorated.get_output_schema(run)


def _optional(schema: Mapping[str, Any]) -> set[str]:
    return set(schema.get("properties", ())) - set(schema["required"]) if "required" in schema else set()


def _code(function: Callable[..., Any]) -> Optional[CodeType]:
    return getattr(inspect.unwrap(function), "__code__", None)


def _was_entered(error: BaseException, code: Optional[CodeType]) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return code is None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Input cannot be decoded as UTF-8: {error}") from error


def _json_object(body: bytes) -> dict[str, Any]:
    """Return a body as the JSON object that it must be. Raises Refused."""
    text = _text(body)
    if not text:
        raise Refused(HTTPStatus.BAD_REQUEST, "POST body is empty. Expecting a JSON dictionary.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"POST body could not be decoded as JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "POST body should be a JSON dictionary.")
    return found


def _request(call: Call, told: Told) -> AMLRequest:
    body = b"" if told.method == "GET" else call.body
    return AMLRequest(told.method, f"{told.path}?{told.query}", told.headers, body)


def _reply(result: Any) -> Reply:
    """Return the answer that a result makes; one that is an answer of HTTP itself passes as it is."""
    if not (hasattr(result, "status_code") and callable(getattr(result, "get_data", None))):
        try:
            return Reply(encode(result))
        except Exception as error:  # an object may raise anything while it is encoded
            raise NotSerializable from error
    given = [(str(name), str(value)) for name, value in result.headers.items()]
    named = {name.lower(): value for name, value in given}
    failed = getattr(result, "run_function_failed", False) or named.get("x-ms-run-function-failed") == "True"
    content_type = named.get("content-type") or getattr(result, "content_type", "") or ""
    status = _status(result)
    return Reply(
        b"" if status in _WITHOUT_BODY else _bytes(result.get_data()),
        status=status,
        outcome=Outcome.RAISED if failed else Outcome.ANSWERED,
        content_type=str(content_type),
        headers=tuple(each for each in given if _NAME.fullmatch(each[0]) and each[0].lower() not in _OF_SERVER),
    )


def _status(result: Any) -> int:
    """Return the status of an answer in a script's own words. Raises NotSerializable for one that ends no exchange."""
    status = int(result.status_code)
    if not _FIRST_STATUS <= status <= _LAST_STATUS:
        raise NotSerializable(_NO_STATUS.format(status=status))
    return status


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(memoryview(data))


def predictions_of(result: Any) -> Any:
    """Return what a script gives for the rows, out of the object that it wraps it in."""
    if isinstance(result, dict):
        named = [key for key in _RESULTS if key in result]
        return result[named[0]] if named else [result]
    if callable(getattr(result, "get_data", None)) and hasattr(result, "status_code"):
        status = _status(result)
        if status != HTTPStatus.OK:
            raise Refused(status, _bytes(result.get_data()).decode("utf-8", "replace"))
        return predictions_of(_read(result.get_data()))
    values = plain(result)
    return values if isinstance(values, (list, tuple)) else [values]


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
