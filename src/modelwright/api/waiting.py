"""Work that may take longer than a client waits: answered when it is done, or with where to look for it."""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast

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
class Going:
    """Work that goes on, how long its client waits for it, and where to look for what comes of it after that."""

    work: Future[Any]
    seconds: float
    look: str

    async def answered(self) -> Any:
        """Return what comes of it, raising what it raises; or, when it takes longer, that it goes on.

        No thread waits: a few clients with patience would take all those that others are answered by.
        """
        coming = asyncio.wrap_future(self.work)
        await asyncio.wait([coming], timeout=self.seconds)
        if coming.done():
            return coming.result()
        coming.add_done_callback(_logged)
        return Accepted(is_done=False, look=self.look)


@dataclass(frozen=True)
class Patience:
    """How long this client waits."""

    works: Works
    seconds: float

    def wait(self, work: Callable[..., _Found], *arguments: Any, look: str, **named: Any) -> _Found | Accepted:
        """Begin `work`; what a route returns of this is answered with what comes of it, or with that it goes on."""
        going = Going(
            self.works.pool.submit(contextvars.copy_context().run, work, *arguments, **named), self.seconds, look
        )
        return cast("_Found", going)  # a route's own type says what the answer is


def _logged(going: asyncio.Future[Any]) -> None:
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
