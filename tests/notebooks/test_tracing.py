"""What is seen of each statement while a notebook runs in a real kernel."""

import ast
import dataclasses
import sys
from pathlib import Path

import pytest

from modelwright.errors import NotebookRaised
from modelwright.notebooks import execution, statements
from modelwright.records import NotebookRun, ProbePoint, StatementTrace
from modelwright.settings import child_environment

FILES = {
    "d.csv": "a,b\n1,2\n3,4\n5,7\n",
    "helper.py": "def add(items):\n    items.append(1)\n",
}
IMPORTS = """\
import os, pickle, random, sys, warnings
import numpy as np, pandas as pd
import matplotlib.pyplot as plt
import joblib
from sklearn.linear_model import LinearRegression
from helper import add
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Return a function that runs a notebook's text traced, watching in each statement all names that stand in it."""
    from nbformat import write
    from nbformat.v4 import new_code_cell, new_notebook

    from modelwright.notebooks import reading

    def traced(text: str, **options: object) -> NotebookRun:
        folder = tmp_path_factory.mktemp("traced")
        (folder / "user").mkdir()
        for name, content in FILES.items():
            (folder / "user" / name).write_text(content)
        cells = [new_code_cell(each.strip("\n")) for each in text.split("# ---\n")]
        write(new_notebook(cells=cells), folder / "user" / "book.ipynb")
        notebook = reading.read(folder / "user" / "book.ipynb")
        watch = {each.index: names(each.tree) for each in statements.statements(notebook)}
        given = {"python": Path(sys.executable), "folder": folder / "work", "environment": child_environment()}
        return execution.execute(notebook, **{**given, "watch": watch, **options})

    return traced


def names(tree: ast.stmt) -> frozenset[str]:
    """Return all names in a statement."""
    return frozenset(each.id for each in ast.walk(tree) if isinstance(each, ast.Name))


def shown(seen: StatementTrace) -> dict[str, object]:
    """Return what is not empty of a statement's trace, as plain data, but for times and kinds."""
    left = {"index", "elapsed_seconds", "kinds"}
    given = {each.name: getattr(seen, each.name) for each in dataclasses.fields(seen) if each.name not in left}
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in given.items() if value}


# Cells of one notebook, statement by statement with what is seen; `...` stands for anything.
SEEN = [
    [
        ("x = np.arange(6.0)", {"bound": ["x"]}),
        ("y = x[2:]", {"bound": ["y"], "aliases": [("y", "x")]}),
        ("y[0] = 9", {"mutated": ["x", "y"], "aliases": [("x", "y"), ("y", "x")]}),
        ("x.sum()", {}),
        ("x = x + 1", {"bound": ["x"]}),
        ("x += 1", {"mutated": ["x"]}),
        ("x.sort()", {"mutated": ["x"]}),
        ("x.sort()", {}),
        ("x[::-1].sort()", {"mutated": ["x"]}),
        ("x = x", {}),
        ("n = 5; n += 1", None),
        ("l = [1]", {"bound": ["l"]}),
        ("held = {'l': l}", {"bound": ["held"], "aliases": [("held", "l")]}),
        ("add(held['l'])", {"mutated": ["held", "l"], "aliases": [("held", "l"), ("l", "held")]}),
        ("l = l + [2]", {"bound": ["l"]}),
        ("for i in range(4):\n    l = [i]\n    last = i", {"bound": ["i", "l", "last"]}),
        ("del last", {"deleted": ["last"]}),
    ],
    [
        ("df = pd.read_csv('d.csv')", {"bound": ["df"], "read": ("d.csv",)}),
        ("df['c'] = 1", {"mutated": ["df"]}),
        ("df.drop(columns='c', inplace=True)", {"mutated": ["df"]}),
        ("df.drop(columns='a')", {}),
        ("df.loc[0, 'a'] = 5", {"mutated": ["df"]}),
        ("df.columns = ['a', 'B']", {"mutated": ["df"]}),
        ("df.describe()", {}),
        ("df.assign(z=1).rename(columns=str.upper)", {}),
        ("sample = df.sample(2)", {"bound": ["sample"], "drew": ["<numpy random>"]}),
        ("shuffled = df.sample(2, random_state=1)", {"bound": ["shuffled"]}),
    ],
    [
        ("model = LinearRegression()", {"bound": ["model"]}),
        ("fitted = model.fit(df[['a']], df['B'])", ...),
        ("model.predict(df[['a']])", {}),
        ("model.set_params(fit_intercept=False).fit(df[['a']], df['B'])", ...),
        ("models = [LinearRegression() for _ in range(2)]", {"bound": ["models"]}),
        ("for each in models:\n    each.fit(df[['a']], df['B'])", ...),
    ],
    [
        ("np.random.seed(7)", {"drew": ["<numpy random>"]}),
        ("draw = np.random.rand(3)", {"bound": ["draw"], "drew": ["<numpy random>"]}),
        ("coin = random.random()", {"bound": ["coin"], "drew": ["<python random>"]}),
        ("rng = np.random.default_rng(1)", {"bound": ["rng"]}),
        ("rng.normal()", {"mutated": ["rng"]}),
        ("pd.set_option('display.max_rows', 7)", {"settings": ["pandas.options"]}),
        ("plt.rcParams['figure.dpi'] = 60", {"settings": ["matplotlib.rcParams"]}),
        ("os.environ['SOMETHING'] = 'b'", {"settings": ["os.environ"]}),
        ("warnings.filterwarnings('ignore', message='odd')", {"settings": ["warnings.filters"]}),
        ("np.set_printoptions(precision=3)", {"settings": ["numpy.printoptions"]}),
        ("sys.path.append('/nowhere')", {"settings": ["sys.path"]}),
        ("with warnings.catch_warnings():\n    warnings.simplefilter('error')", {}),
        ("with pd.option_context('display.max_rows', 3):\n    pass", {}),
    ],
    [
        ("numbers = np.loadtxt('d.csv', skiprows=1, delimiter=',')", {"bound": ["numbers"], "read": ("d.csv",)}),
        ("df.to_csv('out.csv')", {"written": ("out.csv",)}),
        ("with open('out.csv') as file:\n    text = file.read()", {"bound": ["file", "text"], "read": ("out.csv",)}),
        ("joblib.dump(numbers, 'n.joblib')", {"written": ("n.joblib",)}),
        ("same = joblib.load('n.joblib')", {"bound": ["same"], "read": ("n.joblib",)}),
        (
            "with open('n.pickle', 'wb') as file:\n    pickle.dump(numbers, file)",
            {"bound": ["file"], "written": ("n.pickle",)},
        ),
        ("os.rename('n.pickle', 'm.pickle')", {"written": ("m.pickle",)}),
        ("try:\n    open('missing.csv')\nexcept OSError:\n    pass", {}),
        ("os.makedirs('deep')", {}),
        ("os.chdir('deep')", {"settings": ["cwd"]}),
        ("df.to_csv('in.csv')", {"written": ("deep/in.csv",)}),
    ],
    [
        ("fig, ax = plt.subplots()", {"bound": ["ax", "fig"], "aliases": ..., "figures": 1}),
        ("ax.plot([1, 2])", {"opaque": ["ax"], "figures": 1}),
        ("plt.savefig('o.png')", {"written": ("deep/o.png",)}),
        ("plt.title('t')", {"figures": 1}),
        ("plt.show()", {"figures": 1}),
    ],
    [
        ("steps = (each for each in range(3))", {"bound": ["steps"]}),
        ("_ = steps", {"opaque": ["steps"]}),
        ("first = next(steps)", {"bound": ["first"], "opaque": ["steps"]}),
        ("def keep(value, kept=[]):\n    kept.append(value)", {"bound": ["keep"]}),
        ("keep(3)", {"mutated": ["keep"]}),
        ("def counter():\n    seen = []\n    return lambda: seen.append(1)", {"bound": ["counter"]}),
        ("count = counter()", {"bound": ["count"]}),
        ("count()", {"mutated": ["count"]}),
        ("class Settings:\n    size = 1", {"bound": ["Settings"]}),
        ("Settings.size = 2", {"mutated": ["Settings"]}),
        ("print('a', first)\nprint('b')", None),
        ("for i in range(2):\n    print(i)", {"bound": ["i"], "printed": "0\n1\n"}),
        ("globals()['made'] = 1", {"bound": ["made"]}),
        ("first + 1", {"printed": "1\n"}),
    ],
]


@pytest.fixture(scope="module")
def seen(trace) -> NotebookRun:
    """Return the run of all the cells above."""
    return trace("# ---\n".join([IMPORTS, *("\n".join(code for code, _ in cell) + "\n" for cell in SEEN)]))


def numbered() -> list[tuple[int, str, object]]:
    """Return the statements above with their indexes; those that stand for two count as such and are left out."""
    index, found = len(ast.parse(IMPORTS).body), []
    for code, expected in (each for cell in SEEN for each in cell):
        count = len(ast.parse(code).body)
        found += [(index, code, expected)] if count == 1 else []
        index += count
    return found


@pytest.mark.parametrize(("index", "code", "expected"), numbered(), ids=[each[1] for each in numbered()])
def test_a_statement_is_seen(seen: NotebookRun, index: int, code: str, expected) -> None:
    found = shown(seen.trace.statements[index])
    if expected is ...:
        return
    assert found | {name: ... for name, value in expected.items() if value is ...} == expected


def test_every_statement_is_told_once_and_in_order(seen: NotebookRun) -> None:
    indexes = [each.index for each in seen.trace.statements]
    assert indexes == list(range(len(indexes)))
    assert 0 < seen.trace.elapsed_seconds < seen.elapsed_seconds


def test_fits_mutate_estimators_and_what_holds_them(seen: NotebookRun) -> None:
    by_code = {code: seen.trace.statements[index] for index, code, _ in numbered()}
    fit = by_code["fitted = model.fit(df[['a']], df['B'])"]
    assert (fit.bound, fit.mutated) == ({"fitted"}, {"model"})
    assert ("fitted", "model") in fit.aliases
    again = by_code["model.set_params(fit_intercept=False).fit(df[['a']], df['B'])"]
    assert again.mutated == {"model", "fitted"}
    loop = by_code["for each in models:\n    each.fit(df[['a']], df['B'])"]
    assert (loop.bound, loop.mutated) == ({"each"}, {"models"})


def test_kinds_name_types_and_shapes_of_arrays(seen: NotebookRun) -> None:
    kinds = {name: kind for each in seen.trace.statements for name, kind in each.kinds.items()}
    assert kinds["x"] == "numpy.ndarray[float64,1]"
    assert kinds["numbers"] == "numpy.ndarray[float64,2]"
    assert kinds["model"] == "sklearn.linear_model._base.LinearRegression"
    assert kinds["n"] == "builtins.int"


def test_printed_text_is_that_of_the_cell_without_figures(seen: NotebookRun) -> None:
    told = "".join(each.printed for each in seen.trace.statements)
    plain = "".join(text for _, text in seen.outputs)
    assert told == "".join(line for line in plain.splitlines(keepends=True) if not line.startswith("<Figure"))
    assert "a 0\nb\n0\n1\n1\n" in told


def test_an_own_module_is_read_and_libraries_are_not(seen: NotebookRun) -> None:
    imports = seen.trace.statements[: len(ast.parse(IMPORTS).body)]
    assert [file for each in imports for file in (*each.read, *each.written)] == ["helper.py"]


def test_a_plain_run_has_no_trace(trace) -> None:
    assert trace("x = 1", watch=None).trace is None


def test_tracing_leaves_the_run_as_it_is(trace) -> None:
    text = (
        "import sys\nprint(sorted(each for each in globals() if not each.startswith('_')))\nx = 1; x\n# ---\n"
        "print(In[1:], Out)\nx + 1\n# ---\n_ + 1\n# ---\n# nothing\n# ---\n"
        "import asyncio\nawait asyncio.sleep(0)\nprint(len(sys.argv), 'numpy' in sys.modules)\nx;\n# ---\n"
        "import random\nrandom.seed(1)\nprint(random.random())\nprint('no newline', end='')"
    )
    traced, plain = trace(text), trace(text, watch=None)
    assert traced.outputs == plain.outputs
    assert len(traced.trace.statements) == 15


def test_the_place_of_an_error_is_the_same_when_traced(trace) -> None:
    text = "x = 1\n# ---\n\ndef divide(a):\n    return a / 0\nprint(1)\ndivide(x); x = 2"
    for watch in ({}, None):
        with pytest.raises(NotebookRaised) as caught:
            trace(text, watch=watch)
        assert str(caught.value) == (
            '"book.ipynb" raised in cell 2, line 4: ZeroDivisionError: division by zero\n  divide(x); x = 2\n'
            "    in divide: return a / 0"
        )


def test_what_odd_objects_do_when_asked_is_not_done(trace) -> None:
    text = (
        "class Odd:\n    def __eq__(self, other):\n        print('compared')\n        raise ValueError\n"
        "    def __getattr__(self, name):\n        print('asked', name)\n        raise ValueError\n"
        "    __repr__ = __reduce_ex__ = __getstate__ = __hash__ = __len__ = __iter__ = __bool__ = __eq__\n"
        "odd = Odd()\nodd.__dict__['x'] = 1\nprint('done')"
    )
    seen = trace(text)
    assert seen.outputs == ((1, "done\n"),)
    assert [sorted(each.mutated) for each in seen.trace.statements] == [[], [], ["odd"], []]


def test_objects_end_when_the_notebook_lets_them_go(trace) -> None:
    text = (
        "class Loud:\n    def __del__(self):\n        print('gone')\nloud = Loud()\nloud = None\nprint('next')\n"
        "held = [Loud()]\nheld.clear()\nprint('last')"
    )
    assert trace(text).outputs == ((1, "gone\nnext\ngone\nlast\n"),)


def test_an_array_can_be_resized_in_place(trace) -> None:
    seen = trace("import numpy as np\na = np.arange(3)\na.resize(5)\nprint(a)")
    assert seen.outputs == ((1, "[0 1 2 0 0]\n"),)
    assert seen.trace.statements[2].mutated == {"a"}


def test_a_change_that_nobody_watched_for_is_told_of_the_statements_between(trace) -> None:
    seen = trace("x = [1]\ny = 1\nx.append(2)\nz = 2\nlen(x)", watch={4: frozenset({"x"})})
    assert [sorted(each.mutated) for each in seen.trace.statements] == [[], ["x"], ["x"], ["x"], []]


def test_cells_that_run_inside_a_cell_belong_to_its_statement(trace) -> None:
    seen = trace("x = 1\nget_ipython().run_cell('x = 2\\nprint(x)')\ny = 3")
    assert [sorted(each.bound) for each in seen.trace.statements] == [["x"], ["x"], ["y"]]


def test_threads_of_the_notebook_do_no_harm(trace) -> None:
    text = (
        "import threading\nseen = []\nstop = threading.Event()\n"
        "def work():\n    while not stop.is_set():\n        seen.append(len(seen))\n        stop.wait(0.001)\n"
        "thread = threading.Thread(target=work)\nthread.start()\n"
        "while len(seen) < 20: pass\nstop.set()\nthread.join()\nlen(seen) >= 20"
    )
    assert trace(text).outputs == ((1, "True\n"),)


def test_points_are_looked_at_in_a_traced_run_and_tell_nothing(trace) -> None:
    text = "import random\nrandom.seed(7)\nx = [1]\nx.append(2)\nlen(x)"
    look = "x.append(3) or print('looked') or random.random() and float(len(x))"
    seen = trace(text, probe=[ProbePoint(1, 3, "metric", "first", look), ProbePoint(1, 5, "metric", "last", "len(x)")])
    assert seen.metrics == {"first": 2.0, "last": 3.0}
    assert seen.outputs == ((1, "3\n"),)
    assert [sorted(each.drew) for each in seen.trace.statements] == [[], ["<python random>"], [], [], []]


def test_a_long_read_is_given_up_rather_than_made_ten_times(trace) -> None:
    text = "import numpy as np\nbig = np.zeros(24_000_000)\n" + "len(big)\n" * 200
    seen = trace(text)
    assert seen.elapsed_seconds - seen.trace.elapsed_seconds < 12
    assert seen.trace.statements[-1].opaque == {"big"}
