"""Splits what a model puts out among its columns: exactly for linear models, trees and few columns, else by sampling.

A guest, loaded by path in the model's own environment. Every function returns values of the shape (rows, columns,
outputs) and the base, one number an output: base and values of a row add up to what the model puts out for it.
"""

from __future__ import annotations

import math
from typing import Any

# The trees that shap's TreeExplainer knows, by how their classes' names begin.
_TREES = (
    "CatBoost",
    "DecisionTree",
    "ExtraTree",
    "GradientBoosting",
    "HistGradientBoosting",
    "LGBM",
    "RandomForest",
    "XGB",
)
_TREE_MODULES = ("catboost", "lightgbm", "sklearn", "xgboost")
_MOST_EVALUATIONS = 20_000  # of the model at once, so that memory stays small


def is_tree(model: Any) -> bool:
    """Whether the model is a tree, or made of trees, of a library that shap knows."""
    kind = type(model)
    return kind.__name__.startswith(_TREES) and kind.__module__.partition(".")[0] in _TREE_MODULES


def linear_form(model: Any) -> tuple[Any, Any] | None:
    """Return the coefficients, one row an output, and the intercepts of a model that has such; else None."""
    import numpy as np

    coefficients, intercept = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    if coefficients is None or intercept is None:
        return None
    try:
        rows = np.atleast_2d(np.asarray(getattr(coefficients, "toarray", lambda: coefficients)(), dtype=float))
        return rows, np.broadcast_to(np.asarray(intercept, dtype=float).ravel(), len(rows))
    except (TypeError, ValueError):
        return None


def linear(form: tuple[Any, Any], rows: Any, background: Any) -> tuple[Any, Any]:
    """Return coefficient times distance from the background's mean, which for a linear model is exact."""
    coefficients, intercept = form
    mean = background.mean(axis=0)
    return (rows - mean)[:, :, None] * coefficients.T[None], coefficients @ mean + intercept


def trees(model: Any, rows: Any) -> tuple[Any, Any]:
    """Return what shap's TreeExplainer gives, exact for the rows that the trees count in their nodes.

    Source: Lundberg et al. 2020, https://doi.org/10.1038/s42256-019-0138-9. A background of our own would make shap
    round thresholds to single precision, which was seen to lose additivity by several per cent.
    """
    import numpy as np
    import shap

    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    values = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=float)
    if values.ndim == 2:  # noqa: PLR2004 - one output
        values = values[:, :, None]
    return values, np.asarray(explainer.expected_value, dtype=float).ravel()


def subsets(answer: Any, rows: Any, background: Any) -> tuple[Any, Any]:
    """Return values by asking for every subset of the columns, which is exact for the background, and the base.

    `answer` gives a table's outputs. What a subset puts out is the mean over the background's rows with the columns of
    the subset replaced by the explained row's. Source: Shapley 1953.
    """
    import numpy as np

    count, width = len(background), len(background.names)
    members = (np.arange(2**width)[:, None] >> np.arange(width)) & 1 == 1
    sizes = members.sum(axis=1)
    chance = np.array([math.factorial(size) * math.factorial(width - size - 1) for size in range(width)], dtype=float)
    chance /= math.factorial(width)
    starts = np.tile(np.arange(count), len(members))
    is_own = np.repeat(members, count, axis=0)
    values = []
    for number in range(len(rows)):
        row = rows.take([number])
        outputs = np.concatenate(
            [
                answer(background.take(starts[first:last]).mixed(row, is_own[first:last]))
                for first, last in _parts(len(starts))
            ]
        )
        mean = outputs.reshape(len(members), count, -1).mean(axis=1)
        found = []
        for column in range(width):
            without = np.flatnonzero(~members[:, column])
            change = mean[without | (1 << column)] - mean[without]
            found.append((chance[sizes[without], None] * change).sum(axis=0))
        values.append(found)
    return np.array(values), answer(background).mean(axis=0)


def _parts(count: int) -> list[tuple[int, int]]:
    return [(first, first + _MOST_EVALUATIONS) for first in range(0, count, _MOST_EVALUATIONS)]


def sampled(answer: Any, rows: Any, background: Any, *, seed: int, rounds: int) -> tuple[Any, Any, Any]:
    """Return values by sampling orders of the columns, the base, and the values' standard errors.

    Each round goes, from each row of the background, two ways to the row that is
    explained, one the reverse of the other, and replaces a column at a time; a column's value is the mean change that
    it made. Source: Castro et al. 2009, https://doi.org/10.1016/j.cor.2008.04.004; the reverse ways: Mitchell et al.
    2022, https://jmlr.org/papers/v23/21-0439.html.
    """
    import numpy as np

    count, width = len(background), len(background.names)
    base = answer(background).mean(axis=0)
    values, errors = [], []
    for number in range(len(rows)):
        draws = np.random.default_rng([seed, number])
        forth = np.argsort(draws.random((rounds * count, width)), axis=1)  # the place of each column in the order
        places = np.stack([forth, width - 1 - forth], axis=1)
        starts = np.repeat(np.tile(np.arange(count), rounds), 2)
        changes = _changes(answer, rows.take([number]), background, places.reshape(-1, width), starts)
        pairs = changes.reshape(rounds * count, 2, width, -1).mean(axis=1)
        values.append(pairs.mean(axis=0))
        errors.append(pairs.std(axis=0, ddof=1) / len(pairs) ** 0.5)
    return np.array(values), base, np.array(errors)


def _changes(answer: Any, row: Any, background: Any, places: Any, starts: Any) -> Any:
    """Return by how much each column changed the outputs on each way: (ways, columns, outputs)."""
    import numpy as np

    width = places.shape[1]
    steps = np.arange(width + 1)
    found = []
    at_once = max(1, _MOST_EVALUATIONS // (width + 1))
    for first in range(0, len(places), at_once):
        place = places[first : first + at_once]
        # After the step k those columns are the row's own whose place is before k.
        is_own = (place[:, None, :] < steps[None, :, None]).reshape(-1, width)
        start = np.repeat(starts[first : first + at_once], width + 1)
        outputs = answer(background.take(start).mixed(row, is_own)).reshape(len(place), width + 1, -1)
        by_place = np.diff(outputs, axis=1)
        found.append(np.take_along_axis(by_place, place[:, :, None], axis=1))
    return np.concatenate(found)
