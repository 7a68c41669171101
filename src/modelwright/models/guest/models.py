"""A model without a scoring script, served from its package alone.

Requests that are there already are predicted together by models that answer for a row as for the row alone. Each body
is read and checked by itself, so that one that does not fit is refused alone and never touches another's answer.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Optional
from urllib.parse import parse_qs

from . import bodies, columns, frameworks
from .codes import Route
from .columns import Columns
from .messages import Call, Reply
from .refusals import NotSerializable, Refused
from .results import encode_result, encode_strictly, of_number
from .tables import Table

_NO_PROBABILITIES = "The model gives no probabilities"
# More at once would make small requests wait for large ones.
_MOST_ROWS = 256


class Model:
    """A model and what it takes."""

    takes_head = False
    is_raw = False

    def __init__(self, framework: str, place: Path, package: Path) -> None:
        """Load the model from a file or a folder; the package may have a signature of it. Raises ScriptUnfit."""
        signature = columns.described(package)
        self.framework = framework
        self._estimator = frameworks.load(framework, place)
        known = self._estimator
        self.columns: Columns = columns.of_signature(signature, names=known.names, count=known.count)
        self.sample = columns.sample(package)
        is_one_asked = self.columns.are_numbers and self.columns.count == known.count
        self._one = known.one if is_one_asked else None
        self.signature = signature

    @property
    def classes(self) -> Optional[list[Any]]:
        """What a classifier tells apart; None for any other model."""
        return self._estimator.classes

    @property
    def fitted(self) -> Any:
        """The model itself, where it is one with the interface of scikit-learn; else None."""
        return getattr(self._estimator, "model", None)

    def predict(self, table: Table, *, with_probabilities: bool = False) -> Any:
        """Return an array of a prediction, or the probabilities, for each row. Raises Refused."""
        return self._predicted(columns.arrange(table, self.columns), with_probabilities=with_probabilities)

    def score(self, call: Call) -> Reply:
        """Answer a request to `/score`. Raises Refused and NotSerializable."""
        kind, query, accept = bodies.JSON, "", ""
        if call.head:
            told = call.told()
            kind = bodies.kind_of("" if told.method == "GET" else told.headers.get("Content-Type", ""))
            query, accept = told.query, told.headers.get("Accept", "")
        else:
            rows = bodies.plain_rows(call.body)
            if rows is not None:
                return Reply(self._answer_to(rows))
        table, beside = bodies.decode(kind, call.body)
        found = self.predict(table, with_probabilities=wants_probabilities(query, beside))
        if "Inputs" in beside:
            outputs = {"WebServiceOutput0": found} if _is_designer(beside["Inputs"]) else found
            return Reply(_encoded({"Results": outputs}))
        return bodies.encode_as(accept, found) if accept else Reply(_encoded_result(found))

    def _answer_to(self, rows: list[Any]) -> bytes:
        """Return the body of the answer to rows that nothing is said about. Raises Refused and NotSerializable."""
        if self._one is not None and len(rows) == 1 and float in map(type, rows[0]):
            try:
                number = self._one(rows[0])
            except (TypeError, struct.error):
                number = None  # what is no row of numbers is refused below, in words
            if number is not None:
                return of_number(number)
        return _encoded_result(self.predict(Table(rows)))

    def score_together(self, calls: Sequence[Call]) -> Iterator[tuple[Call, Optional[Reply]]]:
        """Give requests in their order with their answers, plain ones of JSON rows predicted at once.

        Those that come without an answer are to be scored alone.
        """
        batch: list[tuple[Call, Any]] = []
        total = 0
        for call in calls:
            rows = self._plain_rows(call) if self._estimator.is_by_row else None
            # Whole numbers and others are not put together: a model may tell them apart.
            if batch and (rows is None or total + len(rows) > _MOST_ROWS or rows.dtype.kind != batch[0][1].dtype.kind):
                yield from self._scored(batch)
                batch, total = [], 0
            if rows is None:
                yield call, None
            else:
                batch.append((call, rows))
                total += len(rows)
        yield from self._scored(batch)

    def _scored(self, batch: list[tuple[Call, Any]]) -> Iterator[tuple[Call, Optional[Reply]]]:
        """Give requests with the answers that come of predicting all their rows at once."""
        replies: list[Optional[Reply]] = [None] * len(batch)
        if len(batch) > 1:
            # Whoever's fault it is, it shows when each is scored alone.
            with contextlib.suppress(Exception):
                replies = [*self._replies([rows for _, rows in batch])]
        yield from zip((call for call, _ in batch), replies)

    def _replies(self, tables: list[Any]) -> list[Reply]:
        import numpy as np

        started = perf_counter_ns()
        predicted = self._predicted(np.concatenate(tables))
        micros = (perf_counter_ns() - started) // 1000 // len(tables)
        ends = itertools.accumulate(map(len, tables))
        return [
            Reply(encode_result(predicted[end - len(rows) : end]), micros=micros) for end, rows in zip(ends, tables)
        ]

    def _plain_rows(self, call: Call) -> Optional[Any]:
        """Return the rows of a plain request as numbers; None for one that wants more care."""
        if call.head or call.route != Route.SCORE or call.is_late:
            return None
        try:
            given = bodies.plain_rows(call.body)
            if given is not None:
                table = Table(given)
            else:
                table, beside = bodies.decode(bodies.JSON, call.body)
                if beside.keys() - {"data", "columns", "index"}:
                    return None
            rows = columns.arrange(table, self.columns)
        except Refused:
            return None
        return rows if rows.ndim == 2 and rows.dtype.kind in "fiu" else None  # noqa: PLR2004

    def _predicted(self, rows: Any, *, with_probabilities: bool = False) -> Any:
        try:
            if not with_probabilities:
                return self._estimator.predict(rows)
            return self._estimator.probabilities(rows)
        except NotImplementedError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, _NO_PROBABILITIES) from error
        except (ValueError, TypeError) as error:
            raise self._blamed(rows, error) from error

    def _blamed(self, rows: Any, error: Exception) -> Refused:
        """Return the refusal of the first row that the model does not take alone, or else of them all."""
        first, last = 0, len(rows)
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (first, middle) if self._objection(rows[first:middle]) else (middle, last)
        own = self._objection(rows[first:last])
        if own is not None:
            row = rows[first]
            return columns.blame(row.tolist() if row.ndim == 1 else [], last, self.columns, own)
        reason = str(error).strip().partition("\n")[0]
        return Refused(HTTPStatus.BAD_REQUEST, f"The model does not take these rows: {reason}")

    def _objection(self, rows: Any) -> Optional[Exception]:
        """Return why the model does not take rows; None when it does."""
        try:
            self._estimator.predict(rows)
        except (ValueError, TypeError) as error:
            return error
        return None


def wants_probabilities(query: str, beside: Mapping[str, Any]) -> bool:
    """Return whether a request asks for probabilities, by `?proba` or by a parameter in its body."""
    if query:
        asked = parse_qs(query, keep_blank_values=True).get("proba", ["false"])[-1]
        if asked.lower() not in ("false", "0", "no"):
            return True
    for parameters in (beside, beside.get("params"), beside.get("parameters"), beside.get("GlobalParameters")):
        if isinstance(parameters, dict):
            if parameters.get("proba") is True:
                return True
            if "predict_proba" in (parameters.get("method"), parameters.get("predict_method")):
                return True
    return False


def _is_designer(inputs: Any) -> bool:
    return isinstance(inputs, dict) and len(inputs) == 1 and next(iter(inputs)).startswith("WebServiceInput")


def _encoded_result(found: Any) -> bytes:
    try:
        return encode_result(found)
    except Exception as error:
        raise NotSerializable from error


def _encoded(result: Any) -> bytes:
    try:
        return encode_strictly(result)
    except Exception as error:
        raise NotSerializable from error
