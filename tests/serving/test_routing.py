"""Which deployment answers: shares, the remainder, pins, sticky keys."""

import math
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import TrafficInvalid
from modelwright.records import Traffic
from modelwright.records.traffic import MAX_DEPLOYMENTS
from modelwright.serving.front.messages import Head
from modelwright.serving.front.routing import Pinned, Router, rendezvous

NAMES = "ABCDEF"
REQUESTS = 20_000
# Of a normal law, 99 % lie within so many deviations.
_99_PERCENT = 2.5758


@dataclass
class Stub:
    """A version that is there."""

    name: str
    is_ready: bool = True
    spec: Any = field(init=False)

    def __post_init__(self) -> None:
        self.spec = SimpleNamespace(version=f"model:{NAMES.index(self.name) + 1}")


def router(traffic: Traffic) -> Router:
    made = Router()
    made.versions = {name: Stub(name) for name in NAMES}  # type: ignore[misc]
    made.share_out(traffic)
    return made


def head(**headers: str) -> Head:
    return Head("POST", "/score", "", {name.replace("_", "-"): value for name, value in headers.items()})


def picked(made: Router, count: int, **headers: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for _ in range(count):
        version: Any = made.pick(head(**headers))
        found[version.name] = found.get(version.name, 0) + 1
    return found


def test_the_remainder_goes_to_the_default_as_in_azures_own_example() -> None:
    """A=20, which is the default, gets 100; B=10 beside it leaves it 90; B=40, now the default, leaves A its 20."""
    assert Traffic({"A": 20}, default="A").split() == {"A": 100}
    assert Traffic({"A": 20, "B": 10}, default="A").split() == {"A": 90, "B": 10}
    assert Traffic({"A": 20, "B": 40}, default="B").split() == {"A": 20, "B": 80}


@given(st.lists(st.integers(0, 100), min_size=1, max_size=MAX_DEPLOYMENTS), st.integers(0, MAX_DEPLOYMENTS - 1))
def test_whatever_is_accepted_sums_to_100_and_nobody_gets_less_than_was_given(shares: list[int], default: int) -> None:
    named = dict(zip(NAMES, shares, strict=False))
    traffic = Traffic(named, default=NAMES[default])
    if sum(shares) > 100:
        with pytest.raises(TrafficInvalid, match="together they are at most 100"):
            traffic.check()
        return
    split = traffic.check().split()
    assert math.isclose(sum(split.values()), 100)
    assert all(split[name] >= share for name, share in named.items())
    assert all(split[name] == share for name, share in named.items() if name != traffic.default)


def test_a_share_is_from_0_to_100_and_a_seventh_deployment_is_one_too_many() -> None:
    for share in (-1, 101):
        with pytest.raises(TrafficInvalid, match="from 0 to 100"):
            Traffic({"A": share}, default="B").check()
    Traffic(dict.fromkeys("ABCDE", 10.0), default="F").check()
    with pytest.raises(TrafficInvalid, match="seventh"):
        Traffic(dict.fromkeys("ABCDEF", 10.0), default="G").check()
    with pytest.raises(TrafficInvalid, match="answer and be a shadow"):
        Traffic({"A": 10}, default="B", shadows={"A": 100}).check()


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic({"B": 10}, default="A"),
        Traffic({"B": 1}, default="A"),
        Traffic({"A": 20, "B": 40}, default="B"),
        Traffic({"A": 10, "B": 15, "C": 20, "D": 5, "E": 17}, default="F"),
    ],
)
def test_requests_are_split_as_chance_allows(traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwright.serving.front.routing.random", random.Random(6))
    found = picked(router(traffic), REQUESTS)
    for name, share in traffic.split().items():
        rate = share / 100
        spread = _99_PERCENT * math.sqrt(REQUESTS * rate * (1 - rate))
        assert abs(found.get(name, 0) - REQUESTS * rate) <= spread


@pytest.mark.parametrize("header", ["x-modelwright-deployment", "azureml-model-deployment", "x-api-version"])
def test_a_header_pins_whatever_the_shares(header: str) -> None:
    made = router(Traffic(default="A"))
    assert picked(made, 50, **{header: "C"}) == {"C": 50}
    assert picked(made, 50, **{header: "model:4"}) == {"D": 50}


def test_a_pin_to_nobody_is_an_error_but_for_the_header_that_others_use_too() -> None:
    made = router(Traffic(default="A"))
    with pytest.raises(Pinned):
        made.pick(head(x_modelwright_deployment="Z"))
    assert picked(made, 5, x_api_version="2024-06-01") == {"A": 5}


def test_what_a_deployment_that_is_down_would_get_goes_to_the_default() -> None:
    made = router(Traffic({"B": 50}, default="A"))
    made.versions["B"].is_ready = False  # type: ignore[misc]
    assert picked(made, 50) == {"A": 50}
    assert picked(made, 5, x_modelwright_deployment="B") == {"B": 5}


def test_a_key_stays_where_it_is() -> None:
    made = router(Traffic({"B": 30, "C": 30}, default="A", sticky_header="x-user"))
    for key in range(50):
        assert len(picked(made, 10, x_user=f"user {key}")) == 1


@given(st.integers(1, 98), st.integers(1, 99))
def test_when_a_share_grows_keys_move_to_it_and_nowhere_else(before: int, growth: int) -> None:
    after = min(99, before + growth)
    for key in map(str, range(60)):
        was = rendezvous(key, [("A", 100.0 - before), ("B", float(before))])
        now = rendezvous(key, [("A", 100.0 - after), ("B", float(after))])
        assert (was, now) != ("B", "A")


def test_keys_are_split_by_the_shares_too() -> None:
    weights = [("A", 70.0), ("B", 20.0), ("C", 10.0)]
    found = [rendezvous(f"user {key}", weights) for key in range(REQUESTS)]
    for name, share in weights:
        rate = share / 100
        assert abs(found.count(name) - REQUESTS * rate) <= _99_PERCENT * math.sqrt(REQUESTS * rate * (1 - rate))
