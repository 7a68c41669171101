"""Some of a version's answers, chosen by chance, from which the distribution of its predictions is told."""

import json
import math
import random
import sys
from typing import Any

from modelwright.serving.rollout.shifting import Sample

_MOST_NUMBERS = 2000
_MOST_CATEGORIES = 1000
_OTHER = "(other)"
# One answer in so many seconds at most, and no long ones: reading them is work in the process that all requests share.
_PAUSE_SECONDS = 0.01
_LONGEST_BYTES = 1 << 14
# Under these names scripts return what they predict.
_NAMES = ("result", "results", "Results", "predictions", "outputs", "data")


class Predictions:
    """A sample of what a version answered: one value of each answer, since values of one answer are alike.

    Of more numbers than it keeps, each has the same chance to be kept (Vitter 1985, algorithm R).
    """

    def __init__(self, *, seed: str = "") -> None:
        """Draw by `seed`, so that the same answers give the same sample."""
        self._draws = random.Random(seed)  # noqa: S311 - a sample, no secret
        self._next = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget everything: what was answered before is of other times, or of other requests."""
        self.answers = 0
        self._numbers: list[float] = []
        self._count = 0
        self._categories: dict[str, int] = {}

    def offer(self, body: bytes, now: float) -> None:
        """Take one value of an answer if it is time for one; `now` is in seconds."""
        if now < self._next or len(body) > _LONGEST_BYTES:
            return
        self._next = now + _PAUSE_SECONDS
        try:
            value = self._one_of(json.loads(body))
        except (ValueError, RecursionError):
            return
        self.answers += 1
        if isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf:
            # JSON has whole numbers that are larger than any other.
            self._keep(float(min(max(value, -sys.float_info.max), sys.float_info.max)))
            return
        # JSON has halves of characters, too, which cannot be told to anybody.
        name = (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace").decode()
        if name not in self._categories and len(self._categories) >= _MOST_CATEGORIES:
            name = _OTHER
        self._categories[name] = self._categories.get(name, 0) + 1

    def sample(self) -> Sample:
        """Return what is kept."""
        return Sample(tuple(self._numbers), dict(self._categories))

    def _keep(self, number: float) -> None:
        self._count += 1
        if len(self._numbers) < _MOST_NUMBERS:
            self._numbers.append(number)
            return
        place = self._draws.randrange(self._count)
        if place < _MOST_NUMBERS:
            self._numbers[place] = number

    def _one_of(self, value: Any) -> Any:
        """Return a number, text, truth or null that is in `value`, chosen by chance."""
        while True:
            if isinstance(value, dict) and value:
                named = next((name for name in _NAMES if name in value), None)
                value = value[named] if named else value[self._draws.choice(sorted(value))]
            elif isinstance(value, list) and value:
                value = self._draws.choice(value)
            elif isinstance(value, str) and value[:1] in ("[", "{"):
                # A script that returned text that is JSON again.
                try:
                    value = json.loads(value)
                except ValueError:
                    return value
            else:
                return value
