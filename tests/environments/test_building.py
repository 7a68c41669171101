"""Environments are built once, whole or not at all, and are what their lock says."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from modelwright.environments.building import build, lock_and_build
from modelwright.environments.inspection import Inspection, inspect
from modelwright.environments.locking import lock, pins, read_lock
from modelwright.errors import CommandMissing, EnvironmentNotBuilt, FolderNotWritable
from modelwright.records import LockSource, Requirement

if TYPE_CHECKING:
    from conftest import Index

OURS = Path(sys.executable)
BUILDER = """
import json, sys
from pathlib import Path
from modelwright.environments.building import lock_and_build
from modelwright.records import Requirement
cache, name, version = sys.argv[1:]
pin = Requirement(name, version)
built = lock_and_build([pin], python=Path(sys.executable), cache=Path(cache), wheels=Path(cache) / "wheels")
print(json.dumps([str(built.folder), built.lock.source]))
"""


def builder(cache: Path, pin: Requirement) -> list[str]:
    """Return the command of a process that builds an environment with `pin`."""
    return [sys.executable, "-c", BUILDER, str(cache), pin.name, pin.version]


def imports(python: Path, module: str) -> str:
    """Return where that Python imports the module from."""
    done = subprocess.run(
        [python, "-I", "-c", f"import {module}; print({module}.__file__)"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_environment_has_what_the_lock_names_and_nothing_else(
    index: "Index", click_pin: Requirement, tmp_path: Path
) -> None:
    made = lock([click_pin], python=OURS, wheels=None)
    built = build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    there = inspect(built.python)
    assert {name: each.version for name, each in there.distributions.items()} == pins(made)
    assert there.python_version == made.python_version
    assert built.folder.name == made.digest
    assert Path(imports(built.python, "click")).is_relative_to(built.folder)


def test_it_is_found_again_without_uv_or_network(
    index: "Index", click_pin: Requirement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lock([click_pin], python=OURS, wheels=None)
    first = build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    inode = first.folder.stat().st_ino
    index.close()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(made, cache=tmp_path / "cache", python=OURS, wheels=None) == first
    assert first.folder.stat().st_ino == inode


def test_commands_of_the_environment_run_in_it(index: "Index", ours: Inspection, tmp_path: Path) -> None:
    pin = Requirement("pytest", ours.distributions["pytest"].version)
    built = build(lock([pin], python=OURS, wheels=None), cache=tmp_path / "cache", python=OURS, wheels=None)
    done = subprocess.run([built.folder / "bin" / "pytest", "--version"], check=True, capture_output=True, text=True)
    assert pin.version in done.stdout + done.stderr


def test_hashes_are_checked(index: "Index", click_pin: Requirement, tmp_path: Path) -> None:
    made = read_lock(
        f"click=={click_pin.version} --hash=sha256:{'0' * 64}\n", python_version="3.11.7", platform="linux-x86_64"
    )
    with pytest.raises(EnvironmentNotBuilt, match=r"(?i)hash"):
        build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    assert [each.name for each in (tmp_path / "cache").iterdir()] in ([], [f"{made.digest}.lock"])


def test_a_lock_for_another_python_is_refused(index: "Index", click_pin: Requirement, tmp_path: Path) -> None:
    made = lock([click_pin], python=OURS, wheels=None)
    other = read_lock(made.text, python_version="3.99.0", platform=made.platform)
    with pytest.raises(EnvironmentNotBuilt, match=r"the lock is for 3\.99\.0"):
        build(other, cache=tmp_path / "cache", python=OURS, wheels=None)


def test_an_environment_whose_python_was_removed_is_built_again(
    index: "Index", click_pin: Requirement, tmp_path: Path
) -> None:
    made = lock([click_pin], python=OURS, wheels=None)
    built = build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    built.python.unlink()
    built.python.symlink_to(tmp_path / "removed")
    build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    assert imports(built.python, "click")


def test_an_empty_lock_gives_an_empty_environment(tmp_path: Path) -> None:
    made = lock([], python=OURS, wheels=None)
    built = build(made, cache=tmp_path / "cache", python=OURS, wheels=None)
    assert inspect(built.python).distributions == {}


def test_when_only_hashes_are_cached_the_installed_files_are_packed(
    index: "Index", click_pin: Requirement, tmp_path: Path
) -> None:
    lock([click_pin], python=OURS, wheels=None)  # uv now knows the page, and has no wheel
    index.close()
    built = lock_and_build([click_pin], python=OURS, cache=tmp_path / "cache", wheels=tmp_path / "wheels")
    assert built.lock.source is LockSource.WHEELS
    assert imports(built.python, "click")


def test_a_lock_of_remade_wheels_says_when_they_are_gone(click_pin: Requirement, tmp_path: Path) -> None:
    made = lock([click_pin], python=OURS, wheels=tmp_path / "wheels")
    with pytest.raises(EnvironmentNotBuilt, match="the remade wheels that it was locked from are gone"):
        build(made, cache=tmp_path / "cache", python=OURS, wheels=tmp_path / "other")


def test_a_lock_read_back_finds_its_remade_wheels(click_pin: Requirement, tmp_path: Path) -> None:
    made = lock([click_pin], python=OURS, wheels=tmp_path / "wheels")
    read = replace(made, source=LockSource.INDEX)  # a file does not say where its hashes came from
    built = build(read, cache=tmp_path / "cache", python=OURS, wheels=tmp_path / "wheels")
    assert imports(built.python, "click")


def test_of_two_processes_one_builds_and_the_other_waits(
    index: "Index", click_pin: Requirement, tmp_path: Path
) -> None:
    index.may_answer.clear()
    command = builder(tmp_path / "cache", click_pin)
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(subprocess.run, command, check=True, capture_output=True, text=True, timeout=300)
            for _ in range(2)
        ]
        assert index.asked_for_a_wheel.wait(300)
        index.may_answer.set()
        folders = {json.loads(each.result().stdout)[0] for each in both}
    assert len(folders) == 1
    assert len(set(index.wheels_sent)) == len(index.wheels_sent)


def test_after_kill_9_in_the_middle_the_next_build_is_whole(
    index: "Index", click_pin: Requirement, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    lock([click_pin], python=OURS, wheels=None)
    index.may_answer.clear()
    process = subprocess.Popen(builder(cache, click_pin), stdout=subprocess.DEVNULL)
    assert index.asked_for_a_wheel.wait(300)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("uv" in each.name() for each in children)
    process.kill()
    process.wait(120)
    _, alive = psutil.wait_procs(children, timeout=120)
    assert alive == []
    assert list(cache.glob(".making-*"))
    assert not [each for each in cache.iterdir() if each.name.isalnum() and each.name != "wheels"]
    index.may_answer.set()
    done = subprocess.run(builder(cache, click_pin), check=True, capture_output=True, text=True, timeout=300)
    folder = Path(json.loads(done.stdout)[0])
    assert imports(folder / "bin" / "python", "click")
    assert not list(cache.glob(".making-*"))


def test_with_the_network_cut_and_nothing_cached_it_still_builds(click_pin: Requirement, tmp_path: Path) -> None:
    allowed = subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"the network cannot be cut off here: {allowed.stderr.strip()}")
    command = ["unshare", "-rn", *builder(tmp_path / "cache", click_pin)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    folder, source = json.loads(done.stdout)
    assert source == LockSource.WHEELS
    assert Path(imports(Path(folder) / "bin" / "python", "click")).is_relative_to(folder)


def test_a_read_only_cache_is_named(click_pin: Requirement, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder belongs", encoding="utf-8")
    made = lock([click_pin], python=OURS, wheels=tmp_path / "wheels")
    with pytest.raises(FolderNotWritable, match="blocked"):
        build(made, cache=blocked / "cache", python=OURS, wheels=tmp_path / "wheels")


def test_without_uv_the_command_that_installs_it_is_named(
    click_pin: Requirement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lock([click_pin], python=OURS, wheels=tmp_path / "wheels")
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(CommandMissing, match='"uv" is not on this machine'):
        build(made, cache=tmp_path / "cache", python=OURS, wheels=tmp_path / "wheels")
