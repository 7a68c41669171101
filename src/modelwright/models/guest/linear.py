"""What linear regressions of scikit-learn predict, by their own arithmetic and without the checks before it.

For one row the checks take ten times as long as the product of matrices after them. It is the same product of the same
arrays, so its bits are the same; that is tried when the model is loaded, and what does not agree is not used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Optional

_HOME = "sklearn.linear_model._base"
_COUNTS = (1, 2, 3, 7, 100)
_SEED = 0


def arithmetic_of(model: Any) -> Optional[Callable[[Any], Any]]:
    """Return what predicts rows as `model.predict` does, or gives None for rows that it must see itself.

    Returns None for a model that is no such regression, is one of named columns, or does not agree.
    """
    base = getattr(sys.modules.get(_HOME), "LinearModel", None)
    if base is None or not isinstance(model, base) or hasattr(model, "feature_names_in_"):
        return None
    try:
        if any(getattr(type(model), name) is not getattr(base, name) for name in ("predict", "_decision_function")):
            return None
        predict = _product(model.coef_, model.intercept_)
        return predict if _agrees(predict, model) else None
    except Exception:  # noqa: BLE001 - of another release, or not fitted: then `predict` says what there is to say
        return None


def _product(weights: Any, offset: Any) -> Callable[[Any], Any]:
    import numpy as np

    all_of, is_finite, count = np.logical_and.reduce, np.isfinite, weights.shape[-1]
    across = weights if weights.ndim == 1 else weights.T

    def predict(rows: Any) -> Any:
        is_table = rows.dtype == np.float64 and rows.ndim == 2 and rows.shape[1] == count  # noqa: PLR2004
        return rows @ across + offset if is_table and all_of(is_finite(rows), axis=None) else None

    return predict


def _agrees(predict: Callable[[Any], Any], model: Any) -> bool:
    """Whether both give the same bytes for some tables of numbers."""
    import numpy as np

    drawn = np.random.default_rng(_SEED)
    for count in _COUNTS:
        rows = drawn.standard_normal((count, model.n_features_in_))
        found, said = predict(rows), model.predict(rows)
        if (found.dtype, found.shape, found.tobytes()) != (said.dtype, said.shape, said.tobytes()):
            return False
    return True
