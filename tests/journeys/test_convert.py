"""Conversion in surroundings of the user's own."""

import nbformat
import pytest
from journeys.terminal import Terminal
from nbformat import v4

pytestmark = pytest.mark.slow

# pandas is used and never imported; scikit-learn asks for it when a frame is wanted.
WINE = """
import pickle
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

wine = load_wine(as_frame=True)
wine.frame.describe()
rows, more, kinds, others = train_test_split(wine.data, wine.target, random_state=3, stratify=wine.target)
strength = 0.1
judge = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
judge.fit(rows, kinds)
print(f"accuracy: {accuracy_score(others, judge.predict(more)):.3f}")
with open("judge.pkl", "wb") as file:
    pickle.dump(judge, file)
"""
# A repository's own settings, of the kind that would break the tests of a project inside it.
SETTINGS = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "--strict-config", "-n", "4"]
filterwarnings = ["error"]
testpaths = ["nowhere"]
"""


def test_a_project_inside_a_repository_needs_what_its_libraries_ask_for(terminal: Terminal) -> None:
    (terminal.folder / "pyproject.toml").write_text(SETTINGS)
    notebook = terminal.folder / "wine.ipynb"
    notebook.write_text(nbformat.writes(v4.new_notebook(cells=[v4.new_code_cell(WINE)])))
    before = notebook.read_bytes()

    converted = terminal.json("convert", "wine.ipynb", "--name", "wine")
    assert [each["source"] for each in converted["removals"]] == ["wine.frame.describe()"]
    assert "pandas==" in (terminal.folder / "wine" / "requirements.txt").read_text()
    assert " passed" in terminal.json("test", "wine")["summary"]
    assert notebook.read_bytes() == before

    train = terminal.folder / "wine" / "src" / "wine" / "train.py"
    train.write_text(train.read_text().replace("=0.1", "=10.0"))
    refused = terminal.wright("prove", "wine", expect=1)
    assert "certainty" in refused.stderr
