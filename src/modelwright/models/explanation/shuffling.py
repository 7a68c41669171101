"""Permutation importance: how much worse a model scores when one column is shuffled, several times over.

A guest, loaded by path in the model's own environment. Source: Breiman 2001, https://doi.org/10.1023/A:1010933404324.
"""

from __future__ import annotations

from typing import Any

_MOST_ROWS = 2_000


def measured(model: Any, explained: Any, *, classes: Any, seed: int, repeats: int) -> dict[str, Any]:
    """Return each column's mean drop of the score and its spread; by scikit-learn's function where that takes it.

    The score is accuracy for a model with `classes`, or labels that are no numbers, else R².
    """
    import numpy as np

    table, labels = explained.table, np.asarray(explained.labels)
    if len(table) > _MOST_ROWS:
        drawn = np.sort(np.random.default_rng(seed).choice(len(table), _MOST_ROWS, replace=False))
        table, labels = table.take(drawn), labels[drawn]
    is_classifier = classes is not None or labels.dtype.kind not in "iuf"
    name = "accuracy" if is_classifier else "r2"

    def score(answering: Any, rows: Any, wanted: Any) -> float:
        answers = np.asarray(answering.predict(rows))
        if is_classifier:
            return float((answers.ravel() == wanted).mean())
        left, spread = ((answers.ravel() - wanted) ** 2).sum(), ((wanted - wanted.mean()) ** 2).sum()
        return float(1 - left / spread) if spread else 0.0

    try:
        source, drops = _by_sklearn(model, table, labels, score, seed=seed, repeats=repeats)
    except (ImportError, TypeError, ValueError):
        source, drops = "modelwright", _drops(model, table, labels, score, seed=seed, repeats=repeats)
    return {
        "score": name,
        "value": score(model, table.build(), labels),
        "labels": explained.labels_place,
        "repeats": repeats,
        "rows": len(table),
        "source": source,
        "columns": {
            column: {"mean": float(each.mean()), "deviation": float(each.std())}
            for column, each in zip(table.names, drops)  # noqa: B905 - Python 3.9 has no strict=
        },
    }


def _by_sklearn(model: Any, table: Any, labels: Any, score: Any, *, seed: int, repeats: int) -> tuple[str, Any]:
    import sklearn
    from sklearn.inspection import permutation_importance

    found = permutation_importance(model, table.build(), labels, scoring=score, n_repeats=repeats, random_state=seed)
    return f"scikit-learn {sklearn.__version__}", found.importances


def _drops(model: Any, table: Any, labels: Any, score: Any, *, seed: int, repeats: int) -> Any:
    import numpy as np

    best = score(model, table.build(), labels)
    draws = np.random.default_rng(seed)
    return np.array(
        [
            [
                best - score(model, table.replaced(number, draws.permutation(column)).build(), labels)
                for _ in range(repeats)
            ]
            for number, column in enumerate(table.columns)
        ]
    )
