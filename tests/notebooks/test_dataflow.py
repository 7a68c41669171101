"""What statements read, bind and change, and which need which."""

import pytest

from modelwright.notebooks import dataflow, statements

IMPORTS = "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\nimport random\n"


@pytest.mark.parametrize(
    ("line", "reads", "binds", "changes"),
    [
        ("a = b + c", "b c", "a", ""),
        ("a = b.mean()", "b", "a", ""),
        ("a.fit(b, c)", "a b c", "", "a"),
        ("a.append(b)", "a b", "", "a"),
        ("a.unheard_of(b)", "a b", "", "a"),
        ("a['x'] = b", "a b", "", "a"),
        ("a.size = b", "a b", "", "a"),
        ("a += b", "a b", "", "a"),
        ("a.drop('x', inplace=True)", "a", "", "a"),
        ("a.drop('x')", "a", "", ""),
        ("d = a.pop('x')", "a", "d", "a"),
        ("a, (d, *e) = b", "b", "a d e", ""),
        ("d = [n + b for n in c if n]", "b c", "d", ""),
        ("d = {n: m for n, m in b.items()}", "b", "d", ""),
        ("d = lambda n: n + b", "", "d", ""),
        ("d = sorted(c, key=lambda n: n + b)", "b c sorted", "d", ""),
        ("for n in b:\n    d = n + c", "b c", "", "d n"),
        ("if b:\n    d = 1\nelse:\n    d = 2", "b", "d", ""),
        ("if b:\n    d = 1", "b", "", "d"),
        ("while b:\n    d = 1\n    d = d + 1", "b", "", "d"),
        ("with b as d:\n    e = d", "b", "d e", ""),
        ("try:\n    d = b\nexcept ValueError:\n    d = 1", "b ValueError", "", "d"),
        ("print(a.shape)", "a print", "", ""),
        ("len(a)", "a len", "", ""),
        ("del a", "a", "", "a"),
        ("(d := b)", "b", "d", ""),
        ("d = a.query('x < @b')", "a b", "d", ""),
        ("setattr(a, 'x', b)", "a b setattr", "", "a"),
        ("np.random.seed(1)", "np", "<numpy random>", ""),
        ("d = np.random.rand()", "np <numpy random>", "d", "<numpy random>"),
        ("random.shuffle(a)", "random a <python random>", "", "a <python random>"),
        ("d = np.sum(a)", "np a", "d", ""),
        ("np.fill_diagonal(a, 1)", "np a", "", "a"),
        ("plt.plot(a)", "plt a", "<figure>", "<figure>"),
        ("a.plot.bar()", "a", "<figure>", "<figure>"),
        ("plt.figure(); plt.plot(a)", "plt a <figure>", "", "<figure>"),
        ("pd.options.display.max_rows = 3", "pd", "", "<display>"),
    ],
)
def test_effects(make, line: str, reads: str, binds: str, changes: str) -> None:
    setup = "a, b, c = given()\n"
    flow = dataflow.flow(statements.statements(make(IMPORTS + setup + line)))
    known = flow.effects[-1]
    assert known.reads == set(_names(reads))
    assert known.binds == set(_names(binds))
    # Three names from one call may share memory.
    assert known.changes - {"a", "b", "c"} == set(_names(changes)) - {"a", "b", "c"}
    assert ("a" in known.changes) == ("a" in _names(changes))


def _names(text: str) -> list[str]:
    joined = text.replace("<numpy random>", "<numpy_random>").replace("<python random>", "<python_random>")
    return [each.replace("_random>", " random>") for each in joined.split()]


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("a = 1\nb = 2\nc = a", [0]),
        ("a = 1\na = 2\nc = a", [1]),
        ("a = []\na.append(1)\nc = a", [0, 1]),
        ("a = []\nb = a\nb.append(1)\nc = a", [0, 2]),
        ("a = [1]\nb = list(a)\na.append(1)\nc = b", [1, 2]),
        ("a = []\nb = {'k': a}\na.append(1)\nc = b", [1, 2]),
        ("a = 1\nif a:\n    a = 2\nc = a", [0, 1]),
        ("def f(x):\n    x.append(1)\na = []\nf(a)\nc = a", [1, 2]),
        ("def f(x):\n    return x[0]\na = [1]\nf(a)\nc = a", [1]),
        ("k = 2\ndef f(x):\n    return x * k\nc = f(1)", [0, 1]),
    ],
)
def test_sources(make, text: str, needed: list[int]) -> None:
    flow = dataflow.flow(statements.statements(make(text)))
    assert sorted(flow.sources[-1]) == needed


def test_hundred_cells_are_analysed_quickly(make) -> None:
    import time

    text = "\n# ---\n".join(
        f"x{n} = [x{n - 1}, {n}]\nx{n}.append({n})\nprint(x{n})" if n else "x0 = []" for n in range(100)
    )
    notebook = make(text)
    started = time.process_time()
    dataflow.flow(statements.statements(notebook))
    assert time.process_time() - started < 2
