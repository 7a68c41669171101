"""Releases: approvals, smoke tests of real endpoints, and what comes back when they fail."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import pytest
from lifecycle.events.receivers import receiving, reply

from modelwright.errors import (
    ApprovalMissing,
    ApprovalRefused,
    AutomationInvalid,
    EndpointUnresponsive,
    RollbackFailed,
    SmokeTestFailed,
)
from modelwright.lifecycle import publishing
from modelwright.lifecycle.ci import builds, releasing
from modelwright.lifecycle.ci.builds import Build
from modelwright.lifecycle.sessions import Session
from modelwright.projects.ci.automation import Automation
from modelwright.projects.manifest import Manifest
from modelwright.records import ModelVersion, ScoringAnswer
from modelwright.serving import deployments
from modelwright.store import approvals, audit, endpoints
from modelwright.store.database import Store


@pytest.fixture
def versions(session: Session, automation: Automation, small: Manifest) -> Iterator[list[ModelVersion]]:
    """Two versions: the second one answers its sample, and of more rows only the first two."""
    score = small.folder / "src" / "small" / "score.py"
    made = []
    for number, alpha in enumerate((0.5, 0.9)):
        (small.folder / "parameters.toml").write_text(f"alpha = {alpha}\n")
        if number:
            score.write_text(score.read_text().replace('["data"]]', '["data"][:2]]'))
        pipeline = publishing.publish(session, small)
        made.append(builds.train(session, automation, Build(str(number)), pipeline=pipeline, model="small"))
    yield made
    deployments.down(session.store, actor="ada")


def _served(session: Session, endpoint: str) -> list[str]:
    known = [each for each in endpoints.list_endpoints(session.store) if each.name == endpoint]
    return [each.version for place in known for each in endpoints.serving(session.store, place).deployments]


def _stop_but(endpoint: str) -> Callable[..., None]:
    stop = deployments.stop

    def stop_others(store: Store, name: str, *, actor: str, why: str) -> None:
        if name == endpoint:
            raise EndpointUnresponsive(endpoint=name, reason="it says nothing")
        stop(store, name, actor=actor, why=why)

    return stop_others


def test_a_release_is_approved_tried_and_taken_back(
    session: Session, automation: Automation, versions: list[ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = versions
    production = automation.target("production")
    with pytest.raises(ApprovalMissing, match='nobody has let "small:1" go on to "production"'):
        releasing.release(session, automation, good)
    assert (_served(session, "small-test"), _served(session, "small")) == (["small:1"], [])
    releasing.approve(Session(session.store, "eve", why="no"), good, stage="production", is_approved=False)
    with pytest.raises(ApprovalRefused, match='eve has refused to let "small:1" go on to "production": no'):
        releasing.deploy(session, good, production)
    releasing.approve(Session(session.store, "bob", why="yes"), good, stage="production", is_approved=True)
    releasing.release(session, automation, good)
    assert _served(session, "small") == ["small:1"]
    assert not releasing.deploy(session, good, production)  # it serves already
    assert releasing.find_approval(session.store, bad, stage="production") is None
    assert releasing.find_approval(session.store, good, stage="moon") is None
    assert [(each.actor, each.is_approved) for each in approvals.list_approvals(session.store)] == [
        ("bob", True),
        ("eve", False),
    ]
    told = [each["action"] for each in audit.list_audit_records(session.store, subject="models/small:1")]
    assert told[-2:] == ["approval.refused", "approval.given"]

    with pytest.raises(SmokeTestFailed, match=r'"small-test" does not pass .*: 3 rows were asked, and 2 results came'):
        releasing.release(session, automation, bad)
    assert (_served(session, "small-test"), _served(session, "small")) == (["small:1"], ["small:1"])
    assert releasing.rollback(session, bad, automation) == [
        "small serves small:1, and is left as it is",
        "small-test serves small:1, and is left as it is",
    ]
    # Nothing served before this one: what is left is nothing, wherever it can be taken back.
    with monkeypatch.context() as broken:
        broken.setattr(deployments, "stop", _stop_but(automation.target("production").endpoint))
        with pytest.raises(RollbackFailed, match=r'"small:1" is not taken back everywhere: small: .*"small"'):
            releasing.rollback(session, good, automation)
    assert (_served(session, "small-test"), _served(session, "small")) == ([], ["small:1"])
    assert releasing.rollback(session, good, automation)[0] == "small served nothing before small:1: it is stopped"
    with pytest.raises(SmokeTestFailed, match="is not running"):
        releasing.smoke_test(session, automation, production, patience_seconds=0)


def test_a_smoke_test_of_an_address_takes_its_key_nowhere_else(automation: Automation) -> None:
    key = {"Authorization": "Bearer secret"}
    with receiving(lambda _: reply()) as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}/"
        with (
            receiving(lambda _: reply("302 Found", Location=place)) as there,
            pytest.raises(SmokeTestFailed, match="it answers 302"),
        ):
            releasing.smoke_test_url(there.url, automation, headers=key, patience_seconds=0)
        assert elsewhere.requests == []


@pytest.mark.parametrize("url", ["here", "http://a b/", "http://[::1/", "ftp://127.0.0.1/"])
def test_an_address_that_is_none_is_not_reached(automation: Automation, url: str) -> None:
    with pytest.raises(SmokeTestFailed, match="no answer from"):
        releasing.smoke_test_url(url, automation, headers={}, patience_seconds=0)


def test_who_does_not_speak_http_is_not_reached(automation: Automation) -> None:
    with receiving(lambda _: b"SSH-2.0\r\n\r\n") as there, pytest.raises(SmokeTestFailed, match="no answer from"):
        releasing.smoke_test_url(there.url, automation, headers={}, patience_seconds=0)


@pytest.mark.parametrize(("request_file", "told"), [("moon.json", "No such file"), ("README.md", "Expecting value")])
def test_a_request_that_cannot_be_sent_is_told_before_anything_serves(
    session: Session, automation: Automation, request_file: str, told: str
) -> None:
    wrong = replace(automation, request=request_file)
    version = ModelVersion(**{each.name: None for each in fields(ModelVersion)} | {"model": "small", "version": 1})
    with pytest.raises(AutomationInvalid, match=told):
        releasing.advance(session, wrong, version, wrong.target("test"))


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ('{"result": [1, 2, 3]}', 200, None),
        ("[1, 2, 3]", 200, "its answer is a list, and that to the sample was an object with result"),
        ('{"result": [1, 2]}', 200, "3 rows were asked, and 2 results came back"),
        ('{"result": 7}', 200, "3 rows were asked, and no list came back"),
        ('{"results": [1, 2, 3]}', 200, "an object with results, and that to the sample was an object with result"),
        ("oops", 200, "its answer is no JSON: oops"),
        ('{"error": "x"}', 500, "it answers 500"),
    ],
)
def test_an_answer_has_a_result_for_every_row(body: str, status: int, told: str | None) -> None:
    answer = ScoringAnswer(status, body, "", "small:1")
    request, expected = json.dumps({"data": [[1], [2], [3]]}), '{"result": [1]}'
    if told is None:
        releasing.check_answer("small", request, answer, expected=expected)
        return
    with pytest.raises(SmokeTestFailed, match=told):
        releasing.check_answer("small", request, answer, expected=expected)
