"""Takes the measurements: a cell of load, a start, what lies on disk."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ground import CLIENT_CORE, HERE, VARIABLES, Ground
from servers import Running, Server

_WARM_SECONDS = 0.3
_REST_SECONDS = 1.0


@dataclass(frozen=True)
class Cell:
    """A load: so many connections, each with requests of so many rows; `rate` is of all of them, a second."""

    connections: int
    rows: int = 1
    rate: float = 0.0

    @property
    def name(self) -> str:
        """What the cell is called in tables and results."""
        return f"c{self.connections}" + (f"x{self.rows}" if self.rows > 1 else "")


CELLS = (Cell(1), Cell(16), Cell(64), Cell(16, rows=100))
# Of ours only: as many as it takes until a flush of the disk has no part in how fast it is.
CROWD = Cell(256)


def load(ground: Ground, server: Server, running: Running, *, model: str, cell: Cell, seconds: float) -> dict[str, Any]:
    """Put a load on a server and return what came of it, with its CPU for each request and that of everybody else."""
    with tempfile.TemporaryDirectory() as folder:
        request, expected = Path(folder) / "request", Path(folder) / "expected"
        request.write_bytes(server.request(ground, model, rows=cell.rows, headers=running.headers))
        options: list[str | Path] = [str(cell.rate)]
        if server.is_steady:
            expected.write_bytes(server.check(ground, model, running, rows=cell.rows))
            options.append(expected)
        command: list[str | Path] = [ground.program(HERE / "load.c"), str(running.port), request, str(cell.connections)]
        _run([*command, str(_WARM_SECONDS), *options])
        before, all_before, began = running.cpu_seconds(), _busy_seconds(), time.monotonic()
        told = _run([*command, str(seconds), *options])
        wall = time.monotonic() - began
        used, all_used = running.cpu_seconds() - before, _busy_seconds() - all_before
    rate = told["good"] / told["seconds"] if told["seconds"] else 0.0
    others = (all_used - used) / wall - told["busy"]
    return {
        **told,
        "rps": rate,
        "cpu_us": used / told["answered"] * 1e6 if told["answered"] else None,
        "core": used / told["seconds"] if told["seconds"] else None,
        "others": max(0.0, others),
    }


def _run(command: list[str | Path]) -> dict[str, Any]:
    pinned = ["taskset", "-c", str(CLIENT_CORE), *command]
    done = subprocess.run(pinned, capture_output=True, text=True, check=True)  # noqa: S603 - compiled here
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _busy_seconds() -> float:
    """Return the CPU that the whole machine has used."""
    times = psutil.cpu_times()
    busy: float = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
    return busy


def start(ground: Ground, server: Server, *, model: str) -> tuple[Running, dict[str, Any]]:
    """Start a server and return it with what that took, to the first right answer, and what it then holds."""
    running = server.start(ground, model)
    try:
        server.await_answer(ground, model, running)
        took = None
        if running.began is not None:
            took = time.monotonic() - running.began, running.cpu_seconds() + running.spent
        if not server.is_floor:
            server.check(ground, model, running, rows=100)
        time.sleep(_REST_SECONDS)
        at_rest = running.cpu_seconds()
        time.sleep(_REST_SECONDS)
        rest = (running.cpu_seconds() - at_rest) / _REST_SECONDS
        return running, {
            "wall_s": took and took[0],
            "cpu_s": took and took[1],
            "pss_mb": running.memory_mb(),
            "processes": len(running.family()),
            "rest": rest,
        }
    except BaseException:
        running.stop()
        raise


def installed(folder: Path) -> Mapping[str, float]:
    """Return the size of an environment and the number of its packages, without byte code, which some write late."""
    size = 0
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
            size += path.stat().st_size
    packages = list(folder.glob("lib/python*/site-packages/*.dist-info"))
    return {"mb": size / 1e6, "packages": len(packages)}


def bare(python: Path, model: Path) -> dict[str, Any]:
    """Return what one call of the model's `predict` costs, in microseconds of CPU, by the number of rows."""
    command: list[str | Path] = ["taskset", "-c", str(CLIENT_CORE), python, HERE / "floors/bare.py", model]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=VARIABLES)  # noqa: S603 - ours
    return {f"rows_{rows}_us": cost for rows, cost in json.loads(done.stdout).items()}
