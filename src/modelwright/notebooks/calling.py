"""Calls of a plan's functions as source code, and the options of a command line for its parameters."""

from collections.abc import Collection, Mapping

from modelwright.notebooks import wrapping
from modelwright.notebooks.rendering import literal
from modelwright.records import Function, Parameter


def call(function: Function, given: Mapping[str, str], *, indent: int = 4) -> list[str]:
    """Return the lines of a call; `given` says what stands for each input and parameter."""
    arguments = [given[each] for each in function.inputs]
    arguments += [f"{each}={given[each]}" for each in function.parameters]
    return wrapping.call(function.name, arguments, targets=function.outputs, indent=indent)


def option(parameter: Parameter) -> list[str]:
    """Return what declares a parameter's option."""
    flag, default = f'"--{parameter.name.replace("_", "-")}"', f"default={literal(parameter.value)}"
    if isinstance(parameter.value, bool):
        return [flag, "action=argparse.BooleanOptionalAction", default]
    return [flag, f"type={type(parameter.value).__name__}", default]


def free(name: str, taken: Collection[str]) -> str:
    """Return a local name that none of the notebook's variables has."""
    return name if name not in taken else free(f"{name}_", taken)
