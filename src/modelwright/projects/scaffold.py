"""What stands around a project's code: its README, packaging, settings of tools, and continuous integration."""

import re
import textwrap
from collections.abc import Sequence

from modelwright.notebooks.layouts import Layout
from modelwright.projects.manifest import LOCK_FILE, PAGE_FILE, PARAMETERS_FILE, REQUIREMENTS_FILE, toml_literal
from modelwright.records import Function, Lock, LockSource, Plan, Requirement

# The request that scoring is tried with.
SAMPLE_FILE = "sample.json"
# A paragraph's lines are no longer.
_WIDTH = 100
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
_GIT_IGNORE = (
    ".wright/\noutputs/\nbuild/\n*.egg-info/\n__pycache__/\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.venv/\n"
)


def files(
    plan: Plan,
    layout: Layout,
    *,
    name: str,
    requirements: Sequence[Requirement],
    lock: Lock,
    copied: Sequence[str] = (),
) -> dict[str, str]:
    """Return the files by path, all but the README and the parameters.

    `copied` are files of the project that its formatter leaves alone.
    """
    return {
        ".gitignore": _GIT_IGNORE,
        ".github/workflows/ci.yml": _CI.format(python=_minor(lock), install=_install(lock)),
        "pyproject.toml": _packaging(name, layout, requirements, lock, copied)
        + (_checking(plan, layout) if copied else _MYPY),
        REQUIREMENTS_FILE: "".join(f"{each}\n" for each in requirements),
        LOCK_FILE: lock.text,
    }


def parameters_text(plan: Plan) -> str:
    """Return the text of `parameters.toml`."""
    lines = [f"{each.name} = {toml_literal(each.value)}\n" for each in plan.parameters]
    return "# What a run trains with; `wright run --set NAME=VALUE` overrides.\n" + "".join(lines)


def read_me(plan: Plan, layout: Layout, *, name: str, lock: Lock) -> str:
    """Return the README of a conversion: what it is, how to work with it, its functions and parameters."""
    about = (
        f"Made from the notebook `{plan.notebook}` by Modelwright: every step of it that leads to the model is a "
        f"function of the package `{layout.package}`."
    )
    measured = ", ".join(f"`{each.name}`" for each in plan.metrics)
    score_file = layout.file(layout.score)
    scoring = f"`{score_file}` is the scoring script: `init()` loads the model, `run()` answers a request."
    return filled(
        _CONVERTED + REFERENCE,
        plan,
        layout,
        name=name,
        lock=lock,
        about=paragraph(f"{about} It measures {measured}." if measured else about),
        scoring=f"\n{paragraph(scoring)}\n" if plan.score else "",
        report=_REPORT_LINE.format(report=layout.report) if plan.report else "",
        page_file=PAGE_FILE,
    )


def filled(template: str, plan: Plan, layout: Layout, *, name: str, lock: Lock, **facts: str) -> str:
    """Return a README of this template, which may name what every project has, and `facts`."""
    return template.format(
        name=name,
        train=layout.train,
        python=_minor(lock),
        install=_install(lock),
        functions=table(("function", "takes", "gives"), [_told(each) for each in plan.functions]),
        parameters=table(
            ("parameter", "default"), [(f"`{each.name}`", f"`{toml_literal(each.value)}`") for each in plan.parameters]
        )
        or "It has none.\n",
        settings=paragraph(
            f"`python -m {layout.train} --help` lists them as options. `wright run` takes them from "
            f"`{PARAMETERS_FILE}`, and from `--set NAME=VALUE`."
        ),
        parameters_file=PARAMETERS_FILE,
        lock_file=LOCK_FILE,
        **facts,
    )


def paragraph(text: str) -> str:
    """Return prose in lines; names, which have no blanks, stay whole."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; nothing when there are no rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |\n" for line in lines)


def _told(function: Function) -> tuple[str, str, str]:
    def shown(names: Sequence[str]) -> str:
        return ", ".join(f"`{each}`" for each in names) or "-"

    return f"`{function.name}`", shown((*function.inputs, *function.parameters)), shown(function.outputs)


def _packaging(
    name: str, layout: Layout, requirements: Sequence[Requirement], lock: Lock, copied: Sequence[str]
) -> str:
    # Letters, digits, and dots, hyphens and underscores between them, are all that a distribution's name may have.
    valid = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")
    return _PYPROJECT.format(
        name=toml_literal(valid or layout.package),
        python=toml_literal(f">={_minor(lock)}"),
        requirements="".join(f"    {toml_literal(str(each))},\n" for each in requirements),
        formatting=_NOTEBOOKS_OWN.format(files=", ".join(map(toml_literal, copied))) if copied else "",
    )


def _checking(plan: Plan, layout: Layout) -> str:
    """Return the settings of mypy. Names that a star import may bring are unknown to it."""
    has_stars = any(each.endswith("import *") for each in plan.imports)
    codes = [*_LOOSE_CODES, *(["name-defined"] if has_stars else [])]
    skipped = "".join(f'    "{each}.*",\n' for each in plan.modules)
    settings = _LOOSE.format(codes="".join(f'    "{each}",\n' for each in codes), pipeline=layout.pipeline)
    return _MYPY + settings + (_SKIPPED.format(skipped) if skipped else "")


def _minor(lock: Lock) -> str:
    return ".".join(lock.python_version.split(".")[:2])


def _install(lock: Lock) -> str:
    """Return the arguments of pip that install what the project needs."""
    # A lock of remade wheels names files that only the machine that it was made on has.
    is_found = lock.source is not LockSource.WHEELS
    return f"install --no-deps --require-hashes -r {LOCK_FILE}" if is_found else f"install -r {REQUIREMENTS_FILE}"


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
{formatting}"""

_NOTEBOOKS_OWN = """\
# Lines of the notebook that are no errors: a star import, a text or a result that is not used.
ignore = ["F403", "F405", "F541", "F841"]

[tool.ruff.format]
exclude = [{files}]  # come with every conversion, as they are
quote-style = "preserve"  # the notebook's own lines keep their quotes
"""

_MYPY = """\

[tool.mypy]
files = ["src"]
mypy_path = "src"
ignore_missing_imports = true
"""

_LOOSE = """\
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
      - run: python -m pip {install}
      - run: python -m pip install mypy pytest ruff
      - run: ruff check .
      - run: mypy
      - run: python -m pytest
"""

_REPORT_LINE = "| draw what the model gives, as pictures in `outputs/report/` | `python -m {report}` |\n"

SET_UP = """\
## Set up

With Python {python}, in this folder:

```sh
python -m venv .venv
. .venv/bin/activate
pip {install}
pip install --no-deps -e .
pip install mypy pytest ruff
```
"""

_CONVERTED = (
    """\
# {name}

{about}

"""
    + SET_UP
    + """\

## Work with it

| | |
|---|---|
| train, and save the model in `outputs/` | `python -m {train}` |
{report}| test | `pytest` |
| check the code | `ruff check .`, `mypy` |
| see what became of each line of the notebook, and the proof | open `{page_file}` |

With Modelwright installed:

| | |
|---|---|
| train on the record; a gate compares with the best model so far | `wright run` |
| prove again that it gives what the notebook gives | `wright prove` |
| register what a run made, and serve it | `wright model register RUN`, `wright endpoint deploy {name}` |
{scoring}"""
)

# The end of every README.
REFERENCE = """\

## Functions

{functions}
## Parameters

{settings}

{parameters}"""
