"""Lanes: the threads that tell one subscriber, a few at most, so that nobody waits for anybody else's subscriber."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from modelwright.records import Attempt, AttemptVerdict, Delivery, Subscription

# So many attempts of one subscription go on at once in one process.
WIDTH = 4
# So many deliveries are leased for a subscriber that answers at once; for any other, as many as are told at once.
_MOST_HELD = 128
_QUICK_SECONDS = 0.25
# How long a thread waits for more to do before it ends.
_IDLE_SECONDS = 5.0

Tell = Callable[[Subscription, Delivery], Attempt | None]


@dataclass(frozen=True)
class Told:
    """An attempt, and how long it took; None is one that was not made."""

    subscription: Subscription
    delivery: Delivery
    attempt: Attempt | None
    seconds: float


class Lane:
    """What is told to one subscriber: what waits, and the threads at it. They die with the process."""

    def __init__(self, tell: Tell, ended: "SimpleQueue[Told]", *, width: int = WIDTH) -> None:
        """Call `tell` of each delivery, at most `width` at once; put what comes of it into `ended`."""
        self._width = width
        self._tell = tell
        self._ended = ended
        self._waiting: SimpleQueue[tuple[Subscription, Delivery]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._most = width
        self.held = 0

    @property
    def room(self) -> int:
        """How many more deliveries to lease: none while there is enough to do."""
        return self._most - self.held if self.held <= self._most // 2 else 0

    def take(self, subscription: Subscription, deliveries: Iterable[Delivery]) -> None:
        """Tell the subscriber of these."""
        for each in deliveries:
            self.held += 1
            self._waiting.put((subscription, each))
        with self._lock:
            for _ in range(min(self._width, self.held) - self._threads):
                self._threads += 1
                threading.Thread(target=self._work, daemon=True).start()

    def give_back(self) -> None:
        """Begin nothing more: what waits comes back untried."""
        with contextlib.suppress(Empty):
            while True:
                self._ended.put(Told(*self._waiting.get_nowait(), None, 0.0))

    def note(self, told: Told) -> None:
        """Learn from what came back how much to hold: ever more while the subscriber is quick and content."""
        self.held -= 1
        is_well = told.attempt is not None and told.attempt.verdict is AttemptVerdict.DELIVERED
        self._most = min(self._most + 1, _MOST_HELD) if is_well and told.seconds < _QUICK_SECONDS else self._width

    def _work(self) -> None:
        while True:
            try:
                subscription, delivery = self._waiting.get(timeout=_IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._waiting.empty():
                        self._threads -= 1
                        return
                continue
            begun = time.monotonic()
            attempt = self._tell(subscription, delivery)
            self._ended.put(Told(subscription, delivery, attempt, time.monotonic() - begun))
