"""Generated tests pass, and each of them dies when the project is broken in the way that it watches for."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelwright.notebooks import characterising, testing
from modelwright.settings import child_environment
from tests.notebooks.conftest import NOTHING_SLOW

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


def outcomes(project: Path, folder: Path, *, tests: str = "tests", named: str = "") -> dict[str, bool]:
    """Return whether each generated test passed, by name, run as its user runs it, from another folder.

    `named` narrows them to those that a pytest expression names.
    """
    folder.mkdir(exist_ok=True)
    options = ["-q", "-rA", "--no-header", "-p", "no:cacheprovider", "-k", named]
    command = [sys.executable, "-m", "pytest", *options, project / tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", done.stdout, flags=re.MULTILINE)
    assert found, done.stdout + done.stderr
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


@pytest.mark.slow
def test_of_what_is_too_slow_the_calls_are_tested(diabetes, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(diabetes.project, project)
    plan, layout = diabetes.plan, diabetes.layout
    noted = characterising.trials(
        plan,
        diabetes.training_run,
        project=project,
        layout=layout,
        python=Path(sys.executable),
        environment=child_environment(),
        work_folder=tmp_path / "trials",
        project_run=NOTHING_SLOW,
    )
    quick = {name: each for name, each in noted[1]["functions"].items() if name != "train_model"}
    noted[1] = {**noted[1], "left": {"train_model": "it took long"}, "functions": quick}
    golden = characterising.golden(plan, diabetes.training_run, diabetes.scoring_run, noted=noted, layout=layout)
    assert "train_model: it took long" in golden["not tested"]
    for path, text in testing.tests(plan, golden, layout).items():
        (project / path).write_text(text, encoding="utf-8")
    assert outcomes(project, tmp_path / "elsewhere", named="calls_each_step") == {
        "test_main_calls_each_step_with_what_it_needs": True,
        "test_pipeline_calls_each_step_with_what_it_needs": True,
    }
    train = project / "src" / "small" / "train.py"
    train.write_text(train.read_text().replace("alpha=arguments.alpha", "alpha=1.0"))
    assert not all(outcomes(project, tmp_path / "elsewhere", named="main_calls_each_step").values())


@pytest.mark.slow
def test_each_dies_of_a_mutation_that_it_watches_for(diabetes, untouched, tmp_path: Path) -> None:
    def killed_by(name: str) -> set[str]:
        file, old, new, watching = MUTANTS[name]
        project = tmp_path / name.replace(" ", "-")
        shutil.copytree(diabetes.project, project)
        module = project / "src" / "small" / file
        text = module.read_text()
        assert old in text, name
        module.write_text(text.replace(old, new))
        tests = "tests/test_imports.py" if watching == {"imports_do_nothing"} else f"tests/test_{file}"
        found = outcomes(project, tmp_path / "elsewhere", tests=tests, named=" or ".join(watching))
        return {test for test, passed in found.items() if not passed}

    with ThreadPoolExecutor(2) as pool:
        killed = dict(zip(MUTANTS, pool.map(killed_by, MUTANTS), strict=True))
    for name, (*_, watching) in MUTANTS.items():
        for part in watching:
            assert any(part in test for test in killed[name]), f"{name}: {part} lives, only {killed[name]} died"
    assert set().union(*killed.values()) == untouched.keys()
