"""The report of a project: what draws a model's figures, run for real, and what is left of it when a plot fails."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.notebooks import deciding, emitting, layouts, planning, reporting, reviewing, testing
from modelwright.notebooks.deciding import Fate
from modelwright.notebooks.layouts import Style
from modelwright.projects import scaffold
from modelwright.records import Comparison, Lock, Notebook, Plan, Proof
from modelwright.settings import child_environment
from tests.notebooks.conftest import Ask

LAYOUT = layouts.layout("small")
LOCK = Lock(text="", python_version="3.11.1", platform="here", digest="0" * 64)
CODE = """
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
plt.style.use("ggplot")
# ---
X, y = load_diabetes(return_X_y=True)
plt.hist(y)
plt.show()
# ---
def finish(title):
    plt.title(title)
    plt.show()
# ---
model = Ridge(alpha=0.5)
model.fit(X, y)
expected = model.predict(X)
print("mse", mean_squared_error(y, expected))
# ---
order = np.argsort(model.coef_)
bars = plt.bar(range(len(order)), model.coef_[order])
finish("Coefficients")
# ---
plt.scatter(expected, y - expected)
plt.title("Residuals")
plt.show()
"""


@pytest.fixture
def notebook(make) -> Notebook:
    return make(CODE)


@pytest.fixture
def plan(notebook: Notebook) -> Plan:
    return planning.plan(notebook)


def written(plan: Plan, folder: Path, layout: layouts.Layout = LAYOUT) -> Path:
    files = emitting.modules(plan, layout)
    files |= scaffold.files(plan, layout, name="small", requirements=[], lock=LOCK, copied=testing.copied(plan))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def review(plan: Plan, folder: Path) -> reviewing.Review:
    return reviewing.review(
        plan,
        written(plan, folder / "project"),
        LAYOUT,
        python=Path(sys.executable),
        environment=child_environment(),
        work_folder=folder / "run",
    )


def with_code(plan: Plan, number: int, old: str, new: str) -> Plan:
    assert plan.report
    plots = list(plan.report.plots)
    function = plots[number].function
    plots[number] = replace(plots[number], function=replace(function, code=function.code.replace(old, new)))
    return replace(plan, report=replace(plan.report, plots=tuple(plots)))


def names(plan: Plan) -> list[str]:
    return [each.function.name for each in plan.report.plots] if plan.report else []


@pytest.mark.parametrize("style", Style)
def test_ruff_and_mypy_find_nothing_in_a_report(plan: Plan, tmp_path: Path, type_cache: Path, style: Style) -> None:
    layout = layouts.layout("small", style)
    project = written(plan, tmp_path / "project", layout)
    assert (project / layout.file(layout.report)).is_file()
    for command in (["ruff", "check", "--no-cache", "."], ["mypy", "--cache-dir", str(type_cache)]):
        tool = Path(sys.executable).with_name(command[0])
        done = subprocess.run([tool, *command[1:]], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_training_is_the_same_with_a_report_and_without(plan: Plan) -> None:
    files = emitting.modules(plan, LAYOUT)
    report = files.pop(LAYOUT.file(LAYOUT.report))
    assert files == emitting.modules(replace(plan, report=None), LAYOUT)
    assert "plt" not in "".join(files.values())
    assert "from small.train import load_data, train_model\n" in report
    assert "def train_model" not in report


def test_lines_of_the_report_are_decided_for_it(notebook: Notebook, plan: Plan) -> None:
    found = {each.source.partition("\n")[0]: each for each in deciding.decisions(notebook, plan)}
    assert len(found) == len(deciding.decisions(notebook, plan)) - 1, 'only "plt.show()" stands there twice'
    told = {source: (each.fate, each.function) for source, each in found.items()}
    assert told['plt.style.use("ggplot")'] == (Fate.REPORT, "set_style")
    assert told["def finish(title):"] == (Fate.REPORT, "")
    assert told["order = np.argsort(model.coef_)"] == (Fate.REPORT, "plot_coefficients")
    assert told["expected = model.predict(X)"] == (Fate.KEPT, "evaluate_model"), "which the residuals repeat"
    assert told["import matplotlib.pyplot as plt"] == (Fate.REPORT, "")
    assert [each.source for each in plan.removals] == ["plt.hist(y)", "plt.show()"]


def test_the_read_me_tells_of_a_report_that_is_there(plan: Plan) -> None:
    assert "`python -m small.report`" in scaffold.read_me(plan, LAYOUT, name="small", lock=LOCK)
    assert "report" not in scaffold.read_me(replace(plan, report=None), LAYOUT, name="small", lock=LOCK)


def test_a_report_is_run_in_a_process_of_its_own(plan: Plan, tmp_path: Path) -> None:
    assert review(plan, tmp_path) == reviewing.Review(("plot_coefficients", "plot_residuals"), {})
    pictures = sorted(each.name for each in (tmp_path / "run" / "outputs" / "report").iterdir())
    assert pictures == ["01_plot_coefficients.png", "02_plot_residuals.png"]


def test_a_plot_that_fails_is_left_out_and_the_others_are_not(plan: Plan, tmp_path: Path) -> None:
    found = review(with_code(plan, 0, "plt.bar(", "plt.no_bar("), tmp_path)
    assert found.drawn == ("plot_residuals",)
    assert "no_bar" in found.failures["plot_coefficients"]
    smaller = reporting.without(plan, found.failures)
    assert names(smaller) == ["plot_residuals"]
    (finding,) = [each for each in smaller.findings if each.code == "report-left-out"]
    assert (finding.cell, finding.line) == (5, 1)
    assert "no_bar" in finding.message
    gone = {each.source: each.reason for each in smaller.removals}
    assert {"order = np.argsort(model.coef_)", 'finish("Coefficients")', "import numpy as np"} <= gone.keys()
    assert any(each.startswith("def finish") for each in gone)
    assert "def finish" not in emitting.modules(smaller, LAYOUT)[LAYOUT.file(LAYOUT.report)]


def test_a_plot_without_a_picture_is_left_out(plan: Plan, tmp_path: Path) -> None:
    found = review(with_code(plan, 1, "plt.show()", "plt.close()"), tmp_path)
    assert found.failures == {"plot_residuals": "it draws nothing"}


def test_a_report_whose_steps_fail_is_left_out_whole(plan: Plan, tmp_path: Path) -> None:
    functions = tuple(
        replace(each, code=each.code.replace("model.fit(X, y)", 'raise OSError("full")')) for each in plan.functions
    )
    found = review(replace(plan, functions=functions), tmp_path)
    assert found.failures == dict.fromkeys(names(plan), "OSError: full")
    smaller = reporting.without(plan, found.failures)
    assert smaller.report is None
    assert "matplotlib" in plan.modules
    assert "matplotlib" not in smaller.modules
    assert 'plt.style.use("ggplot")' in {each.source for each in smaller.removals}


def test_a_proof_tells_of_the_report_beside_what_it_compares() -> None:
    nothing = Proof((), 1e-9, "", "", "3.11.7")
    found = reviewing.Review(("plot_one",), {"plot_two": "OSError: full"})
    assert reviewing.with_comparison(nothing, found) == nothing, "which alone would prove nothing"
    one = Comparison("mse", "metric", 1.0, 1.0, is_equal=True, difference=0.0)
    proof = reviewing.with_comparison(replace(nothing, comparisons=(one,)), found)
    assert not proof.is_equal
    assert reviewing.failures(proof) == {"plot_two": "OSError: full"}
    good = reviewing.with_comparison(replace(nothing, comparisons=(one,)), reviewing.Review(("plot_one",), {}))
    assert good.is_equal
    assert not reviewing.failures(good)


@pytest.mark.slow
def test_generated_tests_notice_a_figure_that_shows_something_else(convert_text, ask: Ask) -> None:
    project = convert_text(CODE).project
    report = project / "src" / "small" / "report.py"
    original = report.read_text(encoding="utf-8")
    broken = {
        "": "",
        "model.coef_[order]": "model.coef_",
        'title("Residuals")': 'title("Rest")',
        "savefig(path": "savefig(path + 'x'",
        "print(path)": "str(path)",
        'plt.close("all")\n    with': "with",
    }

    def is_green(old: str, new: str) -> bool:
        assert old in original
        report.write_text(original.replace(old, new) if old else original, encoding="utf-8")
        tests = ["-q", "-p", "no:cacheprovider", str(project / "tests" / "test_report.py")]
        code = ask(tests=tests, folder=project, output=project / "said")
        assert code in {0, 1}, (project / "said").read_text()
        return code == 0

    assert [is_green(old, new) for old, new in broken.items()] == [True, *[False] * 5]
