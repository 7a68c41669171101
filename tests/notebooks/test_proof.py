"""Proofs: both sides run for real and are compared."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.errors import ProjectRaised
from modelwright.notebooks import layouts, proof
from modelwright.notebooks.describing import difference
from modelwright.records import Comparison
from modelwright.settings import child_environment
from tests.notebooks.conftest import Ask

FLAT = Path(__file__).parents[1] / "formats" / "flat_project"


def prove(converted, project: Path, work: Path):
    project_run = proof.run(
        converted.plan,
        converted.training_run,
        project=project,
        layout=converted.layout,
        python=Path(sys.executable),
        environment=child_environment(),
        work_folder=work,
    )
    return proof.prove(
        converted.plan,
        converted.training_run,
        converted.scoring_run,
        project_run=project_run,
        project_digest="0" * 64,
    )


def changed(converted, tmp_path: Path, file: str, old: str, new: str) -> Path:
    project = tmp_path / "changed"
    shutil.copytree(converted.project, project)
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new))
    return project


def test_example_is_proven_equal(diabetes, tmp_path: Path) -> None:
    proven = prove(diabetes, diabetes.project, tmp_path)
    assert proven.is_equal
    assert [(each.name, each.kind, each.difference) for each in proven.comparisons] == [
        ("mse", "metric", 0.0),
        ("load_data.df", "value", 0.0),
        ("split_data.data", "value", 0.0),
        ("train_model.reg_model", "value", 0.0),
        ("predictions", "predictions", 0.0),
        ("scores", "scores", 0.0),
    ]
    assert proven.comparisons[0].notebook == pytest.approx(3298.8855893640, rel=1e-12)
    assert len(proven.comparisons[4].notebook) == 89
    assert proven.notebook_digest == diabetes.plan.digest


def test_a_flat_project_of_version_0_1_is_proven_as_ever(diabetes, tmp_path: Path) -> None:
    project = tmp_path / "flat"
    project.mkdir()
    for path in FLAT.glob("*.txt"):
        shutil.copy(path, project / path.stem)
    assert prove(replace(diabetes, layout=layouts.layout("")), project, tmp_path / "work").is_equal


@pytest.mark.parametrize(
    ("file", "old", "new", "different"),
    [
        (
            "src/small/train.py",
            "default=0.5",
            "default=0.50001",
            {"mse", "train_model.reg_model", "predictions", "scores"},
        ),
        ("src/small/train.py", "(preds, data", "(preds * 1.0001, data", {"mse"}),
        ("src/small/train.py", "print(f", "str(f", {"mse"}),
        ("src/small/score.py", "np.array(data)", "np.array(data) + 1", {"scores"}),
    ],
)
def test_difference_is_found_and_named(diabetes, tmp_path: Path, file, old, new, different) -> None:
    project = changed(diabetes, tmp_path, file, old, new)
    proven = prove(diabetes, project, tmp_path / "work")
    assert not proven.is_equal
    assert {each.name for each in proven.comparisons if not each.is_equal} == different


def test_project_that_raises_shows_its_traceback(diabetes, tmp_path: Path) -> None:
    project = changed(diabetes, tmp_path, "src/small/train.py", "Ridge(alpha", "Rigde(alpha")
    with pytest.raises(ProjectRaised, match="NameError: name 'Rigde' is not defined"):
        prove(diabetes, project, tmp_path / "work")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wine", "no_split", "seeded", "breast", "frames", "columns"])
def test_small_notebooks_are_proven_equal_and_their_tests_pass(
    convert_text, corpus, ask: Ask, tmp_path: Path, name: str
) -> None:
    houses = (Path(__file__).with_name("corpus") / "houses.csv").read_text()
    files = {"data/houses.csv": houses, "models/.keep": "", "out/.keep": ""}
    converted = convert_text(corpus(name), files)
    proven = prove(converted, converted.project, tmp_path / "proof")
    assert proven.is_equal, [each for each in proven.comparisons if not each.is_equal]
    assert {each.kind for each in proven.comparisons} == {"metric", "value", "predictions", "scores"}
    tests = ["-q", "-p", "no:cacheprovider", str(converted.project / "tests")]
    assert ask(tests=tests, folder=tmp_path, output=tmp_path / "said") == 0, (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (1.0, 1.0, 0.0),
        (1.0, 1.0 + 1e-6, pytest.approx(1e-6, rel=1e-3)),
        (1, 1.0, 0.0),
        (1e-17, -3e-16, 0.0),
        ([1, [2.0, "a"]], [1, [2.0, "a"]], 0.0),
        ([1, 2], [1], float("inf")),
        ({"a": 1}, {"b": 1}, float("inf")),
        ("1", 1, float("inf")),
        (True, 1, float("inf")),
        (float("nan"), float("nan"), 0.0),
        (float("nan"), 1.0, float("inf")),
        (float("inf"), 1.0, float("inf")),
    ],
)
def test_difference_is_relative_and_strict_about_shape(one, other, apart) -> None:
    assert difference(one, other) == apart
    assert difference(other, one) == apart


def test_what_differs_is_told_by_the_part_that_does() -> None:
    one = {"all": {"type": "Ridge", "parameters": {"alpha": 0.5}, "learnt": {"coef_": [1.0, 2.0]}}}
    other = {"all": {"type": "Ridge", "parameters": {"alpha": 0.5}, "learnt": {"coef_": [1.0, 3.0]}}}
    model = Comparison("train_model.model", "value", one, other, is_equal=False, difference=0.3, place="cell 4")
    told = "train_model.model (cell 4) at all.learnt.coef_[1] is 3.0 where the notebook has 2.0"
    assert proof.in_one_line(model) == told
    lost = Comparison("mse", "metric", 2.0, None, is_equal=False, difference=1.0)
    assert proof.in_one_line(lost) == "mse is nothing where the notebook has 2.0"
