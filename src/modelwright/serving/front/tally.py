"""What came of a deployment's requests, in plain numbers: cheap to count, made into text only when somebody asks."""

from bisect import bisect_left

# Upper bounds in milliseconds; a last bucket takes what is slower.
LATENCY_BOUNDS_MS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
_SERVER_ERRORS = 500


class Tally:
    """Counts of one deployment, from when the front knows it."""

    __slots__ = ("errors", "latency", "milliseconds", "requests", "shadow_requests", "statuses")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.requests = 0
        self.errors = 0
        self.shadow_requests = 0
        self.milliseconds = 0.0
        self.statuses: dict[int, int] = {}
        self.latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)

    def note(self, status: int, milliseconds: float) -> None:
        """Count an answer; those from 500 on are errors."""
        self.requests += 1
        self.milliseconds += milliseconds
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latency[bisect_left(LATENCY_BOUNDS_MS, milliseconds)] += 1
        if status >= _SERVER_ERRORS:
            self.errors += 1
