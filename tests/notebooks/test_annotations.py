"""Types of the functions of a project, as a run of it shows them, and what functions say that they are for."""

import ast
import collections
import pathlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sklearn.linear_model import Ridge

from modelwright.notebooks import annotations, emitting, layouts, planning, proof, reading, sentences, spelling
from modelwright.notebooks.layouts import Style
from modelwright.projects import scaffold
from modelwright.records import Lock
from modelwright.settings import child_environment

LOCK = Lock(text="", python_version="3.11.1", platform="here", digest="0" * 64)
OWN_CLASS = """
import pandas
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
# ---
class Rows:
    def __init__(self, X, y):
        self.X, self.y = X, y

def cut(X, y):
    return Rows(X[::2], y[::2]), Rows(X[1::2], y[1::2])
# ---
X, y = load_iris(return_X_y=True)
columns = ["a", "b", "c", "d"]
table = pandas.DataFrame(X, columns=columns)
# ---
train, test = cut(table, y)
model = LogisticRegression(max_iter=300)
model.fit(train.X, train.y)
# ---
best = None
score = model.score(test.X[columns], test.y)
print("score", score, best)
"""


def typed(converted, folder: Path):
    run = proof.run(
        converted.plan,
        converted.training_run,
        project=converted.project,
        layout=converted.layout,
        python=Path(sys.executable),
        environment=child_environment(),
        work_folder=folder / "run",
    )
    return annotations.annotated(converted.plan, run.types)


def headers(plan) -> list[str]:
    functions = [ast.parse(each.code).body[0] for each in plan.functions]
    return [
        f"{each.name}({ast.unparse(each.args)})" + (f" -> {ast.unparse(each.returns)}" if each.returns else "")
        for each in functions
        if isinstance(each, ast.FunctionDef)
    ]


def tool(project: Path, *command: str) -> None:
    found = Path(sys.executable).with_name(command[0])
    done = subprocess.run([found, *command[1:]], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def content(plan, layout, folder: Path, type_cache: Path) -> None:
    """Assert that ruff and mypy, as the project configures them, find nothing, and that its modules can be imported."""
    files = emitting.modules(plan, layout)
    for path, text in (files | scaffold.files(plan, layout, name="small", requirements=[], lock=LOCK)).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    tool(folder, "ruff", "check", "--no-cache", ".")
    tool(folder, "mypy", "--cache-dir", str(type_cache))
    names = [each.removeprefix("src/").removesuffix(".py").replace("/", ".") for each in files]
    tool(folder / "src", "python", "-c", f"import {', '.join(names)}")


def test_functions_of_the_example_are_typed_as_its_imports_name_types(
    diabetes, tmp_path: Path, type_cache: Path
) -> None:
    plan = typed(diabetes, tmp_path)
    data = "dict[str, dict[str, np.ndarray]]"
    assert headers(plan) == [
        "load_data() -> pd.DataFrame",
        f"split_data(df: pd.DataFrame, test_size: float=0.2, random_state: int=0) -> {data}",
        f"train_model(data: {data}, alpha: float=0.5) -> Ridge",
        f"evaluate_model(reg_model: Ridge, data: {data}) -> dict[str, float]",
        "save_model(reg_model: Ridge, output_folder: str) -> None",
    ]
    assert "import numpy as np" in emitting.modules(plan, diabetes.layout)["src/small/train.py"]
    assert "numpy" in plan.modules
    content(plan, diabetes.layout, tmp_path / "project", type_cache)


@pytest.mark.slow
def test_a_class_of_the_notebooks_is_named_in_every_layout(
    convert_text, tmp_path: Path, type_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = typed(convert_text(OWN_CLASS), tmp_path)
    assert headers(plan)[:2] == [
        "load_data() -> tuple[list[str], Rows, Rows]",
        "train_model(train: Rows, max_iter: int=300) -> LogisticRegression",
    ]
    content(plan, layouts.layout("small"), tmp_path / "one", type_cache)
    monkeypatch.setattr("modelwright.notebooks.arranging._SMALL_LINES", 0)
    for style in Style:
        content(plan, layouts.layout("small", style), tmp_path / style, type_cache)


def spelled(value, **imports: str):
    return spelling.speller(imports, "small")(value)


@pytest.mark.parametrize(
    ("value", "text", "needs"),
    [
        (1, "int", {}),
        (True, "bool", {}),
        (np.float64(1), "float", {}),
        ([], "list", {}),
        (["a", "b"], "list[str]", {}),
        (["a", 1], "list", {}),
        ([["a"], [1]], "list", {}),
        ({"a": {"b": 1.0}}, "dict[str, dict[str, float]]", {}),
        ({"a": [1], "b": "x"}, "dict", {}),
        ((1, "a"), "tuple[int, str]", {}),
        ((1, 2, 3, 4, 5), "tuple[int, ...]", {}),
        ((1, None), "tuple", {}),
        ({1, 2}, "set[int]", {}),
        ([0] * 200 + ["a"] * 200, "list", {}),
        (pathlib.Path("a"), "Path", {"Path": "from pathlib import Path"}),
        (collections.Counter("ab"), "Counter", {"Counter": "from collections import Counter"}),
        (np.zeros(1), "np.ndarray", {"np": "import numpy as np"}),
        (pd.Series([1]), "pd.Series", {"pd": "import pandas as pd"}),
        (Ridge(), "Ridge", {"Ridge": "from sklearn.linear_model import Ridge"}),
    ],
)  # fmt: skip
def test_values_are_spelled_by_the_public_places_of_their_classes(value, text: str, needs: dict[str, str]) -> None:
    assert spelled(value) == (text, needs)


@pytest.mark.parametrize("value", [None, len, test_values_are_spelled_by_the_public_places_of_their_classes, sys])
def test_what_has_no_type_of_its_own_is_not_spelled(value) -> None:
    assert spelled(value) is None


def test_values_are_spelled_as_the_projects_imports_name_them() -> None:
    frame = pd.DataFrame()
    assert spelled(frame, pandas="pandas") == ("pandas.DataFrame", {})
    assert spelled(frame, Table="pandas.DataFrame") == ("Table", {})
    assert spelled(Ridge(), linear_model="sklearn.linear_model") == ("linear_model.Ridge", {})


def test_a_type_that_cannot_be_written_for_sure_is_left_out(make) -> None:
    text = (
        "import pandas as pd\nfrom sklearn.linear_model import Ridge\n# ---\n"
        "frame = pd.DataFrame({'a': [1.0, 2.0], 'b': [2.0, 4.0]})\nnp = 3\n# ---\n"
        "model = Ridge(alpha=np).fit(frame[['a']], frame['b'])\n# ---\n"
        "print('r2', model.score(frame[['a']], frame['b']))"
    )
    plan = planning.plan(make(text))
    load = plan.functions[0]
    given = {
        "taken": ["np.ndarray", {"np": "import numpy as np"}],
        "missing": ["Tensor", {"Tensor": "from torch import Tensor"}],
        "unknown": ["other.Thing", {}],
        "none": None,
    }
    for name, type_ in given.items():
        seen = {load.name: {"inputs": [type_] * len(load.inputs), "outputs": [type_] * len(load.outputs)}}
        assert "->" not in annotations.annotated(plan, seen).functions[0].code.splitlines()[0], name
    two = replace(load, outputs=("frame", "other"), returns="")
    seen = {load.name: {"inputs": [], "outputs": [["pd.DataFrame", {}], None]}}
    partly = annotations.annotated(replace(plan, functions=(two, *plan.functions[1:])), seen)
    assert headers(partly)[0].endswith("-> tuple[pd.DataFrame, Any]")
    assert "from typing import Any" in partly.imports


def test_names_of_pythons_own_that_are_variables_are_no_types(make) -> None:
    text = (
        "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import Ridge\n# ---\nfloat = 0.5\n"
        "X, y = load_iris(return_X_y=True)\nmodel = Ridge(alpha=float, max_iter=9)\nmodel.fit(X, y)\n"
        "# ---\nprint('r2', model.score(X, y))"
    )
    (load, *_) = planning.plan(make(text)).functions
    assert "float: " not in load.code


@pytest.mark.parametrize(
    ("text", "purpose"),
    [
        ("Load the data", "Load the data."),
        (
            "## Model\n\nNow let's **fit** a model to the rows. In scikit-learn, this is easy.",
            "Fit a model to the rows.",
        ),
        ("Then we concatenate everything together:", "Concatenate everything together."),
        ("Split the rows, e.g. into `train` and `test`.\n\nMore.", "Split the rows, e.g. into `train` and `test`."),
        ("Fit the model on\nall rows", "Fit the model on all rows."),
        ("Train the model\n===\n", ""),
        ("## Train the model on all", ""),
        ("This curve was built with the test rows.", ""),
        ("Use it for plotting.", ""),
        ("Compute $x^2$ of the rows.", ""),
        ("Load [the data](https://example.org) first.", ""),
        ("- Load the data of all", ""),
        ("Load the data <b>now</b>.", ""),
        ("Is the model any good?", ""),
        ("Train the model " + "very " * 20 + "well.", ""),
    ],
)
def test_a_plain_sentence_that_says_what_is_done_is_a_purpose(text: str, purpose: str) -> None:
    assert sentences.purpose(text) == purpose


def test_docstrings_are_the_texts_directly_above_and_no_others(tmp_path: Path) -> None:
    cells = [
        new_code_cell(
            "import pandas as pd\nfrom sklearn.linear_model import Ridge\n"
            "from sklearn.model_selection import train_test_split"
        ),
        new_markdown_cell("# Data\n\nWe read the table of last year."),
        new_code_cell("frame = pd.read_csv('a.csv')"),
        new_markdown_cell("Split the rows and train the model."),
        new_code_cell(
            "train, test = train_test_split(frame, random_state=0)\n"
            "model = Ridge()\nmodel.fit(train[['a']], train['b'])"
        ),
        new_markdown_cell("Measure how good it is."),
        new_code_cell("print('r2', model.score(test[['a']], test['b']))"),
        new_markdown_cell("# All rows"),
        new_code_cell("model.fit(frame[['a']], frame['b'])\nprint('all', model.score(frame[['a']], frame['b']))"),
    ]
    (tmp_path / "a.csv").write_text("a,b\n1,2\n2,3\n3,4\n4,6\n", encoding="utf-8")
    write(new_notebook(cells=cells), tmp_path / "training.ipynb")
    plan = planning.plan(reading.read(tmp_path / "training.ipynb"))
    docstrings = {each.name: ast.get_docstring(ast.parse(each.code).body[0]) for each in plan.functions}  # type: ignore[arg-type]
    assert docstrings == {
        "load_data": "Read the table of last year.",
        "split_data": "Split the data into the rows to learn from and the rows to test with.",
        "train_model": "Train the model.",
        "evaluate_model": "Measure how good it is.",
        "refit_model": "Train the model.",
        "evaluate_all_rows": "Measure the model; return its metrics by name.",
        "save_model": "Save the model in `output_folder`.",
    }
