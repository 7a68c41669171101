"""Who gets in, and in which role: by raw requests over a real socket."""

import base64
import http.client
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from lifecycle.events.receivers import receiving, reply
from starlette.routing import BaseRoute, Mount, Route

from modelwright.api import loopback, server
from modelwright.api.app import create_app
from modelwright.api.events import NewSubscription, Webhook
from modelwright.api.mlflow import application
from modelwright.lifecycle.events import subscribing
from modelwright.lifecycle.sessions import Session
from modelwright.records import Envelope, Role
from modelwright.store import events, rules, subscriptions, tokens
from modelwright.store.database import Store

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    """Where the workspace's API answers."""
    yield server.start(store)
    server.stop(store)


@pytest.fixture
def ask(url: str) -> Ask:
    """Send exactly these headers, and return the answer's status and body."""
    place = urlsplit(url).netloc

    def send(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> tuple[int, Any]:
        connection = http.client.HTTPConnection(place, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": place, "Content-Length": str(len(body)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        body = answer.read()
        told = json.loads(body) if body.startswith((b"{", b"[")) else body
        connection.close()
        return answer.status, told

    return send


def _token(store: Store, role: Role) -> str:
    with Session(store, "ada").change() as opened:
        return tokens.add_token(opened, f"a {role}", role=role)


def test_the_workspaces_own_user_needs_no_token_here(ask: Ask, store: Store) -> None:
    assert ask("GET", "/models") == (200, [])
    assert ask("GET", "/models", {"Host": "localhost"})[0] == 200
    assert ask("DELETE", "/models/churn/versions/1")[1]["error"]["code"] == "model-missing"
    with Session(store, "ada").change() as opened:
        rules.set_rule(opened, rules.LOOPBACK_TRUST, "off")
    assert ask("GET", "/models")[1]["error"]["code"] == "token-unknown"


STRANGE: list[dict[str, str]] = [
    {"Host": "wright.example"},
    {"Host": "wright.example:80"},
    {"Host": "127.0.0.1.example"},
    {"Host": ""},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "null"},
    {"Referer": "http://elsewhere.example/"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Mode": "no-cors"},
    {"Cookie": "a=b"},
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-Proto": "http"},
    {"X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wright_guessed"},
    {"Authorization": "Basic wright_guessed"},
    {"Authorization": "Basic " + base64.b64encode(b"ada:").decode()},
    {"Authorization": "Negotiate abc"},
]


def test_no_browser_no_proxy_and_no_wrong_token_is_trusted(ask: Ask) -> None:
    for headers in STRANGE:
        for method, path in (("GET", "/models"), ("GET", "/nothing"), ("GET", "/openapi.json"), ("DELETE", "/runs/a")):
            assert (*headers.items(), ask(method, path, headers)[0]) == (*headers.items(), 401)


def test_a_token_comes_as_bearer_or_as_a_password(ask: Ask, store: Store) -> None:
    token = _token(store, Role.READER)
    for scheme, value in (
        ("Bearer", token),
        ("bearer", token),
        ("Basic", base64.b64encode(f"anybody:{token}".encode()).decode()),
        ("Basic", base64.b64encode(f":{token}".encode()).decode()),
    ):
        headers = {"Authorization": f"{scheme} {value}", "Origin": "http://elsewhere.example", "Host": "wright.example"}
        assert ask("GET", "/models", headers) == (200, [])


def _routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give every method and path of the application, those of what is mounted too."""
    for each in routes:
        if isinstance(each, Mount):
            yield from _routes(each.routes, prefix + each.path)
        elif hasattr(each, "original_router"):  # as FastAPI keeps what was included
            yield from _routes(each.original_router.routes, prefix)
        elif isinstance(each, Route):
            path = prefix + re.sub(r"{[^}]*}", "x", each.path)
            yield from ((method, path) for method in each.methods or ())


def _all(store: Store) -> list[tuple[str, str]]:
    """Return every method and path of the application, those of MLflow's operations too."""
    operations = [(each.method, f"/api/2.0/mlflow/{each.path}") for each in application._OPERATIONS]
    return sorted({*_routes(create_app(store.folder).routes), *operations})


def test_every_route_takes_a_token_and_none_that_changes_anything_a_readers(ask: Ask, store: Store) -> None:
    routes = _all(store)
    assert {("GET", "/models"), ("POST", "/commands"), ("POST", "/api/2.0/mlflow/runs/create")} <= set(routes)
    reader = {"Authorization": f"Bearer {_token(store, Role.READER)}"}
    nobody = {"Authorization": "Bearer wright_guessed"}
    open_to_all = {path for method, path in routes if method != "HEAD" and ask(method, path, nobody)[0] != 401}
    assert open_to_all == set()
    looking = {
        f"{method} {path}"
        for method, path in routes
        if method not in {"GET", "HEAD", "OPTIONS"} and ask(method, path, reader)[0] != 403
    }
    assert {each.partition(" ")[0] for each in looking} == {"POST"}
    # All of them look for something that would not fit into an address; a command asks for its role itself.
    assert {path.rpartition("/")[2] for path in looking} == {"commands", "search", "get-latest-versions"}


def test_a_confirmation_takes_no_token_but_the_code_that_the_webhook_was_told(ask: Ask, store: Store) -> None:
    with receiving(lambda _: reply("202 Accepted")) as receiver:
        hook = Webhook(url=receiver.url, is_private_allowed=True)
        wanted = NewSubscription(name="grid", webhook=hook, envelope=Envelope.EVENT_GRID)
        subscribing.subscribe(Session(store, "ada"), wanted.subscription(store))
    path = urlsplit(json.loads(receiver.requests[0].body)[0]["data"]["validationUrl"]).path
    browser = {"Host": "wright.example", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Sec-Fetch-Mode": "navigate"}
    assert ask("GET", f"{path}x", browser)[1]["error"]["code"] == "confirmation-unknown"
    assert ask("GET", path.replace("grid", "moon"), browser)[0] == 401
    assert ask("POST", path, browser)[0] == 405
    assert subscriptions.get_subscription(store, "grid").state == "pending"
    assert ask("GET", path, browser) == (200, b'"grid" is told of events from now on\n')
    assert subscriptions.get_subscription(store, "grid").state == "active"


def test_what_serves_takes_a_deployer_and_who_may_do_what_an_owner(ask: Ask, store: Store) -> None:
    held = {role: {"Authorization": f"Bearer {_token(store, role)}"} for role in Role}
    changing = [each for each in _all(store) if each[0] not in {"GET", "HEAD"}]
    for role, beginnings in (
        (Role.CONTRIBUTOR, ("/endpoints", "/rollouts")),
        (Role.DEPLOYER, ("/tokens", "/settings")),
    ):
        asked = [each for each in changing if each[1].startswith(beginnings) and not each[1].endswith("/score")]
        assert asked
        assert [each for each in asked if ask(*each, held[role])[0] != 403] == []
    assert ask("GET", "/tokens", held[Role.DEPLOYER])[0] == 403
    assert ask("GET", "/tokens", held[Role.OWNER])[0] == 200


@pytest.mark.parametrize("way", ["AF_NETLINK", "_TABLES"])
def test_a_socket_tells_whose_it_is(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "_TABLES":
        monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    else:
        monkeypatch.setattr(loopback, "_TABLES", ())
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as ours:
        assert loopback.user_of(ours.getsockname(), listening.getsockname()) == os.geteuid()
        assert loopback.user_of(("127.0.0.1", 1), listening.getsockname()) is None
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listening,
        socket.create_connection(listening.getsockname()[:2]) as ours,
    ):
        assert loopback.user_of(ours.getsockname()[:2], listening.getsockname()[:2]) == os.geteuid()


@pytest.mark.parametrize("way", ["AF_NETLINK", "_TABLES"])
def test_a_socket_that_was_closed_is_nobodys(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "_TABLES":
        monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        place = ours.getsockname()
        accepted, _ = listening.accept()
        ours.close()
        assert loopback.user_of(place, listening.getsockname()) is None
        accepted.close()


def test_who_listens_at_a_port_has_connected_nothing_from_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert loopback.user_of(listening.getsockname(), ("127.0.0.1", 9)) is None


def test_a_request_says_how_many_events_led_to_it(ask: Ask, store: Store) -> None:
    for said, value in (("4", "deletion"), ("many", "traffic"), ("9" * 5000, "promotion")):
        headers = {"wright-event-hops": said, "Content-Type": "application/json"}
        body = json.dumps({"value": value}).encode()
        assert ask("PUT", "/settings/reasons-required", headers, body)[0] == 200
    told = events.list_events(store, types="setting.changed")
    assert [each.hops for each in reversed(told)] == [4, 0, 0]


def test_a_number_that_no_event_bears_out_silences_nobody(ask: Ask, store: Store) -> None:
    held = {each: _token(store, each) for each in (Role.READER, Role.CONTRIBUTOR, Role.DEPLOYER)}

    def make(number: int, said: int, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "wright-event-hops": str(said)}
        body = json.dumps({"name": f"model-{number}"}).encode()
        return ask("POST", "/api/2.0/mlflow/registered-models/create", headers, body)[0]

    asked = [
        (Role.CONTRIBUTOR, 16, 1),  # nothing led to anything yet
        (Role.CONTRIBUTOR, 2, 2),  # as it comes when one thing leads to another
        (Role.DEPLOYER, 16, 16),
        (Role.CONTRIBUTOR, 17, 17),
    ]
    for number, (role, said, _) in enumerate(asked):
        assert make(number, said, held[role]) == 200
    assert make(9, 16, held[Role.READER]) == 403
    assert make(9, 16, "wright_of_nobody") == 401
    told = {each.subject: each.hops for each in events.list_events(store, types="model.created")}
    assert told == {f"models/model-{number}": counted for number, (_, _, counted) in enumerate(asked)}
