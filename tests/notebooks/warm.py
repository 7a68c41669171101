"""A process with the libraries loaded, of which a notebook, a project or its tests get a fork: fresh, and at once.

Run as a script, it takes requests as lines of JSON on standard input and answers each with a line: the exit code.
"""

import contextlib
import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

_LIBRARIES = """numpy pandas matplotlib.pyplot joblib IPython.core.interactiveshell IPython.core.displaypub
sklearn.cluster sklearn.compose sklearn.datasets sklearn.decomposition sklearn.ensemble sklearn.linear_model
sklearn.metrics sklearn.model_selection sklearn.naive_bayes sklearn.neighbors sklearn.pipeline sklearn.preprocessing
sklearn.svm sklearn.tree pytest""".split()
_LIMIT_SECONDS = 300


def serve() -> None:
    """Answer requests until there are no more."""
    for each in _LIBRARIES:
        __import__(each)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        asked = json.loads(line)
        work = run_notebook if "cells" in asked else run_tests if "tests" in asked else run_project
        print(_forked(work, asked), file=answers)


def _forked(work: Callable[[dict[str, object]], None], asked: dict[str, object]) -> int:
    """Do the work in a process of its own; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(_LIMIT_SECONDS)
    code = 1
    try:
        output = os.open(str(asked["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(str(asked["folder"]))
        work(asked)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - told to the one who asked
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def run_notebook(asked: dict[str, object]) -> None:
    """Run cells in a shell that the tracer watches."""
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    class Silent(DisplayPublisher):
        def publish(self, *_: object, **__: object) -> None:
            """Show nothing; the tracer listens in between."""

    InteractiveShell.display_pub_class = Silent
    shell = InteractiveShell.instance()
    # A kernel sends what it shows as messages, and prints nothing.
    shell.displayhook.write_format_data = lambda *_: None
    shell.displayhook.write_output_prompt = lambda: None
    cells: list[str] = asked["cells"]  # type: ignore[assignment]
    shell.run_cell(cells[0], store_history=False).raise_error()
    installing = f'__import__("runpy").run_path({asked["tracer"]!r})["install"]({asked["request"]!r})'
    shell.run_cell(installing, store_history=False).raise_error()
    for code in cells[1:]:
        shell.run_cell(code, store_history=True).raise_error()


def run_project(asked: dict[str, object]) -> None:
    """Run a module of a project as a script."""
    sys.path.insert(0, str(asked["source"]))
    sys.argv = ["train.py", "--output-folder", str(Path(str(asked["folder"]), "outputs"))]
    runpy.run_module(str(asked["module"]), run_name="__main__")


def run_tests(asked: dict[str, object]) -> None:
    """Run tests with pytest, whose words are what the fork says."""
    import pytest

    options: list[str] = asked["tests"]  # type: ignore[assignment]
    sys.exit(pytest.main(options))


if __name__ == "__main__":
    serve()
