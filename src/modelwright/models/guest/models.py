"""A model without a scoring script, served from its package alone.

Requests that are there already are predicted together by models that answer for a row as for the row alone. Each body
is read and checked by itself, so that one that does not fit is refused alone and never touches another's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .results import encode_strictly
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
        told = call.told()
        kind = bodies.kind_of("" if told.method == "GET" else told.headers.get("Content-Type", ""))
        table, beside = bodies.decode(kind, call.body)
        found = self.predict(table, with_probabilities=wants_probabilities(told.query, beside))
        if "Inputs" in beside:
            outputs = {"WebServiceOutput0": found} if _is_designer(beside["Inputs"]) else found
            return Reply(_encoded({"Results": outputs}))
        return bodies.encode_as(told.headers.get("Accept", ""), found)

    def score_together(self, calls: Sequence[Call]) -> dict[int, Reply]:
        """Return the answers to plain requests of JSON rows, by number, as far as they can be predicted at once.

        What is left out is to be scored alone.
        """
        import numpy as np

        started = perf_counter_ns()
        found: dict[int, Reply] = {}
        if not self._estimator.is_by_row:
            return found
        batch: list[tuple[Call, Any]] = []
        for call in calls:
            rows = self._plain_rows(call)
            if rows is not None and len(rows) <= _MOST_ROWS:
                batch.append((call, rows))
        while batch:
            part, batch = _portion(batch)
            if len(part) == 1:
                continue
            try:
                predicted = self._predicted(np.concatenate([rows for _, rows in part]))
            except Exception:  # noqa: BLE001, S112 - whoever's fault it is, it shows when each is scored alone
                continue
            start = 0
            micros = (perf_counter_ns() - started) // 1000 // len(part)
            for call, rows in part:
                result = predicted[start : start + len(rows)]
                start += len(rows)
                found[call.number] = Reply(encode_strictly({"result": result}), micros=micros)
        return found

    def _plain_rows(self, call: Call) -> Optional[Any]:
        """Return the rows of a plain request as numbers; None for one that wants more care."""
        if call.head or call.route != Route.SCORE:
            return None
        try:
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
        for number, row in enumerate(rows[:_MOST_ROWS], start=1):
            try:
                self._estimator.predict(rows[number - 1 : number])
            except (ValueError, TypeError) as own:
                return columns.blame(row.tolist() if row.ndim == 1 else [], number, self.columns, own)
        reason = str(error).strip().partition("\n")[0]
        return Refused(HTTPStatus.BAD_REQUEST, f"The model does not take these rows: {reason}")


def wants_probabilities(query: str, beside: Mapping[str, Any]) -> bool:
    """Return whether a request asks for probabilities, by `?proba` or by a parameter in its body."""
    asked = parse_qs(query, keep_blank_values=True).get("proba", ["false"])[-1]
    if asked.lower() not in ("false", "0", "no"):
        return True
    for parameters in (beside, beside.get("params"), beside.get("parameters"), beside.get("GlobalParameters")):
        if isinstance(parameters, Mapping):
            if parameters.get("proba") is True:
                return True
            if "predict_proba" in (parameters.get("method"), parameters.get("predict_method")):
                return True
    return False


def _portion(batch: list[tuple[Call, Any]]) -> tuple[list[tuple[Call, Any]], list[tuple[Call, Any]]]:
    """Return the requests that are predicted at once, and those that are left for the next time."""
    total, count, kind = 0, 0, batch[0][1].dtype.kind
    for _, rows in batch:
        # Whole numbers and others are not put together: a model may tell them apart.
        if (total and total + len(rows) > _MOST_ROWS) or rows.dtype.kind != kind:
            break
        total, count = total + len(rows), count + 1
    return batch[:count], batch[count:]


def _is_designer(inputs: Any) -> bool:
    return isinstance(inputs, dict) and len(inputs) == 1 and next(iter(inputs)).startswith("WebServiceInput")


def _encoded(result: Any) -> bytes:
    try:
        return encode_strictly(result)
    except Exception as error:
        raise NotSerializable from error
