"""Tensors of the Open Inference Protocol: in JSON, and as the bytes of its binary extension."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn, Optional

from .refusals import Refused
from .results import plain

# Datatype -> code of struct, type of NumPy, bytes of a value.
_TYPES = {
    "BOOL": ("?", "bool", 1),
    "UINT8": ("B", "u1", 1),
    "UINT16": ("H", "<u2", 2),
    "UINT32": ("I", "<u4", 4),
    "UINT64": ("Q", "<u8", 8),
    "INT8": ("b", "i1", 1),
    "INT16": ("h", "<i2", 2),
    "INT32": ("i", "<i4", 4),
    "INT64": ("q", "<i8", 8),
    "FP16": ("e", "<f2", 2),
    "FP32": ("f", "<f4", 4),
    "FP64": ("d", "<f8", 8),
}
_BYTES = "BYTES"
_OF_NUMPY = {dtype.lstrip("<"): name for name, (_, dtype, _) in _TYPES.items()}
_LENGTH = struct.Struct("<I")


class Tensor(NamedTuple):
    """A named array. `values` are nested lists, or an array of NumPy where there is one."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any


def read(told: Any, binary: memoryview) -> tuple[Tensor, int]:
    """Return a tensor of a request and how many bytes of the binary part are its own. Raises Refused."""
    if not isinstance(told, dict):
        _refuse("an input is no object")
    name, datatype, shape = told.get("name"), told.get("datatype"), told.get("shape")
    if not isinstance(name, str) or not name:
        _refuse("an input has no name")
    if datatype != _BYTES and datatype not in _TYPES:
        _refuse(f"input '{name}' has the datatype '{datatype}'; known are BYTES, {', '.join(_TYPES)}")
    if not isinstance(shape, list) or not all(type(each) is int and each >= 0 for each in shape):
        _refuse(f"input '{name}' has no shape of whole numbers")
    if 0 in shape:
        _refuse(f"input '{name}' has no values, its shape is {shape}")
    size = parameters(told).get("binary_data_size")
    if size is None:
        flat = _flat(told.get("data"))
        used = 0
    else:
        if type(size) is not int or not 0 <= size <= len(binary):
            _refuse(f"input '{name}' has fewer bytes than its binary_data_size says")
        flat = _unpacked(name, datatype, binary[:size])
        used = size
    if len(flat) != math.prod(shape):
        _refuse(f"input '{name}' has {len(flat)} values, its shape {shape} is of {math.prod(shape)}")
    return Tensor(name, datatype, tuple(shape), _shaped(flat, shape, datatype)), used


def parameters(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a request or a part of it. Raises Refused."""
    found = told.get("parameters") or {}
    if not isinstance(found, dict):
        _refuse('"parameters" is no object')
    return found


def of_result(name: str, result: Any) -> Tensor:
    """Return an array, list or value as a tensor; what is no regular list of values becomes texts of JSON."""
    kind = str(getattr(getattr(result, "dtype", None), "str", ""))  # of NumPy's types, such as `<f8`
    known = _OF_NUMPY.get(kind.lstrip("<|=").replace("b1", "bool"))
    if known and result.ndim:
        return Tensor(name, known, tuple(result.shape), result)
    values = plain(result)
    if not isinstance(values, (list, tuple)):
        values = [values]
    shape = _shape(values)
    datatype = _datatype(_leaves(values, len(shape))) if shape else None
    if shape is None or datatype is None:
        texts = [each if isinstance(each, str) else json.dumps(each, default=plain) for each in values]
        return Tensor(name, _BYTES, (len(texts),), texts)
    return Tensor(name, datatype, shape, values)


def told_of(tensor: Tensor, *, is_binary: bool) -> tuple[dict[str, Any], bytes]:
    """Return what an answer says of a tensor, and its bytes when they follow after it."""
    told: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    flat = _leaves(plain(tensor.values), len(tensor.shape)) if not _is_array(tensor.values) else None
    if not is_binary:
        return {**told, "data": flat if flat is not None else tensor.values.ravel().tolist()}, b""
    if tensor.datatype == _BYTES:
        encoded = [each.encode() for each in flat or ()]
        data = b"".join(_LENGTH.pack(len(each)) + each for each in encoded)
    elif flat is None:
        data = tensor.values.astype(_TYPES[tensor.datatype][1]).tobytes()
    else:
        data = struct.pack(f"<{len(flat)}{_TYPES[tensor.datatype][0]}", *flat)
    return {**told, "parameters": {"binary_data_size": len(data)}}, data


def _unpacked(name: str, datatype: str, data: memoryview) -> Any:
    if datatype == _BYTES:
        return _texts(name, data)
    code, dtype, size = _TYPES[datatype]
    if len(data) % size:
        _refuse(f"input '{name}' has {len(data)} bytes, which are no whole values of {datatype}")
    try:
        import numpy as np
    except ImportError:
        return list(struct.unpack(f"<{len(data) // size}{code}", data))
    return np.frombuffer(data, dtype=dtype)


def _texts(name: str, data: memoryview) -> list[str]:
    found, start = [], 0
    while start < len(data):
        if len(data) - start < _LENGTH.size:
            _refuse(f"input '{name}' ends inside a length")
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if length > len(data) - start:
            _refuse(f"input '{name}' ends inside a text")
        try:
            found.append(str(data[start : start + length], "utf-8"))
        except UnicodeDecodeError as error:
            _refuse(f"input '{name}' has a text that is no UTF-8", error)
        start += length
    return found


def _shaped(flat: Any, shape: Sequence[int], datatype: str) -> Any:
    """Return flat values in their shape; numbers as an array where there is NumPy."""
    if _is_array(flat):
        return flat.reshape(shape)
    if datatype != _BYTES:
        if not _are_of(flat, datatype):
            _refuse(f"the values are not of {datatype}")
        try:
            import numpy as np
        except ImportError:
            pass
        else:
            try:
                return np.array(flat, dtype=_TYPES[datatype][1]).reshape(shape)
            except (ValueError, TypeError, OverflowError) as error:
                _refuse(f"the values are not of {datatype}: {error}", error)
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


def _are_of(values: Sequence[Any], datatype: str) -> bool:
    """Return whether values of JSON can be of a datatype without becoming others."""
    kinds = {type(each) for each in values}
    if datatype == "BOOL":
        return kinds <= {bool, int} and all(each in (0, 1) for each in values)
    if datatype.startswith("FP"):
        return kinds <= {int, float, bool, type(None)}
    return kinds <= {int, float, bool} and (float not in kinds or all(each % 1 == 0 for each in values))


def _flat(value: Any) -> list[Any]:
    """Return values that may be nested as their shape is, or flat."""
    if not isinstance(value, list):
        _refuse("an input has neither data nor a binary_data_size")
    found: list[Any] = []
    for each in value:
        if isinstance(each, list):
            found.extend(_flat(each))
        else:
            found.append(each)
    return found


def _shape(values: Sequence[Any]) -> Optional[tuple[int, ...]]:
    """Return the shape of nested lists; None when they are not all of one."""
    if not values or not isinstance(values[0], (list, tuple)):
        return None if any(isinstance(each, (list, tuple, Mapping)) for each in values) else (len(values),)
    inner = {_shape(each) if isinstance(each, (list, tuple)) else None for each in values}
    first = inner.pop()
    return None if first is None or inner else (len(values), *first)


def _leaves(values: Any, depth: int) -> list[Any]:
    for _ in range(depth - 1):
        values = [each for inner in values for each in inner]
    return list(values)


def _datatype(values: Sequence[Any]) -> Optional[str]:
    kinds = {type(each) for each in values}
    if kinds <= {bool}:
        return "BOOL"
    if kinds <= {int}:
        return "INT64"
    if kinds <= {int, float}:
        return "FP64"
    return _BYTES if kinds <= {str} else None


def _is_array(value: Any) -> bool:
    return hasattr(value, "ravel")


def _refuse(text: str, reason: Optional[Exception] = None) -> NoReturn:
    raise Refused(HTTPStatus.BAD_REQUEST, text) from reason
