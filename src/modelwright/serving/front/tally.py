"""What came of a deployment's requests, in plain numbers: cheap to count, made into text only when somebody asks."""

from bisect import bisect_left
from time import monotonic

from modelwright.serving.rollout.agreement import Agreement
from modelwright.serving.rollout.predictions import Predictions

_PER_DECADE = 20
# Upper bounds in milliseconds, each an eighth above the one before, from 0.1 ms to 100 s; a last bucket takes what is
# slower. Versions whose latencies differ by a quarter fall into different ones.
LATENCY_BOUNDS_MS = tuple(round(10 ** (power / _PER_DECADE), 4) for power in range(-_PER_DECADE, 5 * _PER_DECADE + 1))
_OK = 200
_SERVER_ERRORS = 500


class Totals:
    """How many requests an endpoint has answered, and how many it has not answered yet."""

    __slots__ = ("answered", "in_progress")

    def __init__(self) -> None:
        """Begin with none."""
        self.answered = 0
        self.in_progress = 0


class Tally:
    """Counts of one deployment, from when the front knows it.

    `agreement` is of its answers to copies with those that were given, `shadows_dropped` how many copies it was too
    busy for; `predictions` are some of its answers since the traffic was changed last.
    """

    __slots__ = (
        "agreement",
        "bytes_in",
        "bytes_out",
        "errors",
        "latency",
        "milliseconds",
        "predictions",
        "requests",
        "shadow_requests",
        "shadows_dropped",
        "statuses",
    )

    def __init__(self) -> None:
        """Begin with nothing."""
        self.requests = 0
        self.errors = 0
        self.shadow_requests = 0
        self.shadows_dropped = 0
        self.agreement = Agreement()
        self.predictions = Predictions()
        self.milliseconds = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self.statuses: dict[int, int] = {}
        self.latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def note(self, status: int, milliseconds: float, asked: bytes, answered: bytes) -> None:
        """Count an answer; statuses from 500 on are errors, and predictions are looked at in answers of status 200."""
        self.requests += 1
        self.milliseconds += milliseconds
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latency[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1
        self.bytes_in += len(asked)
        self.bytes_out += len(answered)
        if status == _OK:
            self.predictions.offer(answered, monotonic())
        elif status >= _SERVER_ERRORS:
            self.errors += 1
