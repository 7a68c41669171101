"""The standing comparison of deployments."""

import json
from dataclasses import replace

from modelwright.records import RolloutLimits
from modelwright.serving.rollout.checking import Evidence, Seen
from modelwright.serving.rollout.contest import Contest

EDGES = (1.0, 2.0)


def told(contest: Contest, name: str) -> Evidence:
    state = json.loads(json.dumps(contest.told()))["against"][name]
    return Evidence.restored(EDGES, RolloutLimits(), state)


def test_only_what_came_while_both_served_is_compared() -> None:
    contest = Contest(EDGES)
    contest.take("a", {"a": Seen(1000, 900, (0, 1000, 0))})
    contest.take("a", {"a": Seen(2000, 1000, (0, 2000, 0)), "b": Seen()})
    contest.take("a", {"a": Seen(2100, 1001, (0, 2100, 0)), "b": Seen(50, 5, (50, 0, 0))})
    evidence = told(contest, "b")
    assert (evidence.errors.first.total, evidence.errors.first.hits) == (100, 1)
    assert (evidence.errors.second.total, evidence.errors.second.hits) == (50, 5)
    assert evidence.latencies == ([0, 100, 0], [50, 0, 0])


def test_another_control_begins_a_new_comparison_and_one_that_left_is_forgotten() -> None:
    contest = Contest(EDGES)
    both = {"a": Seen(10, 0, (10, 0, 0)), "b": Seen(10, 0, (10, 0, 0))}
    contest.take("a", both)
    contest.take("a", {name: replace(each, requests=20, latencies=(20, 0, 0)) for name, each in both.items()})
    assert told(contest, "b").errors.second.total == 10
    contest.take("b", both)
    assert list(contest.told()["against"]) == ["a"]
    contest.take("b", {"b": both["b"]})
    assert contest.told() == {"control": "b", "against": {}}
