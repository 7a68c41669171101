"""A guest: how long work takes, on machines that others use too; and an end to what takes too long.

Standard library only.
"""

import contextlib
import signal
import time
from typing import Any

# On a busy machine, so many times as long as needed may pass.
_MOST_WAITING = 4.0
_LOOKS_EACH_SECONDS = 0.5
# Importing so many takes more time than a function may, and happens once.
MANY_MODULES = 100


class TooSlow(BaseException):
    """Something takes longer than it may. No `Exception`, lest the code that takes so long catches it."""

    def __init__(self, name: str, seconds: float) -> None:
        """Tell what it is, and how long it has taken so far."""
        super().__init__(f"{name} takes {seconds:.1f} s")
        self.name = name


class Clock:
    """Tells the time that a process needs, and not how long it waited for others on a busy machine."""

    def __init__(self) -> None:
        """Start."""
        self._began = time.monotonic(), time.process_time()

    def seconds(self) -> float:
        """Return the seconds of work; those that passed where the work was done by other processes."""
        passed, worked = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        return min(passed, max(worked, passed / _MOST_WAITING))


def _is_importing(frame: Any) -> bool:
    """Whether a module is being imported, which cannot be begun again once it is broken off."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def limited(name: str, most_seconds: float) -> Any:
    """Raise TooSlow once what is done here takes too long: at once where signals can interrupt it, else at its end."""
    clock = Clock()

    def check(_signal: object = None, frame: Any = None) -> None:
        if clock.seconds() > most_seconds and not _is_importing(frame):
            raise TooSlow(name, clock.seconds())

    if not hasattr(signal, "setitimer"):  # Windows
        yield clock
        check()
        return
    before = signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, _LOOKS_EACH_SECONDS, _LOOKS_EACH_SECONDS)
    try:
        yield clock
        check()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
