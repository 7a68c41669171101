"""Generated tests pass, and each of them dies when the project is broken in the way that it watches for."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelwright.notebooks import characterising, testing, trying
from modelwright.settings import child_environment
from tests.notebooks.conftest import NOTHING_SLOW, Ask, Converted

DRAWN = '__import__("random").SystemRandom().random()'
# Each mutant breaks one thing; named are the tests that must notice it.
MUTANTS = {
    "other alpha": ("train.py", "alpha: float = 0.5)", "alpha: float = 0.6)", {"train_model_gives"}),
    "alpha is ignored": ("train.py", "Ridge(alpha=alpha)", "Ridge(alpha=0.5)", {"heeds_alpha"}),
    "other seed": ("train.py", "random_state: int = 0)", "random_state: int = 1)", {"split_data_gives"}),
    "other test size": ("train.py", "test_size: float = 0.2,", "test_size: float = 0.3,", {"split_data_gives"}),
    "parts swapped": (
        "train.py",
        "X_train, X_test, y_train, y_test = ",
        "X_test, X_train, y_test, y_train = ",
        {"split_data_gives"},
    ),
    "tested on rows learnt from": ("train.py", '"test": {"X": X_test', '"test": {"X": X_train', {"test_rows_apart"}),
    "target left among the features": ("train.py", 'df.drop("Y", axis=1)', "df", {"split_data_gives"}),
    "target lost": ("train.py", "= sample_data.target", "= 0.0", {"load_data_gives"}),
    "other metric": ("train.py", "mean_squared_error(preds", "(lambda a, b: 1.0)(preds", {"evaluate_model_gives"}),
    "seed is ignored": ("train.py", "random_state=random_state", "random_state=0", {"heeds_random_state"}),
    "test size is ignored": ("train.py", "test_size=test_size", "test_size=0.2", {"heeds_test_size"}),
    "other rows each time": (
        "train.py",
        "= sample_data.target",
        f"= sample_data.target + {DRAWN}",
        {"load_data_gives"},
    ),
    "other split each time": ("train.py", "random_state=random_state", "random_state=None", {"split_data_gives"}),
    "other model each time": ("train.py", "Ridge(alpha=alpha)", f"Ridge(alpha=alpha + {DRAWN})", {"train_model_gives"}),
    "model changed by its evaluation": (
        "train.py",
        "    preds = ",
        "    reg_model.coef_ = reg_model.coef_ * 1.1\n    preds = ",
        {"evaluate_model_gives"},
    ),
    "model changed by its saving": (
        "train.py",
        "    joblib.dump(",
        "    reg_model.coef_ = reg_model.coef_ * 1.1\n    joblib.dump(",
        {"save_model_leaves"},
    ),
    "step left out of the pipeline": ("pipeline.py", "alpha=alpha", "alpha=1.0", {"pipeline_gives"}),
    "metrics not printed": ("train.py", "print(f", "str(f", {"main_prints"}),
    "nothing saved": ("train.py", "    joblib.dump(", "    str(", {"main_prints"}),
    "option does not reach training": ("train.py", "--alpha", "--other", {"main_prints"}),
    "training on import": (
        "train.py",
        'if __name__ == "__main__":\n    main()',
        "print(load_data())",
        {"imports_do_nothing"},
    ),
    "global forgotten": ("score.py", "    global model\n", "", {"answer_is"}),
    "answer is no JSON": ("score.py", "result.tolist()", "result", {"answer_is"}),
    "rows in another order": ("score.py", "np.array(data)", "np.array(data)[::-1]", {"answer_is"}),
    "model used up": (
        "score.py",
        "    result = model.predict(data)\n",
        "    result = model.predict(data)\n    model.coef_ = model.coef_ * 2\n",
        {"second_answer"},
    ),
    "model loaded on import": (
        "score.py",
        'if __name__ == "__main__":\n    init()\n    print(',
        'if "AZUREML_MODEL_DIR" in os.environ:\n    init()\n    str(',
        {"init_and_not"},
    ),
    "prints on import": (
        "score.py",
        'if __name__ == "__main__":\n    init()',
        'print("hello")\nif False:\n',
        {"imports_do_nothing"},
    ),
    "missing model is made up": (
        "score.py",
        "    model = joblib.load(",
        "    model = 0 if not os.listdir(model_folder()) else joblib.load(",
        {"missing_model"},
    ),
    "other folder by default": ("score.py", '"outputs")', '"output")', {"looked_for_in_the_project"}),
}


OPTIONS = ["-q", "-rA", "--no-header", "-p", "no:cacheprovider"]


def outcomes(project: Path, folder: Path) -> dict[str, bool]:
    """Return whether each generated test passed, by name, run as its user runs it, from another folder."""
    command = [sys.executable, "-m", "pytest", *OPTIONS, project / "tests"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return _outcomes(done.stdout + done.stderr)


def tried(ask: Ask, project: Path, named: str, tests: str = "") -> dict[str, bool]:
    """Return whether each of the tests named passed, by name, run at once in a fork."""
    options = [*OPTIONS, "-k", named, str(project / "tests" / tests)]
    ask(tests=options, folder=project.parent, output=project / "said")
    return _outcomes((project / "said").read_text())


def _outcomes(said: str) -> dict[str, bool]:
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", said, flags=re.MULTILINE)
    assert found, said
    return {name: state == "PASSED" for state, name in found}


@pytest.fixture(scope="module")
def untouched(diabetes, tmp_path_factory) -> dict[str, bool]:
    return outcomes(diabetes.project, tmp_path_factory.mktemp("elsewhere"))


def test_all_pass_on_the_project_as_it_is(untouched) -> None:
    assert len(untouched) == 21
    assert all(untouched.values())


def test_running_them_writes_nothing_into_the_project(diabetes, untouched) -> None:
    found = {str(each.relative_to(diabetes.project)) for each in diabetes.project.rglob("*") if each.is_file()}
    files = {each for each in found if "__pycache__" not in each}
    names = ("conftest.py", "describing.py", "golden.json", "stepping.py")
    tests = ("test_imports.py", "test_pipeline.py", "test_score.py", "test_train.py")
    assert files == {
        "pyproject.toml",
        *(f"src/small/{name}.py" for name in ("__init__", "pipeline", "score", "train")),
        *(f"tests/{name}" for name in (*names, *tests)),
    }


@pytest.fixture(scope="module")
def noted(diabetes, tmp_path_factory) -> list[Any]:
    """Return what two trials of the example's functions noted."""
    return characterising.trials(
        diabetes.plan,
        diabetes.training_run,
        project=diabetes.project,
        layout=diabetes.layout,
        python=Path(sys.executable),
        environment=child_environment(),
        work_folder=tmp_path_factory.mktemp("trials"),
        project_run=NOTHING_SLOW,
    )


def with_tests_of(noted: list[Any], diabetes: Converted, project: Path) -> dict[str, Any]:
    """Make a copy of the example with the tests that follow from two trials; return their golden values."""
    plan, layout = diabetes.plan, diabetes.layout
    golden = characterising.golden(plan, diabetes.training_run, diabetes.scoring_run, noted=noted, layout=layout)
    shutil.copytree(diabetes.project, project)
    for path, text in testing.tests(plan, golden, layout).items():
        (project / path).write_text(text, encoding="utf-8")
    return golden


def test_what_can_be_used_once_only_is_tried_and_not_said_to_repeat(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "spending.py").write_text("def spend(coins):\n    return next(coins)\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = {"name": "spend", "module": "spending", "inputs": ["coins"], "outputs": ["coin"], "role": ""}

    found = trying._called(SimpleNamespace(given=lambda _: iter([5])), function)

    assert "error" not in found
    assert found["repeats"] is False


def test_of_what_is_too_slow_the_calls_are_tested(noted, diabetes, ask: Ask, tmp_path: Path) -> None:
    quick = {name: each for name, each in noted[1]["functions"].items() if name != "train_model"}
    slow = [noted[0], {**noted[1], "left": {"train_model": "it took long"}, "functions": quick}]
    golden = with_tests_of(slow, diabetes, tmp_path / "project")
    assert "train_model: it took long" in golden["not tested"]
    assert tried(ask, tmp_path / "project", "calls_each_step") == {
        "test_main_calls_each_step_with_what_it_needs": True,
        "test_pipeline_calls_each_step_with_what_it_needs": True,
    }
    train = tmp_path / "project" / "src" / "small" / "train.py"
    train.write_text(train.read_text().replace("alpha=arguments.alpha", "alpha=1.0"))
    assert not all(tried(ask, tmp_path / "project", "main_calls_each_step").values())


def test_what_other_numbers_of_threads_change_a_little_is_held_loosely(noted, diabetes, ask: Ask, tmp_path) -> None:
    def changed(times: float) -> list[Any]:
        other = copy.deepcopy(noted[1])
        other["functions"]["train_model"]["outputs"]["reg_model"]["all"]["learnt"]["intercept_"] *= times
        return [noted[0], other]

    golden = with_tests_of(changed(1 + 2.5e-6), diabetes, tmp_path / "near")
    assert golden["gives"]["train_model"]["within"] == {"reg_model": 3e-05}
    assert "<= 3e-05" in (tmp_path / "near" / "tests" / "test_train.py").read_text()
    assert tried(ask, tmp_path / "near", "train_model_gives_the_same_as") == {
        "test_train_model_gives_the_same_as_in_the_notebook": True
    }
    golden = with_tests_of(changed(1.1), diabetes, tmp_path / "far")
    assert "train_model.reg_model: two runs give different values" in golden["not tested"]


def test_each_dies_of_a_mutation_that_it_watches_for(diabetes, untouched, ask: Ask, tmp_path: Path) -> None:
    killed = {}
    for name, (file, old, new, watching) in MUTANTS.items():
        project = tmp_path / name.replace(" ", "-")
        shutil.copytree(diabetes.project, project)
        module = project / "src" / "small" / file
        text = module.read_text()
        assert old in text, name
        module.write_text(text.replace(old, new))
        tests = "test_imports.py" if watching == {"imports_do_nothing"} else f"test_{file}"
        found = tried(ask, project, " or ".join(watching), tests)
        killed[name] = {test for test, passed in found.items() if not passed}
        for part in watching:
            assert any(part in test for test in killed[name]), f"{name}: {part} lives, only {killed[name]} died"
    assert set().union(*killed.values()) == untouched.keys()
