"""What a model puts out as numbers: predictions, probabilities or margins, a column for each output.

A guest, loaded by path in the model's own environment.
"""

from __future__ import annotations

from typing import Any

# What libraries of boosted trees call a margin, which scikit-learn's classifiers have a function for.
_MARGINS: dict[str, dict[str, Any]] = {
    "catboost": {"prediction_type": "RawFormulaVal"},
    "lightgbm": {"raw_score": True},
    "xgboost": {"output_margin": True},
}


def kinds_of(model: Any, rows: Any) -> list[tuple[str, list[str], Any]]:
    """Return the model's outputs, the one to explain first: what kind it is, the outputs' names, and the function.

    A classifier has probabilities, a margin, or when it has neither, 1 for the class that it predicts. `rows` is what
    the model takes; it is tried with them.
    """
    import numpy as np

    classes = classes_of(model)
    found = []
    for kind, name in (("probability", "predict_proba"), ("margin", "decision_function")):
        if hasattr(model, name):
            function = _numbers(getattr(model, name))
            found.append((kind, _names(classes, function(rows).shape[1]), function))
    margin = _MARGINS.get(type(model).__module__.partition(".")[0])
    if margin and classes is not None:
        function = _numbers(lambda table: model.predict(table, **margin))
        found.append(("margin", _names(classes, function(rows).shape[1]), function))
    if not hasattr(model, "predict"):
        return found
    answers = np.asarray(model.predict(rows))
    if answers.dtype.kind not in "biuf" or (classes is not None and not found):
        known = list(np.unique(answers) if classes is None else classes)
        return found or [("label", _names(known, len(known)), _labels(model.predict, known))]
    function = _numbers(model.predict)
    return [*found, ("prediction", _names(None, function(rows).shape[1]), function)]


def classes_of(model: Any) -> Any:
    """Return the classes that a classifier tells apart; None for other models."""
    classes = getattr(model, "classes_", None)
    return classes if classes is not None and len(classes) else None


def _names(classes: Any, width: int) -> list[str]:
    if classes is not None and len(classes) == width:
        return [str(each) for each in classes]
    if classes is not None and width == 1:
        return [str(classes[-1])]  # the margin of two classes is that of the second
    return ["prediction"] if width == 1 else [f"output {number}" for number in range(1, width + 1)]


def _numbers(function: Any) -> Any:
    def answer(table: Any) -> Any:
        import numpy as np

        found = np.asarray(function(table), dtype=float)
        return found[:, None] if found.ndim == 1 else found

    return answer


def _labels(predict: Any, classes: list[Any]) -> Any:
    def answer(table: Any) -> Any:
        import numpy as np

        found = np.asarray(predict(table))
        return np.stack([found == each for each in classes], axis=1).astype(float)

    return answer
