"""The names of the package `inference_schema`, for environments that do not have it.

Decorators say of what type a scoring script's parameters are; a request's JSON is made into that type before `run` is
called, and the samples become the schema of the endpoint's document. Where the original leaves a wrong request to
fail somewhere, these raise ValueError with what is wrong.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .parameters import ParameterType

_SCHEMA = "__modelwright_schema__"


def input_schema(
    param_name: str,
    param_type: ParameterType,
    convert_to_provided_type: bool = True,  # noqa: FBT001, FBT002 - the original's signature
    optional: bool = False,  # noqa: FBT001, FBT002
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say of what type a parameter is. Raises ValueError at once for one that the function does not have."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        if param_name not in signature.parameters:
            told = f"{param_name} not found in the arguments of {function.__name__}()"
            raise ValueError(told)

        @functools.wraps(function)
        def converting(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind_partial(*args, **kwargs)
            if param_name in given.arguments:
                if convert_to_provided_type:
                    value = given.arguments[param_name]
                    given.arguments[param_name] = _converted(param_name, param_type, value, optional=optional)
            elif optional and signature.parameters[param_name].default is inspect.Parameter.empty:
                given.arguments[param_name] = None
            return function(*given.args, **given.kwargs)

        schema = _schema(function)
        inputs = {param_name: {"schema": param_type.input_to_swagger(), "optional": optional}, **schema["inputs"]}
        setattr(converting, _SCHEMA, {**schema, "inputs": inputs})
        return converting

    return decorate


def output_schema(output_type: ParameterType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say of what type the function's result is; it is not changed."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def calling(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        setattr(calling, _SCHEMA, {**_schema(function), "output": output_type.input_to_swagger()})
        return calling

    return decorate


def is_schema_decorated(function: Callable[..., Any]) -> bool:
    """Return whether either decorator stands over a function."""
    return hasattr(function, _SCHEMA)


def get_input_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the schema of a decorated function's request, with the samples as its example."""
    inputs = _schema(function)["inputs"]
    properties = {name: {**each["schema"]} for name, each in inputs.items()}
    example = {name: schema.pop("example") for name, schema in properties.items()}
    required = [name for name, each in inputs.items() if not each["optional"]]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "example": example,
    }


def get_output_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the schema of a decorated function's answer."""
    found: dict[str, Any] = _schema(function)["output"]
    return found


def get_supported_versions(_function: Callable[..., Any]) -> list[str]:
    """Return the versions of the document that a function can be described in."""
    return ["2.0", "3.0", "3.1"]


def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    empty = {"inputs": {}, "output": {"type": "object", "example": {}}}
    found: dict[str, Any] = getattr(function, _SCHEMA, empty)
    return found


def _converted(name: str, wanted: ParameterType, value: Any, *, optional: bool) -> Any:
    if value is None and optional:
        return None
    try:
        return wanted.deserialize_input(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        told = f"The value of '{name}' does not fit the schema: {error}"
        raise ValueError(told) from error
