"""What is said of two deployments."""

import random

from modelwright.records import RolloutLimits
from modelwright.serving.rollout import verdicts
from modelwright.serving.rollout.checking import Evidence, Seen
from modelwright.serving.rollout.sequential import Count

EDGES = (1.0, 2.0, 4.0)


def evidence(*, errors: float, slow: float, looks: int = 60) -> Evidence:
    draws, found = random.Random(5), Evidence(EDGES, RolloutLimits())
    for _ in range(looks):
        late = sum(draws.random() < slow for _ in range(20))
        found.take(
            Seen(requests=20, errors=sum(draws.random() < 0.02 for _ in range(20)), latencies=(10, 10, 0, 0)),
            Seen(
                requests=20, errors=sum(draws.random() < errors for _ in range(20)), latencies=(20 - late, 0, late, 0)
            ),
        )
    return found


def test_a_difference_is_told_with_both_rates_and_when_it_was_clear() -> None:
    found = verdicts.of_errors("a", "b", evidence(errors=0.15, slow=0.5))
    assert found.side == 1
    assert found.told.startswith("b errs more: 1")
    assert "of 1,200 (" in found.told
    assert 0 < found.decided < 2400
    assert found.facts["p_value"] < 0.05


def test_without_a_difference_nothing_is_claimed() -> None:
    found = verdicts.of_errors("a", "b", evidence(errors=0.02, slow=0.5))
    assert (found.side, found.decided) == (0, 0)
    assert found.told.startswith("no difference can be told yet: ")
    assert "no difference can be told yet" in verdicts.of_errors("a", "b", Evidence(EDGES, RolloutLimits())).told


def test_a_slower_deployment_is_named_with_its_quantiles() -> None:
    found = verdicts.of_latency("a", "b", evidence(errors=0.02, slow=0.8))
    assert found.side == 1
    assert found.told == "b is slower: half of its answers within 4 ms (95 %: 4 ms), of a's within 1 ms (95 %: 2 ms)"
    assert found.facts["control"]["requests"] == 1200


def test_labels_of_the_same_requests_are_compared_where_both_differ() -> None:
    rows = [(True, True)] * 500 + [(False, True)] * 40 + [(True, False)] * 10
    assert verdicts.of_pairs("a", "b", rows).side == 1
    assert verdicts.of_pairs("b", "a", [(other, one) for one, other in rows]).side == -1
    assert verdicts.of_pairs("a", "b", rows[:500] + [(False, True), (True, False)] * 20).side == 0


def test_labels_of_different_requests_are_compared_by_blocks() -> None:
    found = verdicts.of_labels("a", "b", [(Count(50, 30), Count(50, 45))] * 6)
    assert found.side == 1
    assert found.told.startswith("b is right more often: 90.00% of 300")
