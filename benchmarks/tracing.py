"""What tracing costs: a notebook that computes, and one of many small statements, run plainly and traced.

    python benchmarks/tracing.py [RUNS]

The bound is 1.5 times the plain run and 2 seconds.
"""

import ast
import statistics
import sys
import tempfile
import time
from pathlib import Path

from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook

from modelwright.notebooks import execution, reading, statements
from modelwright.settings import child_environment

COMPUTING = """\
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score, train_test_split
# ---
rows, target = make_classification(4_000, 20, random_state=0)
table = pd.DataFrame(rows).add_prefix("column_")
table["target"] = target
table["word"] = np.where(table.column_0 > 0, "up", "down")
# ---
train, test = train_test_split(table, random_state=0)
names = [each for each in table.columns if each.startswith("column_")]
model = RandomForestClassifier(100, random_state=0)
model.fit(train[names], train.target)
print(model.score(test[names], test.target))
# ---
scores = cross_val_score(model, table[names], table.target, cv=3)
scores.mean()
"""
SMALL = """\
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
table = pd.DataFrame({"a": np.arange(1000.0), "b": "x"})
items, words = [], {}
""" + "".join(
    f"# ---\nx{number} = {number}\nitems.append(x{number})\nwords['{number}'] = items[-1]\n"
    f"table['c{number % 7}'] = table['a'] * {number}\ntable['a'].mean()\n"
    for number in range(100)
)
NOTEBOOKS = {"computing": COMPUTING, "small statements": SMALL}


def seconds(text: str, *, is_traced: bool) -> float:
    """Return how long a notebook runs in a fresh kernel, its start included."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "user", "book.ipynb")
        path.parent.mkdir()
        write(new_notebook(cells=[new_code_cell(each) for each in text.split("# ---\n")]), path)
        notebook = reading.read(path)
        watch = {
            statement.index: frozenset(each.id for each in ast.walk(statement.tree) if isinstance(each, ast.Name))
            for statement in statements.statements(notebook)
        }
        started = time.perf_counter()
        execution.execute(
            notebook,
            python=Path(sys.executable),
            folder=Path(temporary, "work"),
            environment=child_environment(),
            watch=watch if is_traced else None,
        )
        return time.perf_counter() - started


def main() -> None:
    """Print the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{'notebook':20}{'plain':>10}{'traced':>10}{'ratio':>8}{'bound':>10}")
    for name, text in NOTEBOOKS.items():
        # In turns, so that neither has the warmer disk.
        pairs = [(seconds(text, is_traced=False), seconds(text, is_traced=True)) for _ in range(runs)]
        plain, traced = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{name:20}{plain:>8.1f} s{traced:>8.1f} s{traced / plain:>8.2f}{1.5 * plain + 2:>8.1f} s")


if __name__ == "__main__":
    main()
