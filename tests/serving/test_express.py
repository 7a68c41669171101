"""The short way: the same answers and records as by the long one, compiled or not, and an end when anything changes."""

import json
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving import near_json
from serving.endpoints import Served
from serving.test_fused import deploy, fused, in_a_light_process, rows

from modelwright.native import native
from modelwright.records import (
    Access,
    AccessKey,
    CaptureMode,
    CaptureSettings,
    FrontLimits,
    FrontSettings,
    Traffic,
    WorkerSpec,
)
from modelwright.serving import control
from modelwright.serving.capture import segments
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front import asking, contract
from modelwright.serving.front.access import Guard
from modelwright.serving.front.heads import plain_head
from modelwright.serving.front.routing import Router
from modelwright.serving.front.versions import Version

is_compiled = pytest.mark.skipif(native is None, reason="there is no C compiler here")


@is_compiled
def test_bodies_that_are_nearly_requests_are_answered_alike_compiled_and_not() -> None:
    makers = [near_json.pair(*near_json.linear(columns=3, takes_whole=whole)) for whole in (True, False)]
    answered = sum(near_json.check(random.Random(f"suite-{seed}"), makers[seed % 2], 3) for seed in range(4000))
    assert answered > 1000


@is_compiled
@pytest.mark.parametrize(
    "number",
    ["0", "-0", "-0.0", "1", "9007199254740993", "9007199254740993.0", "123456789012345", "1234567890123456", "0.1",
     "0.1000000000000000055511151231257827", "1e22", "1e23", "8.5e-5", "1.7976931348623157e308", "5e-324", "2.5e-324",
     "1e400", "00", "01.5", "1.", ".5", "1e", "1e+", "+1", "--1", "1.5.5", "0x10", "1_0", "Infinity", "nan",
     "9007199254740992.5", "4503599627370497.5", "1000000000000000000.5", "18446744073709551615.5",
     "0.18446744073709551616", "1844674407370955161.6", "-3.6893488147419103232", "0.1844674407370955161600"],
)  # fmt: skip
def test_a_number_is_read_as_python_reads_it(number: str) -> None:
    fast, slow = near_json.pair(*near_json.linear(columns=1))
    body = f'{{"data": [[{number}]]}}'.encode()
    assert near_json.told(fast(body)) == near_json.told(slow(body))


@is_compiled
def test_records_are_framed_alike_compiled_and_not() -> None:
    chance = random.Random(1)
    for count in range(5):
        contents = [chance.randbytes(chance.randrange(1, 300)) for _ in range(count)]
        number, seed = chance.randrange(1 << 40), chance.randrange(1 << 32)
        assert native.framed(contents, number, seed) == segments.framed_slowly(contents, number, seed)


@pytest.fixture
def model() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge().fit(rows(50), [sum(row) for row in rows(50)])


def asked(served: Served, body: str, *, key: str = "") -> tuple[int, list[tuple[str, str]], str]:
    """Return the answer to a request with a head that is the same for all bodies."""
    data = f"POST /score HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    text = served.send(data.encode()).decode()
    head, _, answer = text.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    own = re.compile(r"[0-9a-f]{8}-[-0-9a-f]{27}|exec-ms: [0-9.]+|date: .*")
    return int(status.split()[1]), sorted(own.sub("", line) for line in lines), answer


def test_the_short_way_answers_and_records_as_the_long_one(served: Served, model: Any) -> None:
    served.start()
    deploy(served, fused(served, model))
    body = json.dumps({"data": rows(1)})
    long, _, short = [asked(served, body) for _ in range(3)]
    assert long[0] == 200
    assert long == short
    first, _, second = served.captured()
    assert first.request_id != second.request_id
    assert replace(first, request_id="", received_at=second.received_at, duration_ms=0.0) == replace(
        second, request_id="", duration_ms=0.0
    )
    status = served.status()
    assert status is not None
    assert (status.requests, status.deployments[0].requests) == (3, 3)


def test_a_change_holds_from_the_next_request_on(served: Served, model: Any) -> None:
    served.start()
    spec = in_a_light_process(served, fused(served, model))
    deploy(served, spec)
    body = json.dumps({"data": rows(1)})
    assert [asked(served, body)[0] for _ in range(3)] == [200, 200, 200]

    def configure(settings: FrontSettings) -> None:
        control.configure(served.name, settings, runtime_folder=served.runtime_folder)

    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    key = AccessKey(kind="token", digest=digest, expires_at=datetime.now(UTC) + timedelta(hours=1))
    configure(FrontSettings(access=Access(is_required=True, keys=(key,))))
    assert [asked(served, body, key=each)[0] for each in ("", "abc", "abc", "abc", "abd")] == [401, 200, 200, 200, 401]
    configure(FrontSettings(access=Access(is_required=True)))
    assert asked(served, body, key="abc")[0] == 401
    configure(FrontSettings(limits=FrontLimits(max_depth=2)))
    assert asked(served, body)[0] == 400
    kept = len(served.captured())
    configure(FrontSettings(capture=CaptureSettings(mode=CaptureMode.OFF)))
    assert [asked(served, body)[0] for _ in range(3)] == [200, 200, 200]
    configure(FrontSettings(capture=CaptureSettings(hashed=("data",))))
    assert [asked(served, body)[0] for _ in range(3)] == [200, 200, 200]
    assert [body == each.input for each in served.captured()[kept:]] == [False] * 3
    deploy(served, replace(spec, version="diabetes:2", fused=None))
    assert "x-modelwright-version: diabetes:2" in asked(served, body)[1]


def test_a_client_that_sends_several_at_once_gets_their_answers_in_order(served: Served, model: Any) -> None:
    served.start()
    deploy(served, fused(served, model))
    bodies = [json.dumps({"data": rows(1, seed=seed)}) for seed in range(5)]
    expected = [asked(served, body)[2] for body in bodies]
    head = "POST /score HTTP/1.1\r\nHost: x\r\nx-api-key: \r\nContent-Length: {}\r\n\r\n"
    with served.raw() as client:
        for body in bodies:
            client.sendall((head.format(len(body)) + body).encode())
        client.shutdown(1)
        text = served.read_to_end(client).decode()
    assert re.findall(r"\{.*?\}", text) == expected


SCRIPT = """
import os, pathlib, time
def init():
    pass
def run(raw_data):
    if "odd" in raw_data:
        raise ValueError(raw_data)
    if "set" in raw_data:
        return {1, 2}
    if "end" in raw_data:
        os._exit(1)
    gate = pathlib.Path(__file__).with_name("gate")
    if "wait" in raw_data:
        gate.with_name("begun").touch()
        until = time.monotonic() + 60
        while not gate.exists() and time.monotonic() < until:
            time.sleep(0.01)
    return {"result": [len(raw_data)]}
"""


def test_the_short_way_to_a_process_answers_and_records_as_the_long_one(served: Served) -> None:
    served.start(limits=FrontLimits(max_depth=9))
    served.deploy(SCRIPT)
    for text, status in (("even", 200), ("odd", 500), ("set", 500), ("[" * 10 + "]" * 10, 400), ("four", 200)):
        long, short, again = (asked(served, json.dumps({"data": [[text]]}) if "[" not in text else text) for _ in "123")
        assert (long[0], short, again) == (status, long, long)
    records = [replace(each, request_id="", received_at=None, duration_ms=0.0) for each in served.captured()]
    assert records[0::3] == records[1::3] == records[2::3]
    assert len(records) == 15
    status = served.status()
    assert status is not None
    assert (status.requests, status.deployments[0].requests, status.deployments[0].errors) == (15, 15, 6)


def test_a_process_that_ends_within_a_short_way_is_told_of_and_comes_back(served: Served) -> None:
    served.start()
    served.deploy(SCRIPT)
    assert [asked(served, '{"data": "mad"}')[0] for _ in range(3)] == [200, 200, 200]
    status, lines, body = asked(served, '{"data": "end"}')
    assert (status, "x-ms-run-function-failed: True" in lines) == (503, True)
    assert "ended while it answered" in body
    served.wait_for(lambda: asked(served, '{"data": "mad"}')[0] == 200, "the version serves again")


def test_what_is_asked_on_a_short_way_is_recorded_as_is_said_when_it_is_answered(served: Served) -> None:
    served.start()
    worker = served.spec(SCRIPT)
    served.deploy(SCRIPT)
    assert worker.script is not None
    assert [asked(served, '{"data": "mild"}')[0] for _ in range(3)] == [200, 200, 200]
    head = "POST /score HTTP/1.1\r\nHost: x\r\nx-api-key: \r\nContent-Length: 16\r\n\r\n"
    with served.raw() as client:
        client.sendall((head + '{"data": "wait"}').encode())
        served.wait_for(worker.script.with_name("begun").exists, "run() has begun")
        settings = FrontSettings(capture=CaptureSettings(hashed=("data",)))
        control.configure(served.name, settings, runtime_folder=served.runtime_folder)
        worker.script.with_name("gate").touch()
        client.shutdown(1)
        assert served.read_to_end(client).endswith(b'{"result": [16]}')
    assert ["wait" in each.input or "mild" in each.input for each in served.captured()] == [True, True, True, False]


def test_short_ways_are_found_out_once_and_not_gathered(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    found = []
    terms = contract.Terms
    monkeypatch.setattr(contract, "Terms", lambda *given, **more: found.append(given) or terms(*given, **more))
    version = Version(WorkerSpec("churn:1", tmp_path, None, tmp_path), log=tmp_path / "log", timeout_ms=1000)
    version.takes_head = False
    settings = FrontSettings()
    router = Router()
    router.versions = {"main": version}
    router.share_out(Traffic(default="main"))
    scoring = contract.Scoring(
        router=router, recorder=Recorder(tmp_path / "churn"), guard=Guard(settings.access), settings=settings
    )
    head = plain_head(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", 0)
    assert head is not None
    # It answers only while another does not: that one is to be asked again as soon as it is back.
    scoring.shorten(head, asking.asked(head), Version(version.spec, log=version._log, timeout_ms=1000))
    assert head.express is None
    for times in (1, 2):
        for _ in range(5):
            scoring.shorten(head, asking.asked(head), version)
        assert (len(found), head.express is not None and head.express.is_open) == (times, True)
        scoring.end_short_ways()
        assert head.express is not None
        assert not head.express.is_open
