"""Which events a subscriber wants: by type, by subject, and by conditions on what is told.

The operators are those of Event Grid. They look at the event as it is written in the subscriber's envelope, and texts
are the same in upper and lower case.
"""

from collections.abc import Callable, Sequence
from typing import Any

from modelwright.errors import EventFilterInvalid
from modelwright.lifecycle.events import types
from modelwright.lifecycle.events.envelopes import GRID_FIELDS, Letter, letters
from modelwright.records import Envelope, Event, EventCondition, EventFilter, Subscription

MOST_CONDITIONS = 5
MOST_VALUES = 5

Value = str | float | bool
Operator = Callable[[Any, Sequence[Any]], bool]

_ABOVE: dict[str, Operator] = {
    "NumberGreaterThan": lambda found, values: found > values[0],
    "NumberGreaterThanOrEquals": lambda found, values: found >= values[0],
    "NumberLessThan": lambda found, values: found < values[0],
    "NumberLessThanOrEquals": lambda found, values: found <= values[0],
}
_OPERATORS: dict[str, Operator] = {
    **_ABOVE,
    "NumberIn": lambda found, values: found in values,
    "NumberNotIn": lambda found, values: found not in values,
    "BoolEquals": lambda found, values: found is values[0],
    "StringContains": lambda found, values: any(each in found for each in values),
    "StringBeginsWith": lambda found, values: any(found.startswith(each) for each in values),
    "StringEndsWith": lambda found, values: any(found.endswith(each) for each in values),
    "StringIn": lambda found, values: found in values,
    "StringNotIn": lambda found, values: found not in values,
}
_NEGATIVE = frozenset({"NumberNotIn", "StringNotIn"})
_ONE_VALUE = frozenset({*_ABOVE, "BoolEquals"})
_ATTRIBUTES = {
    Envelope.CLOUD_EVENTS: ("id", "type", "subject", "time"),
    Envelope.EVENT_GRID: ("id", "eventType", "subject", "eventTime"),
}


def wanted(event: Event, wish: EventFilter, envelope: Envelope, *, workspace: str) -> list[Letter]:
    """Return the letters that the subscriber is to get of this event: none when he does not want it."""
    if not types.are_wanted(types.names_of(event.type), wish.types):
        return []  # most events end here, before anything is written
    return [each for each in letters(event, envelope, workspace=workspace) if _answers(each, wish)]


def wants(subscription: Subscription, event: Event) -> bool:
    """Whether the subscriber is to be told of this event."""
    return bool(wanted(event, subscription.filter, subscription.envelope, workspace=""))


def check(wish: EventFilter, envelope: Envelope) -> None:
    """Refuse a filter that is none. Raises EventTypeUnknown, EventFilterInvalid."""
    for pattern in wish.types:
        types.check(pattern)
    if len(wish.conditions) > MOST_CONDITIONS:
        rule = f"a subscription has at most {MOST_CONDITIONS}"
        raise EventFilterInvalid(what=f"{len(wish.conditions)} conditions", rule=rule)
    for each in wish.conditions:
        _check_condition(each, envelope)


def read_condition(text: str) -> EventCondition:
    """Return the condition that is written as `KEY OPERATOR VALUE,VALUE`. Raises EventFilterInvalid."""
    parts = text.split(maxsplit=2)
    if len(parts) != 3:  # noqa: PLR2004 - key, operator, values
        raise EventFilterInvalid(what=text, rule="a condition is a key, an operator and values")
    key, operator, values = parts
    named = {each.lower(): each for each in _OPERATORS}
    operator = named.get(operator.lower(), operator)
    return EventCondition(key, operator, tuple(_value(each.strip(), operator) for each in values.split(",")))


def find(told: Any, path: str) -> Any:
    """Return what is at a path such as `data.tags.area`, its names below `data` in any case; None when nothing is."""
    first, *rest = path.split(".")
    found = told.get(first)
    for name in rest:
        if not isinstance(found, dict):
            return None
        found = found[name] if name in found else {key.lower(): each for key, each in found.items()}.get(name.lower())
    return found


def _answers(letter: Letter, wish: EventFilter) -> bool:
    subject = str(letter.body["subject"]).lower()
    return (
        types.are_wanted(letter.types, wish.types)
        and subject.startswith(wish.subject_begins_with.lower())
        and subject.endswith(wish.subject_ends_with.lower())
        and all(_holds(each, letter.body) for each in wish.conditions)
    )


def _holds(condition: EventCondition, told: dict[str, Any]) -> bool:
    """Whether a condition holds; of a list, when it does for one of it, and a `NotIn` for all of it."""
    found = find(told, condition.key)
    operator, is_negative = _OPERATORS[condition.operator], condition.operator in _NEGATIVE
    kind = _kind(condition.operator)
    values = [_folded(each) for each in condition.values]
    results = (
        operator(_folded(each), values) if _is_a(each, kind) else is_negative
        for each in (found if isinstance(found, list) else [found])
    )
    return all(results) if is_negative else any(results)


def _check_condition(condition: EventCondition, envelope: Envelope) -> None:
    key, operator, values = condition.key, condition.operator, condition.values
    if operator not in _OPERATORS:
        raise EventFilterInvalid(what=operator, rule=f"operators are {', '.join(_OPERATORS)}")
    first, *below = key.split(".")
    attributes = _ATTRIBUTES[envelope]
    if not (key in attributes or (first == "data" and 1 <= len(below) <= 2 and all(below))):  # noqa: PLR2004
        rule = f"a key is one of {', '.join(attributes)}, or lies one or two names below data"
        raise EventFilterInvalid(what=key, rule=rule)
    if envelope is Envelope.CLOUD_EVENTS and below and below[0] in GRID_FIELDS:
        rule = f"{below[0]} is how Event Grid calls it; that takes --schema eventgrid"
        raise EventFilterInvalid(what=key, rule=rule)
    most = 1 if operator in _ONE_VALUE else MOST_VALUES
    if not 1 <= len(values) <= most:
        rule = f"{operator} takes {'one' if most == 1 else f'one to {most}'}"
        raise EventFilterInvalid(what=f"{len(values)} values", rule=rule)
    for each in values:
        if not _is_a(each, _kind(operator)):
            words = {str: "texts", float: "numbers", bool: "true or false"}
            raise EventFilterInvalid(what=each, rule=f"{operator} compares with {words[_kind(operator)]}")


def _kind(operator: str) -> type:
    return {"N": float, "B": bool, "S": str}[operator[0]]


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _folded(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


def _value(text: str, operator: str) -> Value:
    """Return what is written as a value; what does not fit the operator stays a text, which `check` refuses."""
    if operator.startswith("Bool"):
        return {"true": True, "false": False}.get(text.lower(), text)
    if operator.startswith("Number"):
        try:
            number = float(text)
        except ValueError:
            return text
        return number if number == number and abs(number) != float("inf") else text  # noqa: PLR0124 - NaN
    return text
