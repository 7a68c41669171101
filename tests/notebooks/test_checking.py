"""Findings before anything runs."""

import pytest

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import checking, planning


def codes(make, text: str) -> list[tuple[str, int, int]]:
    return [(each.code, each.cell, each.line) for each in planning.check(make(text))]


def test_undefined_name_stops_the_conversion_and_names_the_one_meant(make, corpus) -> None:
    with pytest.raises(NotebookNotConvertible) as caught:
        planning.plan(make(corpus("undefined")))
    assert str(caught.value) == (
        '"training.ipynb" cannot be converted: "reg" is used but never assigned; "reg_model" may be meant '
        "(cell 4, line 1)"
    )
    assert caught.value.next_command == 'write "reg_model" instead of "reg"'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\nprint(y)", [("name-undefined", 1, 2)]),
        ("print(y)\n# ---\ny = 1", [("name-before-assignment", 1, 1)]),
        ("for i in range(3):\n    total = i\nprint(total, i)", []),
        ("if True:\n    a = 1\nelse:\n    b = 2\nprint(a)", []),
        ("def f():\n    return later\nlater = 1\nf()", []),
        ("def f():\n    return nowhere\nf()", [("name-undefined", 1, 3)]),
        ("squares = [n * n for n in range(3)]\nprint(n)", [("name-undefined", 1, 2)]),
        ("f = lambda n: n + 1\nf(2)", []),
        ("try:\n    import json\nexcept ImportError as error:\n    print(error)\njson.dumps(1)", []),
        ("with open('a') as file:\n    text = file.read()\nprint(text)", []),
        ("class A:\n    size = 3\n    def double(self):\n        return self.size * 2\nA().double()", []),
        ("from math import *\nprint(sqrt(2))", [("star-import", 1, 1)]),
        ("name = input()", [("asks-for-input", 1, 1)]),
        ("import pandas as pd\nd = pd.read_csv('/data/a.csv')", [("file-outside-folder", 1, 2)]),
        ("import pandas as pd\nd = pd.read_csv('../a.csv')", [("file-outside-folder", 1, 2)]),
        ("import pandas as pd\nd = pd.read_csv('sub/../a.csv')", []),
        ("import numpy as np\nx = np.random.rand(3)", [("unseeded-randomness", 1, 2)]),
        ("import numpy as np\nnp.random.seed(1)\nx = np.random.rand(3)", []),
        ("import numpy as np\nrandom = np.random.default_rng()", [("unseeded-randomness", 1, 2)]),
        ("(n := 3)\nprint(n)", []),
        ("x = 1\ndel x\nx += 1", []),
        ("!ls", [("shell-command", 1, 1)]),
    ],
)
def test_findings(make, text: str, found: list[tuple[str, int, int]]) -> None:
    assert codes(make, text) == found


def test_every_code_reported_is_in_the_table(make) -> None:
    text = "from math import *\nname = input()\nx = nowhere\n!ls"
    assert {each.code for each in planning.check(make(text))} <= checking.CODES.keys()


def test_notebook_without_a_model_is_refused(make) -> None:
    with pytest.raises(NotebookNotConvertible, match="no statement fits a model"):
        planning.plan(make("import pandas as pd\nd = pd.DataFrame()\nd.describe()"))


def test_function_that_reads_a_variable_is_refused(make) -> None:
    text = """
from sklearn.linear_model import Ridge
from sklearn.datasets import load_diabetes
X, y = load_diabetes(return_X_y=True)
def train():
    return Ridge().fit(X, y)
model = train()
model.fit(X, y)
"""
    with pytest.raises(NotebookNotConvertible, match='reads the variable "X"'):
        planning.plan(make(text))
