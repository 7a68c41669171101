"""How many events in a row led to what is done now, so that what feeds itself comes to an end.

What a person or a schedule does is at 0; what a subscription starts is one further than the event that it was told of.
Processes are told by an environment variable, requests by a header, and what is done in a block by that block.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from modelwright import settings

HEADER = "wright-event-hops"
MOST = 16

_HOPS: ContextVar[int | None] = ContextVar("hops", default=None)


def present() -> int:
    """Return how many events led here. Raises SettingInvalid when the environment says what is no number."""
    found = _HOPS.get()
    return settings.event_hops() if found is None else found


def variables(count: int) -> dict[str, str]:
    """Return what tells a process that so many events led to it."""
    return {"WRIGHT_EVENT_HOPS": str(count)}


@contextlib.contextmanager
def led_by(count: int) -> Iterator[None]:
    """Let so many events have led to what is done in the block."""
    token = _HOPS.set(count)
    try:
        yield
    finally:
        _HOPS.reset(token)
