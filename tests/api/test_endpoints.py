"""Endpoints over HTTP: by a real client over a real socket; no process serves, which traffic does not need."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from integrity import things

from modelwright.api import server
from modelwright.lifecycle.sessions import Session
from modelwright.records import DeploymentStatus, Role
from modelwright.store import tokens
from modelwright.store.database import Store

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(store: Store) -> Iterator[Ask]:
    """Send a request in Ada's name, and return its answer's status and body; endpoint `live` has two deployments."""
    session = Session(store, "grace")
    for number in range(2):
        version = things.add_version(session, content=f"model {number}")
        things.deploy(session, version, DeploymentStatus.HEALTHY, endpoint="live")
    with Session(store, "ada").change() as opened:
        token = tokens.add_token(opened, "ada", role=Role.OWNER)
    url = server.start(store)

    def send(method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    yield send
    server.stop(store)


def test_endpoints_are_shown_changed_on_record_and_deleted(ask: Ask) -> None:
    ((status, [listed]), (_, shown)) = ask("GET", "/endpoints"), ask("GET", "/endpoints/live")
    assert (status, listed["state"], listed["split"]) == (200, "down", {"churn:2": 100})
    assert [each["name"] for each in shown["deployments"]] == ["churn:2", "churn:1"]
    status, changed = ask("PUT", "/endpoints/live/traffic?why=a+look", {"shares": {"churn:1": 20}})
    assert (status, changed["split"]) == (200, {"churn:1": 20, "churn:2": 80})
    assert ask("GET", "/endpoints/live/traffic")[1] == changed
    last = ask("GET", "/endpoints/live/history")[1][-1]
    assert (last["action"], last["actor"], last["why"]) == ("traffic.changed", "ada", "a look")

    for body, status, code in (
        ({"shares": {"churn:1": 120}}, 400, "traffic-invalid"),
        ({"shares": {"churn:3": 1}}, 400, "traffic-invalid"),
        ({"share": {"churn:1": 1}}, 422, "request-invalid"),
    ):
        answered, told = ask("PUT", "/endpoints/live/traffic", body)
        assert (answered, told["error"]["code"]) == (status, code)
    status, told = ask("DELETE", "/endpoints/live/deployments/churn:2")
    assert (status, told["error"]["code"]) == (409, "deployment-has-traffic")
    assert ask("GET", "/endpoints/nothing")[0] == 404

    ask("PUT", "/endpoints/live/traffic", {"shares": {"churn:1": 0}})
    assert ask("DELETE", "/endpoints/live/deployments/churn:1")[1]["forgotten"][0]["version"] == "churn:1"
    assert ask("DELETE", "/endpoints/live") == (200, {"deleted": "live"})
    assert ask("GET", "/endpoints") == (200, [])
