"""Checks a project's code and runs its tests, with reports that CI systems read: JUnit and Cobertura."""

import sys
from dataclasses import dataclass
from pathlib import Path

from modelwright import processes
from modelwright.environments import building, testing
from modelwright.errors import QualityFailed
from modelwright.records import BuiltEnvironment
from modelwright.settings import child_environment, interpreter, ruff_command

LINT_REPORT = "lint-testresults.xml"
TEST_REPORT = "unit-testresults.xml"
COVERAGE_REPORT = "coverage.xml"
_COVERAGE_PAGES = "coverage"
_DATA_FILE = ".coverage"
# In one process: to start Python three times would take longer than the reports do.
_WRITE_REPORTS = """
import io, sys
from coverage import Coverage
data, report, pages = sys.argv[1:]
found = Coverage(data_file=data)
found.load()
found.xml_report(outfile=report)
found.html_report(directory=pages)
print(f"{found.report(file=io.StringIO()):.1f}%")
"""
_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True)
class Quality:
    """What came of lint, tests and coverage, each in a line; `faults` are those that are not as they should be."""

    lint: str
    tests: str
    coverage: str
    faults: tuple[str, ...]


def check(project: Path, *, source: str, into: Path, environment: BuiltEnvironment, workspace: Path) -> Quality:
    """Check the project's code and run its tests, whatever the check says, and write the reports to the folder `into`.

    Raises CommandMissing without ruff, and ModuleNotInstalled without pytest or coverage.
    """
    into.mkdir(parents=True, exist_ok=True)
    lint, is_clean = _lint(project, into=into)
    variables = building.variables(environment, project) | _tools(environment, workspace)
    tests, is_green = _test(project, source=source, into=into, python=environment.python, variables=variables)
    coverage, is_covered = _report(project, into=into, python=environment.python, variables=variables)
    held = {f"lint: {lint}": is_clean, f"tests: {tests}": is_green, f"coverage: {coverage}": is_covered}
    return Quality(lint, tests, coverage, tuple(told for told, is_well in held.items() if not is_well))


def require(project: Path, found: Quality, *, into: Path) -> None:
    """Raise QualityFailed when something is not as it should be."""
    if found.faults:
        raise QualityFailed(project=project, told="; ".join(found.faults), into=into)


def _tools(environment: BuiltEnvironment, workspace: Path) -> dict[str, str]:
    """Return the variables with which the environment finds pytest and coverage."""
    donors = (interpreter(), Path(sys.executable))
    cache, wheels = workspace / "environments", workspace / "wheels"
    found = [
        testing.tool_folder(each, environment, cache=cache, donors=donors, wheels=wheels)
        for each in ("pytest", "coverage")
    ]
    folders = [str(each) for each in found if each]
    return {"PYTHONPATH": ":".join(folders)} if folders else {}


def _lint(project: Path, *, into: Path) -> tuple[str, bool]:
    report = into / LINT_REPORT
    command: list[str | Path] = [
        ruff_command(),
        "check",
        "--no-cache",
        "--output-format",
        "junit",
        "--output-file",
        report,
        ".",
    ]
    done = processes.run(command, folder=project, environment=child_environment(), timeout_seconds=_TIMEOUT_SECONDS)
    if done.returncode == 0:
        return "clean", True
    count = report.read_text(encoding="utf-8").count("<failure") if report.is_file() else 0
    return (f"{count} finding{'s' * (count > 1)}" if count else _last_line(done)), False


def _test(project: Path, *, source: str, into: Path, python: Path, variables: dict[str, str]) -> tuple[str, bool]:
    pytest = [
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        f"--junitxml={into / TEST_REPORT}",
        "tests",
    ]
    measured: list[str | Path] = [
        python,
        "-m",
        "coverage",
        "run",
        f"--data-file={into / _DATA_FILE}",
        f"--source={source}",
        *pytest,
    ]
    done = processes.run(
        measured, folder=project, environment=child_environment(variables), timeout_seconds=_TIMEOUT_SECONDS
    )
    return _last_line(done), done.returncode == 0


def _report(project: Path, *, into: Path, python: Path, variables: dict[str, str]) -> tuple[str, bool]:
    """Write what the tests reach; nothing at all is a fault, for then they test something else."""
    done = processes.run(
        [python, "-c", _WRITE_REPORTS, into / _DATA_FILE, into / COVERAGE_REPORT, into / _COVERAGE_PAGES],
        folder=project,
        environment=child_environment(variables),
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    told = _last_line(done)
    return told, done.returncode == 0 and float(told.removesuffix("%")) > 0


def _last_line(done: processes.Finished) -> str:
    return (done.stdout.strip() or done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
