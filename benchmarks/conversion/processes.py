"""Commands run in a process group of their own, which ends with them."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# One thread and one order of sets on both sides: what is compared is the code, not the machine's mood.
_STEADY = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "Agg",
    "PYTHONDONTWRITEBYTECODE": "1",
}


_LEADERS: set[int] = set()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    is_timeout: bool


def run(
    command: Sequence[str | Path],
    *,
    folder: Path,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    is_steady: bool = True,
) -> Done:
    """Run a command and return how it ended; one that takes too long is ended with all of its group."""
    variables = {**os.environ, **(_STEADY if is_steady else {}), **(environment or {})}
    begun = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own commands
        [str(each) for each in command],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        _LEADERS.add(process.pid)
        try:
            stdout, stderr = process.communicate(timeout=timeout_seconds)
            is_timeout = False
        except subprocess.TimeoutExpired:
            _end_group(process.pid)
            stdout, stderr = process.communicate()
            is_timeout = True
        finally:
            _LEADERS.discard(process.pid)
    return Done(process.returncode, stdout, stderr, round(time.monotonic() - begun, 1), is_timeout)


def end_all() -> None:
    """End what is still running: the harness itself was told to stop."""
    for leader in tuple(_LEADERS):
        _end_group(leader)


def _end_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGTERM)
        time.sleep(2)
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass
