"""A session: who does something long in which workspace, and who is told of its stages."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelwright.store.changes import Change, change
from modelwright.store.database import Store


@dataclass
class Stage:
    """One stage: `decided` says what came out, `recorded` where to find it, `notes` what to know besides.

    It runs while `elapsed_seconds` is None; `has_failed` when it did not come to a good end.
    """

    name: str
    doing: str = ""
    decided: str = ""
    recorded: str = ""
    notes: tuple[str, ...] = ()
    elapsed_seconds: float | None = None
    has_failed: bool = False


Report = Callable[[Stage], None]


def silent(_stage: Stage) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Session:
    """An open workspace, the actor of all its changes and why they make them, and the reporter of its stages."""

    store: Store
    actor: str
    report: Report = silent
    why: str = ""

    @contextlib.contextmanager
    def stage(self, name: str, doing: str = "") -> Iterator[Stage]:
        """Report a stage when the block begins, and again, with its time, when the block ends without an error."""
        begun = time.monotonic()
        current = Stage(name, doing)
        self.report(current)
        yield current
        current.elapsed_seconds = time.monotonic() - begun
        self.report(current)

    def change(self) -> contextlib.AbstractContextManager[Change]:
        """Open a transaction in this session's name."""
        return change(self.store, actor=self.actor, why=self.why)
