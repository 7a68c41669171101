"""A traffic that somebody must keep confirming: when nobody does, requests are shared out as before, by the front."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelwright.records import Traffic, now

if TYPE_CHECKING:
    from datetime import datetime

_LOG = logging.getLogger(__name__)


class Lease:
    """What the front falls back to when its present traffic is no longer confirmed in time.

    The watcher of a rollout may be killed, and its machine may be too busy to let it look: what it began on trial must
    not stay then.
    """

    def __init__(self, share_out: Callable[[Traffic], None]) -> None:
        """Have `share_out` called with what is fallen back to."""
        self.lapsed_at: datetime | None = None
        self._share_out = share_out
        self._fallback: Traffic | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._ends_at = 0.0

    @property
    def left_seconds(self) -> float | None:
        """How long the traffic holds unless it is confirmed; None when it needs no confirmation."""
        return max(0.0, self._ends_at - asyncio.get_running_loop().time()) if self._alarm else None

    def hold(self, fallback: Traffic | None, seconds: float) -> None:
        """Begin anew: fall back to `fallback` in so many seconds; None makes the present traffic permanent."""
        self.release()
        self.lapsed_at = None
        if fallback is not None:
            loop = asyncio.get_running_loop()
            self._fallback = fallback
            self._ends_at = loop.time() + seconds
            self._alarm = loop.call_at(self._ends_at, self._lapse)

    def renew(self, seconds: float) -> bool:
        """Confirm the traffic for so many seconds more; return whether it still was the one on trial."""
        if self._fallback is None or self._alarm is None:
            return False
        self.hold(self._fallback, seconds)
        return True

    def release(self) -> None:
        """Let the present traffic be."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._fallback = None

    def _lapse(self) -> None:
        fallback = self._fallback
        self.release()
        if fallback is not None:
            self.lapsed_at = now()
            _LOG.error("nobody confirmed the traffic on trial; it is shared out as before: %s", fallback.split())
            self._share_out(fallback)
