"""Traces: what was seen of each top-level statement while a notebook ran."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StatementTrace:
    """What was seen when one top-level statement ran.

    `index` orders all of a notebook's statements. `bound` names have another object than before, `mutated` ones the
    same object with other content; `opaque` ones were watched and could not be read in full, so that their absence
    from `mutated` says nothing. `aliases` are pairs of a bound or mutated name and another one that shares mutable
    memory with it.

    `drew` are the random states that advanced, `settings` the global settings that changed. Files that were `read`
    and `written` are relative to the notebook's folder when inside it; those of libraries are left out.

    `printed` is text on standard output, the plain text of what was displayed and of a bare last expression; figures
    are not in it but counted in `figures`, with open ones that were drawn on. `kinds` are the dotted types of the
    names bound, arrays with dtype and number of dimensions: "numpy.ndarray[float64,2]".
    """

    index: int
    elapsed_seconds: float
    bound: frozenset[str]
    deleted: frozenset[str]
    mutated: frozenset[str]
    opaque: frozenset[str]
    aliases: frozenset[tuple[str, str]]
    drew: frozenset[str]
    settings: frozenset[str]
    read: tuple[str, ...]
    written: tuple[str, ...]
    printed: str
    figures: int
    kinds: dict[str, str]


@dataclass(frozen=True)
class Trace:
    """The statements of a notebook that ran, in order, and the seconds of all of them without our looking."""

    statements: tuple[StatementTrace, ...]
    elapsed_seconds: float
