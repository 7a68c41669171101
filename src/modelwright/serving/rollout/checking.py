"""The checks of a rollout: what is known of two versions by now, held against what the plan allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelwright.records import Check, CheckResult, RolloutLimits
from modelwright.serving.rollout import sequential, slowness
from modelwright.serving.rollout.sequential import Comparison, Count
from modelwright.serving.rollout.shifting import Sample, Shift, Watch
from modelwright.serving.rollout.slowness import Slowness

# A difference of error rates below this is told, and no reason to go back: it would be certain at a million requests.
_NOTABLE = 0.001
# How often the version's processes may have been started again since the rollout began.
_MOST_RESTARTS = 2
_LEVELS = (0.5, 0.95)


@dataclass(frozen=True)
class Seen:
    """What one version has done since its front counts: requests, errors, latencies, copies compared, some answers.

    `answers` says how many the sample was drawn from; `dropped` counts copies that it was too busy for, `examples`
    names requests that it answered differently, `largest` is by how much numbers differed at most.
    """

    requests: int = 0
    errors: int = 0
    latencies: tuple[int, ...] = ()
    compared: int = 0
    differing: int = 0
    sample: Sample = field(default_factory=Sample)
    answers: int = 0
    is_ready: bool = True
    restarts: int = 0
    dropped: int = 0
    examples: tuple[str, ...] = ()
    largest: float = 0.0

    def since(self, before: "Seen") -> "Seen":
        """Return what was added; everything, where the front has begun to count anew.

        Copies are counted anew by themselves when they are compared by another tolerance.
        """
        answered = before if self.requests >= before.requests else Seen()
        copied = before if self.compared >= before.compared else Seen()
        return replace(
            self,
            requests=self.requests - answered.requests,
            errors=self.errors - answered.errors,
            latencies=slowness.difference(self.latencies, answered.latencies),
            compared=self.compared - copied.compared,
            differing=self.differing - copied.differing,
        )


@dataclass
class Evidence:
    """Everything that the checks go by, from the rollout's begin to now; `newest` is what the new version did last.

    When traffic is shared out `by_key`, requests of a key stay together, and keys differ: comparisons that count
    requests as if each had been drawn are then too sure of themselves, and hold up where else they would go back.
    """

    edges: Sequence[float]
    limits: RolloutLimits
    by_key: bool = False
    errors: Comparison = field(default_factory=Comparison)
    slower: Slowness = field(init=False)
    shift: Watch = field(default_factory=Watch)
    latencies: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    copies: Count = field(default_factory=Count)
    newest: Seen = field(default_factory=Seen)

    def __post_init__(self) -> None:
        """Bet on the ratio that the limits name."""
        self.slower = Slowness(self.edges, self.limits.latency_ratio or 1.0)

    def take(self, present: Seen, new: Seen) -> None:
        """Take what both have done since the last look."""
        self.errors.add(Count(present.requests, present.errors), Count(new.requests, new.errors))
        self.slower.add(present.latencies, new.latencies)
        one, other = self.latencies
        self.latencies = (slowness.together(one, present.latencies), slowness.together(other, new.latencies))
        self.copies += Count(new.compared, new.differing)
        self.shift.look(present.sample, new.sample, size=min(present.answers, new.answers), alpha=_shared(self.limits))
        self.newest = replace(new, sample=Sample())

    def checks(self) -> list[Check]:
        """Return what every check says now."""
        found = [self._readiness(), self._errors()]
        if self.limits.latency_ratio is not None:
            found.append(self._latency(self.limits.latency_ratio))
        if self.limits.prediction_shift is not None:
            found.append(_of_shift(self.shift, self.limits.prediction_shift))
        if self.limits.disagreement is not None:
            found.append(self._disagreement(self.limits.disagreement))
        return found

    def state(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        shift = self.shift
        return {
            "errors": self.errors.state(),
            "slower": self.slower.state(),
            "shift": [shift.tests, shift.size, shift.tested, shift.is_significant]
            + ([shift.found.effect, shift.found.p_value] if shift.found else []),
            "latencies": list(self.latencies),
            "copies": [self.copies.total, self.copies.hits],
        }

    @classmethod
    def restored(
        cls, edges: Sequence[float], limits: RolloutLimits, state: Mapping[str, Any], *, by_key: bool = False
    ) -> "Evidence":
        """Return the evidence as it was when `state` was taken; fresh when it is empty."""
        evidence = cls(edges, limits, by_key)
        if state:
            tests, size, tested, is_significant, *found = state["shift"]
            evidence.errors = Comparison.restored(state["errors"])
            evidence.slower = Slowness.restored(edges, limits.latency_ratio or 1.0, state["slower"])
            evidence.shift = Watch(tests, size, tested, Shift(*found) if found else None, is_significant)
            one, other = state["latencies"]
            evidence.latencies = (one, other)
            evidence.copies = Count(*state["copies"])
        return evidence

    def _readiness(self) -> Check:
        restarts, is_ready = self.newest.restarts, self.newest.is_ready
        facts = {"is_ready": is_ready, "restarts": restarts}
        if restarts > _MOST_RESTARTS:
            told = f"its process was started again {restarts} times"
            return Check("readiness", CheckResult.FAILED, told, facts)
        if not is_ready:
            return Check("readiness", CheckResult.OPEN, "its process is being started again", facts)
        return Check("readiness", CheckResult.PASSED, "it is ready", facts)

    def _errors(self) -> Check:
        present, new = self.errors.first, self.errors.second
        alpha, limit = _shared(self.limits), self.limits.error_rate
        facts: dict[str, Any] = {
            "present": _counted(present),
            "new": _counted(new),
            "limit": limit,
            "p_value": self.errors.more.p_value,
            "alpha": alpha,
        }
        told = f"errors {_percent(new.rate)} of {new.total:,}, present {_percent(present.rate)} of {present.total:,}"
        if new.rate is None:
            return Check("errors", CheckResult.OPEN, "no requests yet", facts)
        if limit is not None and sequential.exceeds(new, limit, alpha=alpha / 2):
            return Check("errors", CheckResult.FAILED, f"{told}: above {limit:.2%}", facts)
        is_notable = present.rate is not None and new.rate - present.rate > _NOTABLE
        if is_notable and self.errors.more.is_won(alpha / 2):
            return self._compared("errors", f"{told}: more, p={facts['p_value']:.2g}", facts)
        if limit is not None and new.rate > limit:
            return Check("errors", CheckResult.OPEN, f"{told}: above {limit:.2%}, which may be chance", facts)
        return Check("errors", CheckResult.PASSED, told, facts)

    def _latency(self, limit: float) -> Check:
        pairs = [[slowness.quantile(self.edges, each, level) for each in self.latencies] for level in _LEVELS]
        alpha, p_value = _shared(self.limits), self.slower.slower.p_value
        ratios = [new / present for present, new in pairs if present and new]
        facts: dict[str, Any] = {"quantiles_ms": dict(zip(("p50", "p95"), pairs, strict=True)), "ratios": ratios}
        facts |= {"limit": limit, "p_value": p_value, "alpha": alpha}
        if len(ratios) < len(_LEVELS):
            return Check("latency", CheckResult.OPEN, "not enough requests of both yet", facts)
        told = f"latency {ratios[0]:.2f} times the present one at the median, {ratios[1]:.2f} times at 95 %"
        if self.slower.slower.is_won(alpha):
            return self._compared("latency", f"{told}: above {limit:g}, p={p_value:.2g}", facts)
        if max(ratios) > limit:
            return Check("latency", CheckResult.OPEN, f"{told}: above {limit:g}, which may be chance", facts)
        return Check("latency", CheckResult.PASSED, told, facts)

    def _compared(self, name: str, told: str, facts: dict[str, Any]) -> Check:
        """Return the check that a comparison decided."""
        if self.by_key:
            return Check(
                name, CheckResult.OPEN, f"{told}; requests are shared out by key, so it may be the keys", facts
            )
        return Check(name, CheckResult.FAILED, told, facts)

    def _disagreement(self, limit: float) -> Check:
        copies, alpha = self.copies, _shared(self.limits)
        low, high = sequential.interval(copies, alpha=alpha)
        newest = self.newest
        facts: dict[str, Any] = {**_counted(copies), "between": [low, high], "limit": limit, "alpha": alpha}
        facts |= {"examples": list(newest.examples), "largest": newest.largest, "dropped": newest.dropped}
        if copies.rate is None:
            return Check("disagreement", CheckResult.OPEN, "no copied requests yet", facts)
        told = f"differs on {_percent(copies.rate)} of {copies.total:,} copied requests"
        told += f", the last {newest.examples[-1]}" if newest.examples else ""
        if sequential.exceeds(copies, limit, alpha=alpha):
            return Check("disagreement", CheckResult.FAILED, f"{told}: above {limit:.2%}", facts)
        if copies.rate > limit:
            return Check("disagreement", CheckResult.OPEN, f"{told}: above {limit:.2%}, which may be chance", facts)
        return Check("disagreement", CheckResult.PASSED, told, facts)


def _of_shift(watch: Watch, limit: float) -> Check:
    found = watch.found
    if found is None:
        return Check("predictions", CheckResult.OPEN, "not enough answers of both yet", {"limit": limit})
    facts: dict[str, Any] = {"effect": found.effect, "p_value": found.p_value, "tests": watch.tests, "limit": limit}
    told = f"predictions shifted by {found.effect:.3f}"
    if found.effect > limit and watch.is_significant:
        return Check("predictions", CheckResult.FAILED, f"{told}: above {limit:g}, p={found.p_value:.2g}", facts)
    if found.effect > limit:
        return Check("predictions", CheckResult.OPEN, f"{told}: above {limit:g}, which may be chance", facts)
    return Check("predictions", CheckResult.PASSED, told, facts)


def _shared(limits: RolloutLimits) -> float:
    """Return the part of alpha that each check may use; errors are always checked."""
    asked = [limits.latency_ratio, limits.prediction_shift, limits.disagreement]
    return limits.alpha / (1 + sum(each is not None for each in asked))


def _counted(count: Count) -> dict[str, Any]:
    return {"requests": count.total, "hits": count.hits, "rate": count.rate}


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2%}"
