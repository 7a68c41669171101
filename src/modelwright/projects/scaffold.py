"""What stands around a project's code: its README, packaging, settings of tools, and continuous integration."""

import re
import textwrap
from collections.abc import Sequence

from modelwright.notebooks.layouts import Layout
from modelwright.projects.manifest import LOCK_FILE, PAGE_FILE, PARAMETERS_FILE, toml_literal
from modelwright.records import Function, Lock, LockSource, Plan, Requirement

# A paragraph's lines are no longer.
_WIDTH = 100
_GIT_IGNORE = "outputs/\nbuild/\n*.egg-info/\n__pycache__/\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.venv/\n"


def files(name: str, layout: Layout, *, requirements: Sequence[Requirement], lock: Lock) -> dict[str, str]:
    """Return the files by path, all but the README."""
    return {
        ".gitignore": _GIT_IGNORE,
        ".github/workflows/ci.yml": _workflow(lock),
        "pyproject.toml": _packaging(name, layout, requirements, lock),
    }


def read_me(plan: Plan, layout: Layout, *, name: str, lock: Lock) -> str:
    """Return the README: what the project is, how to work with it, its functions and parameters."""
    about = (
        f"Made from the notebook `{plan.notebook}` by Modelwright: every step of it that leads to the model is a "
        f"function of the package `{layout.package}`."
    )
    measured = ", ".join(f"`{each.name}`" for each in plan.metrics)
    score_file = layout.file(layout.score)
    scoring = f"`{score_file}` is the scoring script: `init()` loads the model, `run()` answers a request."
    return _README.format(
        name=name,
        about=_paragraph(f"{about} It measures {measured}." if measured else about),
        train=layout.train,
        scoring=f"\n{_paragraph(scoring)}\n" if plan.score else "",
        python=_minor(lock),
        install=_install(lock),
        functions=_table(("function", "takes", "gives"), [_told(each) for each in plan.functions]),
        parameters=_table(
            ("parameter", "default"), [(f"`{each.name}`", f"`{toml_literal(each.value)}`") for each in plan.parameters]
        )
        or "It has none.\n",
        settings=_paragraph(
            f"`python -m {layout.train} --help` lists them as options. `wright run` takes them from "
            f"`{PARAMETERS_FILE}`, and from `--set NAME=VALUE`."
        ),
        page_file=PAGE_FILE,
    )


def _paragraph(text: str) -> str:
    """Return prose in lines; names, which have no blanks, stay whole."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _told(function: Function) -> tuple[str, str, str]:
    def shown(names: Sequence[str]) -> str:
        return ", ".join(f"`{each}`" for each in names) or "-"

    return f"`{function.name}`", shown((*function.inputs, *function.parameters)), shown(function.outputs)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |\n" for line in lines)


def _packaging(name: str, layout: Layout, requirements: Sequence[Requirement], lock: Lock) -> str:
    # Letters, digits, and dots, hyphens and underscores between them, are all that a distribution's name may have.
    valid = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")
    return _PYPROJECT.format(
        name=toml_literal(valid or layout.package),
        python=toml_literal(f">={_minor(lock)}"),
        requirements="".join(f"    {toml_literal(str(each))},\n" for each in requirements),
    )


def _workflow(lock: Lock) -> str:
    return _CI.format(python=_minor(lock), install=_install(lock))


def _minor(lock: Lock) -> str:
    return ".".join(lock.python_version.split(".")[:2])


def _install(lock: Lock) -> str:
    """Return the arguments of pip that install what the project needs."""
    # A lock of remade wheels names files that only the machine that it was made on has.
    is_found = lock.source is not LockSource.WHEELS
    return f"install --no-deps --require-hashes -r {LOCK_FILE}" if is_found else "install -r requirements.txt"


_PYPROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = {name}
version = "0.1.0"
requires-python = {python}
dependencies = [
{requirements}]

[dependency-groups]
dev = ["mypy", "pytest", "ruff"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["src", "tests"]

[tool.ruff]
line-length = 100
src = ["src", "tests"]

[tool.ruff.lint]
select = ["E4", "E9", "F", "I"]
ignore = ["F841"]  # the notebook may name what it only draws or shows

[tool.ruff.format]
exclude = ["tests/describing.py", "tests/stepping.py"]  # come with every conversion, as they are
quote-style = "preserve"  # the notebook's own lines keep their quotes

[tool.mypy]
files = ["src"]
mypy_path = "src"
ignore_missing_imports = true
"""

_CI = """\
name: CI

on: [push, pull_request]

jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "{python}"
      - run: python -m pip {install}
      - run: python -m pip install mypy pytest ruff
      - run: ruff check .
      - run: mypy
      - run: python -m pytest
"""

_README = """\
# {name}

{about}

## Set up

With Python {python}, in this folder:

```sh
python -m venv .venv
. .venv/bin/activate
pip {install}
pip install --no-deps -e .
pip install mypy pytest ruff
```

## Work with it

| | |
|---|---|
| train, and save the model in `outputs/` | `python -m {train}` |
| test | `pytest` |
| check the code | `ruff check .`, `mypy` |
| see what became of each line of the notebook, and the proof | open `{page_file}` |

With Modelwright installed:

| | |
|---|---|
| train on the record; a gate compares with the best model so far | `wright run` |
| prove again that it gives what the notebook gives | `wright prove` |
| register what a run made, and serve it | `wright model register RUN`, `wright endpoint deploy {name}` |
{scoring}
## Functions

{functions}
## Parameters

{settings}

{parameters}"""
