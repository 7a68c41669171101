"""The checks of a rollout on made-up versions of known quality."""

import json
import random

from modelwright.records import CheckResult, RolloutLimits
from modelwright.serving.rollout.checking import Evidence, Seen
from modelwright.serving.rollout.shifting import Sample

EDGES = tuple(1.2**power for power in range(60))


class Version:
    """A version that errs, takes its time and answers by chance."""

    def __init__(self, seed: int, *, errors: float = 0.01, factor: float = 1.0, mean: float = 0.0) -> None:
        self.draws = random.Random(seed)
        self.errors, self.factor, self.mean = errors, factor, mean
        self.answers: list[float] = []

    def serve(self, count: int, *, differing: float | None = None) -> Seen:
        histogram = [0] * (len(EDGES) + 1)
        for _ in range(count):
            value = self.factor * self.draws.lognormvariate(2, 0.7)
            histogram[sum(edge < value for edge in EDGES)] += 1
            self.answers.append(self.draws.gauss(self.mean, 1))
        copies = count if differing is not None else 0
        return Seen(
            requests=count,
            errors=sum(self.draws.random() < self.errors for _ in range(count)),
            latencies=tuple(histogram),
            compared=copies,
            differing=sum(self.draws.random() < (differing or 0) for _ in range(copies)),
            sample=Sample(self.answers[-2000:]),
            answers=len(self.answers),
        )


ALL = RolloutLimits(error_rate=0.02, latency_ratio=1.3, prediction_shift=0.1, disagreement=0.05)


def results(new: Version, *, limits: RolloutLimits = ALL, differing: float = 0.01) -> dict[str, CheckResult]:
    present, evidence = Version(1), Evidence(EDGES, limits)
    for _ in range(60):
        evidence.take(present.serve(20), new.serve(20, differing=differing))
    return {check.name: check.result for check in evidence.checks()}


def failed(found: dict[str, CheckResult]) -> set[str]:
    return {name for name, result in found.items() if result is CheckResult.FAILED}


def test_a_version_as_good_as_the_present_one_passes_every_check() -> None:
    assert set(results(Version(2)).values()) == {CheckResult.PASSED}


def test_each_fault_fails_its_own_check_and_no_other() -> None:
    assert failed(results(Version(2, errors=0.1))) == {"errors"}
    assert failed(results(Version(2, factor=2.0))) == {"latency"}
    assert failed(results(Version(2, mean=1.0))) == {"predictions"}
    assert failed(results(Version(2), differing=0.3)) == {"disagreement"}


def test_more_errors_than_the_present_version_fail_without_any_limit() -> None:
    assert failed(results(Version(2, errors=0.1), limits=RolloutLimits())) == {"errors"}


def test_where_requests_are_shared_out_by_key_a_comparison_holds_up_and_a_limit_goes_back() -> None:
    present, new = Version(1), Version(2, errors=0.1, factor=2.0)
    found = {}
    for name, limits in (("compared", RolloutLimits(latency_ratio=1.3)), ("limited", RolloutLimits(error_rate=0.02))):
        evidence = Evidence(EDGES, limits, by_key=True)
        for _ in range(60):
            evidence.take(present.serve(20), new.serve(20))
        found[name] = {check.name: check for check in evidence.checks()}
    assert found["compared"]["errors"].result is found["compared"]["latency"].result is CheckResult.OPEN
    assert found["compared"]["errors"].told.endswith("requests are shared out by key, so it may be the keys")
    assert found["limited"]["errors"].result is CheckResult.FAILED


def test_what_nobody_asked_for_is_not_checked() -> None:
    assert set(results(Version(2), limits=RolloutLimits())) == {"readiness", "errors"}


def test_a_check_says_the_numbers_that_decided_it() -> None:
    present, new, evidence = Version(1), Version(2, errors=0.1), Evidence(EDGES, RolloutLimits())
    for _ in range(60):
        evidence.take(present.serve(20), new.serve(20))
    errors = evidence.checks()[1]
    assert errors.told.startswith("errors ")
    assert "of 1,200, present " in errors.told
    assert errors.facts["new"]["requests"] == errors.facts["present"]["requests"] == 1200
    assert errors.facts["p_value"] < errors.facts["alpha"] / 2
    json.dumps(errors.facts)


def test_a_process_that_keeps_ending_fails_and_one_that_is_just_starting_is_waited_for() -> None:
    evidence = Evidence(EDGES, RolloutLimits())
    evidence.take(Seen(), Seen(is_ready=False, restarts=1))
    assert evidence.checks()[0].result is CheckResult.OPEN
    evidence.take(Seen(), Seen(restarts=3))
    assert evidence.checks()[0].result is CheckResult.FAILED


def test_evidence_goes_on_from_its_state() -> None:
    present, new, limits = Version(1), Version(2), ALL
    evidence = Evidence(EDGES, limits)
    evidence.take(present.serve(200), new.serve(200, differing=0.02))
    again = Evidence.restored(EDGES, limits, json.loads(json.dumps(evidence.state())))
    again.newest = evidence.newest
    assert again == evidence
    assert Evidence.restored(EDGES, limits, {}) == Evidence(EDGES, limits)


def test_a_front_that_counts_anew_is_no_step_back() -> None:
    before, now = Seen(requests=100, errors=5, latencies=(60, 40)), Seen(requests=7, errors=1, latencies=(4, 3))
    assert now.since(before).requests == 7
    other_tolerance = Seen(requests=110, compared=3).since(Seen(requests=100, compared=50, differing=2))
    assert (other_tolerance.requests, other_tolerance.compared, other_tolerance.differing) == (10, 3, 0)
    assert Seen(requests=110, errors=6, latencies=(65, 45)).since(before).latencies == (5, 5)
