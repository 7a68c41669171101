"""Whether a shadow's answers are those of the version whose answers were given, request by request."""

import json
import math
from collections import deque
from dataclasses import dataclass, field

_SERVER_ERROR = 500
# Longer answers are compared by their bytes alone: reading them would hold up the requests of others.
_LONGEST_BYTES = 1 << 16
_EXAMPLES = 20


@dataclass
class Agreement:
    """How often both answered alike. Numbers are alike within `tolerance` of the greater of them.

    `largest` is the greatest difference of two numbers that was seen, as a share of the greater of them; `examples`
    are the ids of the last requests that were answered differently.
    """

    tolerance: float = 0.0
    compared: int = 0
    differing: int = 0
    largest: float = 0.0
    examples: deque[str] = field(default_factory=lambda: deque(maxlen=_EXAMPLES))

    def take(self, request_id: str, given: tuple[int, bytes], shadow: tuple[int, bytes]) -> None:
        """Compare two answers, status and body each. Where none was given there is nothing to compare with."""
        if given[0] >= _SERVER_ERROR:
            return
        self.compared += 1
        if given == shadow:
            return
        is_alike = False
        if given[0] == shadow[0] and max(len(given[1]), len(shadow[1])) <= _LONGEST_BYTES:
            try:
                distance = _distance(json.loads(given[1]), json.loads(shadow[1]))
            except (ValueError, OverflowError, RecursionError):
                distance = math.inf
            if distance < math.inf:
                self.largest = max(self.largest, distance)
            is_alike = distance <= self.tolerance
        if not is_alike:
            self.differing += 1
            self.examples.append(request_id)


def _distance(one: object, other: object) -> float:
    """Return the greatest relative difference of two numbers that stand at the same place; infinity for all else."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((_distance(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max(map(_distance, one, other), default=0.0)
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return 0.0
    if isinstance(one, int | float) and isinstance(other, int | float) and bool not in (type(one), type(other)):
        if math.isnan(one) and math.isnan(other):
            return 0.0
        greater: float = max(abs(one), abs(other))
        return abs(one - other) / greater if math.isfinite(greater) else math.inf
    return math.inf
