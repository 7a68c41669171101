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
# The request that scoring is tried with.
SAMPLE_FILE = "sample.json"
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
        ".github/workflows/ci.yml": _workflow(lock),
        "pyproject.toml": _packaging(name, layout, requirements, lock, copied) + _checking(plan, layout),
        "requirements.txt": "".join(f"{each}\n" for each in requirements),
        LOCK_FILE: lock.text,
    }


def parameters_text(plan: Plan) -> str:
    """Return the text of `parameters.toml`."""
    lines = [f"{each.name} = {toml_literal(each.value)}\n" for each in plan.parameters]
    return "# What a run trains with; `wright run --set NAME=VALUE` overrides.\n" + "".join(lines)


def read_me(plan: Plan, layout: Layout, *, name: str) -> str:
    """Return the README of a conversion: what it is, how to work with it, its functions and parameters."""
    report = _REPORT_LINE.format(report=layout.report) if plan.report else ""
    return filled(_README, plan, layout, name=name, report=report)


def filled(template: str, plan: Plan, layout: Layout, *, name: str, **facts: str) -> str:
    """Return a README of this template, which may name what every project has, and `facts`."""
    return template.format(
        name=name,
        notebook=plan.notebook,
        package=layout.package,
        train=layout.train,
        score_file=layout.file(layout.score),
        metrics=", ".join(f"`{each.name}`" for each in plan.metrics) or "nothing",
        functions=table(("function", "takes", "gives"), [_told(each) for each in plan.functions]),
        parameters=table(
            ("parameter", "default"), [(f"`{each.name}`", f"`{toml_literal(each.value)}`") for each in plan.parameters]
        )
        or "It has none.\n",
        parameters_file=PARAMETERS_FILE,
        lock_file=LOCK_FILE,
        page_file=PAGE_FILE,
        **facts,
    )


def _told(function: Function) -> tuple[str, str, str]:
    def shown(names: Sequence[str]) -> str:
        return ", ".join(f"`{each}`" for each in names) or "-"

    return f"`{function.name}`", shown((*function.inputs, *function.parameters)), shown(function.outputs)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; nothing when there are no rows."""
    if not rows:
        return ""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in line)} |\n" for line in lines)


def _packaging(
    name: str, layout: Layout, requirements: Sequence[Requirement], lock: Lock, copied: Sequence[str]
) -> str:
    minor = ".".join(lock.python_version.split(".")[:2])
    return _PYPROJECT.format(
        name=toml_literal(re.sub(r"[^A-Za-z0-9]+$", "", name) or layout.package),
        python=toml_literal(f">={minor}"),
        requirements="".join(f"    {toml_literal(str(each))},\n" for each in requirements),
        left_alone=_LEFT_ALONE.format(files=", ".join(map(toml_literal, copied))) if copied else "",
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

{left_alone}"""

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

_LEFT_ALONE = """\
[tool.ruff.format]
exclude = [{files}]  # come with every conversion, as they are

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

_REPORT_LINE = "| draw what the model gives, as pictures in `outputs/report/` | `python -m {report}` |\n"

_CONVERTED = """\
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
{report}| test | `pip install pytest`, then `pytest` |
| train on the record; a gate compares with the best model so far | `wright run` |
| see what became of each line of the notebook, and the proof | open `{page_file}` |
| prove again that it gives what the notebook gives | `wright prove` |
| register what a run made, and serve it | `wright model register RUN`, `wright endpoint deploy {name}` |

`{score_file}` is the scoring script: `init()` loads the model, `run()` answers a request.
"""

# The end of every README.
REFERENCE = """\

## Functions

{functions}
## Parameters

Of `python -m {train} --help`, of `wright run --set NAME=VALUE`, and in `{parameters_file}`.

{parameters}"""

_README = _CONVERTED + REFERENCE
