"""Records from what JSON holds: the other way of `dataclasses.asdict`, with every type checked."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints


class NotThisRecord(ValueError):
    """What was read has not the shape of the record; the text says where and in what."""


def decoded(kind: Any, told: object, *, place: str = "") -> Any:
    """Return `told` as a value of type `kind`, a record or what records are made of. Raises NotThisRecord."""
    origin = get_origin(kind)
    if kind is Any or kind is object:
        return told
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), told, place)
    if origin in (tuple, list):
        (inner, *_) = get_args(kind)
        return origin(decoded(inner, each, place=f"{place}[{n}]") for n, each in enumerate(_of(list, told, place)))
    if origin is not None and issubclass(origin, Mapping):
        key, value = get_args(kind)
        return {
            decoded(key, name, place=place): decoded(value, each, place=f"{place}.{name}")
            for name, each in _of(dict, told, place).items()
        }
    if is_dataclass(kind):
        return _record(kind, _of(dict, told, place), place)
    return _plain(kind, told, place)


def _plain(kind: Any, told: object, place: str) -> Any:
    if kind is Path:
        return Path(_of(str, told, place))
    if kind is datetime or issubclass(kind, Enum):
        try:
            found = datetime.fromisoformat(_of(str, told, place)) if kind is datetime else kind(told)
        except ValueError as error:
            raise _wrong(place, f"{told!r} is no {kind.__name__}") from error
        if isinstance(found, datetime) and found.tzinfo is None:
            raise _wrong(place, "the time has no zone")
        return found
    if kind is float and type(told) is int:
        return float(told)
    return _of(kind, told, place)


def _record(kind: Any, told: Mapping[str, object], place: str) -> Any:
    hints = _hints(kind)
    unknown = told.keys() - hints.keys()
    if unknown:
        raise _wrong(place, f'"{min(unknown)}" is not known')
    given = {name: decoded(hints[name], value, place=f"{place}.{name}") for name, value in told.items()}
    for each in fields(kind):
        if each.name not in given and each.default is MISSING and each.default_factory is MISSING:
            raise _wrong(place, f'"{each.name}" is missing')
    return kind(**given)


def _one_of(kinds: tuple[Any, ...], told: object, place: str) -> Any:
    if told is None and type(None) in kinds:
        return None
    (kind,) = (each for each in kinds if each is not type(None))
    return decoded(kind, told, place=place)


def _of(kind: Any, told: object, place: str) -> Any:
    if type(told) is not kind:
        raise _wrong(place, f"{told!r:.60} is no {kind.__name__}")
    return told


def _wrong(place: str, what: str) -> NotThisRecord:
    return NotThisRecord(f"{place.lstrip('.') or 'it'}: {what}")


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
