"""Reads the file of a model's arrays, which `exporting.py` wrote in the model's own environment."""

import json
import struct
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ArraysInvalid

MAGIC = b"WRFUSED1"
_LENGTH = struct.Struct("<I")
_SHORT = "it is cut short"
_KINDS = {"d": 8, "i": 4, "b": 1}


@dataclass(frozen=True)
class Arrays:
    """A model as numbers: what the header says of them, and the arrays by name."""

    header: Mapping[str, Any]
    arrays: "Mapping[str, array[Any]]"


def read_arrays(path: Path) -> Arrays:
    """Return what a file holds. Raises ArraysInvalid."""
    try:
        data = path.read_bytes()
        start = len(MAGIC) + _LENGTH.size
        if data[: len(MAGIC)] != MAGIC:
            raise ArraysInvalid(path=path, reason="it does not begin as such a file does")
        (length,) = _LENGTH.unpack_from(data, len(MAGIC))
        header = json.loads(data[start : start + length])
        found = _arrays(header["arrays"], memoryview(data)[start + length :])
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ArraysInvalid(path=path, reason=str(error)) from error
    if header.get("format_version") != 1:
        raise ArraysInvalid(path=path, reason="its format is newer than this version of Modelwright")
    return Arrays(header, found)


def _arrays(listed: list[tuple[str, str, int]], rest: memoryview) -> "dict[str, array[Any]]":
    found: dict[str, array[Any]] = {}
    at = 0
    for name, kind, count in listed:
        end = at + count * _KINDS[kind]
        values = array(kind)
        values.frombytes(rest[at:end])
        if len(values) != count:
            raise ValueError(_SHORT)
        if sys.byteorder == "big":
            values.byteswap()
        found[name] = values
        at = end
    return found
