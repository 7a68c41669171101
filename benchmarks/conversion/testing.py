"""The tests of a project, run with pytest beside the notebook's own Python."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import processes
from projects import Project

TEST_SECONDS = 300.0
_SITE = "pytest-site"
_SUMMARY = re.compile(r"=+ (.*?) in [\d.]+s")


def site(work: Path) -> Path:
    """Return a folder with pytest in it, made the first time, that any Python of the same version can import."""
    folder = work.parent / _SITE
    if not (folder / "pytest").exists():
        uv = Path(sys.executable).with_name("uv")
        command: list[str | Path] = [uv, "pip", "install", "--quiet", "--target", folder, "pytest", "pytest-mock"]
        processes.run(command, folder=work.parent, timeout_seconds=TEST_SECONDS)
    return folder


def search_path(project: Project, work: Path) -> str:
    """Return the PYTHONPATH of a project's tests."""
    return os.pathsep.join([str(project.source), str(site(work))])


def run_tests(project: Project, python: Path, work: Path) -> dict[str, Any]:
    """Run the tests and return whether all pass, how many there are and what pytest said in the end."""
    if not (project.folder / "tests").exists():
        return {"is_green": False, "summary": "no tests", "passed": 0, "seconds": 0.0}
    done = processes.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"],
        folder=project.folder,
        timeout_seconds=TEST_SECONDS,
        environment={"PYTHONPATH": search_path(project, work)},
    )
    tail = [each for each in done.stdout.strip().splitlines() if each.strip()][-12:]
    passed = re.search(r"(\d+) passed", "\n".join(tail))
    summary = "timeout" if done.is_timeout else tail[-1] if tail else done.stderr[-300:]
    return {
        "is_green": done.code == 0,
        "summary": summary,
        "passed": int(passed.group(1)) if passed else 0,
        "seconds": done.seconds,
        "tail": tail if done.code else [],
    }
