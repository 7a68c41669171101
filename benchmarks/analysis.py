"""What it costs to analyse a notebook of 100 cells without running it: its findings, and the plan of its project.

    python benchmarks/analysis.py [RUNS]

The bound is 2 seconds. Most of a data scientist's cells are in it: loading, looking, plots, features, models compared.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from modelwright.notebooks import linting, planning, reading

CELLS = 100
FIRST = """\
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler
%matplotlib inline
# ---
df = pd.read_csv("people.csv")
df.head()
"""
# `NUMBER` is the number of the round.
ROUND = """\
## Round NUMBER
# ---
df.describe()
# ---
df.groupby("town")["income"].mean().plot.bar(title="Income by town")
plt.ylabel("income")
plt.show()
# ---
def clean_NUMBER(table, most=NUMBER):
    table = table.dropna(subset=["income"])
    table.loc[table["age"] > 100 - most, "age"] = np.nan
    return table.fillna(table.mean(numeric_only=True))
# ---
df = clean_NUMBER(df)
df["ratio_NUMBER"] = df["income"] / (df["age"] + NUMBER)
df["is_old"] = (df["age"] > 60).astype(int)
# ---
features = [each for each in df.columns if each.startswith("ratio")] + ["age", "is_old"]
X, y = df[features], df["rich"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=NUMBER)
# ---
scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)
X_train.shape, X_test.shape
# ---
models = {"forest": RandomForestClassifier(n_estimators=50, random_state=NUMBER), "logistic": LogisticRegression(C=0.5)}
scores = {}
for name, model in models.items():
    model.fit(X_train, y_train)
    scores[name] = accuracy_score(y_test, model.predict(X_test))
    print(name, scores[name])
# ---
search = GridSearchCV(RandomForestClassifier(random_state=0), {"max_depth": [2, 4, 8]}, cv=3)
search.fit(X_train, y_train)
search.best_params_
# ---
answers = search.predict(X_test)
print("f1", f1_score(y_test, answers))
confusion_matrix(y_test, answers)
# ---
plt.bar(features, search.best_estimator_.feature_importances_)
plt.title("Importances")
plt.show()
"""


def notebook(folder: Path) -> Path:
    """Write the notebook; return its path."""
    texts = FIRST.split("# ---\n")
    number = 0
    while len(texts) < CELLS:
        number += 1
        texts += ROUND.replace("NUMBER", str(number)).split("# ---\n")
    cells = [
        new_markdown_cell(each) if each.startswith("##") else new_code_cell(each.strip()) for each in texts[:CELLS]
    ]
    path = folder / "large.ipynb"
    write(new_notebook(cells=cells), path)
    return path


def seconds(work: Callable[[Path], object], path: Path) -> float:
    """Return the seconds of CPU that the work takes."""
    begun = time.process_time()
    work(path)
    return time.process_time() - begun


def main() -> None:
    """Measure and print the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    works: dict[str, Callable[[Path], object]] = {
        "findings": linting.lint,
        "plan": lambda path: planning.plan(reading.read(path)),
    }
    with tempfile.TemporaryDirectory() as temporary:
        path = notebook(Path(temporary))
        for name, work in works.items():
            first = seconds(work, path)
            median = statistics.median(seconds(work, path) for _ in range(runs))
            print(f"{name:10} {median:.2f} s of CPU, the first time {first:.2f} s")


if __name__ == "__main__":
    main()
