"""Answers as MLflow's clients expect them: JSON, and errors as a code of theirs with our text."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from starlette.responses import Response

from modelwright.errors import ExperimentExists, KindNotKept, ModelExists, ModelwrightError, ParameterFixed

# Errors of ours that MLflow has a code of its own for, with the status that its clients expect beside it.
_CODES: dict[type[ModelwrightError], tuple[str, int]] = {
    ModelExists: ("RESOURCE_ALREADY_EXISTS", 400),
    ExperimentExists: ("RESOURCE_ALREADY_EXISTS", 400),
    ParameterFixed: ("INVALID_PARAMETER_VALUE", 400),
    KindNotKept: ("NOT_IMPLEMENTED", 501),
}
_BY_STATUS = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    413: "INVALID_PARAMETER_VALUE",
    422: "INVALID_PARAMETER_VALUE",
}


def answer(content: Mapping[str, Any]) -> Response:
    """Return `content` as JSON."""
    return Response(orjson.dumps(content), media_type="application/json")


def refused(status: int, code: str, message: str) -> Response:
    """Return an error in MLflow's shape."""
    body = orjson.dumps({"error_code": code, "message": message})
    return Response(body, status, media_type="application/json")


def told(error: ModelwrightError) -> Response:
    """Return what is wrong, and what to do now."""
    text = f"{error}; {error.next_command}" if error.next_command else str(error)
    known = _CODES.get(type(error))
    if known:
        return refused(known[1], known[0], text)
    # A client asks again after a 500, which would change nothing.
    status = error.status if error.status in _BY_STATUS else 400
    return refused(status, _BY_STATUS[status], text)


def failed() -> Response:
    """Return that we have failed; what happened stands in the server's log."""
    return refused(500, "INTERNAL_ERROR", "the server failed; its log says how")


def milliseconds(moment: datetime) -> int:
    """Return a time as MLflow counts it: milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def number(value: float) -> float | str:
    """Return a number as JSON has it: one that is none by the name that MLflow gives it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def pairs(named: Mapping[str, str]) -> list[dict[str, str]]:
    """Return names and texts as MLflow lists them."""
    return [{"key": name, "value": value} for name, value in named.items()]
