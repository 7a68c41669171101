"""Findings before anything runs."""

from pathlib import Path

import pytest

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import checking, history, planning
from modelwright.records import Cell, Notebook


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


TIMED = """import time
from scipy.optimize import minimize_scalar
def cost(x):
    began = time.time()
    work(x)
    took = time.time() - began
    return {returned}
def work(x):
    return x * x
"""


@pytest.mark.parametrize(
    ("returned", "call", "is_found"),
    [
        ("x + took", "minimize_scalar(cost)", True),
        ("x", "minimize_scalar(cost)", False),
        ("x + took", "list(map(cost, [1, 2]))", False),
    ],
)
def test_a_search_that_goes_by_the_clock_stops_the_conversion(make, returned: str, call: str, is_found: bool) -> None:
    text = TIMED.format(returned=returned) + f"# ---\nbest = {call}"
    found = [each for each in planning.check(make(text)) if each.code == "search-by-clock"]
    assert [(each.cell, each.line, each.is_error) for each in found] == ([(2, 1, True)] if is_found else [])


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
        ("import pandas as pd\nd = pd.read_csv('../../../../a.csv')", [("file-outside-folder", 1, 2)]),
        ("import pandas as pd\nd = pd.read_csv('sub/../a.csv')", []),
        ("import numpy as np\nx = np.random.rand(3)", [("unseeded-randomness", 1, 2)]),
        ("import numpy as np\nnp.random.seed(1)\nx = np.random.rand(3)", []),
        ("import numpy as np\nrandom = np.random.default_rng()", [("unseeded-randomness", 1, 2)]),
        ("(n := 3)\nprint(n)", []),
        ("x = 1\ndel x\nx += 1", []),
        ("!ls", [("shell-command", 1, 1)]),
        ("try:\n    unicode\nexcept NameError:\n    unicode = str", []),
        ("import sys\nif sys.version_info[0] < 3:\n    reload(sys)", []),
        ("x = 1 if True else nowhere", []),
        ("def f(flag):\n    if flag:\n        return nowhere\nf(False)", []),
        ("def f():\n    return later\ncalls = [f]\nlater = 1\nf()", []),
        ("def f():\n    global x\n    x = 1\nf()\nprint(x)", []),
        ("import contextlib\nwith contextlib.suppress(NameError):\n    nowhere", []),
        ("for i in range(3):\n    if i:\n        total = i\n    print(i)\nprint(total)", []),
        ("for i in range(3):\n    try:\n        a = i\n    except ValueError:\n        a = 0\n    print(a)", []),
        ("exec('x = 1')\nprint(x)", []),
        ("print(y)\nfrom math import *", [("name-undefined", 1, 1), ("star-import", 1, 2)]),
        ("match [1, 2]:\n    case [a, *rest]:\n        print(a, rest)\nprint(rest)", []),
        ("for i in range(3):\n    print(nowhere)", [("name-undefined", 1, 2)]),
        ("[nowhere for i in range(3)]", [("name-undefined", 1, 1)]),
        ("1 + 1\n# ---\nprint(_)", [("magic-value", 2, 1)]),
        ("print(Out[1])", [("magic-value", 1, 1)]),
        ("_, x = 1, 2\nprint(_)", []),
        ("base = '/home/me/data'", [("absolute-path", 1, 1)]),
        (r"base = 'C:\\data'", [("absolute-path", 1, 1)]),
        ("base = '~/data'", [("absolute-path", 1, 1)]),
        ("sign, ratio = '/', 'a/b'\nurl = 'https://example.org/home/x'", []),
        ("import requests\nr = requests.get('https://example.org')", [("network-access", 1, 2)]),
        ("import pandas as pd\nurl = 'http://x/a.csv'\nd = pd.read_csv(url)", [("network-access", 1, 3)]),
        ("from sklearn.datasets import fetch_openml\nd = fetch_openml('x')", [("network-access", 1, 2)]),
        ("from datetime import datetime\nnow = datetime.now()\nage = str(now)", [("clock-dependent", 1, 2)]),
        ("import time\nname = 'model-' + str(time.time())\nopen(name)", [("clock-dependent", 1, 2)]),
        ("import time\nstart = time.time()\nprint(time.time() - start)", []),
        ("from datetime import datetime\nstart = datetime.now()\nprint(datetime.now() - start)", []),
        ("from datetime import datetime\nprint(datetime.now())", []),
    ],
)
def test_findings(make, text: str, found: list[tuple[str, int, int]]) -> None:
    assert codes(make, text) == found


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("password = 'hunter22'", "a password"),
        ("db = connect(password='hunter22')", "a password"),
        ("settings = {'api_key': '0a1b2c3d4e5f6a7b'}", "a key"),
        ("os.environ['SECRET_KEY'] = '0a1b2c3d4e5f6a7b'", "a key"),
        ("x = 'AKIA" + "ABCDEFGH12345678'", "an AWS access key"),
        ("x = 'ghp_" + "a1B2" * 9 + "'", "a GitHub token"),
        ("x = 'postgresql://me:hunter22@localhost/db'", "a URL with a password"),
        ("password = ''", None),
        ("password = 'YOUR_PASSWORD'", None),
        ("token = 'the'", None),
        ("pad_token = '[PAD]'", None),
        ("vectorizer = CountVectorizer(token_pattern='[a-z0-9]+')", None),
        ("pwd = 'data/raw'", None),
        ("x = 'https://example.org/a:b@c'", None),
        ("password = os.environ['PASSWORD']", None),
    ],
)
def test_credentials_are_found_and_never_told(make, code: str, kind: str | None) -> None:
    text = f"import os\nfrom sklearn.feature_extraction.text import CountVectorizer\nconnect = dict\n{code}"
    found = [each for each in planning.check(make(text)) if each.code == "credentials-in-code"]
    assert [each.message.partition(" stands")[0] for each in found] == ([kind] if kind else [])
    assert not any("hunter22" in repr(each) or "0a1b2c" in repr(each) for each in found)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("X = StandardScaler().fit_transform(X)\na, b = train_test_split(X, random_state=0)", [5]),
        ("s = StandardScaler()\nX = s.fit_transform(X)\na, b = train_test_split(X, random_state=0)", [6]),
        ("X = OneHotEncoder().fit_transform(X)\na, b = train_test_split(X, random_state=0)", []),
        ("a, b = train_test_split(X, random_state=0)\na = StandardScaler().fit_transform(a)", []),
        ("Z = StandardScaler().fit_transform(X)\na, b = train_test_split(X, random_state=0)", []),
    ],
)
def test_fit_before_the_split(make, text: str, lines: list[int]) -> None:
    imports = (
        "from sklearn.preprocessing import OneHotEncoder, StandardScaler\n"
        "from sklearn.model_selection import train_test_split\n"
        "from sklearn.datasets import load_iris\nX, y = load_iris(return_X_y=True)\n"
    )
    assert codes(make, imports + text) == [("fit-before-split", 1, line) for line in lines]


def test_cells_run_in_another_order_are_told_once() -> None:
    cells = [Cell(number, "x", "x\n", count) for number, count in enumerate([3, None, 1, 2], start=1)]
    found = history.execution_order(Notebook(Path("a.ipynb"), "", tuple(cells)))
    assert [(each.code, each.cell, each.is_error) for each in found] == [("execution-order", 3, False)]
    assert history.execution_order(Notebook(Path("a.ipynb"), "", tuple(cells[2:]))) == []


@pytest.mark.parametrize(
    ("stored", "fresh", "is_stale"),
    [
        ("accuracy 0.91\n", "accuracy 0.91\n", False),
        ("accuracy 0.91\n", "accuracy 0.94\n", True),
        ("0.91", "0.9130434782608695", False),
        ("0.8123456789012345", "0.8123456789012301", False),
        ("1e-05", "2e-03", True),
        ("12", "13", True),
        ("a 0.5 b 0.6", "a 0.5", True),
        ("took 3.2 s\n0.5", "took 9.9 s\n0.5", False),
        ("CPU times: user 3 ms\nWall time: 5 ms\n", "CPU times: user 4 ms\n", False),
        ("<Axes at 0x7f12>", "<Axes at 0x8e99>", False),
        ("SVC(C=1.0, cache_size=200)", "SVC()", False),
        ("2024-01-01 10:00:00", "2025-02-02 11:11:11", False),
        (" 10%|#   | 1/10 [00:01<00:09]\r100%|##| 10/10 [00:10<00:00]", " 100%|##| 10/10 [00:22<00:00]", False),
        ("FutureWarning: since 0.22", "", False),
        ("   a  b\n0  1  2", "   a  b\n0  1  3", True),
        (None, "0.5", False),
    ],
)
def test_stale_outputs(stored: str | None, fresh: str, is_stale: bool) -> None:
    notebook = Notebook(Path("a.ipynb"), "", (Cell(1, "f()", "f()\n", outputs_text=stored),))
    found = history.stale_outputs(notebook, [(1, fresh)])
    assert [(each.code, each.cell) for each in found] == ([("stale-output", 1)] if is_stale else [])


def test_names_below_a_file_that_could_not_be_read_in_are_not_reported(make) -> None:
    assert codes(make, "x = 1\n# ---\n%run missing.py\n# ---\nprint(from_there)") == [("run-not-inlined", 2, 1)]


def test_every_code_reported_is_in_the_table(make) -> None:
    text = "from math import *\nname = input()\nx = nowhere\n!ls"
    assert {each.code for each in planning.check(make(text))} <= checking.CODES.keys()


def test_notebook_without_a_model_is_refused(make) -> None:
    with pytest.raises(NotebookNotConvertible, match="nothing is fitted"):
        planning.plan(make("import pandas as pd\nd = pd.DataFrame()\nd.describe()"))
