"""Makes JSON of what a scoring script or a model gives, arrays and tables included."""

from __future__ import annotations

import json
import math
from typing import Any


def encode(result: object) -> bytes:
    """Return an answer's body: JSON, and `{}` for None. Raises TypeError, ValueError or RecursionError."""
    return _ENCODER.encode({} if result is None else result).encode()


def encode_strictly(result: object) -> bytes:
    """Return an answer's body without the numbers that JSON does not have: they are null."""
    try:
        return _STRICT.encode(result).encode()
    except ValueError:
        return json.dumps(_finite(json.loads(encode(result)))).encode()


def encode_result(found: Any) -> bytes:
    """Return the body of the answer that has what was predicted as its result."""
    if getattr(found, "ndim", 0) == 1 and getattr(found.dtype, "char", "") == "d":
        text = ", ".join(map(repr, found.tolist()))
        if "n" not in text:  # as only those are written that JSON does not have
            return f'{{"result": [{text}]}}'.encode()
    return encode_strictly({"result": found})


def of_number(number: float) -> bytes:
    """Return the body of the answer that has one number as its result, as it would be encoded."""
    return b'{"result": [%r]}' % number


def plain(result: Any) -> Any:
    """Return arrays and tables as lists, everything else as it is."""
    return _plain(result) if hasattr(result, "tolist") or hasattr(result, "to_dict") else result


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Return what JSON has no word for in words that it has, without knowing the libraries that it is of."""
    if callable(getattr(value, "tolist", None)):  # arrays, their scalars, series
        return value.tolist()
    if callable(getattr(value, "to_dict", None)) and hasattr(value, "columns"):  # tables
        try:
            return value.to_dict(orient="records")
        except TypeError:
            return value.to_dict()
    if callable(getattr(value, "isoformat", None)):
        return value.isoformat()
    told = f"{type(value).__name__} is not JSON serializable"
    raise TypeError(told)


# Made once: `json.dumps` with arguments of its own makes one for every call, which takes longer than most answers.
_ENCODER = json.JSONEncoder(default=_plain)
_STRICT = json.JSONEncoder(default=_plain, allow_nan=False)
