"""A project without a notebook: code that no tool finds fault with, tests that are green and can fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.errors import FolderNotEmpty
from modelwright.notebooks import layouts
from modelwright.notebooks.layouts import Style
from modelwright.projects import skeleton
from modelwright.projects.manifest import Manifest, read_manifest
from modelwright.records import Goal, Lock
from modelwright.settings import child_environment

LOCK = Lock(text="", python_version="3.11.1", platform="here", digest="0" * 64)


def _made(folder: Path, style: Style = Style.MODULES) -> Manifest:
    layout = layouts.layout("small", style)
    return skeleton.lay_out(
        skeleton.plan("small"), name="small", layout=layout, requirements=[], lock=LOCK, into=folder / "small"
    )


def _ran(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def type_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy remembers of the libraries, which takes it longer than the project."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
@pytest.mark.parametrize("style", Style)
def test_no_tool_finds_fault(tmp_path: Path, type_cache: Path, style: Style) -> None:
    project = _made(tmp_path, style).folder
    for command in (
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy", "--cache-dir", str(type_cache)],
        ["pytest", "-q", "-W", "error"],
    ):
        done = _ran(project, *command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_its_tests_fail_when_the_code_is_wrong(tmp_path: Path) -> None:
    project = _made(tmp_path).folder
    faults = {
        "test_size=test_size, random_state=random_state\n": "random_state=random_state\n",
        "Ridge(alpha=alpha)": "Ridge()",
        'mean_squared_error(data["test"]["y"], predictions)': "abs(predictions).mean()",
        "joblib.dump(model,": "joblib.dump(None,",
    }
    train = project / "src" / "small" / "train.py"
    code = train.read_text()
    for right, wrong in faults.items():
        assert right in code
        code = code.replace(right, wrong)
    train.write_text(code)
    told = _ran(project, "pytest", "-q").stdout
    assert set(re.findall(r"^(?:FAILED|ERROR) .*::(\w+)", told, re.MULTILINE)) == {
        "test_answer_has_the_prediction_for_each_row",
        "test_evaluate_model_finds_no_error_in_a_perfect_model",
        "test_evaluate_model_finds_the_error_of_a_model_that_is_ten_off",
        "test_main_prints_the_metrics_and_saves_the_model",
        "test_pipeline_heeds_its_parameters",
        "test_save_model_saves_what_predicts_the_same",
        "test_second_answer_is_the_same",
        "test_split_data_heeds_test_size",
        "test_train_model_heeds_alpha",
    }


def test_the_manifest_names_no_notebook(tmp_path: Path) -> None:
    manifest = _made(tmp_path)
    assert read_manifest(manifest.folder) == manifest
    assert (manifest.training, manifest.gate_metric, manifest.gate_goal) == (None, "mse", Goal.MINIMIZE)


def test_no_file_speaks_of_a_notebook_but_the_readme(tmp_path: Path) -> None:
    project = _made(tmp_path).folder
    files = [path for path in project.rglob("*") if path.is_file() and "notebook" in path.read_text()]
    assert [path.name for path in files] == ["README.md"]


@pytest.mark.parametrize("style", Style)
def test_the_readme_tells_where_each_part_is(tmp_path: Path, style: Style) -> None:
    project = _made(tmp_path, style).folder
    places = dict(re.findall(r"^\| `(\w+)`.* \| `(src/\S+)` \|", (project / "README.md").read_text(), re.MULTILINE))
    assert set(places) == {"load_data", "split_data", "train_model", "evaluate_model", "save_model", "init"}
    assert all(f"def {name}(" in (project / path).read_text() for name, path in places.items())


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "mine.txt").write_text("mine")
    with pytest.raises(FolderNotEmpty, match=r'"mine\.txt"'):
        _made(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["small", "mine.txt"]
