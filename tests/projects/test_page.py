"""The conversion page: every statement accounted for, both sides linked, and nothing that a notebook holds is run."""

import asyncio
import json
import math
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from modelwright.notebooks import deciding, emitting, layouts, planning, reading
from modelwright.notebooks.deciding import Fate
from modelwright.projects import linking, page
from modelwright.projects.highlighting import escaped, highlighted
from modelwright.projects.manifest import PARAMETERS_FILE
from modelwright.records import Comparison, Notebook, Plan, Proof

EXAMPLE = Path(__file__).parents[2] / "examples" / "diabetes"
LAYOUT = layouts.layout("small")
PARAMETERS = "test_size = 0.2\nrandom_state = 0\nalpha = 0.5\n"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

CODE = """
import joblib
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
# ---
X, y = load_diabetes(return_X_y=True); print(X.shape)
penalty = 0.5
# ---
model = Ridge(alpha=penalty, max_iter=100)
model.fit(X, y)
print("mse", mean_squared_error(y, model.predict(X)))
# ---
joblib.dump(model, "model.pkl")
"""


class Elements(HTMLParser):
    """Gathers a page's elements, and finds out whether each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Notebook]:
    """Return a function that reads a notebook of texts: those of Markdown cells begin with a `#` and a blank."""

    def written(*texts: str, name: str = "training.ipynb") -> Notebook:
        cells = [new_markdown_cell(each) if each.startswith("# ") else new_code_cell(each) for each in texts]
        nbformat.write(new_notebook(cells=cells), tmp_path / name)
        return reading.read(tmp_path / name)

    return written


@pytest.fixture
def small(write) -> Notebook:
    return write(*(each.strip("\n") for each in CODE.split("\n# ---\n")))


@pytest.fixture
def example() -> tuple[Notebook, Notebook, Plan]:
    training, scoring = (reading.read(EXAMPLE / f"{each}.ipynb") for each in ("training", "scoring"))
    return training, scoring, planning.plan(training, scoring)


def modules(plan: Plan) -> dict[str, str]:
    return {PARAMETERS_FILE: PARAMETERS, **emitting.modules(plan, LAYOUT)}


def rendered(notebook: Notebook, proof: Proof | None = None, tests: str | None = None) -> str:
    plan = planning.plan(notebook)
    return page.render(notebook, plan, modules(plan), proof=proof, tests=tests)


def proof(*comparisons: Comparison) -> Proof:
    return Proof(comparisons, 1e-9, "", "", "3.11.7")


def equal(name: str, value: object, kind: str = "value") -> Comparison:
    return Comparison(name, kind, value, value, is_equal=True, difference=0.0)


# --- decisions ---


def test_every_statement_is_decided_once(small: Notebook) -> None:
    found = deciding.decisions(small, planning.plan(small))
    assert [(each.cell, each.line, each.fate, each.function or each.reason) for each in found] == [
        (1, 1, Fate.MODULE, "an import"),
        (1, 2, Fate.REMOVED, "unused import"),
        (1, 3, Fate.MODULE, "an import"),
        (1, 4, Fate.MODULE, "an import"),
        (1, 5, Fate.MODULE, "an import"),
        (2, 1, Fate.REMOVED, "prints the shape"),
        (2, 1, Fate.KEPT, "load_data"),
        (2, 2, Fate.PARAMETER, 'the parameter "penalty"'),
        (3, 1, Fate.KEPT, "train_model"),
        (3, 2, Fate.KEPT, "train_model"),
        (3, 3, Fate.KEPT, "evaluate_model"),
        (4, 1, Fate.KEPT, "save_model"),
    ]


def test_all_removals_of_the_plan_are_decisions(example) -> None:
    training, scoring, plan = example
    found = [*deciding.decisions(training, plan), *deciding.decisions(scoring, plan)]
    removed = [(each.notebook, each.cell, each.source) for each in found if each.fate is Fate.REMOVED]
    assert sorted(removed) == sorted((each.notebook, each.cell, each.source) for each in plan.removals)


def test_part_of_an_import_is_removed_and_the_rest_is_not(write) -> None:
    notebook = write("from sklearn.linear_model import Ridge, Lasso as L", "model = Ridge().fit([[1], [2]], [1, 2])")
    found = deciding.decisions(notebook, planning.plan(notebook))
    assert [(each.source, each.fate) for each in found if each.cell == 1] == [
        ("from sklearn.linear_model import Lasso as L", Fate.REMOVED),
        ("from sklearn.linear_model import Ridge, Lasso as L", Fate.MODULE),
    ]


# --- links ---


def test_a_line_of_the_project_is_linked_to_its_statement(example) -> None:
    training, scoring, plan = example
    files = modules(plan)
    found = [*deciding.decisions(training, plan), *deciding.decisions(scoring, plan)]
    linked = {
        (files[path].splitlines()[line - 1].strip(), found[index].source)
        for (path, line), indices in linking.links(found, files).items()
        for index in indices
    }
    assert ("reg_model = Ridge(alpha=alpha)", "reg_model = Ridge(alpha=alpha)") in linked
    assert ("alpha = 0.5", "alpha = 0.5") in linked
    assert ("import joblib", "import joblib") in linked
    split = next(each.source for each in found if "train_test_split(X" in each.source)
    assert {("X, y, test_size=test_size, random_state=random_state", split), ("test_size = 0.2", split)} <= linked
    assert "data = np.array(data)" in {line for line, source in linked if source == "data = np.array(data)"}
    assert not any(line.startswith(("def ", "return {", "parser")) for line, _ in linked if "result" not in line)


def test_a_file_that_is_no_python_any_more_is_shown_without_links(small: Notebook) -> None:
    plan = planning.plan(small)
    files = {"train.py": "def load_data(:\n    pass <b>\n"}
    assert linking.links(deciding.decisions(small, plan), files) == {}
    text = page.render(small, plan, files, proof=None, tests=None)
    assert "pass &lt;b&gt;" in text.replace("<b>pass</b>", "pass")


# --- the page ---


def test_the_page_is_whole_and_all_its_links_lead_somewhere(example) -> None:
    training, scoring, plan = example
    found = proof(equal("mse", 3298.8, "metric"), equal("load_data.df", {"length": 3}), equal("cell 7, line 2", "x"))
    text = page.render(training, plan, modules(plan), proof=found, tests="9 passed", scoring=scoring)
    elements = Elements(text)
    assert not elements.open
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in elements.found if tag == "a"}
    assert {each[1:] for each in targets} <= set(ids)
    assert len(targets) > 15
    assert "9 passed" in text


def test_the_page_names_no_path_of_this_machine_and_no_address(example) -> None:
    training, scoring, plan = example
    text = page.render(training, plan, modules(plan), proof=proof(equal("mse", 1)), tests=None, scoring=scoring)
    assert str(EXAMPLE.parent) not in text
    assert not re.search(r"https?://|@import|url\(", text)
    assert {tag for tag, _ in Elements(text).found}.isdisjoint({"link", "img", "iframe", "object"})


def test_the_same_conversion_gives_the_same_page(small: Notebook) -> None:
    assert rendered(small) == rendered(small)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, "Not proven"),
        (proof(), "Not proven"),
        (proof(equal("mse", 1.0)), "Proven equal"),
        (
            proof(equal("mse", 1.0), Comparison("f1", "metric", 1, None, is_equal=False, difference=math.inf)),
            "Different",
        ),
    ],
)
def test_the_verdict_is_that_of_the_proof(small: Notebook, found: Proof | None, verdict: str) -> None:
    assert re.findall(r"<strong>(.*?)</strong>", rendered(small, found)) == [verdict]


def test_what_differs_stands_first_in_the_proof(small: Notebook) -> None:
    different = Comparison(
        "late", "printed", "1", "2", is_equal=False, difference=0.5, noise=0.01, place="cell 3, line 3"
    )
    text = rendered(small, proof(equal("early", 1), different))
    assert text.index("late") < text.index("early")
    assert '<a href="#c3">late</a>' in text


def test_long_values_are_folded_and_cut(small: Notebook) -> None:
    text = rendered(small, proof(equal("load_data.X", list(range(20_000)))))
    assert "<details><summary><code>[0, 1, 2" in text
    assert "characters more" in text
    assert "19999" not in text


def test_a_finding_stands_beside_its_cell(write) -> None:
    notebook = write("from sklearn.linear_model import Ridge", "model = Ridge().fit([[1], [2]], [1, 2])", "!ls")
    finding = next(each for each in notebook.findings if each.cell == 3)
    cell = rendered(notebook).partition('id="c3"')[2].partition("</article>")[0]
    assert finding.code in cell
    assert escaped(finding.fix) in cell


def test_headings_part_the_cells(write) -> None:
    notebook = write(
        "# Load a < b", "from sklearn.linear_model import Ridge", "model = Ridge().fit([[1], [2]], [1, 2])"
    )
    assert rendered(notebook).count("Load a &lt; b</h3>") == 1


def test_credentials_are_masked(write) -> None:
    secret = "sk-proj-" + "a1B2" * 8
    notebook = write(
        f"from sklearn.linear_model import Ridge\nname = '{secret}'  # unused",
        "model = Ridge().fit([[1], [2]], [1, 2])",
    )
    plan = planning.plan(notebook)
    text = page.render(notebook, plan, {"a.py": f"k = '{secret}'\n"}, proof=proof(equal("a", secret)), tests=secret)
    assert secret not in text


HOSTILE = '</script></code><script>window.hurt = 1</script><img src=x onerror="window.hurt = 1">'


def hostile_page(write: Callable[..., Notebook]) -> str:
    """Return a page in which everything that a notebook can bring to it tries to break out."""
    notebook = write(
        f"# {HOSTILE.replace('<', '&lt;')} `{HOSTILE}`",
        f"from sklearn.linear_model import Ridge\ntext = {HOSTILE!r}  # {HOSTILE}\nprint({HOSTILE!r})",
        f"model = Ridge().fit([[1], [2]], [1, 2])  # {HOSTILE}",
        f"%env X={HOSTILE}",
        name="<b onclick='window.hurt = 1'>.ipynb",
    )
    plan = planning.plan(notebook)
    different = Comparison(HOSTILE, HOSTILE, HOSTILE * 9, {HOSTILE: 1}, is_equal=False, difference=1.0, place=HOSTILE)
    files = {f"{HOSTILE}.py": f"x = {HOSTILE!r}\n", PARAMETERS_FILE: HOSTILE}
    return page.render(notebook, plan, files, proof=proof(different), tests=HOSTILE)


def test_nothing_of_a_notebook_becomes_an_element(write) -> None:
    elements = Elements(hostile_page(write)).found
    assert [tag for tag, _ in elements].count("script") == 1
    assert {tag for tag, _ in elements}.isdisjoint({"img", "iframe"})
    assert not any(name.startswith("on") or name == "style" for _, attributes in elements for name in attributes)


def test_characters_that_deceive_the_eye_are_spelt_out() -> None:
    assert escaped("a\u202eb\x00\ud800\u200b") == "a\\u202eb\\u0000\\ud800\\u200b"
    assert escaped("größe\t日本") == "größe\t日本"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("x = 1  # <one>", ["x = <u>1</u>  <em># &lt;one&gt;</em>"]),
        ('"""a\n<b"""', ["<i>&quot;&quot;&quot;a</i>", "<i>&lt;b&quot;&quot;&quot;</i>"]),
        ("if print: a.print", ["<b>if</b> <s>print</s>: a.print"]),
        ("é = 'ü'; not", ["é = <i>&#x27;ü&#x27;</i>; <b>not</b>"]),
        ("(", ["("]),
        ("", [""]),
    ],
)
def test_words_are_marked_by_their_kind(code: str, lines: list[str]) -> None:
    assert highlighted(code) == lines


# --- in a browser ---


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Path, list[str]], list[object]]]:
    """Return a function that opens a page in a browser and gives what expressions in it come to."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    profile = tmp_path_factory.mktemp("profile")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --remote-debugging-port=0"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={profile}", "--window-size=1400,900", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr
        address = next(line for line in process.stderr if "DevTools listening" in line).split()[-1]
        host = address.partition("//")[2].partition("/")[0]
        with urllib.request.urlopen(f"http://{host}/json") as answer:
            socket = next(each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page")

        def evaluated(text: str, folder: Path, expressions: list[str]) -> list[object]:
            (folder / "page.html").write_text(text, encoding="utf-8")
            return asyncio.run(_evaluated(socket, (folder / "page.html").as_uri(), expressions))

        yield evaluated
        process.terminate()


async def _evaluated(socket: str, address: str, expressions: list[str]) -> list[object]:
    from tornado.websocket import websocket_connect

    connection = await websocket_connect(socket)
    events: list[str] = []

    async def receive() -> dict:
        message = json.loads(await connection.read_message())
        events.append(message.get("method", ""))
        return message

    async def call(method: str, **parameters: object) -> dict:
        await connection.write_message(json.dumps({"id": 1, "method": method, "params": parameters}))
        while "id" not in (answer := await receive()):
            pass
        return answer["result"]

    await call("Page.enable")
    await call("Page.navigate", url=address)
    while "Page.loadEventFired" not in events:
        await receive()
    results = [await call("Runtime.evaluate", expression=each, returnByValue=True) for each in expressions]
    connection.close()
    while await connection.read_message() is not None:
        pass
    return [each["result"].get("value") for each in results]


def test_a_statement_that_is_clicked_is_marked_on_both_sides(browser, example, tmp_path: Path) -> None:
    training, scoring, plan = example
    text = page.render(training, plan, modules(plan), proof=None, tests=None, scoring=scoring)
    marked = "[...document.querySelectorAll('.chosen code')].map((each) => each.textContent.trim()).join('|')"
    press = "document.getElementById('notebook').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown'}))"
    shown = "[...document.querySelectorAll('#notebook .line')].filter((each) => each.offsetParent).length"
    found = browser(
        text,
        tmp_path,
        [
            "document.querySelectorAll('#c6 .line code')[1].click()",
            marked,
            press,
            marked,
            "document.querySelector('button[data-show=removed]').click()",
            f"{shown} === document.querySelectorAll('#notebook .line.removed').length",
            "document.documentElement.scrollWidth <= innerWidth",
        ],
    )
    assert found[1] == "reg_model = Ridge(alpha=alpha)|reg_model = Ridge(alpha=alpha)"
    fit = 'reg_model.fit(data["train"]["X"], data["train"]["y"])'
    assert found[3] == f"{fit}|{fit}"
    assert found[5:] == [True, True]


def test_nothing_of_a_notebook_runs_in_a_browser(browser, write, tmp_path: Path) -> None:
    hurt = "typeof window.hurt"
    fail = "document.body.lastElementChild.dispatchEvent(new Event('error'))"
    insert = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hurt = 1\">')"
    assert browser(hostile_page(write), tmp_path, [hurt, insert, fail, hurt])[::3] == ["undefined", "undefined"]
