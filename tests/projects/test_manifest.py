"""The project manifest."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.errors import ProjectInvalid, ProjectMissing
from modelwright.notebooks import layouts
from modelwright.notebooks.layouts import Style
from modelwright.projects import manifest as manifests
from modelwright.projects.manifest import Manifest, manifest_text, read_manifest, read_parameters, toml_literal
from modelwright.records import Goal, LockSource


def _manifest(folder: Path) -> Manifest:
    return Manifest(
        folder=folder,
        name="churn",
        training=folder.parent / "notebooks" / 'odd "name".ipynb',
        scoring=None,
        gate_metric="accuracy",
        gate_goal=Goal.MAXIMIZE,
        python_version="3.11.7",
        platform="linux-x86_64",
        lock_source=LockSource.CACHE,
        generated={"train.py": "abc"},
    )


def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "wright.toml").write_text(manifest_text(_manifest(tmp_path)))
    assert read_manifest(tmp_path) == _manifest(tmp_path)


def test_a_manifest_of_no_notebook_reads_back_as_it_was_written(tmp_path: Path) -> None:
    made_new = replace(_manifest(tmp_path), training=None)
    (tmp_path / "wright.toml").write_text(manifest_text(made_new))
    assert "notebooks" not in (tmp_path / "wright.toml").read_text()
    assert read_manifest(tmp_path) == made_new


@pytest.mark.parametrize("style", Style)
def test_the_layout_reads_back_as_it_was_written(tmp_path: Path, style: Style) -> None:
    laid_out = replace(_manifest(tmp_path), layout=layouts.layout("churn", style))
    (tmp_path / "wright.toml").write_text(manifest_text(laid_out))
    assert read_manifest(tmp_path) == laid_out
    assert read_manifest(tmp_path).pipeline == tmp_path / "src" / "churn" / "pipeline.py"


def test_a_manifest_without_a_package_is_that_of_a_flat_project(tmp_path: Path) -> None:
    text = manifest_text(_manifest(tmp_path))
    assert "package" not in text
    (tmp_path / "wright.toml").write_text(text)
    assert read_manifest(tmp_path).pipeline == tmp_path / "pipeline.py"


def test_the_file_names_notebooks_relative_to_the_project(tmp_path: Path) -> None:
    assert str(tmp_path) not in manifest_text(_manifest(tmp_path))


def test_a_folder_without_a_manifest_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectMissing, match=r"no wright\.toml") as missing:
        read_manifest(tmp_path)
    assert "wright convert" in missing.value.next_command


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("format_version = 1", "format_version = 2", "its format is 2, this release reads 1"),
        ('name = "churn"', "", "it has no 'name'"),
        ('goal = "maximize"', 'goal = "better"', "line 16: goal is 'better', and must be one of minimize, maximize"),
        ("[notebooks]", "[notebooks", "line 4"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = manifest_text(_manifest(tmp_path))
    assert old in text
    (tmp_path / "wright.toml").write_text(text.replace(old, new))
    with pytest.raises(ProjectInvalid, match=reason):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "value", ['say "no"', "a\\b", "line\nbreak", "ünïcode ✓", True, False, 3, -0.5, 1e-9, float("inf")]
)
def test_literals_read_back_as_they_were(tmp_path: Path, value: object) -> None:
    (tmp_path / "parameters.toml").write_text(f"value = {toml_literal(value)}\n")
    assert read_parameters(tmp_path) == {"value": value}


def test_a_project_without_a_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectInvalid, match=r"requirements\.lock"):
        manifests.read_lock(_manifest(tmp_path))
