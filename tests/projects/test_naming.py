"""Import names for projects."""

import sys
from pathlib import Path

import pytest

from modelwright.projects.naming import package_name, project_name


@pytest.mark.parametrize(
    ("project", "package"),
    [
        ("diabetes", "diabetes"),
        ("my-model", "my_model"),
        ("My.Model_2", "my_model_2"),
        ("2024-sales", "project_2024_sales"),
        ("code", "code_model"),
        ("test", "test_model"),
        ("sklearn", "sklearn_model"),
        ("pytest", "pytest_model"),
        ("class", "class_model"),
        ("tests", "tests_model"),
    ],
)
def test_a_package_is_called_like_its_project_unless_something_else_is(project: str, package: str) -> None:
    assert package_name(project, python=Path(sys.executable)) == package


def test_names_that_are_taken_are_avoided() -> None:
    python = Path(sys.executable)
    assert package_name("wine", python=python, taken={"wine"}) == "wine_model"
    assert package_name("wine", python=python, taken={"wine", "wine_model"}) == "wine_model_project"


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("diabetes", "diabetes"),
        ("21-Churn (new) data", "21-Churn-new-data"),
        ("Café", "Cafe"),
        ("..", "project"),
        ("模型", "project"),
    ],
)
def test_a_project_is_called_like_the_folder_as_far_as_a_name_may_be(folder: str, project: str) -> None:
    assert project_name(folder) == project
