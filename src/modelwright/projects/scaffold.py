"""What stands around a project's code: its README, packaging, settings of tools, and continuous integration."""

import re
from collections.abc import Sequence

from modelwright.notebooks.layouts import Layout
from modelwright.projects.manifest import LOCK_FILE, PAGE_FILE, PARAMETERS_FILE, toml_literal
from modelwright.records import Function, Lock, LockSource, Plan, Requirement

# What mypy reports of lines in which a name becomes something else, and of `max(scores, key=scores.get)`.
_LOOSE_CODES = (
    "arg-type",
    "assignment",
    "attr-defined",
    "call-overload",
    "index",
    "operator",
    "return-value",
    "union-attr",
    "var-annotated",
)
_GIT_IGNORE = "outputs/\nbuild/\n*.egg-info/\n__pycache__/\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.venv/\n"


def files(plan: Plan, layout: Layout, *, name: str, requirements: Sequence[Requirement], lock: Lock) -> dict[str, str]:
    """Return the files by path, all but the README."""
    return {
        ".gitignore": _GIT_IGNORE,
        ".github/workflows/ci.yml": _workflow(lock),
        "pyproject.toml": _packaging(name, layout, requirements, lock) + _checking(plan, layout),
    }


def read_me(plan: Plan, layout: Layout, *, name: str) -> str:
    """Return the README: what the project is, how to work with it, its functions and parameters."""
    return _README.format(
        name=name,
        notebook=plan.notebook,
        package=layout.package,
        train=layout.train,
        score_file=layout.file(layout.score),
        metrics=", ".join(f"`{each.name}`" for each in plan.metrics) or "nothing",
        functions=_table(("function", "takes", "gives"), [_told(each) for each in plan.functions]),
        parameters=_table(
            ("parameter", "default"), [(f"`{each.name}`", f"`{toml_literal(each.value)}`") for each in plan.parameters]
        )
        or "It has none.\n",
        parameters_file=PARAMETERS_FILE,
        lock_file=LOCK_FILE,
        page_file=PAGE_FILE,
    )


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
    minor = ".".join(lock.python_version.split(".")[:2])
    return _PYPROJECT.format(
        name=toml_literal(re.sub(r"[^A-Za-z0-9]+$", "", name) or layout.package),
        python=toml_literal(f">={minor}"),
        requirements="".join(f"    {toml_literal(str(each))},\n" for each in requirements),
    )


def _checking(plan: Plan, layout: Layout) -> str:
    """Return the settings of mypy. Names that a star import may bring are unknown to it."""
    has_stars = any(each.endswith("import *") for each in plan.imports)
    codes = [*_LOOSE_CODES, *(["name-defined"] if has_stars else [])]
    skipped = "".join(f'    "{each}.*",\n' for each in plan.modules)
    settings = _MYPY.format(codes="".join(f'    "{each}",\n' for each in codes), pipeline=layout.pipeline)
    return settings + (_SKIPPED.format(skipped) if skipped else "")


def _workflow(lock: Lock) -> str:
    # A lock of remade wheels names files that only the machine that it was made on has.
    is_found = lock.source is not LockSource.WHEELS
    wanted = f"--no-deps --require-hashes -r {LOCK_FILE}" if is_found else "-r requirements.txt"
    return _CI.format(python=".".join(lock.python_version.split(".")[:2]), install=f"python -m pip install {wanted}")


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
# Lines of the notebook that are no errors: a star import, a text or a result that is not used.
ignore = ["F403", "F405", "F541", "F841"]

[tool.ruff.format]
exclude = ["tests/describing.py", "tests/stepping.py"]  # come with every conversion, as they are
"""

_MYPY = """\

[tool.mypy]
files = ["src"]
mypy_path = "src"
ignore_missing_imports = true
# The lines in functions are a notebook's: a name may become something else there.
allow_redefinition = true
disable_error_code = [
{codes}]

# Here what one function gives meets what the next one takes.
[[tool.mypy.overrides]]
module = ["{pipeline}"]
enable_error_code = ["arg-type"]
"""

_SKIPPED = """\

# What libraries take and give differs from version to version, and a function's lines were seen to run with them.
[[tool.mypy.overrides]]
module = [
{}]
follow_imports = "skip"
follow_imports_for_stubs = true
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
      - run: {install}
      - run: python -m pip install pytest ruff
      - run: ruff check .
      - run: python -m pytest
"""

_README = """\
# {name}

Made from the notebook `{notebook}` by Modelwright: every step of it that leads to the model is a function of the
package `{package}`. Its metrics: {metrics}.

## Set up

```sh
python -m venv .venv
.venv/bin/pip install --no-deps --require-hashes -r {lock_file}   # the versions that the notebook ran with
.venv/bin/pip install --no-deps -e .
```

## Work with it

| | |
|---|---|
| train, and save the model in `outputs/` | `python -m {train}` |
| test | `pip install pytest`, then `pytest` |
| train on the record; a gate compares with the best model so far | `wright run` |
| see what became of each line of the notebook, and the proof | open `{page_file}` |
| prove again that it gives what the notebook gives | `wright prove` |
| register what a run made, and serve it | `wright model register RUN`, `wright endpoint deploy {name}` |

`{score_file}` is the scoring script: `init()` loads the model, `run()` answers a request.

## Functions

{functions}
## Parameters

Of `python -m {train} --help`, of `wright run --set NAME=VALUE`, and in `{parameters_file}`.

{parameters}"""
