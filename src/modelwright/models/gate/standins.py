"""A guest: what stands in for a model and answers from memory. Standard library only.

An evaluation asks its model for predictions of some rows. Asked once on the real rows, the answers are remembered in
the order of the calls; on drawn rows the stand-in gives those of the drawn rows, and nothing is predicted again.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ASKED = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform")
_CALL = "__call__"


class Unlike(Exception):
    """The evaluation asks for something else on drawn rows than it asked for on the real ones."""


class Call(NamedTuple):
    """One question that was put to a model: how to put it again, with what, and what it answered."""

    name: str
    ask: Callable[..., Any]
    given: tuple[Any, dict[str, Any]]
    answer: Any


class Tape:
    """The calls of one evaluation, in their order; `rows` is the module that takes rows of values."""

    def __init__(self, rows: Any) -> None:
        """Begin with no call."""
        self._rows = rows
        self.calls: list[Call] = []

    @property
    def lengths(self) -> set[int]:
        """How many rows the answers have."""
        return {length for each in self.calls for length in self._rows.lengths(each.answer)}

    def recording(self, model: Any) -> Any:
        """Return what stands in for the model, asks it, and remembers."""
        self.calls = []
        return _standing_in(model, self._record)

    def replaying(self, model: Any, drawn: Mapping[int, Sequence[int]]) -> Any:
        """Return what stands in for the model and answers with the drawn rows of what is remembered."""
        left = iter(self.calls)
        return _standing_in(model, partial(self._replay, left, drawn))

    def _record(self, name: str, ask: Callable[..., Any], *given: Any, **named: Any) -> Any:
        answer = ask(*given, **named)
        # The evaluation may change what it was answered.
        self.calls.append(Call(name, ask, (given, named), copy.deepcopy(answer)))
        return answer

    def _replay(self, left: Any, drawn: Any, name: str, _ask: Any, *given: Any, **named: Any) -> Any:
        call = next(left, None)
        if call is None or call.name != name:
            raise Unlike
        lengths = self._rows.lengths(call.answer)
        asked = {length for each in (*given, *named.values()) for length in self._rows.lengths(each)}
        wanted = {len(drawn[each]) if each in drawn else each for each in lengths}
        if not wanted or not wanted <= asked:
            raise Unlike
        return self._rows.taken(call.answer, drawn)


def _standing_in(model: Any, answer: Callable[..., Any]) -> Any:
    """Return the model, or the container of models, with a stand-in for each that can be asked."""
    if isinstance(model, dict):
        return {name: _standing_in(each, answer) for name, each in model.items()}
    if isinstance(model, (list, tuple)) and not hasattr(model, "_fields"):
        return type(model)(_standing_in(each, answer) for each in model)
    can_be_asked = callable(model) or any(callable(getattr(model, each, None)) for each in _ASKED)
    return _StandIn(model, answer) if can_be_asked and not isinstance(model, type) else model


class _StandIn:
    """Looks like the model in all but what it is asked."""

    __slots__ = ("_wright_answer", "_wright_model")

    def __init__(self, model: Any, answer: Callable[..., Any]) -> None:
        object.__setattr__(self, "_wright_model", model)
        object.__setattr__(self, "_wright_answer", answer)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._wright_model)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wright_model, name)
        return partial(self._wright_answer, name, found) if name in _ASKED and callable(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._wright_model, name, value)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._wright_answer(_CALL, self._wright_model, *given, **named)
