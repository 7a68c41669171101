"""The standing comparison of deployments."""

import json
import random
import tracemalloc
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


def test_what_is_compared_for_ever_takes_no_more_memory_for_it() -> None:
    contest, draws, done = Contest(EDGES), random.Random(1), {"a": Seen(), "b": Seen()}

    def serve(seconds: int) -> int:
        for _ in range(seconds):
            for name, seen in done.items():
                new = [draws.randint(10, 60), draws.randint(5, 30), draws.randint(0, 9)]
                latencies = tuple(map(sum, zip(seen.latencies or (0, 0, 0), new, strict=True)))
                done[name] = Seen(sum(latencies), seen.errors + draws.randint(0, 5), latencies)
            contest.take("a", done)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        settled = serve(250)
        assert serve(250) - settled < 200_000
    finally:
        tracemalloc.stop()
