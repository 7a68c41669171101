"""A command that changes an endpoint is killed at every point of it: what is on record serves, without a pause."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import servable

from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session
from modelwright.records import Placement
from modelwright.serving import deployments
from modelwright.store import claims, database, endpoints, models
from modelwright.store.database import Store

BEFORE = {"blue": 10, "churn:1": 90}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A workspace whose endpoint `shop` serves churn:1, with churn:3 as `blue` beside it."""
    store = database.open_store(tmp_path_factory.mktemp("workspace") / ".wright")
    for number in range(1, 4):
        servable.add_version(Session(store, "ada"), number=number)
    yield store
    deployments.down(store, actor="ada")
    store.close()


def begin(store: Store) -> None:
    for reference, placement in (("churn:1", Placement()), ("churn:3", Placement(name="blue", share=10))):
        version = models.find_version(store, reference)
        with deployments.deploying(store, version, endpoint="shop", actor="ada", placement=placement):
            pass


@pytest.mark.parametrize(
    ("change", "point", "after"),
    [
        ("replace", "moved", BEFORE),
        ("replace", "recorded", {"churn:2": 100}),
        ("update", "started", BEFORE),
        ("traffic", "moved", BEFORE),
    ],
)
def test_what_is_on_record_serves(store: Store, change: str, point: str, after: dict[str, float]) -> None:
    begin(store)
    program = Path(__file__).with_name("killed.py")
    command = [sys.executable, program, store.folder, "shop", change, point]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert deployments.score(store, "shop", body=b"{}").status == 200
    recovery.recover(Session(store, "ada"))

    front = deployments.status(store, "shop")
    assert front is not None
    assert front.traffic.split() == after
    assert {each.name for each in front.deployments} == after.keys()
    serving = endpoints.serving(store, endpoints.get_endpoint(store, "shop"))
    assert (serving.traffic, serving.names.keys()) == (front.traffic, after.keys())
    assert {each.id for each in serving.deployments} == {each.id for each in front.deployments}
    expected = {"churn:1": "1", "blue": "3", "churn:2": "2"}
    for name in after:
        answer = deployments.score(store, "shop", body=b"{}", headers={deployments.PIN: name})
        assert (answer.status, answer.body) == (200, expected[name])
    assert not list((store.folder / "claims").iterdir())
    assert not claims.is_abandoned(store, "endpoint-shop")
