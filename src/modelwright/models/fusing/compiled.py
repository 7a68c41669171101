"""Models for the compiled part, where that is installed: the same functions of a row, evaluated in C."""

from array import array
from collections.abc import Sequence
from typing import Any

from modelwright.models.fusing.arrays import Arrays
from modelwright.models.fusing.linear import share_of
from modelwright.native import native

# As `Operation` in _native.c has them.
_STEPS = ("minus", "over", "times", "plus", "least", "most", "fill")
_TABLES = ("feature", "threshold", "left", "right", "missing_left", "value", "roots", "adds_to", "start")


def compiled_model(given: Arrays, labels: Sequence[str] | None) -> Any:
    """Return the model, ready to be asked for the value of a row; None without the compiled part.

    Raises ValueError for arrays that are no model, ImportError without numpy for a linear one.
    """
    if native is None:
        return None
    header, arrays = given.header, given.arrays
    columns, is_linear = int(header["columns"]), header["kind"] == "linear"
    row: Any = array("d", bytes(8 * columns))
    if is_linear and labels is None:
        import numpy as np

        row = np.zeros(columns)
    steps = [(_STEPS.index(operation), arrays[name]) for operation, name in header["steps"]]
    model = native.Model(row, steps, bool(header["is_single"]), None if labels is None else tuple(labels))
    if not is_linear:
        is_by_sign = labels is not None and header["answer"]["rule"] == "sign"
        margin = 0.0 if labels is None else float(header["answer"]["margin"])
        tables = [arrays[name] for name in _TABLES]
        model.be_trees(*tables, int(header["width"]), float(header["divide_by"] or 0), is_by_sign, margin)
    elif labels is None:
        # The sum of np.dot, without its warnings.
        model.be_dot(np.vdot, np.array(arrays["coefficients"]), float(arrays["intercepts"][0]))
    else:
        model.be_linear(arrays["coefficients"], arrays["intercepts"], share_of(columns))
    return model
