"""Shorter ways to what a model of scikit-learn predicts, with the same bytes.

A model that was fitted on a table with names wants such a table of every request: making it, and taking it apart again,
takes several times as long as most predictions. A linear regression checks its rows for ten times as long as it
multiplies them. Here the same arrays are asked with the same rows, without either. Whether that gives the same bytes is
tried when the model is loaded; what does not is not used.
"""

from __future__ import annotations

import copy
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Literal, Optional

PLAIN_TYPES = ("float64", "int64")  # of the rows that a model without names is tried with
_ROOM = "sklearn.linear_model."
_FUNCTION = "_decision_function"
_COUNTS = (1, 2, 3, 7, 33)
_ROWS_ALONE = 200
_MOST_COLUMNS = 1000  # of a row alone: with more, reading them is what takes the time
_SEED = 0
_SPREAD = 3.0
# What takes longer to try than this is so slow that names make no difference.
_PATIENCE_SECONDS = 2.0


def without_names(model: Any, framed: Callable[[Any], Any]) -> tuple[Any, Optional[str]]:
    """Return a model without names and the order in memory, "C" or "F", of the rows that it takes.

    `framed` makes a table with names of rows. Both are None for a model that needs one, or answers otherwise without.
    """
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bare = _stripped(model)
            taken = np.asarray(framed(np.ones((2, model.n_features_in_))))
            order: Literal["C", "F"] = "C" if taken.flags.c_contiguous else "F"
            until = perf_counter() + _PATIENCE_SECONDS
            agree = all(
                _is_same(getattr(bare, name)(np.asarray(rows, order=order)), getattr(model, name)(framed(rows)))
                and perf_counter() < until
                for rows in _tables(model.n_features_in_)
                for name in ("predict", "predict_proba")
                if hasattr(model, name)
            )
    except Exception:  # noqa: BLE001 - whatever it is that it cannot do without names
        agree = False
    return (bare, order) if agree else (None, None)


def arithmetic_of(model: Any) -> Optional[Callable[[Any], Any]]:
    """Return what predicts rows as `model.predict` does, or gives None for rows that it must see itself.

    Returns None for a model that is no linear regression without names, or does not agree.
    """
    base = getattr(sys.modules.get(f"{_ROOM}_base"), "LinearModel", None)
    if base is None or not isinstance(model, base) or hasattr(model, "feature_names_in_"):
        return None
    try:
        kind = type(model)
        # Releases differ in how many classes there say again that `predict` is this function.
        if getattr(kind, _FUNCTION) is not getattr(base, _FUNCTION) or not kind.predict.__module__.startswith(_ROOM):
            return None
        predict = _product(model.coef_, model.intercept_)
        rows_of_floats = (rows for rows in _tables(model.n_features_in_) if rows.dtype.kind == "f")
        return predict if all(_is_same(predict(rows), model.predict(rows)) for rows in rows_of_floats) else None
    except Exception:  # noqa: BLE001 - of another release, or not fitted: then `predict` says what there is to say
        return None


def sum_of(model: Any) -> Optional[Callable[[Any], Optional[float]]]:
    """Return what gives the number that a linear regression predicts for one row, or None for a row it must see itself.

    The row is a list of numbers, a fraction among them: an array of others would be of another type. Returns None for a
    model of several numbers, and for one that does not agree.
    """
    import numpy as np

    weights, offset = model.coef_, model.intercept_
    if weights.shape != (model.n_features_in_,) or len(weights) > _MOST_COLUMNS or np.ndim(offset):
        return None
    one = _sum(weights, float(offset))
    drawn = np.random.default_rng(_SEED)
    shape = (_ROWS_ALONE, len(weights))
    # Numbers of all sizes, so that terms added in another order show.
    rows = drawn.standard_normal(shape) * 10.0 ** drawn.integers(-6, 7, shape)
    agree = all(_is_same(np.array([one(row.tolist())]), model.predict(row[np.newaxis])) for row in rows)
    return one if agree else None


def _sum(weights: Any, offset: float) -> Callable[[Any], Optional[float]]:
    import numpy as np

    held = np.empty(len(weights))
    place, pack, product = held.data.cast("B"), struct.Struct(f"={len(weights)}d").pack_into, np.vdot

    def one(row: Any) -> Optional[float]:
        pack(place, 0, *row)  # raises struct.error for what is no row of so many numbers
        value = float(product(held, weights)) + offset
        return value if value - value == 0.0 else None  # neither infinite nor NaN

    return one


def _stripped(model: Any) -> Any:
    """Return a copy that shares what the model learned. Raises TypeError for what is not scikit-learn's."""
    if not type(model).__module__.startswith("sklearn."):
        raise TypeError
    bare = copy.copy(model)
    if hasattr(model, "steps"):
        bare.steps = [(name, _stripped(step)) for name, step in model.steps]
    else:
        vars(bare).pop("feature_names_in_", None)
    return bare


def _product(weights: Any, offset: Any) -> Callable[[Any], Any]:
    import numpy as np

    all_of, is_finite, count = np.logical_and.reduce, np.isfinite, weights.shape[-1]
    across = weights if weights.ndim == 1 else weights.T

    def predict(rows: Any) -> Any:
        is_table = rows.dtype == np.float64 and rows.ndim == 2 and rows.shape[1] == count  # noqa: PLR2004
        return rows @ across + offset if is_table and all_of(is_finite(rows), axis=None) else None

    return predict


def _tables(width: int) -> Iterator[Any]:
    """Yield rows of numbers, few and many."""
    import numpy as np

    drawn = np.random.default_rng(_SEED)
    for count in _COUNTS:
        rows = drawn.standard_normal((count, width)) * _SPREAD
        yield from (rows.astype(each) for each in PLAIN_TYPES)


def _is_same(one: Any, other: Any) -> bool:
    same: bool = (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return same
