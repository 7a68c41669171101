"""What may be logged: numbers, parameters, tags."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from modelwright.errors import MetricNotNumber, MetricStepInvalid, NameInvalid

# What a database's integer of 64 bits can hold, with room to count on.
LARGEST_STEP = (1 << 62) - 1

_LONGEST_SHOWN = 60
_SERIES = 'log a table: log_table("{name}", {{"{name}": values}}), or each value: log_metric("{name}", value, step=i)'
_ADVICE = {
    bool: 'log 1.0 or 0.0, or set a tag: set_tag("{name}", "true")',
    str: 'log it as a parameter or a tag: set_tag("{name}", value)',
    dict: "log several metrics at once: log_metrics({{...}})",
}


def number(name: str, value: Any) -> float:
    """Return a metric's value as a float. Raises MetricNotNumber, which says what to do instead."""
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # Values of numpy, torch and the like know that they are single ones.
    if not is_number and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        if is_number:
            return float(value)
    except OverflowError:
        pass
    advice = next((text for base, text in _ADVICE.items() if isinstance(value, base)), _SERIES)
    if is_number:
        advice = "log a number that fits into a float, such as its logarithm"
    raise MetricNotNumber(name=name, value=_short(value), kind=kind.__name__, advice=advice.format(name=name))


def whole(name: str, step: Any) -> int:
    """Return a metric's step. Raises MetricStepInvalid."""
    is_whole = isinstance(step, numbers.Integral) and not isinstance(step, bool) and abs(int(step)) <= LARGEST_STEP
    if not is_whole:
        raise MetricStepInvalid(name=name, step=step)
    return int(step)


def parameters(given: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as JSON can hold them; what it cannot hold becomes its text."""
    return {checked_name(name, "parameter"): plain(value) for name, value in given.items()}


def tags(given: Mapping[str, object]) -> dict[str, str]:
    """Return tags as texts."""
    return {checked_name(name, "tag"): str(value) for name, value in given.items()}


def checked_name(name: object, noun: str) -> str:
    """Return a name that is a text with something in it. Raises NameInvalid."""
    if not isinstance(name, str) or not name.strip():
        raise NameInvalid(name=name, noun=noun, rule="it is a text that is not empty", way="name")
    return name


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers of numpy as numbers, NaN and whatever else as text."""
    match value:
        case None | bool() | str():
            return value
        case numbers.Real():
            return _finite(value)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _ if getattr(value, "shape", None) == () and hasattr(value, "item"):
            return plain(value.item())
        case _:
            return str(value)


def _finite(value: numbers.Real) -> float | str:
    if isinstance(value, numbers.Integral):
        return int(value)
    found = float(value)
    return found if math.isfinite(found) else str(found)


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= _LONGEST_SHOWN else _Text(f"{text[: _LONGEST_SHOWN - 1]}…")


class _Text(str):
    """A text that shows itself without quotes."""

    __slots__ = ()
    __repr__ = str.__str__
