"""Refusals in the words of each dialect, so that its clients find the text where they look for it."""

from __future__ import annotations

import json
from http import HTTPStatus

from .codes import Route

FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL = "An unexpected internal error occurred. Check the logs for more info."
_OPEN_INFERENCE = frozenset({Route.INFER, Route.MODEL, Route.MODEL_READY, Route.SERVER})


def error_body(route: int, status: int, text: str) -> bytes:
    """Return the body of an answer that says what is wrong."""
    if route == Route.INVOCATIONS:
        code = "BAD_REQUEST" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL_ERROR"
        return json.dumps({"error_code": code, "message": text}).encode()
    return json.dumps({"error" if route in _OPEN_INFERENCE else "message": text}).encode()
