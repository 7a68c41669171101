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
from modelwright.records import Access, AccessKey, CaptureMode, CaptureSettings, FrontLimits, FrontSettings
from modelwright.serving import control
from modelwright.serving.capture import segments

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
