"""Who may ask an endpoint: keys and tokens, from the store to the answer."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelwright.errors import EndpointMissing, KeyUnfit
from modelwright.records import Access, AccessKey, FrontSettings, now
from modelwright.serving import access, configuring, control
from modelwright.serving.front.access import Guard, key_in
from modelwright.store import audit, endpoint_keys, endpoints
from modelwright.store.changes import change
from modelwright.store.database import Store

ECHO = "def init(): pass\ndef run(data, request_headers): return sorted(request_headers)"


def key(**headers: str) -> str:
    return key_in({name.replace("_", "-"): value for name, value in headers.items()})


def keys(*given: str, **expiring: Any) -> Access:
    return Access(
        True,
        (
            *(AccessKey("primary", endpoint_keys.digest_of(each)) for each in given),
            *(AccessKey("token", endpoint_keys.digest_of(each), expires_at) for each, expires_at in expiring.items()),
        ),
    )


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"authorization": "Bearer good"}, True),
        ({"authorization": "bearer good"}, True),
        ({"x_api_key": "good"}, True),
        ({"authorization": "Bearer other", "x_api_key": "good"}, True),
        ({"authorization": "Basic good"}, False),
        ({"authorization": "good"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Bearer good", "x_api_key": "bad"}, False),
        ({"authorization": "Bearer late"}, False),
        ({"authorization": "Bearer soon"}, True),
        ({"authorization": "Bearer gööd"}, False),
        ({}, False),
    ],
)
def test_a_good_key_passes_and_nothing_else(headers: dict[str, str], passes: bool) -> None:
    moment = now()
    guard = Guard(keys("good", late=moment - timedelta(seconds=1), soon=moment + timedelta(minutes=1)))
    for _ in range(2):
        refusal = guard.refusal(key(**headers))
        assert (refusal is None) is passes
        if refusal is not None:
            assert refusal.status == 401
            assert ("www-authenticate", "Bearer") in refusal.headers


def test_missing_wrong_and_expired_keys_get_the_same_answer() -> None:
    guard = Guard(keys("good", late=now() - timedelta(seconds=1)))
    refusals = [guard.refusal(key(**each)) for each in ({}, {"x_api_key": "bad"}, {"x_api_key": "late"})]
    assert refusals[0] == refusals[1] == refusals[2] is not None
    assert guard.refused == 3


def test_a_key_that_was_good_is_bad_once_it_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard(keys("one", "two", soon=now() + timedelta(minutes=1)))
    for each in ("one", "two", "soon"):
        assert guard.refusal(key(x_api_key=each)) is None
    monkeypatch.setattr("time.time", lambda: now().timestamp() + 61)
    assert guard.refusal(key(x_api_key="soon")) is not None
    guard.configure(keys("two"))
    assert guard.refusal(key(x_api_key="one")) is not None
    assert guard.refusal(key(x_api_key="two")) is None


@pytest.fixture
def place(store: Store, served: Any, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with an endpoint whose front runs."""
    monkeypatch.setattr(configuring, "runtime_folder", lambda _folder: served.runtime_folder)
    monkeypatch.setattr(access, "runtime_folder", lambda _folder: served.runtime_folder)
    with change(store, actor="me") as opened:
        endpoints.ensure_endpoint(opened, served.name, host="127.0.0.1")
    return store


def test_keys_and_tokens_hold_at_once_in_the_running_front(place: Store, served: Any) -> None:
    name = served.name
    served.start()
    served.deploy(ECHO)
    assert served.ask(body="x").status == 200
    made = access.require(place, name, is_required=True, actor="me")
    assert made.keys() == {"primary", "secondary"}

    def status(key: str) -> int:
        return int(served.ask(body="x", headers={"Authorization": f"Bearer {key}"}).status)

    assert served.ask(body="x").status == 401
    assert [status(each) for each in made.values()] == [200, 200]
    primary = access.regenerate(place, name, "primary", actor="me")
    own = access.regenerate(place, name, "secondary", own="a-key-of-my-own-choice", actor="me")
    assert [status(each) for each in (*made.values(), primary, own)] == [401, 401, 200, 200]
    token = access.make_token(place, name, life=timedelta(hours=1), actor="me")
    assert now() < token.refresh_after < token.expires_at
    assert status(token.token) == 200
    assert access.revoke_tokens(place, name, actor="me") == 1
    assert status(token.token) == 401
    # Our own requests are let in without a key on record, and scripts see no key.
    passing = access.pass_headers(place, name)
    answer = served.ask(body="x", headers=passing)
    assert answer.status == 200
    assert not {"Authorization", "X-Api-Key"} & set(json.loads(answer.body))
    # Health is open, what tells of the model is not.
    assert served.ask("GET", "/").status == 200
    access.require(place, name, is_required=False, actor="me")
    assert served.ask(body="x").status == 200

    told = (
        json.dumps([str(each) for each in (*audit.find_audit_records(place), *audit.list_events(place))])
        + served.log.read_text()
    )
    for each in (*made.values(), primary, own, token.token, passing["Authorization"].removeprefix("Bearer ")):
        assert each not in told
        assert endpoint_keys.digest_of(each) not in told


def test_a_front_that_starts_again_knows_the_keys_and_no_command_line_tells_them(place: Store, served: Any) -> None:
    key = access.regenerate(place, served.name, "primary", actor="me")
    settings = replace(configuring.settings_of(place, served.name))
    assert not settings.access.is_required  # only this machine reaches it
    wanted = FrontSettings(access=replace(settings.access, is_required=True))
    control.start(
        served.name,
        runtime_folder=served.runtime_folder,
        log=served.log,
        capture_folder=served.folder / "capture",
        settings=wanted,
    )
    served.started = served.status()
    assert served.ask(body="x").status == 401
    assert served.ask(body="x", headers={"x-api-key": key}).status == 503  # nobody serves yet, but it may ask
    command = " ".join(served.family()[0].cmdline())
    assert endpoint_keys.digest_of(key) not in command


def test_who_is_reached_from_outside_asks_for_keys(store: Store) -> None:
    with change(store, actor="me") as opened:
        for name, host in (("inside", "::1"), ("outside", "0.0.0.0")):
            endpoints.ensure_endpoint(opened, name, host=host)
    assert not configuring.settings_of(store, "inside").access.is_required
    assert configuring.settings_of(store, "inside", host="10.0.0.1").access.is_required
    assert access.make_missing_keys(store, "inside", actor="me") == {}
    assert configuring.settings_of(store, "outside").access.is_required
    assert access.make_missing_keys(store, "outside", actor="me").keys() == {"primary", "secondary"}
    assert access.make_missing_keys(store, "outside", actor="me") == {}
    access.require(store, "outside", is_required=False, actor="me")
    assert not configuring.settings_of(store, "outside").access.is_required


@pytest.mark.parametrize("own", ["short", "x" * 201, "a key with spaces in it", "ein-schlüssel-mit-umlaut"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(place: Store, served: Any, own: str) -> None:
    with pytest.raises(KeyUnfit) as caught:
        access.regenerate(place, served.name, "primary", own=own, actor="me")
    assert own not in str(caught.value)


def test_a_key_is_taken_once_and_of_an_endpoint_that_exists(place: Store, served: Any) -> None:
    access.regenerate(place, served.name, "primary", own="a-key-of-my-own-choice", actor="me")
    with pytest.raises(KeyUnfit):
        access.regenerate(place, served.name, "secondary", own="a-key-of-my-own-choice", actor="me")
    with pytest.raises(EndpointMissing):
        access.make_token(place, "nobody", life=timedelta(hours=1), actor="me")


def test_expired_tokens_are_forgotten_and_keys_go_with_their_endpoint(place: Store, served: Any) -> None:
    access.make_token(place, served.name, life=timedelta(microseconds=1), actor="me")
    access.make_token(place, served.name, life=timedelta(hours=1), actor="me")
    access.regenerate(place, served.name, "primary", actor="me")
    assert [each.kind for each in endpoint_keys.list_keys(place, served.name)] == ["primary", "token"]
    with change(place, actor="me") as opened:
        endpoints.delete_endpoint(opened, endpoints.get_endpoint(place, served.name))
        endpoints.ensure_endpoint(opened, served.name, host="127.0.0.1")
    assert endpoint_keys.list_keys(place, served.name) == []


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown() -> None:
    for key in ("a_secret\n", "a_secret\r\nX-Other: 1", "ä_secret"):
        with pytest.raises(KeyUnfit) as refused:
            access.key_header(key)
        assert "secret" not in str(refused.value)
