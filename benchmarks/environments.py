"""How long it takes to have an environment that is built already, against `uv sync` with nothing to do.

Run by `python benchmarks/environments.py [ROUNDS]`; needs the package index, or uv's cache of it. Both sides have the
same packages, from the same `uv.lock`. They take turns, so that whatever else the machine does hits all of them alike;
printed are medians and, round by round, the ratio to `uv sync` of the same round.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from modelwright.environments import placing, registration
from modelwright.environments.pinning import read_pins
from modelwright.settings import uv_command
from modelwright.store.changes import change
from modelwright.store.database import Store, open_store

ROUNDS = 20
PYTHON = Path(sys.executable)
PROJECT = """
[project]
name = "measured"
version = "0"
requires-python = ">=3.11"
dependencies = ["scikit-learn", "pandas"]
"""
# With the second one set no compiled modules are kept, and every start of ours would compile all of them anew.
_STEERING = {"VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in _STEERING}


def run(*command: str | Path, folder: Path) -> None:
    """Run a command to its end, in silence."""
    subprocess.run(  # noqa: S603 - our own commands
        command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def seconds(call: Callable[[], object]) -> float:
    """Return how long the call took, in seconds."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def calls(folder: Path, store: Store) -> dict[str, Callable[[], object]]:
    """Return what is measured, by what it is called."""
    uv, wright = uv_command(), PYTHON.with_name("wright")
    lock = registration.environment_lock(store, "measured")
    return {
        "`uv sync`, unchanged": lambda: run(uv, "sync", "--python", PYTHON, folder=folder),
        "`uv sync --frozen`, unchanged": lambda: run(uv, "sync", "--frozen", "--python", PYTHON, folder=folder),
        "found by its lock, in process": lambda: placing.build_in(store, lock),
        "found by its name, in process": lambda: placing.build_in(
            store, registration.environment_lock(store, "measured:1")
        ),
        "`wright environment build`, found": lambda: run(wright, "environment", "build", "measured", folder=folder),
    }


def main() -> None:
    """Measure and print a Markdown table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="wright-environments-") as temporary:
        folder = Path(temporary)
        (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        run(uv_command(), "sync", "--python", PYTHON, folder=folder)
        store = open_store(folder / ".wright")
        registration.add(store, "measured", folder / "uv.lock", changing=lambda: change(store, actor="benchmark"))
        lock = registration.environment_lock(store, "measured")
        built = seconds(lambda: placing.build_in(store, lock))
        size = placing.size_of(placing.build_in(store, lock))
        measured = calls(folder, store)
        for call in measured.values():
            call()
        taken: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(rounds):
            for name, call in measured.items():
                taken[name].append(seconds(call))
        store.close()
    print(
        f"{len(read_pins(lock))} packages, built once in {built:.2f} s from uv's cache; {size.size_bytes / 1e6:.0f} MB,"
    )
    print(f"of which {size.own_bytes / 1e6:.1f} MB are shared with nothing else\n")
    print("| | median, ms | longest, ms | times `uv sync` |")
    print("|---|---:|---:|---:|")
    base = taken["`uv sync`, unchanged"]
    for name, values in taken.items():
        ratio = statistics.median(value / other for value, other in zip(values, base, strict=True))
        print(f"| {name} | {1000 * statistics.median(values):.2f} | {1000 * max(values):.2f} | {ratio:.4f} |")


if __name__ == "__main__":
    main()
