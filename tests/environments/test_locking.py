"""Locks name what is installed, with hashes, and nothing of this machine."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelwright.environments.inspection import Inspection, closure
from modelwright.environments.locking import lock, lock_distributions, pins, read_lock
from modelwright.errors import DistributionEditable, EnvironmentNotLocked
from modelwright.records import LockSource, Requirement

if TYPE_CHECKING:
    from conftest import Index

OURS = Path(sys.executable)


def test_the_lock_has_every_version_that_is_installed_transitively(index: "Index", ours: Inspection) -> None:
    pytest_pin = Requirement("pytest", ours.distributions["pytest"].version)
    made = lock([pytest_pin], python=OURS, wheels=None)
    needed = {name: ours.distributions[name].version for name in pins(made)}
    assert pins(made) == needed
    assert set(needed) >= {"pytest", "pluggy", "iniconfig", "packaging"}
    assert made.text.count("--hash=sha256:") >= len(needed)


def test_the_index_is_asked_first_and_the_cache_remembers(index: "Index", click_pin: Requirement) -> None:
    first = lock([click_pin], python=OURS, wheels=None)
    index.close()
    second = lock([click_pin], python=OURS, wheels=None)
    assert (first.source, second.source) == (LockSource.INDEX, LockSource.CACHE)
    assert first == second


def test_the_lock_names_no_machine_no_index_and_no_command(index: "Index", click_pin: Requirement) -> None:
    text = lock([click_pin], python=OURS, wheels=None).text
    assert not any(word in text for word in ("127.0.0.1", "http", "/", "#", "uv "))


def test_without_an_index_remade_wheels_are_locked(click_pin: Requirement, tmp_path: Path) -> None:
    made = lock([click_pin], python=OURS, wheels=tmp_path / "wheels")
    assert made.source is LockSource.WHEELS
    assert pins(made) == {"click": click_pin.version}
    (wheel,) = (tmp_path / "wheels").glob("*/*.whl")
    assert f"--hash=sha256:{wheel.parent.name}" in made.text


def test_without_index_and_wheels_the_reason_is_uvs(click_pin: Requirement) -> None:
    with pytest.raises(EnvironmentNotLocked, match="onnect"):
        lock([click_pin], python=OURS, wheels=None)


def test_what_came_from_a_file_is_never_looked_up_on_the_index(
    index: "Index", ours: Inspection, click_pin: Requirement, tmp_path: Path
) -> None:
    (click,) = closure([click_pin], ours)
    local = replace(click, url="file:///somewhere/click.whl")
    made = lock_distributions([local], origin=ours, target=ours, wheels=tmp_path / "wheels")
    assert made.source is LockSource.WHEELS


def test_an_editable_install_cannot_be_locked(index: "Index", ours: Inspection, tmp_path: Path) -> None:
    version = ours.distributions["modelwright"].version
    with pytest.raises(DistributionEditable):
        lock([Requirement("modelwright", version)], python=OURS, wheels=tmp_path)


def test_nothing_needed_gives_an_empty_lock() -> None:
    assert lock([], python=OURS, wheels=None).text == ""


def test_the_digest_depends_on_text_python_and_platform_only() -> None:
    first = read_lock("a==1\n", python_version="3.11.7", platform="linux-x86_64")
    assert (
        first.digest
        == read_lock("a==1\n", python_version="3.11.7", platform="linux-x86_64", source=LockSource.WHEELS).digest
    )
    others = [
        read_lock("a==2\n", python_version="3.11.7", platform="linux-x86_64"),
        read_lock("a==1\n", python_version="3.11.8", platform="linux-x86_64"),
        read_lock("a==1\n", python_version="3.11.7", platform="linux-aarch64"),
    ]
    assert len({first.digest, *(each.digest for each in others)}) == 4
