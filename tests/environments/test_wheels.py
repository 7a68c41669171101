"""Wheels remade from installed files install to the same files again."""

import csv
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.environments.inspection import Distribution, Inspection, closure, inspect
from modelwright.environments.locking import run_uv
from modelwright.environments.wheels import remake
from modelwright.errors import DistributionEditable, DistributionNotPacked
from modelwright.records import Requirement


def recorded(distribution: Distribution) -> dict[str, str]:
    """Return the hash of each installed file that is not the installer's own."""
    record = distribution.root / distribution.info_folder / "RECORD"
    with record.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row]
    own = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
    is_own = [row[0].startswith(distribution.info_folder) and row[0].endswith(own) for row in rows]
    kept = [row for row, own_file in zip(rows, is_own, strict=True) if not own_file and not row[0].endswith(".pyc")]
    # The first line of a command names the Python that it was installed for.
    return {row[0]: "a command" if "/bin/" in row[0] else row[1] for row in kept}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return the Python of an empty environment."""
    made = run_uv(["venv", "--quiet", "--python", sys.executable, tmp_path / "elsewhere"])
    assert made.returncode == 0, made.stderr
    return tmp_path / "elsewhere" / "bin" / "python"


def test_what_is_installed_from_a_remade_wheel_is_what_was_packed(
    ours: Inspection, elsewhere: Path, tmp_path: Path
) -> None:
    # Between them: plain modules, compiled ones, commands from entry points, a binary command, shared data.
    names = ("click", "pytest", "ipykernel", "psutil", "mypy", "uv")
    packed = [ours.distributions[name] for name in names]
    wheels = [remake(each, tmp_path / "wheels", inspection=ours)[0] for each in packed]
    done = run_uv(["pip", "install", "--no-index", "--no-deps", "--python", elsewhere, *wheels])
    assert done.returncode == 0, done.stderr
    there = inspect(elsewhere)
    assert set(there.distributions) == set(names)
    for name in names:
        assert recorded(there.distributions[name]) == recorded(ours.distributions[name])


def test_the_same_files_give_the_same_bytes(ours: Inspection, tmp_path: Path) -> None:
    first, digest = remake(ours.distributions["click"], tmp_path / "first", inspection=ours)
    second, other = remake(ours.distributions["click"], tmp_path / "second", inspection=ours)
    assert digest == other == first.parent.name
    assert first.read_bytes() == second.read_bytes()


def test_a_wheel_holds_no_path_of_this_machine(ours: Inspection, tmp_path: Path) -> None:
    for each in closure([Requirement("pytest", ours.distributions["pytest"].version)], ours):
        wheel, _ = remake(each, tmp_path, inspection=ours)
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                assert not name.startswith(("/", ".."))
                assert sys.prefix.encode() not in archive.read(name), name


def test_an_editable_install_is_refused(ours: Inspection, tmp_path: Path) -> None:
    with pytest.raises(DistributionEditable):
        remake(ours.distributions["modelwright"], tmp_path, inspection=ours)


def test_an_install_without_a_record_is_refused(ours: Inspection, tmp_path: Path) -> None:
    with pytest.raises(DistributionNotPacked, match="without a RECORD"):
        remake(replace(ours.distributions["click"], info_folder=""), tmp_path, inspection=ours)


def test_compiled_files_of_conda_are_refused_and_plain_ones_are_not(ours: Inspection, tmp_path: Path) -> None:
    with pytest.raises(DistributionNotPacked, match="conda"):
        remake(replace(ours.distributions["psutil"], installer="conda"), tmp_path, inspection=ours)
    remake(replace(ours.distributions["click"], installer="conda"), tmp_path, inspection=ours)


def test_a_missing_file_is_named_and_leaves_no_wheel(ours: Inspection, tmp_path: Path) -> None:
    root = tmp_path / "root"
    info = root / "gone-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("Tag: py3-none-any\n", encoding="utf-8")
    (info / "RECORD").write_text("gone.py,,\ngone-1.0.dist-info/WHEEL,,\n", encoding="utf-8")
    distribution = Distribution("gone", "1.0", (), (), root, info.name, "pip", "", is_editable=False)
    with pytest.raises(DistributionNotPacked, match=r'gone\.py" is gone'):
        remake(distribution, tmp_path / "wheels", inspection=ours)
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_legacy_install_without_a_wheel_file_is_refused(ours: Inspection, tmp_path: Path) -> None:
    info = tmp_path / "root" / "old-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("", encoding="utf-8")
    distribution = Distribution("old", "1.0", (), (), info.parent, info.name, "pip", "", is_editable=False)
    with pytest.raises(DistributionNotPacked, match="not installed from a wheel"):
        remake(distribution, tmp_path / "wheels", inspection=ours)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["py2-none-any", "py3-none-any"], "py2.py3-none-any"),
        (
            ["cp311-abi3-manylinux_2_17_x86_64", "cp311-abi3-manylinux2014_x86_64"],
            "cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64",
        ),
        (["cp39-abi3-linux_x86_64", "cp310-cp310-linux_x86_64"], "cp39-abi3-linux_x86_64"),
    ],
)
def test_the_wheel_is_named_for_the_same_places(
    tags: list[str], expected: str, ours: Inspection, tmp_path: Path
) -> None:
    info = tmp_path / "root" / "a_b-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags), encoding="utf-8")
    (info / "RECORD").write_text("a_b-1.0.dist-info/WHEEL,,\n", encoding="utf-8")
    distribution = Distribution("a.b", "1.0", (), (), info.parent, info.name, "pip", "", is_editable=False)
    assert remake(distribution, tmp_path / "wheels", inspection=ours)[0].name == f"a_b-1.0-{expected}.whl"
