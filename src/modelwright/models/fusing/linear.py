"""Makes functions of linear models, with the numpy of the front.

A sum's last bit depends on the order of its terms, and linear algebra libraries choose the order by the shape of what
they are given: half of the rows of a batch differ in it from the same rows alone. So a request is computed in the shape
in which the model would be given it, never together with others. Labels need no such care: they are given only
where no order of summation could give another one.
"""

import struct
from array import array
from collections.abc import Callable, Sequence
from operator import mul
from typing import TYPE_CHECKING, Any

from modelwright.models.fusing import row_reading
from modelwright.models.fusing.arrays import Arrays

if TYPE_CHECKING:
    import numpy as np

_EPSILON = 2.0**-52
# Of one request; beyond, a library may use threads, and sum in yet another order.
MOST_NUMBERS = 9000
_UNFIT = "its coefficients and intercepts do not fit"
_MOST_SUMMED = 200  # products that are added up faster here than numpy is called


def linear_functions(
    given: Arrays, labels: Sequence[str] | None, *, is_by_column: bool
) -> "tuple[Callable[[list[Any]], Any], Callable[[list[list[Any]]], list[Any] | None]]":
    """Return the functions of one row and of several that a linear model is.

    What they cannot decide is None, and a row that is not one of numbers raises TypeError or ValueError. Tables lie in
    memory column after column when they are `is_by_column`, as those made by pandas do.
    """
    import numpy as np

    columns, outputs = int(given.header["columns"]), int(given.header["outputs"])
    coefficients = np.array(given.arrays["coefficients"]).reshape(outputs, columns)
    intercepts = np.array(given.arrays["intercepts"])
    if len(intercepts) != outputs or (labels is None and outputs != 1):
        raise ValueError(_UNFIT)
    prepare = _table_preparation(given)
    decide = _decision_of_table(coefficients, intercepts, labels) if labels else _sums(coefficients[0], intercepts[0])
    pack = struct.Struct(f"={columns}d").pack

    def several(rows: list[list[Any]]) -> list[Any] | None:
        if len(rows) * columns > MOST_NUMBERS:
            return None
        # Packing is what checks the rows, too, and takes half as long as numpy.
        made = np.frombuffer(b"".join([pack(*row) for row in rows])).reshape(len(rows), columns)
        with np.errstate(all="ignore"):  # what overflows is not decided here
            return decide(prepare(np.asfortranarray(made) if is_by_column else made))

    def alone(row: list[Any]) -> Any:
        found = several([row])
        return found[0] if found else None

    if labels is None:
        one: Callable[[Any], Any] = _sum(coefficients[0], intercepts[0])
    elif coefficients.size <= _MOST_SUMMED:
        one = _decision_of_row(coefficients, intercepts, labels)
    else:
        return alone, several
    prepare_row = row_reading.preparation(given)
    if not given.header["steps"]:
        return one, several

    def one_prepared(row: list[Any]) -> Any:
        made = prepare_row(row)
        return None if made is None else one(made)

    return one_prepared, several


def _table_preparation(given: Arrays) -> "Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]":
    """Return the function that does to a table what the steps before the model do."""
    import numpy as np

    forms: dict[str, Callable[[Any, Any], Any]] = {
        "minus": np.subtract,
        "over": np.divide,
        "times": np.multiply,
        "plus": np.add,
        "least": np.maximum,
        "most": np.minimum,
        "fill": lambda table, values: np.where(np.isnan(table), values, table),
    }
    steps = [(forms[operation], np.array(given.arrays[name])) for operation, name in given.header["steps"]]

    def prepare(table: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        if steps:
            table = table.astype(np.float64)
        for operation, values in steps:
            table = operation(table, values)
        return table

    return prepare


def _sum(coefficients: "np.ndarray[Any, Any]", intercept: float) -> "Callable[[Sequence[float]], float | None]":
    """Return the function of a row that gives its number, summed as numpy sums one row."""
    import numpy as np

    view = np.empty(len(coefficients))
    buffer = view.data.cast("B")
    pack = struct.Struct(f"={len(coefficients)}d").pack_into
    dot, intercept = np.vdot, float(intercept)  # the sum of np.dot, without its warnings

    def one(row: Sequence[float]) -> float | None:
        # Packing is what checks the row, too: its length, and that it is of numbers.
        pack(buffer, 0, *row)
        value = float(dot(view, coefficients)) + intercept
        return value if value - value == 0.0 else None  # neither infinite nor NaN

    return one


def _sums(
    coefficients: "np.ndarray[Any, Any]", intercept: float
) -> "Callable[[np.ndarray[Any, Any]], list[Any] | None]":
    """Return the function of a table that gives a number for each row."""
    import numpy as np

    def several(table: "np.ndarray[Any, Any]") -> list[Any] | None:
        values = table @ coefficients + intercept
        found: list[Any] = values.tolist()
        return found if np.isfinite(values).all() else None

    return several


def _decision_of_row(
    coefficients: "np.ndarray[Any, Any]", intercepts: "np.ndarray[Any, Any]", labels: Sequence[str]
) -> Callable[[Sequence[float]], str | None]:
    """Return the function of a row that gives its label, or None when it might be another; as that of a table does."""
    columns = coefficients.shape[1]
    share = share_of(columns)
    sums = list(zip(coefficients.tolist(), intercepts.tolist(), strict=True))

    def one(row: Sequence[float]) -> str | None:
        row = array("d", row)
        if len(row) != columns:
            return None
        scores, errors = [], []
        for each, intercept in sums:
            products = list(map(mul, row, each))
            scores.append(sum(products) + intercept)
            errors.append(share * (sum(map(abs, products)) + abs(intercept)))
        if len(scores) == 1:
            return labels[1] if scores[0] > errors[0] else labels[0] if -scores[0] > errors[0] else None
        chosen = scores.index(max(scores))
        reach = max(
            score + error for index, (score, error) in enumerate(zip(scores, errors, strict=True)) if index != chosen
        )
        return labels[chosen] if scores[chosen] - errors[chosen] > reach else None

    return one


def _decision_of_table(
    coefficients: "np.ndarray[Any, Any]", intercepts: "np.ndarray[Any, Any]", labels: Sequence[str]
) -> "Callable[[np.ndarray[Any, Any]], list[Any] | None]":
    """Return the function of a table that gives labels, or None when one of them might be another.

    The error of a sum of n products is at most about n rounding errors of the sum of their sizes, in whatever order
    they are added (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); the model's has it as well as ours.
    """
    import numpy as np

    by_column, sizes = coefficients.T.copy(), np.abs(coefficients.T)
    share = share_of(coefficients.shape[1])

    def decide(table: "np.ndarray[Any, Any]") -> list[Any] | None:
        scores = table @ by_column + intercepts
        errors = share * (np.abs(table) @ sizes + np.abs(intercepts))
        if not np.isfinite(errors).all():
            return None
        if scores.shape[1] == 1:
            is_certain = (np.abs(scores) > errors).all()
            chosen = (scores[:, 0] > 0).astype(int)
        else:
            chosen = scores.argmax(axis=1)
            each = np.arange(len(chosen))
            reach = scores + errors
            reach[each, chosen] = -np.inf
            is_certain = (scores[each, chosen] - errors[each, chosen] > reach.max(axis=1)).all()
        return [labels[index] for index in chosen.tolist()] if is_certain else None

    return decide


def share_of(columns: int) -> float:
    """Return which part of the sum of the terms' sizes two sums of so many may differ by, each with its own error."""
    return 4.0 * _EPSILON * (columns + 4)
