"""Conditions that runs are searched by."""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """What of a run a condition is about; a bare name is that of a metric or parameter, or of a parameter or tag."""

    METRIC = "metrics"
    PARAMETER = "parameters"
    TAG = "tags"
    ATTRIBUTE = "attributes"
    DATASET = "datasets"
    ANY = "any"


@dataclass(frozen=True)
class Term:
    """`name operator value`; the operator is one of = != < <= > >= contains."""

    place: Place
    name: str
    operator: str
    value: float | str | bool


@dataclass(frozen=True)
class Criterion:
    """A comparison in the language of MLflow's clients, where a place is always said.

    The operator is one of = != < <= > >= LIKE ILIKE, of IN and NOT IN with several texts, or of IS NULL and IS NOT NULL
    with nothing.
    """

    place: Place
    name: str
    operator: str
    value: float | str | tuple[str, ...] | None


@dataclass(frozen=True)
class AllOf:
    """Holds when every one of its parts does."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    """Holds when one of its parts does."""

    parts: tuple["Condition", ...]


Condition = Term | AllOf | AnyOf


@dataclass(frozen=True)
class Order:
    """What runs are ordered by. Those that do not have it come last."""

    place: Place
    name: str
    is_descending: bool
