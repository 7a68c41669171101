"""Guest: runs a project's tests for one mutant after the other, in forks of a process that has the libraries loaded.

`mutants_worker.py REQUEST`, where REQUEST is JSON with `folder`, `modules` to load first, `mutants` (file, text) and
`seconds` for each; prints a line of JSON for each mutant: whether a test failed. Standard library and pytest.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path


def _tests_fail(folder: str, seconds: float) -> bool:
    child = os.fork()
    if child == 0:
        os.setsid()
        _run_tests(folder)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _run_tests(folder: str) -> None:
    """Run the tests in this fork and end it with their exit code."""
    code = 99
    try:
        os.chdir(folder)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--color=no"]))
    finally:
        os._exit(code)


def main() -> None:
    """Try each mutant of the request."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name in request["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for number, (file, text) in enumerate(request["mutants"]):
        path = Path(file)
        original = path.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        begun = time.monotonic()
        try:
            is_red = _tests_fail(request["folder"], request["seconds"])
        finally:
            path.write_text(original, encoding="utf-8")
        print(json.dumps({"mutant": number, "is_red": is_red, "seconds": time.monotonic() - begun}), flush=True)


if __name__ == "__main__":
    sys.path.pop(0)
    main()
