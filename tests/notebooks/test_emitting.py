"""Where a plan's code stands in a project, and that the tools which the project configures are content with it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwright.notebooks import arranging, emitting, importing, layouts, planning, testing, wrapping
from modelwright.notebooks.layouts import Style
from modelwright.projects import scaffold
from modelwright.records import Lock

DEFINITIONS = """
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
pd.set_option("mode.copy_on_write", True)
# ---
LIMIT = 3

def halved(values):
    return values / 2

def twice_halved(values):
    # a comment of the user's
    return halved(halved(values))

def distance(one, other):
    return float(np.sqrt(mean_squared_error(one, other))) + LIMIT

class Steady(Ridge):
    pass
# ---
frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 4.0, 6.0, 8.5]})
X = twice_halved(frame[["a"]])
y = halved(frame["b"])
# ---
model = Steady(alpha=0.5)
model.fit(X, y)
# ---
rmse = distance(y, model.predict(X))
print("rmse", rmse)
"""
# NAME stands for the name that everything has, short or long.
NAMED = """
import joblib
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_squared_error
# ---
NAME = pd.read_csv("NAME.csv")
# ---
train_NAME = NAME.sample(frac=0.75, random_state=0)
test_NAME = NAME.drop(train_NAME.index)
X_NAME = train_NAME.drop(columns="y")
y_NAME = train_NAME["y"]
X_test = test_NAME.drop(columns="y")
y_test = test_NAME["y"]
# ---
model_NAME = Ridge(alpha=0.5)
model_NAME.fit(X_NAME, y_NAME)
# ---
answers_NAME = model_NAME.predict(X_test)
mse = mean_squared_error(y_test, answers_NAME)
print("mse", mse)
# ---
second_NAME = Ridge(alpha=2.0)
second_NAME.fit(X_NAME, y_NAME)
answers = second_NAME.predict(X_test)
mae_NAME = mean_absolute_error(y_test, answers)
print("mae", mae_NAME)
# ---
joblib.dump(model_NAME, "NAME.joblib")
"""
ROLES = ("load", "split", "prepare", "train", "evaluate", "save")


@pytest.fixture
def is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a notebook holds counts as much."""
    monkeypatch.setattr(arranging, "_SMALL_LINES", 0)


def written(plan, layout, folder: Path) -> Path:
    lock = Lock(text="", python_version="3.11.1", platform="here", digest="0" * 64)
    files = emitting.modules(plan, layout)
    files |= scaffold.files(plan, layout, name="small", requirements=[], lock=lock, copied=testing.copied(plan))
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def tool(project: Path, *command: str) -> None:
    found = Path(sys.executable).with_name(command[0])
    done = subprocess.run([found, *command[1:]], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def content(project: Path, type_cache: Path) -> None:
    """Assert that ruff and mypy, as the project configures them, find nothing."""
    tool(project, "ruff", "check", "--no-cache", ".")
    tool(project, "mypy", "--cache-dir", str(type_cache))


def test_ruff_and_mypy_find_nothing_in_the_example(diabetes, tmp_path: Path, type_cache: Path) -> None:
    project = written(diabetes.plan, diabetes.layout, tmp_path)
    for path in (diabetes.project / "tests").glob("*.py"):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / path.name).write_text(path.read_text())
    content(project, type_cache)
    tool(project, "ruff", "format", "--no-cache", "--check", ".")


def golden_of(plan) -> dict[str, Any]:
    """Return golden values that make a test of everything that there are tests of."""
    held = [
        {
            "outputs": each.outputs,
            "printed": [],
            "overlaps": {"X": 0},
            "repeats": True,
            "changes": [],
            "within": dict.fromkeys(each.outputs[:1], 3e-07),
        }
        for each in plan.functions
    ]
    heeded = {f"{each.name}.{name}": each.outputs for each in plan.functions for name in each.parameters}
    return {
        "most rows": None,
        "steps": [],
        "gives": {each.name: one for each, one in zip(plan.functions, held, strict=True)},
        "with": {
            key: {"value": 0.5, "outputs": outputs, "printed": [], "within": {}} for key, outputs in heeded.items()
        }
        | {key: {"value": "missing.csv", "raises": "FileNotFoundError"} for key in list(heeded)[:1]},
        "metrics": {"mse": 0.0},
        "main": [],
        "files": {plan.model_file: {}},
        "pipeline": {"result": [], "printed": [], "files": {plan.model_file: {}}},
        "report": None,
        "within": {"files": 3e-07, "pipeline.result": 3e-07},
        "calls": [{}],
        "rows": {"columns": ["a"], "rows": [[1.0]]},
        "predictions": [1.0],
        "certainty": [1.0],
        "answer": [1.0],
        "score": {"early": "NameError", "missing": "FileNotFoundError", "repeats": True},
    }


@pytest.mark.parametrize(("loader", "style"), [("joblib", Style.MODULES), ("pickle", Style.MLOPSPYTHON)])
@pytest.mark.parametrize("length", [4, *range(10, 40, 5), 39, 40])
def test_our_own_lines_are_laid_out_as_ruff_does_however_long_names_are(
    make, is_large, tmp_path: Path, length: int, loader: str, style: Style
) -> None:
    name = ("name_of_" * 6)[: length - 1] + "x"
    text = NAMED.replace("NAME", name)
    if loader == "pickle":
        text = text.replace("import joblib", "import pickle").replace("joblib.dump(", "pickle.dump(")
        text = text.replace(f'"{name}.joblib")', f'open("{name}.pickle", "wb"))')
    (tmp_path / f"{name}.csv").write_text("a,y\n1,2\n")
    plan = planning.plan(make(text))
    layout = layouts.layout(f"{name}_{name}_project", style)
    project = written(plan, layout, tmp_path / "project")
    for path, content_ in testing.tests(plan, golden_of(plan), layout).items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(content_, encoding="utf-8")

    tool(project, "ruff", "format", "--no-cache", "--diff", ".")
    tool(project, "ruff", "check", "--no-cache", ".")


@pytest.mark.parametrize("style", Style)
def test_ruff_and_mypy_find_nothing_in_much_code_of_any_layout(
    make, is_large, tmp_path: Path, type_cache: Path, style: Style
) -> None:
    project = written(planning.plan(make(DEFINITIONS)), layouts.layout("small", style), tmp_path / "project")
    content(project, type_cache)


def test_little_code_that_trains_is_in_one_module(diabetes) -> None:
    assert set(emitting.modules(diabetes.plan, diabetes.layout)) == {
        f"src/small/{name}.py" for name in ("__init__", "pipeline", "score", "train")
    }


def test_much_code_is_cut_by_role(make, is_large) -> None:
    plan = planning.plan(make(DEFINITIONS))
    one, *_ = plan.functions
    functions = tuple(replace(one, name=f"{role}_it", code=f"def {role}_it():\n    pass", role=role) for role in ROLES)
    modules = emitting.modules(replace(plan, functions=functions), layouts.layout("small"))
    homes = {role: path for role in ROLES for path, text in modules.items() if f"def {role}_it" in text}
    assert homes == {
        "load": "src/small/data.py",
        "split": "src/small/data.py",
        "prepare": "src/small/features.py",
        "train": "src/small/train.py",
        "evaluate": "src/small/evaluation.py",
        "save": "src/small/train.py",
    }


def test_what_saved_models_refer_to_is_no_part_of_a_module_that_is_run(make) -> None:
    modules = emitting.modules(planning.plan(make(DEFINITIONS)), layouts.layout("small"))
    assert "class Steady(Ridge):" in modules["src/small/components.py"]
    assert "from small.components import Steady" in modules["src/small/train.py"]
    assert "def distance" in modules["src/small/train.py"], "what is only called may stay beside its caller"
    assert 'pd.set_option("mode.copy_on_write", True)' in modules["src/small/train.py"]


def test_definitions_stand_beside_their_only_user_with_what_they_need(make, is_large) -> None:
    modules = emitting.modules(planning.plan(make(DEFINITIONS)), layouts.layout("small"))
    evaluation = modules["src/small/evaluation.py"]
    assert "def distance" in evaluation
    assert "LIMIT = 3" in evaluation
    assert "import numpy as np\nfrom sklearn.metrics import mean_squared_error\n" in evaluation
    data = modules["src/small/data.py"]
    assert data.index("def halved") < data.index("    # a comment of the user's") < data.index("def load_data")
    assert 'pd.set_option("mode.copy_on_write", True)' in modules["src/small/__init__.py"]
    assert sum("def halved" in each for each in modules.values()) == 1


def test_the_users_own_modules_are_imported_beside_the_projects(make, tmp_path: Path) -> None:
    (tmp_path / "aside.py").write_text("def doubled(values):\n    return values * 2\n")
    text = DEFINITIONS.replace("import numpy as np\n", "import aside\nimport numpy as np\n")
    plan = planning.plan(make(text.replace("X = twice_halved(", "X = aside.doubled(")))
    layout = layouts.layout("small")
    project = written(plan, layout, tmp_path / "project")
    (project / "src" / "aside.py").write_text((tmp_path / "aside.py").read_text())
    assert "\n\nimport aside\n" in (project / "src/small/train.py").read_text()
    tool(project, "ruff", "check", "--no-cache", ".")


def test_arguments_that_nothing_takes_have_no_name(make) -> None:
    plan = planning.plan(make(DEFINITIONS))
    loading = [each for each in plan.functions if not each.parameters and "output_folder" not in each.inputs]
    bare = replace(plan, functions=tuple(loading[:1]), parameters=())
    texts = [emitting.modules(each, layouts.layout("small"))["src/small/train.py"] for each in (plan, bare)]
    assert ["arguments = parser.parse_args()" in each for each in texts] == [True, False]
    assert all("parser.parse_args()\n" in each for each in texts)


def test_folders_of_the_template_hold_what_there_is(diabetes) -> None:
    modules = emitting.modules(diabetes.plan, layouts.layout("small", Style.MLOPSPYTHON))
    paths = {"__init__", "pipeline", "training/__init__", "training/train", "evaluate/__init__"}
    paths |= {"evaluate/evaluate_model", "scoring/__init__", "scoring/score"}
    assert set(modules) == {f"src/small/{path}.py" for path in paths}
    assert "PROJECT = Path(__file__).resolve().parents[3]" in modules["src/small/scoring/score.py"]


@pytest.mark.parametrize(
    ("given", "used", "expected"),
    [
        (["import os", "import sys"], {"sys"}, "import sys"),
        (["import numpy as np", "import os"], {"np", "os"}, "import os\n\nimport numpy as np"),
        (
            ["from sklearn.svm import LinearSVC, SVC, l1_min_c", "import small"],
            {"SVC", "LinearSVC", "l1_min_c", "small"},
            "from sklearn.svm import SVC, LinearSVC, l1_min_c\n\nimport small",
        ),
        (["from a import b as c, d", "from a import e"], {"c", "d", "e"}, "from a import b as c\nfrom a import d, e"),
        (["try:\n    import a\nexcept ImportError:\n    a = None"], {"a"}, None),
        (["import a.b", "import a.c"], {"a"}, "import a.b\nimport a.c"),
    ],
)
def test_imports_are_those_that_are_used_and_sorted(given, used, expected) -> None:
    found = "\n".join(importing.select(given, used, {"small"}))
    assert found == (given[0] if expected is None else expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("    short = f(1)", None),
        (
            f"    found = {'f' * 60}(one, other, third=3, fourth=True, fifth=5)",
            f"    found = {'f' * 60}(\n        one, other, third=3, fourth=True, fifth=5\n    )",
        ),
        (
            f"    found = f({'a' * 50}, {'b' * 50}).values",
            f"    found = f(\n        {'a' * 50},\n        {'b' * 50},\n    ).values",
        ),
        (
            f"    return {'f' * 60}(one, other, third=3, fourth=4)",
            f"    return {'f' * 60}(\n        one, other, third=3, fourth=4\n    )",
        ),
        (f"    found = f({'a' * 50}, {'b' * 50})  # a comment stays where it is", None),
        (f'    found = """\n    f({"a" * 50}, {"b" * 50})"""', None),
        (f"    found = {'a' * 50} + {'b' * 50}", None),
    ],
)
def test_lines_that_are_too_long_are_cut_where_that_changes_nothing(line, expected) -> None:
    code = f"def g():\n{line}"
    assert wrapping.wrapped(code) == (code if expected is None else f"def g():\n{expected}")
