"""The section [gate] of the project manifest: what a new model must be, besides better."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from modelwright.errors import ProjectInvalid
from modelwright.records import GateRules, Goal

_KEYS = ("metric", "goal", *(each.name for each in fields(GateRules)))
_CHECK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# What a value must be, and how that is said.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "metric": (lambda value: isinstance(value, str) and bool(value), "the name of a metric"),
    "goal": (lambda value: value in set(Goal), f"one of {', '.join(Goal)}"),
    "minimum_improvement": (lambda value: _is_number(value) and value >= 0, "a number, at least 0"),
    "confidence": (lambda value: _is_number(value) and 0 < value < 1, "a number between 0 and 1, such as 0.95"),
    "slices": (
        lambda value: isinstance(value, list) and all(isinstance(each, str) and each for each in value),
        'a list of columns, such as ["sex", "region"]',
    ),
    "slice_tolerance": (lambda value: _is_number(value) and value >= 0, "a number, at least 0"),
    "max_size_bytes": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0,
        "a whole number, at least 1",
    ),
    "max_latency_ms": (lambda value: _is_number(value) and value > 0, "a number of milliseconds above 0"),
    "check": (
        lambda value: isinstance(value, str) and bool(_CHECK.fullmatch(value)),
        'a function of the project, such as "churn.checks:is_fair"',
    ),
}


def read_rules(gate: Mapping[str, Any], *, path: Path) -> GateRules:
    """Return the rules of the section; what it does not say is not asked for.

    Raises ProjectInvalid, with the line, for keys that there are none of and values that they cannot have.
    """
    for name, value in gate.items():
        if name not in _RULES:
            raise _invalid(path, name, f'[gate] has no "{name}"; it has {", ".join(_KEYS)}')
        is_valid, rule = _RULES[name]
        if not is_valid(value):
            raise _invalid(path, name, f"{name} is {value!r}, and must be {rule}")
    if "slice_tolerance" in gate and not gate.get("slices"):
        raise _invalid(path, "slice_tolerance", "slice_tolerance is of groups, and there are no slices")
    told = {name: value for name, value in gate.items() if name not in {"metric", "goal"}}
    return GateRules(**told | {"slices": tuple(told.get("slices", ()))})


def rule_lines(rules: GateRules, *, literal: Callable[[object], str]) -> list[str]:
    """Return the lines of the manifest that say these rules."""
    said = {each.name: getattr(rules, each.name) for each in fields(GateRules)}
    said = {name: value for name, value in said.items() if value != getattr(GateRules(), name)}
    return [
        f"{name} = [{', '.join(map(literal, value))}]" if isinstance(value, tuple) else f"{name} = {literal(value)}"
        for name, value in said.items()
    ]


def _invalid(path: Path, name: str, reason: str) -> ProjectInvalid:
    is_here, found = False, 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("["):
            is_here = line.strip().startswith("[gate]")
        if is_here and re.match(rf'\s*"?{re.escape(name)}"?\s*=', line):
            found = number
    return ProjectInvalid(path=path, reason=f"line {found}: {reason}" if found else reason)
