"""Runs a project's own tests with the project's own environment."""

import sys
from pathlib import Path

from modelwright import processes
from modelwright.environments import building, testing
from modelwright.errors import TestsFailed
from modelwright.records import BuiltEnvironment
from modelwright.settings import child_environment, interpreter

_TIMEOUT_SECONDS = 1800.0


def run_tests(folder: Path, *, environment: BuiltEnvironment, cache: Path, wheels: Path) -> str:
    """Run pytest on the project in `folder` and return its last line. Raises TestsFailed when it is not green.

    pytest comes from the environment itself, else from the active Python or the one that runs `wright`.
    """
    donors = (interpreter(), Path(sys.executable))
    pytest = testing.pytest_folder(environment, cache=cache, donors=donors, wheels=wheels)
    variables = building.variables(environment, folder) | ({"PYTHONPATH": str(pytest)} if pytest else {})
    done = processes.run(
        [environment.python, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "tests"],
        folder=folder,
        environment=child_environment(variables),
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    last = (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]
    if done.returncode != 0:
        where = f"PYTHONPATH={pytest} " if pytest else ""
        raise TestsFailed(folder=folder, summary=last, command=f"{where}{environment.python} -m pytest tests")
    return last
