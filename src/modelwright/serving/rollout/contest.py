"""The standing comparison of an endpoint's deployments with the one that they are compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.records import RolloutLimits
from modelwright.serving.rollout.checking import Evidence, Seen

# Nothing is held against these; the evidence is gathered alone.
_NO_LIMITS = RolloutLimits(alpha=0.05)


class Contest:
    """Evidence of each deployment against the control, gathered while both serve, from when both are there.

    The test is told what happened bit by bit, in the order in which it happened: shares of traffic and rates of errors
    change with time, and totals over such times compare mornings with evenings.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        """Count latencies by the buckets that end at `edges`."""
        self._edges = edges
        self._control = ""
        self._before: dict[str, Seen] = {}
        self._evidence: dict[str, Evidence] = {}

    @property
    def is_over(self) -> bool:
        """Whether nobody is compared."""
        return not self._evidence

    def take(self, control: str, seen: Mapping[str, Seen]) -> None:
        """Take what each deployment has done by now."""
        if control != self._control:
            self._control, self._before, self._evidence = control, {}, {}
        if control in seen:
            new = [name for name in seen if name != control and name not in self._evidence]
            # What the control did before the other came is not compared with what both do now.
            self._evidence |= {name: Evidence(self._edges, _NO_LIMITS) for name in new}
            self._evidence = {name: each for name, each in self._evidence.items() if name in seen}
            before = self._before
            for name, evidence in self._evidence.items():
                if name in before and control in before:
                    evidence.take(seen[control].since(before[control]), seen[name].since(before[name]))
        self._before = dict(seen)

    def forget(self, name: str) -> None:
        """Begin anew with a deployment that another version has taken the place of."""
        self._before.pop(name, None)
        self._evidence = {} if name == self._control else {n: e for n, e in self._evidence.items() if n != name}

    def told(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {"control": self._control, "against": {name: each.state() for name, each in self._evidence.items()}}
