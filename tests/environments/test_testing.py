"""pytest beside an environment that does not have it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.environments.building import lock_and_build
from modelwright.environments.inspection import Inspection
from modelwright.environments.testing import pytest_folder
from modelwright.errors import ModuleNotInstalled
from modelwright.records import BuiltEnvironment, Requirement

OURS = Path(sys.executable)


def built(names: list[str], ours: Inspection, folder: Path) -> BuiltEnvironment:
    """Return an environment with these distributions, built from remade wheels."""
    pinned = [Requirement(name, ours.distributions[name].version) for name in names]
    return lock_and_build(pinned, python=OURS, cache=folder / "cache", wheels=folder / "wheels")


def test_tests_run_in_an_environment_whose_lock_has_no_pytest(ours: Inspection, tmp_path: Path) -> None:
    environment = built(["click"], ours, tmp_path)
    folder = pytest_folder(environment, cache=tmp_path / "cache", donors=[OURS], wheels=tmp_path / "wheels")
    test = tmp_path / "project" / "test_it.py"
    test.parent.mkdir()
    test.write_text(f"import click, sys\ndef test_it(): assert sys.prefix == {str(environment.folder)!r}\n")
    done = subprocess.run(
        [environment.python, "-m", "pytest", "-q", test.name],
        cwd=test.parent,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_what_the_environment_has_is_not_hidden_by_the_folder(ours: Inspection, tmp_path: Path) -> None:
    environment = built(["packaging"], ours, tmp_path)
    folder = pytest_folder(environment, cache=tmp_path / "cache", donors=[OURS], wheels=tmp_path / "wheels")
    assert folder is not None
    names = {each.name for each in folder.iterdir()}
    assert "_pytest" in names
    assert "packaging" not in names


def test_an_environment_with_pytest_needs_no_folder(ours: Inspection, tmp_path: Path) -> None:
    environment = built(["pytest"], ours, tmp_path)
    assert pytest_folder(environment, cache=tmp_path / "cache", donors=[], wheels=None) is None


def test_the_first_donor_that_has_pytest_gives_it(ours: Inspection, tmp_path: Path) -> None:
    environment = built(["click"], ours, tmp_path)
    donors = [environment.python, OURS]
    assert pytest_folder(environment, cache=tmp_path / "cache", donors=donors, wheels=tmp_path / "wheels")
    with pytest.raises(ModuleNotInstalled, match="pytest"):
        pytest_folder(environment, cache=tmp_path / "cache", donors=donors[:1], wheels=tmp_path / "wheels")
