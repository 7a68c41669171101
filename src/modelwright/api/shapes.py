"""Records as the OpenAPI document tells of them: what `records.plain` makes of a record, as a schema.

The schema is made of the record's own fields and properties, so that it says what the answer has, and nothing else.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

# JSON has no word for NaN.
_AS: dict[Any, Any] = {float: float | None, Path: str, object: Any}


@dataclass(frozen=True)
class Joined:
    """An answer that is a record with more facts beside its own: `Annotated[dict[str, Any], Joined(…)]`."""

    name: str
    record: type
    more: tuple[tuple[str, Any], ...]


def joined(name: str, record: type, **more: Any) -> Joined:
    """Return the shape of a record with `more` beside its fields, under a name of its own in the document."""
    return Joined(name, record, tuple(more.items()))


@cache
def shape(kind: Any) -> Any:
    """Return the type of which pydantic makes the schema of `plain(value)` for values of type `kind`."""
    origin, inner = get_origin(kind), get_args(kind)
    told = [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, Joined)]
    if told:
        return _joined(told[0])
    if origin is not None:
        return _generic(origin, inner)
    if kind in _AS:
        return _AS[kind]
    if is_dataclass(kind):
        return _model(str(getattr(kind, "__name__", kind)), kind, _parts(kind))
    return kind


def _generic(origin: Any, inner: tuple[Any, ...]) -> Any:
    if origin in (Union, types.UnionType):
        return Union[tuple(shape(each) for each in inner)]  # noqa: UP007 - of a list of types there is no other spelling
    if origin is Literal:
        return Literal[inner]
    if issubclass(origin, Mapping):
        return dict[str, shape(inner[1])]  # type: ignore[misc] # a type that is made here
    return list[shape(inner[0])]  # type: ignore[misc] # a type that is made here


def _joined(told: Joined) -> Any:
    return _model(told.name, told.record, _parts(told.record) | dict(told.more))


def _parts(record: Any) -> dict[str, Any]:
    """Return the names in a plain record, with their types: those of its fields, then those of its properties."""
    hints = get_type_hints(record, include_extras=True)
    properties = {
        name: get_type_hints(member.fget)["return"]
        for name, member in vars(record).items()
        if isinstance(member, property)
    }
    return {each.name: hints[each.name] for each in fields(record)} | properties


def _model(name: str, record: Any, parts: Mapping[str, Any]) -> type[BaseModel]:
    told: dict[str, Any] = {part: (shape(kind), ...) for part, kind in parts.items()}
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(name, __config__=config, __doc__=record.__doc__, **told)
