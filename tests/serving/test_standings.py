"""Traffic on trial, copies of requests, and the comparison of deployments, in real fronts."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import EndpointNotRunning
from modelwright.records import FrontStatus, Traffic
from modelwright.serving import control
from modelwright.serving.rollout.checking import Seen
from modelwright.serving.rollout.observing import Observed

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
import os, time
def init(): pass
def run(raw_data):
    while not os.path.exists("{released}"):
        time.sleep(0.02)
"""
ALL_OLD = Traffic(default="diabetes:1")


class Pair:
    """An endpoint with two versions."""

    def __init__(self, served: Any) -> None:
        self.served = served
        served.start()
        served.deploy(OLD)
        self.put_beside(NEW)

    def put_beside(self, script: str) -> None:
        spec = self.served.spec(script, version=2)
        folder = self.served.runtime_folder
        control.deploy(self.served.name, runtime_folder=folder, worker=spec, is_replacing=False)

    def share_out(self, traffic: Traffic, **lease: Any) -> None:
        control.share_out(self.served.name, traffic, runtime_folder=self.served.runtime_folder, **lease)

    def renew(self, seconds: float) -> bool:
        return control.renew(self.served.name, seconds, runtime_folder=self.served.runtime_folder)

    def observed(self) -> Observed:
        return control.observe(self.served.name, runtime_folder=self.served.runtime_folder)

    def seen(self, name: str = "diabetes:2") -> Seen:
        return self.observed().seen[name]

    def status(self) -> FrontStatus:
        status: FrontStatus | None = self.served.status()
        assert status is not None
        return status

    def ask(self, value: float = 0, **headers: str) -> str:
        answer = self.served.ask(body=json.dumps({"value": value}), headers=headers)
        assert answer.status in (200, 500)
        return str(answer.headers["x-modelwright-version"])


@pytest.fixture(scope="module")
def endpoint(make_served: Callable[[], Any]) -> Pair:
    """One endpoint for all tests: to start processes takes seconds."""
    return Pair(make_served())


@pytest.fixture
def pair(endpoint: Pair) -> Pair:
    """The endpoint, whose new version is fresh and has no traffic."""
    endpoint.share_out(ALL_OLD)
    endpoint.put_beside(NEW)
    return endpoint


def test_a_front_goes_back_by_itself_when_nobody_confirms_its_traffic(pair: Pair) -> None:
    pair.share_out(Traffic(shares={"diabetes:2": 100.0}, default="diabetes:2"), fallback=ALL_OLD, lease_seconds=0.5)
    assert pair.ask() == "diabetes:2"
    pair.served.wait_for(lambda: pair.observed().lapsed_at, "the lease to lapse")
    assert pair.ask() == "diabetes:1"
    status = pair.status()
    assert status.traffic == ALL_OLD
    assert status.lapsed_at is not None
    assert status.lease_seconds is None
    assert "nobody confirmed the traffic on trial" in pair.served.log.read_text()
    assert pair.renew(5) is False


def test_a_front_keeps_to_its_traffic_while_somebody_confirms_it(pair: Pair) -> None:
    trial = Traffic(shares={"diabetes:2": 100.0}, default="diabetes:2")
    pair.share_out(trial, fallback=ALL_OLD, lease_seconds=0.4)
    until = time.monotonic() + 1.2
    pair.served.wait_for(lambda: pair.renew(0.4) and time.monotonic() > until, "three leases to pass")
    assert pair.status().traffic == trial
    pair.share_out(trial)
    assert pair.renew(0.1) is False
    assert pair.observed().lease_seconds is None


def test_what_is_shared_out_without_a_lease_stays_and_ends_one(pair: Pair) -> None:
    half = Traffic(shares={"diabetes:2": 50.0}, default="diabetes:1")
    pair.share_out(half, fallback=ALL_OLD, lease_seconds=30)
    assert 0 < (pair.observed().lease_seconds or 0) <= 30
    pair.share_out(half)
    assert pair.observed().lease_seconds is None
    assert pair.status().lapsed_at is None


def test_copies_are_answered_recorded_and_compared_but_never_given(pair: Pair) -> None:
    pair.share_out(Traffic(default="diabetes:1", shadows={"diabetes:2": 100.0}, tolerance=0.005))
    assert {pair.ask(value, **{"x-request-id": f"r{value}"}) for value in (0, 1, 2, 900, -1)} == {"diabetes:1"}
    pair.served.wait_for(lambda: pair.seen().compared == 5, "five copies to be compared")
    seen = pair.seen()
    assert (seen.differing, set(seen.examples)) == (2, {"r900", "r-1"})
    assert seen.largest == pytest.approx(0.9 / 1.9)
    assert (seen.requests, seen.errors) == (5, 1)
    assert pair.seen("diabetes:1").compared == 0
    copies = [each for each in pair.served.captured() if each.request_id in ("r0", "r1", "r2", "r900", "r-1")]
    assert sorted((each.version, each.shadow_of) for each in copies) == [
        *[("diabetes:1", "")] * 5,
        *[("diabetes:2", "diabetes:1")] * 5,
    ]


def test_a_shadow_that_hangs_delays_nobody_and_what_it_is_too_busy_for_is_counted(pair: Pair, tmp_path: Path) -> None:
    released = tmp_path / "released"
    pair.put_beside(HANGING.format(released=released))
    pair.share_out(Traffic(default="diabetes:1", shadows={"diabetes:2": 100.0}))
    assert {pair.ask() for _ in range(150)} == {"diabetes:1"}
    assert pair.seen().dropped == 50
    long = pair.served.ask(body=b"0" * (1 << 20) + b"0")
    assert long.status == 200
    assert pair.seen().dropped == 51
    assert pair.seen().requests == 0
    released.touch()
    pair.served.wait_for(lambda: pair.seen().requests == 100, "the copies that it had to be answered")


def test_versions_are_compared_from_when_both_serve(pair: Pair) -> None:
    pair.share_out(Traffic(shares={"diabetes:2": 50.0}, default="diabetes:1"))
    pair.observed()
    for index in range(40):
        pair.ask(-1 if index % 2 else 1, **{"x-modelwright-deployment": f"diabetes:{1 + index % 2}"})
    front = pair.observed()
    assert front.contest["control"] == "diabetes:1"
    first, second = front.contest["against"]["diabetes:2"]["errors"]["totals"]
    assert (first, second) == ([20, 0], [20, 20])
    assert front.seen["diabetes:1"].answers > 0
    assert sum(front.seen["diabetes:2"].latencies) == 20


def test_an_endpoint_that_does_not_run_cannot_be_observed(served: Any) -> None:
    with pytest.raises(EndpointNotRunning):
        control.observe(served.name, runtime_folder=served.runtime_folder)


def test_a_change_of_traffic_begins_the_sample_of_answers_anew(pair: Pair) -> None:
    pair.ask()
    assert pair.seen("diabetes:1").answers == 1
    pair.share_out(ALL_OLD)
    assert pair.seen("diabetes:1").answers == 0
