"""What the next trial of a sweep tries."""

import math
import sys
from collections.abc import Callable

import pytest

from modelwright.errors import SweepsNotInstalled
from modelwright.lifecycle import proposing, spaces
from modelwright.records import Goal, Sampler, Status, Trial

SPACES = {"alpha": spaces.parse("uniform(0, 1)"), "kernel": spaces.parse("choice(rbf, linear)")}


def _swept(
    sampler: Sampler, count: int, *, seed: int = 0, value: Callable[[float], float] = lambda _: 0
) -> list[Trial]:
    """Return trials that were proposed one after the other, each knowing those before."""
    found: list[Trial] = []
    for number in range(count):
        parameters = proposing.propose(SPACES, number, sampler=sampler, seed=seed, goal=Goal.MINIMIZE, finished=found)
        found.append(Trial("s", number, None, Status.SUCCEEDED, parameters, value(float(str(parameters["alpha"])))))
    return found


def test_a_grid_tries_every_combination_once() -> None:
    grid = {"alpha": spaces.parse("range(0, 3)"), "kernel": spaces.parse("choice(rbf, linear)")}
    assert proposing.count_of_grid(grid) == 6
    tried = [
        tuple(proposing.propose(grid, number, sampler=Sampler.GRID, seed=0, goal=Goal.MINIMIZE, finished=[]).values())
        for number in range(6)
    ]
    assert tried == [(0, "rbf"), (0, "linear"), (1, "rbf"), (1, "linear"), (2, "rbf"), (2, "linear")]


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.BAYESIAN])
def test_the_seed_and_what_is_known_decide(sampler: Sampler) -> None:
    def value(alpha: float) -> float:
        return (alpha - 0.7) ** 2

    first = _swept(sampler, 14, value=value)
    assert _swept(sampler, 14, value=value) == first
    assert _swept(sampler, 14, seed=1, value=value) != first
    assert len({each.parameters["alpha"] for each in first}) == 14
    again = proposing.propose(SPACES, 12, sampler=sampler, seed=0, goal=Goal.MINIMIZE, finished=first[:12][::-1])
    assert again == first[12].parameters


def test_a_bayesian_sampler_goes_where_it_is_good() -> None:
    tried = [
        float(str(each.parameters["alpha"])) for each in _swept(Sampler.BAYESIAN, 40, value=lambda a: abs(a - 0.7))
    ]
    late = [abs(alpha - 0.7) for alpha in tried[25:]]
    early = [abs(alpha - 0.7) for alpha in tried[:10]]
    assert sum(late) / len(late) < sum(early) / len(early) / 2


def test_a_trial_without_a_value_is_left_out_of_account() -> None:
    good = _swept(Sampler.BAYESIAN, 12, value=lambda alpha: alpha)
    failed = Trial("s", 12, None, Status.FAILED, {"alpha": 0.5, "kernel": "rbf"}, math.nan)
    odd = Trial("s", 13, None, Status.SUCCEEDED, {"alpha": 0.5, "kernel": "rbf"}, math.inf)
    known = [
        proposing.propose(SPACES, 14, sampler=Sampler.BAYESIAN, seed=0, goal=Goal.MINIMIZE, finished=finished)
        for finished in (good, [*good, failed, odd])
    ]
    assert known[0] == known[1]


def test_without_optuna_the_other_samplers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    proposing.check_sampler(Sampler.RANDOM)
    with pytest.raises(SweepsNotInstalled) as refused:
        proposing.check_sampler(Sampler.BAYESIAN)
    assert 'pip install "modelwright[sweeps]"' in refused.value.next_command
