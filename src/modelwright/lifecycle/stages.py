"""Stages of a long action, told as they begin and end."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class Stage:
    """One stage; `decided` says what came out, `recorded` where it is recorded. `elapsed_seconds` is None while it runs."""

    name: str
    doing: str = ""
    decided: str = ""
    recorded: str = ""
    elapsed_seconds: float | None = None


Report = Callable[[Stage], None]


@contextlib.contextmanager
def stage(name: str, report: Report, *, doing: str = "") -> Iterator[Stage]:
    """Report the stage when the block begins, and again, with its time, when the block ends without an error."""
    begun = time.monotonic()
    current = Stage(name, doing=doing)
    report(current)
    yield current
    current.elapsed_seconds = time.monotonic() - begun
    report(current)


def silent(_stage: Stage) -> None:
    """Report nothing."""
