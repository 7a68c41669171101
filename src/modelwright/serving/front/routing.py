"""Which deployment answers a request: by a header that names one, by a sticky key, else by its share of the traffic.

A request whose deployment cannot answer now goes to the default one, unless it was named. Sticky keys are placed by
weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005): when shares change,
only keys that must move do.
"""

import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from modelwright.records import Traffic
from modelwright.serving.front.messages import Head
from modelwright.serving.front.versions import Version

# Headers that name a deployment; by the last, which many send for other reasons, only one that is known.
PINS = ("x-modelwright-deployment", "azureml-model-deployment", "x-api-version")
_LOOSE_PIN = PINS[-1]
_HASH_RANGE = float(1 << 64)


class Pinned(Exception):
    """A header names a deployment that is not here."""

    def __init__(self, name: str) -> None:
        """Tell which."""
        self.name = name


class Router:
    """The deployments of an endpoint, and how its requests are shared out."""

    def __init__(self) -> None:
        """Begin with nobody to answer."""
        self.versions: dict[str, Version] = {}
        self._traffic = Traffic()
        self._names: list[str] = []
        self._bounds: list[float] = []
        self._shadows: list[tuple[str, float]] = []

    @property
    def traffic(self) -> Traffic:
        """How requests are shared out."""
        return self._traffic

    @property
    def default(self) -> Version | None:
        """The deployment that takes what nobody else does."""
        return self.versions.get(self._traffic.default)

    def share_out(self, traffic: Traffic) -> None:
        """Share out requests that come from now on like that."""
        split = {name: share for name, share in traffic.split().items() if share > 0}
        self._traffic = traffic
        self._names = list(split)
        self._bounds = list(accumulate(split.values()))
        self._shadows = [(name, share) for name, share in traffic.shadows.items() if share > 0]

    def pick(self, head: Head) -> Version | None:
        """Return the deployment that is to answer; None when there is none. Raises Pinned."""
        return self._pinned(head) or self.draw(head)

    def draw(self, head: Head) -> Version | None:
        """Return the deployment whose turn it is; None when there is none."""
        chosen = self.versions.get(self._names[0] if len(self._names) == 1 else self._draw(head))
        if chosen is None or not chosen.is_ready:
            fallback = self.default
            if fallback is not None and (chosen is None or fallback.is_ready):
                return fallback
        return chosen

    def is_alone(self, version: Version) -> bool:
        """Whether a deployment answers everything, not only in place of another, and nobody gets copies."""
        return len(self._names) == 1 and not self._shadows and self.versions.get(self._names[0]) is version

    @property
    def has_shadows(self) -> bool:
        """Whether any deployment gets copies."""
        return bool(self._shadows)

    def shadows(self, chosen: Version | None) -> Iterator[Version]:
        """Give the deployments that get a copy of a request which `chosen` answers."""
        for name, share in self._shadows:
            if random.random() * 100 < share:  # noqa: S311 - nothing is to be kept secret
                version = self.versions.get(name)
                if version is not None and version is not chosen and version.is_ready:
                    yield version

    def named(self, name: str) -> Version | None:
        """Return the deployment of that name, or else the one that serves the version of that reference or number."""
        found = self.versions.get(name)
        if found is not None:
            return found
        return next(
            (each for each in self.versions.values() if name in _ways_to_say(each.spec.version)),
            None,
        )

    def serving(self, model: str, version: str | None) -> list[Version]:
        """Return the deployments that serve a model, in one version of it or in any, those that are ready first."""
        wanted = None if version is None else f"{model}:{version}"
        found = [
            each
            for each in self.versions.values()
            if each.spec.version == wanted or (wanted is None and each.spec.version.rpartition(":")[0] == model)
        ]
        return sorted(found, key=lambda each: not each.is_ready)

    def _pinned(self, head: Head) -> Version | None:
        headers = head.headers
        for header in PINS:
            name = headers.get(header)
            if name:
                found = self.named(name)
                if found is not None:
                    return found
                if header != _LOOSE_PIN:
                    raise Pinned(name)
        return None

    def _draw(self, head: Head) -> str:
        if not self._names:
            return ""
        header = self._traffic.sticky_header
        key = head.headers.get(header) if header else None
        if key:
            return rendezvous(key, zip(self._names, _steps(self._bounds), strict=True))
        place = bisect_right(self._bounds, random.random() * self._bounds[-1])  # noqa: S311 - nothing to keep secret
        return self._names[min(place, len(self._names) - 1)]


def rendezvous(key: str, weights: Iterable[tuple[str, float]]) -> str:
    """Return the name that `key` belongs to, each getting keys in proportion to its weight."""

    def score(name: str, weight: float) -> float:
        digest = hashlib.blake2b(f"{name}\0{key}".encode(), digest_size=8).digest()
        return -weight / math.log((int.from_bytes(digest, "big") + 0.5) / _HASH_RANGE)

    return max(weights, key=lambda each: score(*each))[0]


def _steps(bounds: list[float]) -> Iterator[float]:
    before = 0.0
    for bound in bounds:
        yield bound - before
        before = bound


def _ways_to_say(reference: str) -> tuple[str, str]:
    return reference, reference.rpartition(":")[2]
