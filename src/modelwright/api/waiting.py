"""Work that may take longer than a client waits: answered when it is done, or with where to look for it."""

import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Accepted:
    """That something goes on, and where to look for what comes of it."""

    is_done: bool
    look: str


@dataclass(frozen=True)
class Works:
    """What goes on in this process; its end waits for it."""

    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="work"))

    def end(self) -> None:
        """Begin nothing more, and let what goes on come to its end."""
        self.pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Patience:
    """How long this client waits."""

    works: Works
    seconds: float

    def wait(self, work: Callable[..., _Found], *arguments: Any, look: str, **named: Any) -> _Found | Accepted:
        """Return what comes of `work`, raising what it raises; or, when it takes longer, that it goes on."""
        going: Future[_Found] = self.works.pool.submit(contextvars.copy_context().run, work, *arguments, **named)
        try:
            return going.result(self.seconds)
        except NotYet:
            if going.done():  # just now, or it was the work itself that ran out of time
                return going.result()
            going.add_done_callback(_logged)
            return Accepted(is_done=False, look=look)


def _logged(going: Future[Any]) -> None:
    """Say in the log how work ended badly that nobody waits for any more."""
    error = None if going.cancelled() else going.exception()
    if error is not None:
        _LOG.warning("%s: %s", getattr(error, "code", type(error).__name__), error)


def _patience(
    request: Request,
    wait: Annotated[
        float,
        Query(ge=0, le=600, description="How many seconds to wait until it is done; then 202 says where to look."),
    ] = 60.0,
) -> Patience:
    return Patience(request.app.state.works, wait)


Patient = Annotated[Patience, Depends(_patience)]
