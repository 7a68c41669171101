"""A notebook for journeys that are not about what it computes: it imports numpy and no more, and so runs in no time."""

from pathlib import Path

import nbformat
from nbformat import v4

LINE = """
import joblib
import numpy as np

class Line:
    def fit(self, X, y):
        self.weights = np.linalg.lstsq(X, y, rcond=None)[0]
        return self

    def predict(self, X):
        return np.asarray(X) @ self.weights

    def score(self, X, y):
        return 1 - np.var(self.predict(X) - y) / np.var(y)

X = np.arange(40.0).reshape(20, 2) % 7
y = X @ [1.0, 2.0] + np.sin(X[:, 0])
model = Line()
model.fit(X, y)
print("r2", model.score(X, y))
joblib.dump(model, "model.pkl")
"""


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook with these cells, and return its path."""
    path.write_text(nbformat.writes(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])))
    return path
