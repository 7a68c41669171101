"""What is used cannot be deleted over HTTP either: by a real client over a real socket."""

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
from modelwright.serving import deployments
from modelwright.store import audit, models, tokens
from modelwright.store.database import Store

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(store: Store) -> Iterator[Ask]:
    """Send a request in Ada's name and return its answer."""
    with Session(store, "ada").change() as opened:
        token = tokens.add_token(opened, "ada", role=Role.OWNER)
    url = server.start(store)

    def send(method: str, path: str) -> tuple[int, Any]:
        request = urllib.request.Request(url + path, method=method, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    yield send
    server.stop(store)


def test_a_refusal_is_409_with_the_users_and_a_deletion_has_its_actor_and_reason(store: Store, ask: Ask) -> None:
    session = Session(store, "grace")
    data = things.add_data(session)
    run = things.add_run(session, data=[data])
    version = things.add_version(session, run=run, data=data)
    things.add_environment(session)
    things.deploy(session, version, DeploymentStatus.FAILED, endpoint="live")

    assert [each["reference"] for each in ask("GET", "/models")[1]] == ["churn:1"]
    assert ask("GET", "/models?name=other") == (200, [])
    status, shown = ask("GET", "/models/churn/versions/1")
    assert (status, shown["digest"], shown["deployments"][0]["endpoint"]) == (200, version.digest, "live")

    refusals = {}
    for path in ("/models/churn/versions/1", f"/runs/{run.id}", "/datasets/sales/versions/1"):
        status, answer = ask("DELETE", path)
        assert (status, answer["error"]["code"]) == (409, "in-use")
        refusals[path] = [(each["kind"], each["reference"]) for each in answer["error"]["users"]]
    status, answer = ask("DELETE", "/environments/production/versions/1")
    assert (status, len(answer["error"]["users"])) == (409, 2)
    assert refusals == {
        "/models/churn/versions/1": [("deployment", "live")],
        f"/runs/{run.id}": [("model", "churn:1")],
        "/datasets/sales/versions/1": [("model", "churn:1"), ("run", run.id)],
    }
    assert answer["error"]["next_command"].endswith("wright environment delete production:1")

    deployments.undeploy(store, "live", "churn:1", actor="grace")
    assert ask("DELETE", "/models/churn/versions/1?why=too%20old") == (200, {"deleted": "churn:1"})
    assert ask("DELETE", f"/runs/{run.id}") == (200, {"deleted": [run.id]})
    assert ask("DELETE", "/datasets/sales/versions/1") == (200, {"deleted": ["sales:1"]})
    status, gone = ask("DELETE", "/environments/production/versions/1")
    assert (status, gone["deleted"], gone["digest"]) == (200, "production:1", run.environment_digest)
    assert models.list_versions(store) == []
    (record,) = [each for each in audit.list_audit_records(store) if each["action"] == "model.deleted"]
    assert (record["actor"], record["why"]) == ("ada", "too old")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/models/churn/versions/9", "model-missing"),
        ("/runs/run_9", "run-missing"),
        ("/datasets/sales/versions/9", "dataset-missing"),
        ("/environments/production/versions/9", "environment-missing"),
    ],
)
def test_what_is_not_there_cannot_be_deleted(ask: Ask, path: str, code: str) -> None:
    status, answer = ask("DELETE", path)
    assert (status, answer["error"]["code"]) == (404, code)
    assert ask("GET", "/models/churn/versions/x")[0] == 422
