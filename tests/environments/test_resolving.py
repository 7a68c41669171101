"""Whatever the format, the same versions are the same lock; what is a lock already is taken as it is."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from environments.small import write_wheel

from modelwright.environments import building, locking
from modelwright.environments.inspection import Inspection
from modelwright.environments.interpreters import fitting
from modelwright.environments.locking import pins
from modelwright.environments.pinning import read_pins, text_of
from modelwright.environments.resolving import Resolved, resolve
from modelwright.environments.specifications import read_specification
from modelwright.errors import EnvironmentNotResolved, InterpreterUnfit, SpecificationInvalid
from modelwright.records import LockSource, Requirement

if TYPE_CHECKING:
    from conftest import Index

UV = Path(sys.executable).with_name("uv")
PROJECT = """
[project]
name = "demo"
version = "0"
requires-python = ">=3.11"
dependencies = ["alpha==1.0", "beta<2", "colour; sys_platform == 'win32'"]
"""


def locked(path: Path, text: str, *, target: Inspection) -> Resolved:
    """Write the file and resolve what it asks for."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return resolve(read_specification(path), target=target, wheels=path.parent / "wheels")


def test_everything_that_is_needed_is_locked_with_hashes(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    lock = locked(tmp_path / "requirements.txt", "alpha\n", target=ours).lock
    assert pins(lock) == {"alpha": "1.1", "beta": "2.0"}
    assert all(each.hashes for each in read_pins(lock))
    assert text_of(read_pins(lock)) == lock.text
    assert (lock.python_version, lock.platform, lock.source) == (ours.python_version, ours.platform, LockSource.INDEX)


def test_the_same_versions_are_the_same_lock_from_every_format(
    shelf: "Index", ours: Inspection, tmp_path: Path
) -> None:
    write_wheel(shelf.folder, "colour", "1.0")
    project = tmp_path / "project"
    digests = {locked(project / "pyproject.toml", PROJECT, target=ours).lock.digest}
    subprocess.run([UV, "lock", "--quiet", "--python", sys.executable, "--project", project], check=True)
    (project / "pyproject.toml").write_text(PROJECT.replace("beta<2", "beta"), encoding="utf-8")
    for command, name in (
        (["pip", "compile", "--generate-hashes", "pyproject.in"], "requirements.lock"),
        (["pip", "compile", "--format", "pylock.toml", "pyproject.in"], "pylock.toml"),
    ):
        (project / "pyproject.in").write_text("alpha==1.0\nbeta<2\n", encoding="utf-8")
        told = subprocess.run(
            [UV, *command, "-q", "-o", name], cwd=project, check=False, capture_output=True, text=True
        )
        assert told.returncode == 0, told.stderr
    shelf.close()  # exact files ask nobody
    for name in ("uv.lock", "requirements.lock", "pylock.toml"):
        specification = read_specification(project / name)
        assert specification.is_exact, name
        found = resolve(specification, target=ours, wheels=tmp_path)
        assert pins(found.lock) == {"alpha": "1.0", "beta": "1.0"}, name
        digests.add(found.lock.digest)
    assert len(digests) == 1


def test_the_lock_of_a_project_is_taken_as_it_is(
    index: "Index", click_pin: Requirement, ours: Inspection, tmp_path: Path
) -> None:
    for wheels, is_served in ((None, True), (tmp_path / "wheels", False)):
        if not is_served:
            index.close()
        made = locking.lock([click_pin], python=ours.python, wheels=wheels)
        found = locked(tmp_path / "requirements.lock", made.text, target=ours)
        assert found.lock.digest == made.digest


def test_an_environment_of_a_conda_file_runs(index: "Index", ours: Inspection, tmp_path: Path) -> None:
    versions = {name: ours.distributions[name].version for name in ("click", "pytest")}
    text = f"dependencies:\n- click={versions['click']}=pyhd8ed1ab_0\n- pip:\n  - pytest=={versions['pytest']}\n"
    found = locked(tmp_path / "environment.yml", text, target=ours)
    assert {each.code for each in found.findings} == set()
    built = building.build(found.lock, cache=tmp_path / "cache", python=ours.python, wheels=None)
    code = "import click, pytest, importlib.metadata as m; print(m.version('click'), pytest.__version__)"
    told = subprocess.run([built.python, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.split() == [versions["click"], versions["pytest"]]


def test_an_exact_file_that_contradicts_itself_is_refused(ours: Inspection, tmp_path: Path) -> None:
    text = "".join(f"alpha=={version} --hash=sha256:{'a' * 64}\n" for version in ("1.0", "1.1"))
    with pytest.raises(SpecificationInvalid, match=r"line 2,.*alpha in the versions 1\.0 and 1\.1"):
        locked(tmp_path / "requirements.txt", text, target=ours)


def test_what_cannot_be_had_together_is_told_with_the_lines(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotResolved, match=r"no version of beta==9") as raised:
        locked(tmp_path / "requirements.txt", "gamma\nalpha\nbeta==9\n", target=ours)
    assert raised.value.next_command == "change requirements.txt:3 (beta==9)"


def test_constraints_hold(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("beta<2\n", encoding="utf-8")
    lock = locked(tmp_path / "requirements.txt", "alpha\n-c limits.txt\n", target=ours).lock
    assert pins(lock) == {"alpha": "1.1", "beta": "1.0"}


def test_only_the_hashes_that_a_line_allows_are_locked(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    known = read_pins(locked(tmp_path / "a.txt", "beta==1.0\n", target=ours).lock)[0].hashes[0]
    given = f"alpha\nbeta==1.0 --hash={known} --hash=sha256:{'a' * 64}\n"
    assert read_pins(locked(tmp_path / "b.txt", given, target=ours).lock)[1].hashes == (known,)
    with pytest.raises(EnvironmentNotResolved, match=r"none of the hashes that are given is one of beta 1\.0"):
        locked(tmp_path / "c.txt", f"alpha\nbeta==1.0 --hash=sha256:{'a' * 64}\n", target=ours)


def test_a_wheel_that_is_named_is_kept_and_built_from(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "private", "secretly", "3.0", requires=("beta<2",))
    found = locked(tmp_path / "requirements.txt", f"{wheel}\ngamma\n", target=ours)
    assert pins(found.lock) == {"beta": "1.0", "gamma": "1.0", "secretly": "3.0"}
    shutil.rmtree(wheel.parent)
    built = building.build(found.lock, cache=tmp_path / "cache", python=ours.python, wheels=tmp_path / "wheels")
    told = subprocess.run(
        [built.python, "-I", "-c", "import secretly, beta, gamma; print(secretly.version, beta.version)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "3.0 1.0\n"


def test_without_the_index_its_cache_is_used_and_told(shelf: "Index", ours: Inspection, tmp_path: Path) -> None:
    before = locked(tmp_path / "requirements.txt", "alpha\n", target=ours)
    shelf.close()
    found = locked(tmp_path / "requirements.txt", "alpha\n", target=ours)
    assert found.lock == before.lock
    assert found.lock.source is LockSource.CACHE
    assert [each.code for each in found.findings] == ["locked-offline"]


def test_without_index_and_cache_what_is_installed_is_locked_if_it_fits(ours: Inspection, tmp_path: Path) -> None:
    version = ours.distributions["click"].version
    found = locked(tmp_path / "requirements.txt", "click>=8\n", target=ours)
    assert pins(found.lock) == {"click": version}
    assert found.lock.source is LockSource.WHEELS
    assert [each.code for each in found.findings] == ["locked-offline"]
    with pytest.raises(EnvironmentNotResolved, match="the index cannot be reached") as raised:
        locked(tmp_path / "requirements.txt", f"click!={version}\n", target=ours)
    assert raised.value.next_command.startswith("connect to the package index")


def test_an_assumed_conda_package_counts_only_if_the_index_has_name_and_version(
    shelf: "Index", ours: Inspection, tmp_path: Path
) -> None:
    text = "dependencies:\n- alpha=1.0\n- beta=7.7\n- cudatoolkit=11.8\n- pytorch=2.1\n- numpy=1.26.4\n"
    found = locked(tmp_path / "environment.yml", text, target=ours)
    assert pins(found.lock) == {"alpha": "1.0", "beta": "2.0", "numpy": "1.26.4", "torch": "2.1.0"}
    assert {each.line: (each.code, each.is_honoured) for each in found.findings} == {
        2: ("conda-assumed", True),
        3: ("conda-absent", False),
        4: ("conda-absent", False),
    }


def test_conda_packages_are_not_guessed_at_without_the_index(ours: Inspection, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotResolved, match="the index cannot be reached"):
        locked(tmp_path / "environment.yml", "dependencies:\n- alpha=1.0\n", target=ours)


def test_a_python_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT.replace(">=3.11", "<3"), encoding="utf-8")
    for named in (None, Path(sys.executable)):
        with pytest.raises(InterpreterUnfit, match=r'Python <3 is asked for by ".*pyproject\.toml", but'):
            fitting(read_specification(path), named=named)


def test_conda_may_get_another_python_of_the_minor_version_or_the_one_that_is_named(
    ours: Inspection, tmp_path: Path
) -> None:
    minor = ".".join(ours.python_version.split(".")[:2])
    path = tmp_path / "environment.yml"
    path.write_text(f"dependencies: [python={minor}.99]\n", encoding="utf-8")
    near = fitting(read_specification(path), named=None)
    assert near.inspection.python_version.startswith(minor)
    assert [each.code for each in near.findings] == ["python-differs"]
    path.write_text("dependencies: [python=2.7]\n", encoding="utf-8")
    with pytest.raises(InterpreterUnfit, match=r"Python 2\.7 is asked for") as raised:
        fitting(read_specification(path), named=None)
    assert "any is taken, and a difference recorded" in raised.value.next_command
    far = fitting(read_specification(path), named=ours.python)
    assert far.inspection.python_version == ours.python_version
    assert [each.code for each in far.findings] == ["python-differs"]
