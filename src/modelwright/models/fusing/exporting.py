"""Takes a fitted scikit-learn model apart into plain arrays. Runs in the model's own environment, with its numpy.

Only classes whose arithmetic is known are taken, by their exact name: a subclass may do anything. Whether the arrays
then give what the model gives is not believed but tried, see `asking.py` and `checking.py`.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from typing import Any

MAGIC = b"WRFUSED1"
MOST_NODES = 2_000_000  # 48 MB of arrays

_OTHER = "it is of the class {kind}"
_OTHER_STEP = "its step is of the class {kind}"
_OTHER_MISSING = "its SimpleImputer takes {value!r} for missing"
_OTHER_COLUMNS = "its SimpleImputer adds or drops columns"
_OTHER_START = "another model starts its sum"
_OTHER_LABELS = "its labels are not plain values, one for each sum"
_NO_NUMBER = "its SimpleImputer fills in what is no number"
_SEVERAL = "it predicts several numbers for a row, or its coefficients are sparse"
_CATEGORIES = "it has categorical columns"
_LINK = "its loss {loss!r} has a link function"
_TOO_MANY = "its trees have more than {count:,} nodes"

_LINEAR = {
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "OrthogonalMatchingPursuit",
    "Ridge",
    "RidgeCV",
    "SGDRegressor",
    "TheilSenRegressor",
}
_LINEAR_CLASSIFIERS = {
    "LinearDiscriminantAnalysis",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Perceptron",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "LinearSVC",
}
_TREES = {"DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier"}
_FORESTS = {"RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier"}
_BOOSTED = {"GradientBoostingRegressor", "GradientBoostingClassifier"}
_BINNED = {"HistGradientBoostingRegressor", "HistGradientBoostingClassifier"}
_SEARCHES = {"GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"}
_IDENTITIES = {"squared_error", "absolute_error", "quantile", "huber", "least_squares", "least_absolute_deviation"}
# Two sums of trees closer than this are not told apart here: versions of scikit-learn treat a draw differently.
_DRAW = 1e-9


class NotArraysError(Exception):
    """The model is more than arrays, or so far nobody taught us its arithmetic."""


class Parts:
    """What a model consists of: a header for JSON, and the arrays that it names."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.header: dict[str, Any] = {"steps": [], "is_single": False}
        self.arrays: dict[str, array[Any]] = {}

    def add(self, name: str, kind: str, values: Any) -> str:
        """Keep an array of doubles (`d`), whole numbers (`i`) or small ones (`b`), and return its name."""
        self.arrays[name] = array(kind, values)
        return name

    def write(self, path: str) -> None:
        """Write everything to a file: a mark, the header's length, the header, the arrays in its order."""
        listed = [[name, each.typecode, len(each)] for name, each in self.arrays.items()]
        head = json.dumps({**self.header, "format_version": 1, "arrays": listed}, separators=(",", ":")).encode()
        with open(path, "wb") as file:  # noqa: PTH123 - as short as it is fast to start
            file.write(MAGIC + struct.pack("<I", len(head)) + head)
            for each in self.arrays.values():
                if sys.byteorder == "big":
                    each.byteswap()
                each.tofile(file)


def parts_of(model: Any) -> Parts:
    """Return the arrays of a fitted model. Raises NotArraysError."""
    name = _name(model)
    if name in _SEARCHES:
        return parts_of(getattr(model, "best_estimator_", None))
    parts = Parts()
    if name == "Pipeline":
        for _, step in model.steps[:-1]:
            _take_step(parts, step)
        model = model.steps[-1][1]
        name = _name(model)
    take = next((take for names, take in _TAKERS if name in names), None)
    if take is None:
        raise NotArraysError(_OTHER.format(kind=type(model).__qualname__))
    parts.header.update(model=name, columns=int(model.n_features_in_))
    take(parts, model)
    return parts


def _name(model: Any) -> str:
    """Return the class's name when it is one of scikit-learn's own."""
    kind = type(model)
    return kind.__name__ if kind.__module__.partition(".")[0] == "sklearn" else ""


def _take_step(parts: Parts, step: Any) -> None:
    """Add what one step before the model does to a row, as operations on each column."""
    name = _name(step)
    if step is None or step == "passthrough":
        return
    if name == "StandardScaler":
        operations = [("minus", step.mean_ if step.with_mean else None), ("over", step.scale_)]
    elif name == "RobustScaler":
        operations = [
            ("minus", step.center_ if step.with_centering else None),
            ("over", step.scale_ if step.with_scaling else None),
        ]
    elif name == "MaxAbsScaler" and not getattr(step, "clip", False):
        operations = [("over", step.scale_)]
    elif name == "MinMaxScaler":
        operations = [("times", step.scale_), ("plus", step.min_)]
        if getattr(step, "clip", False):
            operations += [("least", [step.feature_range[0]] * len(step.scale_))]
            operations += [("most", [step.feature_range[1]] * len(step.scale_))]
    elif name == "SimpleImputer":
        operations = [("fill", _fillings(step))]
    else:
        raise NotArraysError(_OTHER_STEP.format(kind=type(step).__qualname__))
    for operation, values in operations:
        if values is not None:
            at = parts.add(f"step{len(parts.header['steps'])}", "d", [float(each) for each in values])
            parts.header["steps"].append([operation, at])


def _fillings(step: Any) -> list[float]:
    """Return what fills each column of an imputer that fills numbers only, and all columns."""
    missing = step.missing_values
    if not (isinstance(missing, float) and missing != missing):  # noqa: PLR0124 - true of NaN alone
        raise NotArraysError(_OTHER_MISSING.format(value=missing))
    try:
        values = [float(each) for each in step.statistics_]
    except (TypeError, ValueError):
        raise NotArraysError(_NO_NUMBER) from None
    if step.add_indicator or any(each != each for each in values):  # noqa: PLR0124
        raise NotArraysError(_OTHER_COLUMNS)
    return values


def _take_linear(parts: Parts, model: Any) -> None:
    coefficients = model.coef_
    if getattr(coefficients, "ndim", 0) != 1:
        raise NotArraysError(_SEVERAL)
    parts.header.update(kind="linear", outputs=1, answer={"kind": "number"})
    parts.add("coefficients", "d", coefficients.tolist())
    parts.add("intercepts", "d", [float(model.intercept_)])


def _take_linear_classifier(parts: Parts, model: Any) -> None:
    coefficients = model.coef_
    if hasattr(coefficients, "toarray"):
        raise NotArraysError(_SEVERAL)
    rows = coefficients.reshape(-1, coefficients.shape[-1])
    intercepts = [float(each) for each in _flat(model.intercept_)]
    if len(intercepts) == 1:
        intercepts *= len(rows)
    parts.header.update(kind="linear", outputs=len(rows), answer=_classes(model, len(rows), margin=0.0))
    parts.add("coefficients", "d", rows.ravel().tolist())
    parts.add("intercepts", "d", intercepts)


def _take_tree(parts: Parts, model: Any) -> None:
    _take_average(parts, model, [model], divide_by=None)


def _take_forest(parts: Parts, model: Any) -> None:
    # With several threads it adds its trees in the order in which they come, another one each time.
    model.n_jobs = 1
    _take_average(parts, model, list(model.estimators_), divide_by=len(model.estimators_))


def _take_average(parts: Parts, model: Any, trees: list[Any], *, divide_by: int | None) -> None:
    """Add trees whose leaves' values are added up, and divided by their number if there are several."""
    if model.n_outputs_ != 1:
        raise NotArraysError(_SEVERAL)
    is_classifier = hasattr(model, "classes_")
    width = len(model.classes_) if is_classifier else 1
    nodes = _Nodes(parts, outputs=width, width=width, start=[0.0] * width)
    for each in trees:
        nodes.add_tree(each.tree_, _leaf_values(each.tree_, width, is_classifier=is_classifier), adds_to=-1)
    nodes.close()
    answer = _classes(model, width, margin=0.0, is_exact=True) if is_classifier else {"kind": "number"}
    parts.header.update(kind="trees", is_single=True, divide_by=divide_by, answer=answer)


def _leaf_values(tree: Any, width: int, *, is_classifier: bool) -> list[float]:
    import numpy as np
    import sklearn

    values = tree.value[:, 0, :width]
    if is_classifier and tuple(int(each) for each in sklearn.__version__.split(".")[:2]) < (1, 3):
        sums = values.sum(axis=1, keepdims=True)
        values = values / np.where(sums == 0.0, 1.0, sums)
    found: list[float] = values.ravel().tolist()
    return found


def _take_boosted(parts: Parts, model: Any) -> None:
    """Add gradient boosting's trees, each leaf's value times the learning rate."""
    import numpy as np

    rows = np.zeros((2, model.n_features_in_), dtype=np.float32)
    rows[1] = 1.0
    start = np.asarray(model._raw_predict_init(rows), dtype=np.float64)  # noqa: SLF001 - where the sum starts
    if not (start[0] == start[1]).all():
        raise NotArraysError(_OTHER_START)
    outputs = start.shape[1]
    nodes = _Nodes(parts, outputs=outputs, width=1, start=start[0].tolist())
    for stage in model.estimators_:
        for output, each in enumerate(stage):
            values = (model.learning_rate * each.tree_.value[:, 0, 0]).tolist()
            nodes.add_tree(each.tree_, values, adds_to=output)
    nodes.close()
    is_classifier = hasattr(model, "classes_")
    answer = _classes(model, outputs, margin=_DRAW) if is_classifier else {"kind": "number"}
    parts.header.update(kind="trees", is_single=True, divide_by=None, answer=answer)


def _take_binned(parts: Parts, model: Any) -> None:
    """Add the trees of histogram gradient boosting."""
    is_classifier = hasattr(model, "classes_")
    categorical = getattr(model, "is_categorical_", None)
    if categorical is not None and any(categorical):
        raise NotArraysError(_CATEGORIES)
    if not is_classifier and str(model.loss) not in _IDENTITIES:
        raise NotArraysError(_LINK.format(loss=model.loss))
    start = [float(each) for each in _flat(model._baseline_prediction)]  # noqa: SLF001 - where the sum starts
    nodes = _Nodes(parts, outputs=len(start), width=1, start=start)
    for stage in model._predictors:  # noqa: SLF001 - the trees
        for output, each in enumerate(stage):
            nodes.add_table(each.nodes, adds_to=output)
    nodes.close()
    answer = _classes(model, len(start), margin=_DRAW) if is_classifier else {"kind": "number"}
    parts.header.update(kind="trees", divide_by=None, answer=answer)


class _Nodes:
    """The nodes of all trees in one table; a leaf's feature is -1."""

    def __init__(self, parts: Parts, *, outputs: int, width: int, start: list[float]) -> None:
        parts.header.update(outputs=outputs, width=width)
        parts.add("start", "d", start)
        self._parts = parts
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "value", "roots", "adds_to")
        }

    def add_tree(self, tree: Any, values: list[float], *, adds_to: int) -> None:
        """Add one of scikit-learn's own trees."""
        self._begin(tree.node_count, adds_to)
        missing = getattr(tree, "missing_go_to_left", None)
        left = tree.children_left.tolist()
        self._extend(
            feature=[-1 if child < 0 else feature for child, feature in zip(left, tree.feature.tolist())],
            threshold=tree.threshold.tolist(),
            left=left,
            right=tree.children_right.tolist(),
            missing_left=[0] * len(left) if missing is None else missing.tolist(),
            value=values,
        )

    def add_table(self, table: Any, *, adds_to: int) -> None:
        """Add a tree of histogram gradient boosting."""
        self._begin(len(table), adds_to)
        leaves = table["is_leaf"].tolist()
        self._extend(
            feature=[-1 if is_leaf else feature for is_leaf, feature in zip(leaves, table["feature_idx"].tolist())],
            threshold=table["num_threshold"].tolist(),
            left=table["left"].tolist(),
            right=table["right"].tolist(),
            missing_left=table["missing_go_to_left"].tolist(),
            value=table["value"].tolist(),
        )

    def close(self) -> None:
        """Hand the table over."""
        kinds = {"threshold": "d", "value": "d", "missing_left": "b"}
        for name, values in self._columns.items():
            self._parts.add(name, kinds.get(name, "i"), values)

    def _begin(self, count: int, adds_to: int) -> None:
        if len(self._columns["feature"]) + count > MOST_NODES:
            raise NotArraysError(_TOO_MANY.format(count=MOST_NODES))
        self._columns["roots"].append(len(self._columns["feature"]))
        self._columns["adds_to"].append(adds_to)

    def _extend(self, **columns: list[Any]) -> None:
        start = self._columns["roots"][-1]
        for name, values in columns.items():
            if name in {"left", "right"}:
                # A leaf points nowhere.
                self._columns[name] += [
                    start + each if feature >= 0 else 0 for each, feature in zip(values, columns["feature"])
                ]
            else:
                self._columns[name] += values


def _classes(model: Any, outputs: int, *, margin: float, is_exact: bool = False) -> dict[str, Any]:
    """Return how sums become a label: by the largest one, or for two labels by the only one's sign.

    What is within the `margin` of a draw is not decided here.
    """
    labels = model.classes_.tolist()
    if not all(isinstance(each, (bool, int, float, str)) for each in labels):
        raise NotArraysError(_OTHER_LABELS)
    rule = "sign" if outputs == 1 and not is_exact else "largest"
    if len(labels) != (2 if rule == "sign" else outputs):
        raise NotArraysError(_OTHER_LABELS)
    return {"kind": "label", "labels": labels, "rule": rule, "margin": margin}


def _flat(values: Any) -> list[Any]:
    import numpy as np

    return list(np.asarray(values).ravel().tolist())


_TAKERS = (
    (_LINEAR, _take_linear),
    (_LINEAR_CLASSIFIERS, _take_linear_classifier),
    (_TREES, _take_tree),
    (_FORESTS, _take_forest),
    (_BOOSTED, _take_boosted),
    (_BINNED, _take_binned),
)
