"""Traffic on trial, copies of requests, and the comparison of deployments, in real fronts."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelwright.errors import EndpointNotRunning
from modelwright.records import Traffic
from modelwright.serving import control
from modelwright.serving.rollout.checking import Seen

OLD = """
def init(): pass
def run(raw_data): return {"result": [1.0], "from": "old"}
"""
NEW = """
import json
def init(): pass
def run(raw_data):
    value = json.loads(raw_data)["value"]
    if value < 0:
        raise ValueError(value)
    return {"result": [1.0 + value / 1000], "from": "old"}
"""
HANGING = """
import time
def init(): pass
def run(raw_data):
    time.sleep(600)
"""
ALL_OLD = Traffic(default="diabetes:1")


class Pair:
    """An endpoint with two versions."""

    def __init__(self, served, new: str) -> None:
        self.served = served
        served.start()
        served.deploy(OLD)
        spec = served.spec(new, version=2)
        control.deploy(served.name, runtime_folder=served.runtime_folder, worker=spec, is_replacing=False)

    def share_out(self, traffic: Traffic, **lease: Any) -> None:
        control.share_out(self.served.name, traffic, runtime_folder=self.served.runtime_folder, **lease)

    def renew(self, seconds: float) -> bool:
        return control.renew(self.served.name, seconds, runtime_folder=self.served.runtime_folder)

    def observed(self):
        return control.observe(self.served.name, runtime_folder=self.served.runtime_folder)

    def seen(self, name: str = "diabetes:2") -> Seen:
        return self.observed().seen[name]

    def ask(self, value: float = 0, **headers: str) -> str:
        answer = self.served.ask(body=json.dumps({"value": value}), headers=headers)
        assert answer.status in (200, 500)
        return answer.headers["x-modelwright-version"]


@pytest.fixture
def pair(served) -> Iterator[Callable[[str], Pair]]:
    return lambda new=NEW: Pair(served, new)


def test_a_front_goes_back_by_itself_when_nobody_confirms_its_traffic(pair) -> None:
    both = pair()
    both.share_out(Traffic(shares={"diabetes:2": 100.0}, default="diabetes:2"), fallback=ALL_OLD, lease_seconds=0.5)
    assert both.ask() == "diabetes:2"
    both.served.wait_for(lambda: both.observed().lapsed_at, "the lease to lapse")
    assert both.ask() == "diabetes:1"
    status = both.served.status()
    assert status.traffic == ALL_OLD
    assert status.lapsed_at is not None
    assert status.lease_seconds is None
    assert "nobody confirmed the traffic on trial" in both.served.log.read_text()
    assert both.renew(5) is False


def test_a_front_keeps_to_its_traffic_while_somebody_confirms_it(pair) -> None:
    both = pair()
    trial = Traffic(shares={"diabetes:2": 100.0}, default="diabetes:2")
    both.share_out(trial, fallback=ALL_OLD, lease_seconds=0.4)
    until = time.monotonic() + 1.2
    both.served.wait_for(lambda: both.renew(0.4) and time.monotonic() > until, "three leases to pass")
    assert both.served.status().traffic == trial
    both.share_out(trial)
    assert both.renew(0.1) is False
    assert both.observed().lease_seconds is None


def test_what_is_shared_out_without_a_lease_stays_and_ends_one(pair) -> None:
    both = pair()
    half = Traffic(shares={"diabetes:2": 50.0}, default="diabetes:1")
    both.share_out(half, fallback=ALL_OLD, lease_seconds=30)
    assert 0 < both.observed().lease_seconds <= 30
    both.share_out(half)
    assert both.observed().lease_seconds is None
    assert both.served.status().lapsed_at is None


def test_copies_are_answered_recorded_and_compared_but_never_given(pair) -> None:
    both = pair()
    both.share_out(Traffic(default="diabetes:1", shadows={"diabetes:2": 100.0}, tolerance=0.005))
    assert {both.ask(value, **{"x-request-id": f"r{value}"}) for value in (0, 1, 2, 900, -1)} == {"diabetes:1"}
    both.served.wait_for(lambda: both.seen().compared == 5, "five copies to be compared")
    seen = both.seen()
    assert (seen.differing, set(seen.examples)) == (2, {"r900", "r-1"})
    assert seen.largest == pytest.approx(0.9 / 1.9)
    assert (seen.requests, seen.errors) == (5, 1)
    assert both.seen("diabetes:1").compared == 0
    copies = [each for each in both.served.captured() if each.version == "diabetes:2"]
    assert len(copies) == 5


def test_a_shadow_that_hangs_delays_nobody_and_what_it_is_too_busy_for_is_counted(pair) -> None:
    both = pair(HANGING)
    both.share_out(Traffic(default="diabetes:1", shadows={"diabetes:2": 100.0}))
    begun = time.monotonic()
    assert {both.ask() for _ in range(150)} == {"diabetes:1"}
    assert time.monotonic() - begun < 20  # a hanging one takes 600 s
    assert both.seen().dropped == 50
    long = both.served.ask(body=b"0" * (1 << 20) + b"0")
    assert long.status == 200
    assert both.seen().dropped == 51


def test_versions_are_compared_from_when_both_serve(pair) -> None:
    both = pair()
    both.share_out(Traffic(shares={"diabetes:2": 50.0}, default="diabetes:1"))
    both.observed()
    for index in range(40):
        both.ask(-1 if index % 2 else 1, **{"x-modelwright-deployment": f"diabetes:{1 + index % 2}"})
    front = both.observed()
    assert front.contest["control"] == "diabetes:1"
    first, second = front.contest["against"]["diabetes:2"]["errors"]["totals"]
    assert (first, second) == ([20, 0], [20, 20])
    assert front.seen["diabetes:1"].answers > 0
    assert sum(front.seen["diabetes:2"].latencies) == 20


def test_an_endpoint_that_does_not_run_cannot_be_observed(served) -> None:
    with pytest.raises(EndpointNotRunning):
        control.observe(served.name, runtime_folder=served.runtime_folder)


def test_a_change_of_traffic_begins_the_sample_of_answers_anew(pair) -> None:
    both = pair()
    both.ask()
    assert both.seen("diabetes:1").answers == 1
    both.share_out(ALL_OLD)
    assert both.seen("diabetes:1").answers == 0
    threading.Event().wait(0)
