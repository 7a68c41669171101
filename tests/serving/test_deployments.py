"""Endpoints with several deployments: real fronts, real processes, real clients, and the record of all of it."""

import contextlib
import http.client
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serving import servable

from modelwright.errors import (
    Busy,
    DeploymentExists,
    DeploymentFailed,
    DeploymentHasTraffic,
    DeploymentUnschedulable,
    InUse,
    NoFreePort,
    NothingToRollBack,
    TrafficInvalid,
)
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import DeploymentStatus, FrontSettings, FrontStatus, Placement
from modelwright.serving import capacity, configuring, control, deployments, past, reconciling, specs
from modelwright.serving.sharing import Shift
from modelwright.serving.states import state_of
from modelwright.store import audit, database, deletion, endpoints, models
from modelwright.store.database import Store

BAD = "def init():\n    raise ValueError('no model here')\ndef run(data):\n    return 1\n"


class Shop:
    """An endpoint of a workspace's own, and what a test does with it."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.session = Session(store, "ada")

    def deploy(self, reference: str, **placed: Any) -> str:
        version = models.find_version(self.store, reference)
        with deployments.deploying(
            self.store, version, endpoint=self.name, actor="ada", placement=Placement(**placed)
        ) as deployment:
            deployments.smoke_test(self.store, deployment)
        return deployment.name

    def share(self, **shift: Any) -> dict[str, float]:
        shifted = deployments.shift_traffic(self.store, self.name, Shift(**shift), actor="ada")
        return shifted.split()

    @property
    def split(self) -> dict[str, float]:
        return endpoints.serving(self.store, endpoints.get_endpoint(self.store, self.name)).traffic.split()

    @property
    def statuses(self) -> list[tuple[str, str, str]]:
        listed = endpoints.list_deployments(self.store, endpoint=self.name)
        return [(each.name, each.version, each.status) for each in listed]

    @property
    def front(self) -> FrontStatus:
        front = deployments.status(self.store, self.name)
        assert front is not None
        return front

    @property
    def state(self) -> str:
        serving = endpoints.serving(self.store, endpoints.get_endpoint(self.store, self.name))
        listed = endpoints.list_deployments(self.store, endpoint=self.name)
        return state_of(listed, serving, deployments.status(self.store, self.name)).name

    def ask(self, *, pin: str = "") -> str:
        headers = {deployments.PIN: pin} if pin else None
        return deployments.score(self.store, self.name, body=b"{}", headers=headers).body

    def actions(self) -> list[str]:
        return [each["action"] for each in audit.list_audit_records(self.store, subject=f"endpoints/{self.name}")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A workspace with churn:1 to churn:8, each of which answers with its number, and churn:9, which cannot start."""
    store = database.open_store(tmp_path_factory.mktemp("workspace") / ".wright")
    session = Session(store, "ada")
    for number in range(1, 9):
        servable.add_version(session, number=number)
    servable.add_version(session, script=BAD)
    yield store
    deployments.down(store, actor="ada")
    store.close()


@pytest.fixture
def shop(workspace: Store, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """An endpoint of the test's own, which is stopped when the test ends."""
    shop = Shop(workspace, f"e{abs(hash(request.node.name)) % 10**8}")
    yield shop
    if any(each.name == shop.name for each in endpoints.list_endpoints(workspace)):
        deployments.stop(workspace, shop.name, actor="ada")


@contextlib.contextmanager
def load(shop: Shop) -> Iterator[list[tuple[int, str]]]:
    """Ask the endpoint without a pause by two clients while the block runs; gives what was answered."""
    answered: list[tuple[int, str]] = []
    stopped = threading.Event()
    port = shop.front.port

    def ask() -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not stopped.is_set():
            try:
                client.request("POST", "/score", body=b"{}")
                response = client.getresponse()
                answered.append((response.status, response.read().decode()))
            except OSError as error:
                answered.append((0, repr(error)))
        client.close()

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for each in clients:
        each.start()
    try:
        yield answered
    finally:
        stopped.set()
        for each in clients:
            each.join(120)


def test_no_request_fails_while_everything_changes(shop: Shop) -> None:
    shop.deploy("churn:1")
    with load(shop) as answered:
        shop.deploy("churn:2", share=10)
        assert shop.split == {"churn:2": 10, "churn:1": 90}
        shop.deploy("churn:3", name="blue", shadow=50, workers=2)
        shop.share(shares={"churn:2": 60})
        deployments.scale(shop.store, shop.name, "churn:1", 2, actor="ada")
        deployments.update(shop.store, shop.name, "blue", models.find_version(shop.store, "churn:4"), actor="ada")
        deployments.update(shop.store, shop.name, "churn:1", models.find_version(shop.store, "churn:5"), actor="ada")
        assert shop.split == {"churn:2": 60, "churn:5": 40}
        deployments.restart(shop.store, shop.name, actor="ada")
        shop.share(default="churn:2")
        deployments.undeploy(shop.store, shop.name, "churn:5", actor="ada", is_forced=True)
        past.rollback(shop.store, shop.name, actor="ada")
        shop.deploy("churn:6")
        until(lambda: answered[-1] == (200, "6"))
    assert {status for status, _ in answered} == {200}
    assert {"1", "2", "5", "6"} <= {body for _, body in answered}
    assert not {"3", "4"} & {body for _, body in answered}, "a shadow's answers are never given"
    assert [each.name for each in shop.front.deployments] == ["churn:6"]


def test_an_endpoint_that_cannot_move_goes_on_where_it_is(shop: Shop) -> None:
    shop.deploy("churn:1")
    port = shop.front.port
    with pytest.raises(NoFreePort, match=r"203\.0\.113\.1"):
        shop.deploy("churn:2", host="203.0.113.1")
    assert (shop.ask(), shop.front.port, shop.state) == ("1", port, "healthy")
    assert [status for _, _, status in shop.statuses] == ["failed", "healthy"]


def test_who_is_told_of_settings_last_has_the_newest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.deploy("churn:1")
    told = list[int]()

    def configure(_endpoint: str, settings: FrontSettings, *, runtime_folder: Path) -> None:
        told.append(settings.timeout_ms)
        if len(told) == 1:  # another command does all of what it has to while this one's word is on its way
            configuring.set_limits(shop.store, shop.name, {}, timeout_ms=7, actor="eve")

    monkeypatch.setattr(control, "configure", configure)
    configuring.set_limits(shop.store, shop.name, {}, timeout_ms=5, actor="ada")
    assert (told[0], told[-1]) == (5, 7)


def test_requests_are_shared_out_as_the_record_says(shop: Shop) -> None:
    shop.deploy("churn:1", share=20)
    shop.deploy("churn:2", share=10)
    shop.share(shares={"churn:2": 40}, default="churn:2")
    count, before = 400, {each.name: each.requests for each in shop.front.deployments}
    client = http.client.HTTPConnection("127.0.0.1", shop.front.port, timeout=60)
    for _ in range(count):
        client.request("POST", "/score", body=b"{}")
        client.getresponse().read()
    client.close()
    asked = {each.name: each.requests - before[each.name] for each in shop.front.deployments}
    assert sum(asked.values()) == count
    # Seven standard deviations: this fails by chance once in 10^11 runs.
    assert abs(asked["churn:2"] - 0.8 * count) < 7 * (count * 0.8 * 0.2) ** 0.5


def test_a_script_that_cannot_start_is_failed_with_its_traceback_and_the_old_one_serves(shop: Shop) -> None:
    shop.deploy("churn:1")
    with pytest.raises(DeploymentFailed, match="ValueError: no model here"):
        shop.deploy("churn:9", share=50)
    assert shop.statuses == [("churn:9", "churn:9", "failed"), ("churn:1", "churn:1", "healthy")]
    assert "Traceback" in deployments.log_file(shop.store, shop.name).read_text()
    assert (shop.ask(), shop.split, shop.state) == ("1", {"churn:1": 100}, "healthy")
    with pytest.raises(DeploymentFailed):
        deployments.update(shop.store, shop.name, "churn:1", models.find_version(shop.store, "churn:9"), actor="ada")
    assert (shop.ask(), [each.name for each in shop.front.deployments]) == ("1", ["churn:1"])


def test_more_than_the_machine_has_is_unschedulable(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "processors", lambda: 2)
    monkeypatch.setattr(capacity, "memory_bytes", lambda: 8_000_000_000)
    with pytest.raises(DeploymentUnschedulable, match="it asks for 9 workers; this machine has 2 processors"):
        shop.deploy("churn:1", workers=9)
    assert (shop.statuses, shop.state) == ([("churn:1", "churn:1", "unschedulable")], "unschedulable")
    shop.deploy("churn:1", workers=2, memory_gb=4)
    with pytest.raises(DeploymentUnschedulable, match=r"2 workers of 4\.5 GB of memory; this machine has 8\.0 GB"):
        shop.deploy("churn:2", workers=2, memory_gb=4.5)
    with pytest.raises(DeploymentUnschedulable, match="100 workers"):
        deployments.scale(shop.store, shop.name, None, 100, actor="ada")
    assert (shop.ask(), shop.state, shop.front.deployments[0].workers) == ("1", "healthy", 2)


def test_what_cannot_be_leaves_everything_as_it_was(shop: Shop) -> None:
    shop.deploy("churn:1")
    shop.deploy("churn:2", name="blue", share=60)
    before = shop.statuses, shop.actions()
    with pytest.raises(TrafficInvalid, match="sum to 110 %"):
        shop.deploy("churn:3", share=50)
    with pytest.raises(DeploymentExists, match="it serves churn:2"):
        shop.deploy("churn:3", name="blue", share=10)
    with pytest.raises(TrafficInvalid, match="sum to 101 %"):
        shop.share(shares={"churn:1": 41})
    with reconciling.changing(shop.store, shop.name, actor="ada"):
        for change in (lambda: shop.share(shares={"blue": 1}), lambda: shop.deploy("churn:3")):
            with pytest.raises(Busy, match=f'"{shop.name}" is in use by another process') as refused:
                change()
            assert refused.value.status == 409
    assert (shop.statuses, shop.actions()) == before


def test_a_deployment_with_requests_is_not_taken_away(shop: Shop) -> None:
    shop.deploy("churn:1")
    with pytest.raises(DeploymentHasTraffic, match="is all that serves there"):
        deployments.undeploy(shop.store, shop.name, "churn:1", actor="ada", is_forced=True)
    shop.deploy("churn:2", share=30)
    shop.deploy("churn:3", share=0)
    with pytest.raises(DeploymentHasTraffic, match="is the default one") as refused:
        deployments.undeploy(shop.store, shop.name, "churn:1", actor="ada", is_forced=True)
    assert refused.value.next_command == f"wright endpoint traffic {shop.name} --default churn:2"
    with pytest.raises(DeploymentHasTraffic, match="has 30 % of the requests"):
        deployments.undeploy(shop.store, shop.name, "churn:2", actor="ada")
    for reference in ("churn:2", "churn:3"):
        with pytest.raises(InUse, match=f"wright endpoint undeploy {shop.name} {reference}"):
            deletion_of(shop, reference)
    deployments.undeploy(shop.store, shop.name, "churn:3", actor="ada")
    deployments.undeploy(shop.store, shop.name, "churn:2", actor="ada", is_forced=True)
    assert (shop.split, [each.name for each in shop.front.deployments]) == ({"churn:1": 100}, ["churn:1"])
    assert shop.name not in str(uses_of(shop, "churn:2"))


def uses_of(shop: Shop, reference: str) -> list[str]:
    found = endpoints.list_deployments(shop.store, version_id=models.find_version(shop.store, reference).id)
    return [each.endpoint for each in found]


def deletion_of(shop: Shop, reference: str) -> None:
    with shop.session.change() as opened:
        deletion.delete_model_version(opened, models.find_version(shop.store, reference))


def test_what_served_comes_back_with_its_traffic_its_workers_and_its_port(shop: Shop) -> None:
    shop.deploy("churn:1", workers=2)
    shop.deploy("churn:2", name="blue", share=25)
    shop.deploy("churn:3", shadow=100)
    before = shop.front
    deployments.down(shop.store, actor="ada")
    assert (deployments.status(shop.store, shop.name), shop.state) == (None, "down")
    shop.share(shares={"blue": 30}, sticky_header="X-User")
    assert shop.name in [each.name for each in deployments.up(shop.store, actor="ada")]
    after = shop.front
    assert (after.port, shop.state) == (before.port, "healthy")
    assert {each.name: each.workers for each in after.deployments} == {"churn:1": 2, "blue": 1, "churn:3": 1}
    assert (after.traffic.split(), after.traffic.shadows) == ({"blue": 30, "churn:1": 70}, {"churn:3": 100})
    assert after.traffic.sticky_header == "x-user"
    assert [shop.ask(pin=each) for each in ("churn:1", "blue")] == ["1", "2"]


def test_a_front_that_was_killed_is_revived_where_it_was(shop: Shop) -> None:
    shop.deploy("churn:1")
    shop.deploy("churn:2", share=50)
    before = shop.front
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: deployments.status(shop.store, shop.name) is None)
    assert deployments.revive(shop.store, shop.name, actor="wright")
    assert shop.front.port == before.port
    assert (shop.split, shop.ask(pin="churn:2"), shop.state) == ({"churn:2": 50, "churn:1": 50}, "2", "healthy")
    assert not deployments.revive(shop.store, shop.name, actor="wright"), "it runs"


def test_a_killed_process_makes_an_endpoint_unhealthy_until_it_is_back(shop: Shop) -> None:
    hangs = "import os\ndef init():\n    while os.path.exists('{file}'): pass\ndef run(data):\n    return {number}\n"
    file = shop.store.folder / "hang"
    version = servable.add_version(shop.session, script=hangs.replace("{file}", str(file)), number=77)
    shop.deploy("churn:1")
    shop.deploy(version.reference, share=50)
    file.touch()
    state = next(each for each in shop.front.deployments if each.name == version.reference)
    os.kill(state.worker_pids[0], signal.SIGKILL)
    until(lambda: shop.state == "unhealthy")
    assert {shop.ask() for _ in range(20)} == {"1"}, "its share goes to the default one meanwhile"
    file.unlink()
    until(lambda: shop.state == "healthy")
    assert shop.ask(pin=version.reference) == "77"


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(12_000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("waited for two minutes")


def test_a_script_that_is_reloaded_is_marked_and_a_restart_goes_back(shop: Shop, tmp_path: Path) -> None:
    shop.deploy("churn:1")
    script = tmp_path / "score.py"
    script.write_text("def init(): pass\ndef run(data): return 'mine'\n")
    deployments.reload(shop.store, shop.name, None, script, actor="ada")
    assert (shop.ask(), shop.front.deployments[0].script) == ('"mine"', str(script))
    script.write_text("def init(): raise RuntimeError('not yet')\ndef run(data): return 1\n")
    with pytest.raises(DeploymentFailed, match="not yet"):
        deployments.reload(shop.store, shop.name, None, script, actor="ada")
    assert shop.ask() == '"mine"'
    deployments.restart(shop.store, shop.name, actor="ada")
    assert (shop.ask(), shop.front.deployments[0].script) == ("1", "")
    assert shop.actions()[-2:] == ["deployment.reloaded", "deployment.restarted"]


def test_a_rollback_brings_back_versions_and_traffic_and_a_second_takes_it_back(shop: Shop) -> None:
    shop.deploy("churn:1")
    with pytest.raises(NothingToRollBack, match="nothing served there before"):
        past.rollback(shop.store, shop.name, actor="ada")
    shop.deploy("churn:2", share=30)
    shop.deploy("churn:3")
    past.rollback(shop.store, shop.name, actor="ada")
    assert shop.split == {"churn:2": 30, "churn:1": 70}
    assert {each.name for each in shop.front.deployments} == {"churn:1", "churn:2"}
    past.rollback(shop.store, shop.name, actor="ada")
    assert (shop.split, shop.ask()) == ({"churn:3": 100}, "3")
    moved = [each for each in past.history(shop.store, shop.name) if each["action"] == "traffic.changed"]
    splits = [each["after"]["split"] for each in moved]
    both = {"churn:2": 30, "churn:1": 70}
    assert splits == [{"churn:1": 100}, both, {"churn:3": 100}, both, {"churn:3": 100}]
    assert [each["before"]["split"] for each in moved[1:]] == splits[:-1]


def test_an_interrupted_trial_leaves_the_endpoint_as_it_was(shop: Shop) -> None:
    shop.deploy("churn:1")
    version = models.find_version(shop.store, "churn:2")

    def interrupted() -> None:
        with deployments.deploying(shop.store, version, endpoint=shop.name, actor="ada"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ([each.name for each in shop.front.deployments], shop.ask()) == (["churn:1"], "1")
    assert shop.statuses[0][2] == DeploymentStatus.FAILED


def test_a_model_without_a_script_is_served_as_its_framework(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{packages.MODEL_FOLDER}/model.pkl": b"a model"}
    version = servable.add_files(shop.session, files, model="plain", framework="sklearn")
    assert packages.lacks(version) == []
    here = SimpleNamespace(python=Path(sys.executable), bytecode=None)
    monkeypatch.setattr(specs.placing, "build_in", lambda *_: here)
    spec = specs.worker(shop.store, version)
    assert (spec.script, spec.framework, spec.sample) == (None, "sklearn", None)
