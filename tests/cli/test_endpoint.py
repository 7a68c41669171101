"""`wright endpoint`, as users type it, with real processes behind it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click
import pytest
from click.testing import CliRunner
from serving import servable

from modelwright import records
from modelwright.cli.program import program
from modelwright.errors import (
    DeploymentHasTraffic,
    EndpointOutdated,
    ModelwrightError,
    TrafficInvalid,
    WorkingCopyMissing,
)
from modelwright.lifecycle.sessions import Session
from modelwright.records import FrontStatus
from modelwright.serving import commands, control, deployments
from modelwright.store import database
from modelwright.store.database import Store

Wright = Callable[..., str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A workspace whose endpoint `churn` serves churn:1, with churn:2 as `blue` beside it at 10 %."""
    store = database.open_store(tmp_path_factory.mktemp("workspace") / ".wright")
    for number in range(1, 4):
        servable.add_version(Session(store, "ada"), number=number)
    wright = _wright(store)
    wright("endpoint", "deploy", "churn:1")
    wright("endpoint", "deploy", "churn:2", "--as", "blue", "--traffic", "10", "--why", "a first look")
    yield store
    deployments.down(store, actor="ada")
    store.close()


def _wright(store: Store) -> Wright:
    def call(*words: str) -> str:
        done = CliRunner().invoke(program, ["--workspace", str(store.folder), *words], standalone_mode=False)
        if done.exception:
            raise done.exception
        return done.stdout

    return call


@pytest.fixture
def wright(served: Store) -> Wright:
    """The command in that workspace; what it raises is raised."""
    return _wright(served)


def _json(wright: Wright, *words: str) -> Any:
    return json.loads(wright(*words, "--json"))


def test_shares_are_shown_and_changed(wright: Wright) -> None:
    assert _json(wright, "endpoint", "traffic", "churn")["split"] == {"blue": 10, "churn:1": 90}
    moment = records.now().isoformat()
    changed = _json(wright, "endpoint", "traffic", "churn", "blue=25%", "--control", "churn:1", "--sticky", "X-User")
    assert changed["split"] == {"blue": 25, "churn:1": 75}
    assert (changed["traffic"]["control"], changed["traffic"]["sticky_header"]) == ("churn:1", "x-user")
    listed = wright("endpoint", "list")
    assert "blue (churn:2) 25 %, churn:1 75 %" in listed
    (then,) = _json(wright, "at", moment, "endpoint", "list")
    assert (then["split"], then["state"]) == ({"blue": 10, "churn:1": 90}, "served blue (churn:2) 10 %, churn:1 90 %")


def test_an_endpoint_is_shown_with_its_addresses_and_what_serves(wright: Wright) -> None:
    shown = _json(wright, "endpoint", "show", "churn")
    url = shown["url"].removesuffix("/score")
    assert (shown["scoring_uri"], shown["swagger_uri"]) == (f"{url}/score", f"{url}/swagger.json")
    assert shown["service_uri"] == f"{url}/api/v1/service/churn/score"
    assert (shown["serves"], shown["state"]) == ("churn:1", "healthy")
    told = wright("endpoint", "show", "churn")
    assert "churn:2 as blue healthy" in told
    assert "default" in told


def test_history_says_who_moved_what_and_why(wright: Wright) -> None:
    moved = [each for each in _json(wright, "endpoint", "history", "churn") if each["action"] == "traffic.changed"]
    assert (moved[0]["before"]["split"], moved[0]["after"]["split"]) == ({}, {"churn:1": 100})
    assert moved[1]["why"] == "a first look"
    told = " ".join(wright("endpoint", "history", "churn").split())
    assert "traffic.changed churn:1 100 % -> blue (churn:2) 10 %, churn:1 90 % a first look" in told


@pytest.mark.parametrize(
    ("share", "why"),
    [
        *((each, "is not DEPLOYMENT=PERCENT") for each in ("blue", "blue=", "=3", "blue=x", "blue=nan")),
        ("blue=101", "101 is not between 0 and 100 percent"),
        ("blue=-1", "-1 is not between 0 and 100 percent"),
    ],
)
def test_what_is_no_share_is_refused(wright: Wright, share: str, why: str) -> None:
    with pytest.raises(click.BadParameter, match=why):
        wright("endpoint", "traffic", "churn", share)


def test_a_share_that_is_given_twice_is_refused(wright: Wright) -> None:
    with pytest.raises(click.BadParameter, match='"blue" is given twice'):
        wright("endpoint", "traffic", "churn", "blue=10", "blue=20")


def test_an_endpoint_that_cannot_be_asked_is_listed(wright: Wright, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PROTOCOL", 99)
    (listed,) = _json(wright, "endpoint", "list")
    assert (listed["state"], listed["serves"]) == ("unresponsive", "churn:1")
    assert "it speaks protocol 1, the command protocol 99" in listed["reason"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("undeploy", "churn", "churn:1"), DeploymentHasTraffic),
        (("reload", "churn"), WorkingCopyMissing),
        (("reload", "nothing"), ModelwrightError),
        (("traffic", "churn", "green=1"), TrafficInvalid),
        (("restart", "churn", "green"), ModelwrightError),
        (("update", "churn", "green", "churn:3"), ModelwrightError),
    ],
)
def test_what_is_refused_says_what_to_do_instead(
    wright: Wright, words: tuple[str, ...], error: type[ModelwrightError]
) -> None:
    with pytest.raises(error) as refused:
        wright("endpoint", *words)
    assert refused.value.next_command.startswith("wright endpoint ")


def test_a_version_takes_the_place_of_another_and_back(wright: Wright) -> None:
    assert wright("endpoint", "update", "churn", "blue", "churn:3") == "blue serves churn:3\n"
    assert "churn:3" in wright("endpoint", "traffic", "churn")
    assert "blue (churn:2)" in wright("endpoint", "rollback", "churn")
    assert _json(wright, "endpoint", "undeploy", "churn", "blue", "--force")["forgotten"]
    assert wright("endpoint", "traffic", "churn").count("churn:1") == 2


@dataclass(frozen=True, kw_only=True)
class LaterStatus(FrontStatus):
    """What fronts of a later build say of themselves."""

    mood: str


def test_a_front_of_an_older_build_is_told_of_and_replaced(wright: Wright, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(control, "FrontStatus", LaterStatus)
        with pytest.raises(
            EndpointOutdated, match=r'"churn" is served by a process of another build.*"mood" is missing'
        ):
            wright("endpoint", "show", "churn")
        assert wright("down") == 'endpoint "churn" is down\n'
    wright("up")
    assert _json(wright, "endpoint", "show", "churn")["state"] == "healthy"
    wright("down")
