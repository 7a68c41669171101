"""Answers requests from a model's arrays, byte for byte as the model in its own environment would, or not at all.

Only what is plainly a table of numbers is answered here. Everything else is for the model itself: a body that is no
JSON, or is more than JSON; another shape; text, or numbers so large that types matter; a draw between labels. So
nothing has to be said here of errors, and a request that was answered was answered as the model does.
"""

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from modelwright.errors import ArraysInvalid
from modelwright.models.fusing import compiled, linear, trees
from modelwright.models.fusing.arrays import Arrays

Rows = list[Any]
_NO_NUMPY = "it is linear, which needs numpy beside Modelwright: pip install 'modelwright[fused]'"
# What a row of wrong content or shape raises, wherever that is noticed.
_UNUSUAL = (TypeError, ValueError, KeyError, IndexError, ArithmeticError, struct.error)


@dataclass(frozen=True)
class Manner:
    """How a model is asked: by which key rows stand in a request and values in an answer, and what rows may hold.

    With `takes_null` a null among numbers is a missing value, with `takes_whole` there may be a table of whole numbers
    only. Tables are `is_by_column` when pandas makes them. The rows must stand `is_alone` in a request where other keys
    would change the answer.
    """

    key: str = "data"
    answer_key: str = "result"
    takes_null: bool = True
    takes_whole: bool = True
    is_by_column: bool = False
    is_alone: bool = False


class ArrayModel:
    """A model that is nothing but arrays. `compiled` is it in the compiled part, if any."""

    def __init__(self, given: Arrays, manner: Manner) -> None:
        """Prepare to evaluate. Raises ArraysInvalid when the arrays are no model, or numpy is needed and missing."""
        self.name = str(given.header.get("model", ""))
        self.manner = manner
        try:
            self._prepare(given)
        except ImportError as error:
            raise ArraysInvalid(path=self.name, reason=_NO_NUMPY) from error
        except (*_UNUSUAL, AttributeError) as error:
            raise ArraysInvalid(path=self.name, reason=str(error)) from error
        self.head = f"{{{json.dumps(manner.answer_key)}: ".encode()

    def _prepare(self, given: Arrays) -> None:
        answer = given.header["answer"]
        labels = [json.dumps(each) for each in answer["labels"]] if answer["kind"] == "label" else None
        # A linear model's rows depend on each other in their last bits: a request of it is not to be cut in pieces.
        self.is_divisible = given.header["kind"] == "trees"
        self._one: Callable[[Any], Any]
        self._several: Callable[[Rows], list[Any] | None]
        if self.is_divisible:
            trees.check(given)
            self._several = self._each
        else:
            self._one, self._several = linear.linear_functions(given, labels, is_by_column=self.manner.is_by_column)
        self.compiled = compiled.compiled_model(given, labels)
        if self.compiled is not None:
            self._one = self.compiled.value
        elif self.is_divisible:
            self._one = trees.tree_function(given, labels)
        self._has_labels = labels is not None

    def answer(self, body: bytes) -> bytes | None:
        """Return the answer to a request's body; None when the model itself is to be asked."""
        rows = self.rows(body)
        return None if rows is None else self.answer_rows(rows)

    def rows(self, body: bytes) -> Rows | None:
        """Return the rows in a body; None when there are none, as far as can be told without looking at them."""
        try:
            told = self._read(body)
            rows = told[self.manner.key]
        except (*_UNUSUAL, RecursionError):
            return None
        if not rows or type(rows) is not list or (self.manner.is_alone and len(told) > 1):
            return None
        return rows if self.manner.takes_whole or _has_fraction(rows) else None

    def _read(self, body: bytes) -> Any:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            # Python writes and reads the word NaN, which is no JSON.
            if not self.manner.takes_null or b"NaN" not in body:
                raise
            return json.loads(body.decode())

    def answer_rows(self, rows: Rows) -> bytes | None:
        """Return the answer to a request with these rows; None when the model itself is to be asked."""
        if len(rows) > 1:
            values = self.values(rows)
            return None if values is None else self.answer_of(values)
        try:
            value = self._one(rows[0])
        except _UNUSUAL:
            values = self.values(rows)
            return None if values is None else self.answer_of(values)
        return None if value is None else self.answer_of((value,))

    def values(self, rows: Rows) -> list[Any] | None:
        """Return a row's value each, for `answer_of`; None when the model itself is to be asked."""
        try:
            return self._several(rows)
        except _UNUSUAL:
            if not self.manner.takes_null:
                return None
        try:
            return self._several([_without_null(row) for row in rows])
        except _UNUSUAL:
            return None

    def answer_of(self, values: Sequence[Any]) -> bytes:
        """Return the answer that gives `values`."""
        if self._has_labels:
            return b"%b[%b]}" % (self.head, ", ".join(values).encode())
        text = orjson.dumps(values)
        # It writes numbers as Python does, except for those with exponents and those just above 0.00001.
        if b"e" in text or b"0.0000" in text:
            return b"%b[%b]}" % (self.head, ", ".join(map(repr, values)).encode())
        return b"%b%b}" % (self.head, text.replace(b",", b", "))

    def _each(self, rows: Rows) -> list[Any] | None:
        one = self._one
        values = [one(row) for row in rows]
        return None if None in values else values


def _without_null(row: Any) -> list[Any]:
    if type(row) is not list or not all(each is None or type(each) in {int, float} for each in row):
        raise TypeError
    return [math.nan if each is None else each for each in row]


def _has_fraction(rows: Rows) -> bool:
    return any(type(each) is float for row in rows if type(row) is list for each in row)
