"""Notebooks made from texts, and one conversion of the example that several tests look at."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from modelwright.notebooks import characterising, emitting, execution, layouts, planning, reading, testing
from modelwright.notebooks.layouts import Layout
from modelwright.notebooks.proof import ProjectRun
from modelwright.projects import scaffold
from modelwright.records import Lock, Notebook, NotebookRun, Plan
from modelwright.settings import child_environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "diabetes"
CORPUS = Path(__file__).with_name("corpus")
Ask = Callable[..., int]
NOTHING_SLOW = ProjectRun({"rows": {}, "seconds": {}}, Path(), Path())
_LOCK = Lock(text="", python_version="3.11.1", platform="here", digest="0" * 64)


@dataclass(frozen=True)
class Converted:
    """A notebook with its scoring notebook, run, and the project made of them."""

    plan: Plan
    training_run: NotebookRun
    scoring_run: NotebookRun | None
    project: Path
    layout: Layout


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Notebook]:
    """Return a function that makes a notebook of a text, whose cells stand between lines of `# ---`."""

    def made(text: str, name: str = "training.ipynb") -> Notebook:
        return reading.read(_written(tmp_path / name, text))

    return made


@pytest.fixture
def corpus() -> Callable[[str], str]:
    """Return a function that gives the text of one of our small notebooks."""
    return lambda name: (CORPUS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.fixture
def convert_text(tmp_path: Path) -> Callable[..., Converted]:
    """Return a function that converts a notebook's text for real, with files beside it."""

    def converted(text: str, files: dict[str, str] | None = None, scoring: str | None = None) -> Converted:
        folder = tmp_path / "user"
        folder.mkdir()
        for path, content in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content, encoding="utf-8")
        scoring_path = _written(folder / "scoring.ipynb", scoring) if scoring else None
        return _convert(_written(folder / "training.ipynb", text), scoring_path, tmp_path / "work")

    return converted


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Return the example, converted once."""
    return _convert(EXAMPLE / "training.ipynb", EXAMPLE / "scoring.ipynb", tmp_path_factory.mktemp("diabetes"))


@pytest.fixture(scope="session")
def type_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where mypy remembers what it knows of the libraries, which takes it longer than a project."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture(scope="session")
def ask() -> Iterator[Ask]:
    """Return a function that has a notebook, a project or tests run in a fork of a process with libraries loaded."""
    environment = child_environment({"MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"})
    command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    ) as process:
        assert process.stdin
        assert process.stdout
        answers = process.stdout

        def asked(**request: object) -> int:
            print(json.dumps(request, default=str), file=process.stdin)
            return int(answers.readline())

        yield asked
        process.stdin.close()


def _written(path: Path, text: str) -> Path:
    cells = [new_code_cell(each.strip("\n")) for each in text.split("\n# ---\n")]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def _convert(training: Path, scoring: Path | None, work: Path) -> Converted:
    notebook = reading.read(training)
    scoring_notebook = reading.read(scoring) if scoring else None
    plan = planning.plan(notebook, scoring_notebook)
    environment = child_environment()
    python = Path(sys.executable)
    run = execution.execute(
        notebook, python=python, folder=work / "training", environment=environment, probe=plan.training_probe
    )
    scoring_run = None
    if scoring_notebook:
        scoring_run = execution.execute(
            scoring_notebook,
            python=python,
            folder=work / "scoring",
            environment=environment,
            probe=plan.scoring_probe,
            files={path: run.folder / source for path, source in plan.scoring_files},
        )
    project = work / "project"
    layout = layouts.layout("small")
    files = emitting.modules(plan, layout)
    around = scaffold.files(plan, layout, name="small", requirements=[], lock=_LOCK, copied=testing.copied(plan))
    files["pyproject.toml"] = around["pyproject.toml"]
    _write(project, files)
    for relative in plan.data_files:
        (project / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(training.parent / relative, project / relative)
    noted = characterising.trials(
        plan,
        run,
        project=project,
        layout=layout,
        python=python,
        environment=environment,
        work_folder=work,
        project_run=NOTHING_SLOW,
    )
    golden = characterising.golden(plan, run, scoring_run, noted=noted, layout=layout)
    _write(project, testing.tests(plan, golden, layout))
    return Converted(plan, run, scoring_run, project, layout)


def _write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
