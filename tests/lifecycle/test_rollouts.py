"""Rollouts of real versions to a real endpoint. The watcher's clock is the test's; its process is the last test's."""

import http.client
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from modelwright import records
from modelwright.cli.program import program
from modelwright.environments.inspection import inspect
from modelwright.environments.locking import read_lock
from modelwright.errors import Busy, NothingToCompare, PlanInvalid, RolloutMissing, RolloutNotOpen, RolloutOpen
from modelwright.lifecycle import registering, rollouts
from modelwright.lifecycle.sessions import Session
from modelwright.lifecycle.steering import Watcher
from modelwright.records import (
    BuiltEnvironment,
    DeploymentStatus,
    EnvironmentSource,
    LockSource,
    Placement,
    Rollout,
    RolloutLimits,
    RolloutPlan,
    RolloutStatus,
    SpecificationKind,
    Traffic,
)
from modelwright.serving import control, deployments
from modelwright.settings import interpreter, runtime_folder
from modelwright.store import audit, claims, database, endpoints, environments, models, reasons, rules
from modelwright.store import rollouts as record
from modelwright.store.database import Store

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
PLAN = RolloutPlan(steps=(20, 100), hold_seconds=60, min_requests=10, lease_seconds=600)
DEADLINE_SECONDS = 120.0
SCORE = """
import json
import os
import pickle
from pathlib import Path


def init():
    global model
    model = pickle.loads(Path(os.environ["AZUREML_MODEL_DIR"], "model.pkl").read_bytes())


def run(raw_data):
    (value,) = json.loads(raw_data)["data"]
    if value < 0 and model["is_bad"] or Path(model["broken"]).exists():
        raise ValueError(value)
    return {"result": [value * model["factor"]]}
"""
BEFORE = Traffic(default="churn:1")


@dataclass
class Place:
    """A workspace with an endpoint that serves `churn:1`; `churn:2` is as good, `churn:3` fails on negative numbers."""

    session: Session
    folder: Path
    now: datetime = NOW
    watcher: Watcher | None = None
    serial: int = field(default=0)

    @property
    def store(self) -> Store:
        return self.session.store

    @property
    def broken(self) -> Path:
        """While this is there, `churn:2` answers nothing."""
        return self.folder / "broken"

    def start(self, reference: str = "churn:2", plan: RolloutPlan = PLAN) -> Rollout:
        self.now = NOW
        rollout = rollouts.start(self.session, "churn", reference, plan=plan)
        self.watcher = Watcher(self.store, rollout)
        return rollout

    def look(self, seconds: float = 0.0) -> Rollout:
        """Let time pass, and the watcher look once."""
        self.now += timedelta(seconds=seconds)
        assert self.watcher is not None
        goes_on = self.watcher.look(self.now)
        found = record.get_rollout(self.store, "churn")
        assert goes_on is found.is_open
        return found

    def ask(self, values: list[float], version: str = "") -> list[tuple[str, int]]:
        """Send requests; return who answered and how."""
        place = endpoints.get_endpoint(self.store, "churn")
        client = http.client.HTTPConnection("127.0.0.1", place.port or 0, timeout=DEADLINE_SECONDS)
        headers = {"x-modelwright-deployment": version} if version else {}
        answered = []
        for value in values:
            client.request("POST", "/score", json.dumps({"data": [value]}), headers)
            answer = client.getresponse()
            answer.read()
            answered.append((answer.headers["x-modelwright-version"], answer.status))
        client.close()
        return answered

    def both(self, values: list[float], new: str = "churn:2") -> None:
        """Send requests to both versions that a rollout compares."""
        self.ask(values, record.get_rollout(self.store, "churn").present)
        self.ask(values, new)

    def traffic(self) -> Traffic:
        status = deployments.status(self.store, "churn")
        assert status is not None
        return status.traffic

    def serving(self) -> set[str]:
        found = endpoints.list_deployments(self.store, endpoint="churn", status=DeploymentStatus.HEALTHY)
        status = deployments.status(self.store, "churn")
        assert status is not None
        assert {each.version for each in found} == {each.version for each in status.deployments}
        return {each.version for each in found}

    def actions(self) -> list[str]:
        return [each["action"] for each in audit.list_audit_records(self.store, subject="endpoints/churn")]


def recorded(place: Place) -> Traffic:
    return endpoints.serving(place.store, endpoints.get_endpoint(place.store, "churn")).traffic


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.02)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Three versions, none deployed."""
    folder = tmp_path_factory.mktemp("rollouts")
    store = database.open_store(folder / ".wright")
    session = Session(store, "ada")
    found = inspect(interpreter())
    lock = read_lock("", python_version=found.python_version, platform=found.platform)
    source = EnvironmentSource("requirements.txt", SpecificationKind.REQUIREMENTS, "0" * 64, (), (), LockSource.INDEX)
    (folder / "environment").symlink_to(interpreter().parent.parent)
    built = BuiltEnvironment(lock, folder / "environment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registering.placing, "build_in", lambda *_arguments, **_options: built)
        with session.change() as opened:
            environments.ensure_environment_version(opened, "serving", lock, source=source, findings=())
        (folder / "score.py").write_text(SCORE)
        (folder / "sample.json").write_text('{"data": [1]}')
        for number in (1, 2, 3):
            model = {
                "factor": number,
                "is_bad": number == 3,
                "broken": str(folder / "broken") if number == 2 else "/no",
            }
            (folder / "model.pkl").write_bytes(pickle.dumps(model))
            order = registering.Order(
                ["model.pkl"],
                folder,
                model="churn",
                score=folder / "score.py",
                sample=folder / "sample.json",
                environment="serving:1",
            )
            registering.register(session, order)
        yield Place(session, folder)
        control.stop("churn", runtime_folder=runtime_folder(store.folder), timeout_seconds=1)
    store.close()


@pytest.fixture
def place(workspace: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The workspace with `churn:1` alone on its endpoint, and no watchers but the test's."""
    monkeypatch.setattr(rollouts, "watch", lambda _store, _rollout: None)
    workspace.broken.unlink(missing_ok=True)
    for each in record.list_rollouts(workspace.store, is_open=True):
        rollouts.abort(workspace.session, each.endpoint)
    status = deployments.status(workspace.store, "churn") if endpoints.list_endpoints(workspace.store) else None
    if status is None or status.traffic != BEFORE or len(status.deployments) > 1:
        version = models.find_version(workspace.store, "churn:1")
        placement = Placement(memory_gb=1.0)
        with deployments.deploying(workspace.store, version, endpoint="churn", actor="ada", placement=placement):
            pass
    return workspace


def test_a_version_that_is_as_good_takes_over_step_by_step(place: Place) -> None:
    rollout = place.start()
    assert place.traffic() == BEFORE
    newcomer = endpoints.serving(place.store, endpoints.get_endpoint(place.store, "churn")).names["churn:2"]
    assert newcomer.memory_gb == 1.0
    assert place.look().progress.step == 0
    assert place.traffic().split() == {"churn:2": 20.0, "churn:1": 80.0}
    assert recorded(place) == BEFORE

    assert place.look(30).progress.told == "30 s more at this step"
    assert place.look(31).progress.told == "10 requests more at this step"
    place.both([1.0] * 10)
    assert place.look(5).progress.step == 1
    assert {version for version, _ in place.ask([1.0] * 20)} == {"churn:2"}
    assert place.look(61).status is RolloutStatus.SUCCEEDED

    assert place.traffic().split() == recorded(place).split() == {"churn:2": 100.0}
    assert place.serving() == {"churn:2"}
    told = [action for action in place.actions() if action.startswith("rollout.")]
    assert told == ["rollout.started", "rollout.advanced", "rollout.advanced", "rollout.succeeded"]
    (advanced,) = [
        each for each in audit.list_audit_records(place.store, subject="endpoints/churn")
        if each["action"] == "rollout.advanced" and each["after"]["step"] == 1
    ]  # fmt: skip
    assert advanced["actor"] == f"rollout:{rollout.id}"
    assert {check["name"]: check["result"] for check in advanced["after"]["checks"]} == {
        "readiness": "passed",
        "errors": "passed",
    }


def test_a_version_that_fails_is_rolled_back_with_the_numbers_that_decided(place: Place) -> None:
    place.start("churn:3")
    place.look()
    place.both([1.0, -1.0] * 20, "churn:3")
    found = place.look(1)
    assert found.status is RolloutStatus.ROLLED_BACK
    assert found.reason.startswith("errors: errors 48.78% of 41, present 0.00% of 40: more, p=")
    assert place.traffic() == BEFORE
    assert place.serving() == {"churn:1"}
    newest = audit.list_audit_records(place.store, subject="endpoints/churn")
    (rolled_back,) = [each["after"] for each in newest if each["after"] and each["after"].get("rollout") == found.id
                      and each["action"] == "rollout.rolled_back"]  # fmt: skip
    (errors,) = rolled_back["checks"]
    assert (errors["facts"]["new"]["hits"], errors["facts"]["present"]["requests"]) == (20, 40)
    failed = endpoints.list_deployments(place.store, endpoint="churn", status=DeploymentStatus.FAILED)
    assert failed[0].reason.startswith("rolled back: errors: ")


def test_stages_that_wait_for_approval_go_back_when_the_smoke_test_fails(place: Place) -> None:
    """The canary of the template: 100/0, 50/50, 0/100, somebody's approval between, and back on a failed smoke test."""
    plan = RolloutPlan(steps=(0, 50, 100), hold_seconds=0, min_requests=0, asks=True, lease_seconds=600)
    place.start(plan=plan)
    assert place.look().progress.step == 0
    assert place.traffic().split()["churn:1"] == 100.0
    paused = place.look(1)
    assert (paused.status, paused.reason) == (RolloutStatus.PAUSED, "step 1 of 3 waits to be approved")
    assert place.look(36_000).progress.step == 0

    assert rollouts.resume(place.session, "churn").status is RolloutStatus.RUNNING
    assert place.look(1).progress.step == 1
    assert place.traffic().split() == {"churn:2": 50.0, "churn:1": 50.0}
    assert place.look(1).status is RolloutStatus.PAUSED

    place.broken.touch()
    rollouts.resume(place.session, "churn")
    found = place.look(1)
    assert found.status is RolloutStatus.ROLLED_BACK
    assert found.reason.startswith("smoke: ")
    assert place.traffic() == BEFORE


def test_copies_alone_can_roll_a_version_back(place: Place) -> None:
    limits = RolloutLimits(disagreement=0.1)
    place.start(plan=RolloutPlan(steps=(0, 100), shadow=100, hold_seconds=60, lease_seconds=600, limits=limits))
    place.look()
    assert {version for version, _ in place.ask([1.0] * 40)} == {"churn:1"}
    folder = runtime_folder(place.store.folder)
    wait_for(lambda: control.observe("churn", runtime_folder=folder).seen["churn:2"].compared == 40, "copies")
    found = place.look(1)
    assert found.status is RolloutStatus.ROLLED_BACK
    assert found.reason.startswith("disagreement: differs on 100.00% of 40 copied requests, the last ")
    assert found.reason.endswith(": above 10.00%")


def test_traffic_that_somebody_else_changes_pauses_until_it_is_resumed(place: Place) -> None:
    place.start()
    place.look()
    place.look(1)
    deployments.set_traffic(place.store, "churn", BEFORE, actor="eve")
    paused = place.look(1)
    assert (paused.status, paused.reason) == (RolloutStatus.PAUSED, "somebody else changed the endpoint's traffic")
    place.look(1)
    assert place.traffic() == BEFORE
    rollouts.resume(place.session, "churn")
    place.look(1)
    assert place.traffic().split() == {"churn:2": 20.0, "churn:1": 80.0}
    assert rollouts.abort(place.session, "churn").reason == "aborted by hand"
    assert place.serving() == {"churn:1"}


def test_what_somebody_else_changed_meanwhile_is_what_it_goes_on_from_and_back_to(place: Place) -> None:
    place.start()
    place.look()
    version = models.find_version(place.store, "churn:3")
    with deployments.deploying(place.store, version, endpoint="churn", actor="eve", placement=Placement(share=10.0)):
        pass
    assert place.look(1).status is RolloutStatus.PAUSED
    # The watcher that comes next knows nothing of that; the record does.
    place.watcher = Watcher(place.store, record.get_rollout(place.store, "churn"))
    place.look(1)
    assert place.traffic() == recorded(place)
    rollouts.resume(place.session, "churn")
    place.look(1)
    assert place.traffic().split() == {"churn:3": 8.0, "churn:2": 20.0, "churn:1": 72.0}
    rollouts.abort(place.session, "churn")
    assert place.traffic() == recorded(place)
    assert recorded(place).split() == {"churn:3": 10.0, "churn:1": 90.0}


def test_a_rollout_whose_version_somebody_ended_ends_at_the_next_look(place: Place) -> None:
    place.start()
    place.look()
    deployments.undeploy(place.store, "churn", "churn:2", actor="eve")
    found = place.look(1)
    assert (found.status, found.reason) == (RolloutStatus.ROLLED_BACK, "churn:2 does not serve any more")
    with pytest.raises(RolloutNotOpen, match="is rolled_back"), place.session.change() as opened:
        record.set_status(opened, replace(found, status=RolloutStatus.RUNNING), status=RolloutStatus.PAUSED, reason="")
    assert place.serving() == {"churn:1"}


def test_what_cannot_be_written_down_neither_keeps_traffic_on_trial_nor_stops_the_way_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.start("churn:3")
    place.look()
    place.both([1.0, -1.0] * 20, "churn:3")
    folder = runtime_folder(place.store.folder)
    assert control.renew("churn", 500.0, runtime_folder=folder)
    with monkeypatch.context() as full:
        full.setattr(record, "note_progress", lambda *_: pytest.fail("the disk is full"))
        with pytest.raises(pytest.fail.Exception):
            place.look(1)
    assert place.traffic() == BEFORE
    found = place.look(1)
    assert found.reason.startswith("errors: errors 48.78% of 41")

    place.start("churn:2")
    place.look()
    with monkeypatch.context() as full:
        full.setattr(Watcher, "_judge", lambda *_: pytest.fail("the disk is full"))
        full.setattr(control, "renew", lambda *_arguments, **_named: pytest.fail("it confirms what it cannot judge"))
        with pytest.raises(pytest.fail.Exception, match="the disk is full"):
            place.look(1)
    rollouts.abort(place.session, "churn")


def test_a_rollout_that_could_not_be_ended_by_hand_is_watched_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout, watched = place.start(), list[str]()
    monkeypatch.setattr(rollouts, "watch", lambda _store, each: watched.append(each.id))
    with claims.claim(place.store, "endpoint-churn"), pytest.raises(Busy):
        rollouts.promote(place.session, "churn")
    assert watched == [rollout.id]
    with claims.claim(place.store, f"{rollout.id}.end"), pytest.raises(Busy):
        rollouts.abort(place.session, "churn")

    # A command that was killed before its rollout was on record left the version without requests.
    with place.session.change() as opened:
        record.set_status(opened, rollout, status=RolloutStatus.SUCCEEDED, reason="so that there is none")
    monkeypatch.setattr(record, "add_rollout", lambda *_arguments, **_named: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        place.start()
    assert place.serving() == {"churn:1", "churn:2"}
    with pytest.raises(pytest.fail.Exception):
        place.start("churn:3")
    assert place.serving() == {"churn:1", "churn:2"}
    monkeypatch.undo()
    monkeypatch.setattr(rollouts, "watch", lambda _store, _rollout: None)
    place.start()
    rollouts.promote(place.session, "churn")
    assert place.serving() == {"churn:2"}


def test_where_reasons_are_asked_for_nothing_of_a_rollout_is_left_behind(place: Place) -> None:
    ada = Session(place.store, "ada", why="spring")
    rollout = rollouts.start(ada, "churn", "churn:2", plan=PLAN)
    with place.session.change() as opened:
        rules.set_rule(opened, reasons.SETTING, "traffic")
    try:
        place.watcher = Watcher(place.store, rollout)
        place.look()
        rollouts.promote(place.session, "churn")
    finally:
        with ada.change() as opened:
            rules.unset_rule(opened, reasons.SETTING)
    assert place.serving() == {"churn:2"}


def test_a_rollout_that_another_deployment_made_pointless_can_be_ended(place: Place) -> None:
    place.start()
    place.look()
    version = models.find_version(place.store, "churn:3")
    with deployments.deploying(place.store, version, endpoint="churn", actor="eve"):
        pass
    assert rollouts.abort(place.session, "churn").status is RolloutStatus.ROLLED_BACK
    assert place.serving() == {"churn:3"}


def test_a_front_that_was_started_anew_serves_as_before_until_the_watcher_is_back(place: Place) -> None:
    place.start()
    place.look()
    deployments.down(place.store, actor="ada")
    assert place.look(1).status is RolloutStatus.RUNNING
    deployments.up(place.store, actor="ada")
    assert place.traffic() == BEFORE
    place.watcher = Watcher(place.store, record.get_rollout(place.store, "churn"))
    place.look(1)
    assert place.traffic().split() == {"churn:2": 20.0, "churn:1": 80.0}
    rollouts.promote(place.session, "churn")
    assert place.serving() == {"churn:2"}
    assert recorded(place).split() == {"churn:2": 100.0}


def test_what_has_ended_stays_so_for_who_looked_before(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.start()
    rollouts.abort(place.session, "churn")
    ended = record.get_rollout(place.store, "churn")
    with monkeypatch.context() as patch:
        patch.setattr(record, "list_rollouts", lambda *_, **__: [before])
        patch.setattr(control, "observe", lambda *_, **__: SimpleNamespace(lapsed_at=records.now()))
        assert rollouts.reconcile(place.session) == []
        monkeypatch.setattr(rollouts, "reconcile", lambda _: [])
        with pytest.raises(RolloutNotOpen):
            rollouts.pause(place.session, "churn")
    assert record.get_rollout(place.store, "churn") == ended


def test_what_cannot_be_rolled_out_is_refused_before_anything_is_deployed(place: Place) -> None:
    with pytest.raises(PlanInvalid):
        rollouts.start(place.session, "churn", "churn:2", plan=RolloutPlan(steps=(5, 50)))
    with pytest.raises(NothingToCompare, match="churn:1 serves there already"):
        rollouts.start(place.session, "churn", "churn:1", plan=PLAN)
    place.start()
    with pytest.raises(RolloutOpen, match="churn:2 is running"):
        rollouts.start(place.session, "churn", "churn:3", plan=PLAN)
    rollouts.abort(place.session, "churn")
    with pytest.raises(RolloutNotOpen, match="is rolled_back: aborted by hand"):
        rollouts.pause(place.session, "churn")
    with pytest.raises(RolloutMissing):
        record.get_rollout(place.store, "sales")


def test_the_better_of_two_is_named_once_that_is_clear(place: Place) -> None:
    with pytest.raises(NothingToCompare):
        rollouts.contrasts(place.store, "churn", metrics=["errors"])
    place.start("churn:3")
    place.look()
    (before,) = rollouts.contrasts(place.store, "churn", metrics=["errors"])
    assert before.side == 0
    place.both([1.0, -1.0] * 20, "churn:3")
    (found,) = rollouts.contrasts(place.store, "churn", metrics=["errors"])
    assert (found.control, found.deployment, found.side) == ("churn:1", "churn:3", 1)
    assert found.told.startswith("churn:3 errs more: ")
    assert found.decided > 0


def test_commands_tell_where_a_rollout_is(place: Place, tmp_path: Path) -> None:
    def wright(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(program, ["--workspace", str(place.store.folder), "rollout", *words])
        assert done.exit_code == code, done.output
        return done.output

    place.start("churn:3", RolloutPlan(steps=(0, 20, 100), shadow=100, hold_seconds=10, min_requests=5, asks=True))
    for seconds in (0, 1, 6):
        place.look(seconds)
        place.ask([1.0] * 5)
    shown = wright("show", "churn")
    assert 'churn:3 to endpoint "churn", compared with churn:1' in shown
    assert "[0 % + copies of 100 %] → 20 % → 100 %" in shown
    assert "✓ readiness    it is ready" in shown
    assert "nobody watches it" in shown
    told = json.loads(wright("show", "churn", "--json"))
    assert (told["progress"]["step"], told["is_watched"], told["share"]) == (0, False, 0)
    assert json.loads(wright("list", "--json"))[0]["version"] == "churn:3"
    assert "no difference can be told yet" in wright("verdict", "churn", "--metric", "errors")
    assert json.loads(wright("pause", "churn", "--why", "lunch", "--json"))["reason"] == "lunch"
    assert "shows the rollout of churn:3" in wright("report", "churn", "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 4
    assert "<script" not in page
    wright("start", "churn", "churn:2", "--hold", "10", code=2)
    wright("start", "churn", "churn:2", "--max-error-rate", "few", code=2)
    assert "aborted by hand" in wright("abort", "churn")


def test_when_the_watcher_is_killed_the_front_goes_back_and_the_record_follows(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    plan = RolloutPlan(steps=(50, 100), hold_seconds=600, lease_seconds=600)
    rollout = rollouts.start(place.session, "churn", "churn:2", plan=plan)
    wait_for(lambda: place.traffic().split().get("churn:2") == 50.0, "the first step")
    assert [each.id for each in rollouts.let_go(place.store)] == [rollout.id]
    assert not rollouts.is_watched(place.store, rollout)
    with claims.claim(place.store, f"{rollout.id}.end"):  # as while somebody ends it by hand
        rollouts.take_up(place.session)
        assert not rollouts.is_watched(place.store, rollout)
    assert [each.id for each in rollouts.take_up(place.session)] == [rollout.id]
    assert rollouts.take_up(place.session) == []
    watcher = claims.holder(place.store, rollout.id)
    assert watcher is not None
    os.kill(watcher, signal.SIGKILL)
    wait_for(lambda: not rollouts.is_watched(place.store, rollout), "its end")
    # Nobody else will: the rest of ten minutes need not be waited for.
    assert control.renew("churn", 0.2, runtime_folder=runtime_folder(place.store.folder))
    wait_for(lambda: place.traffic() == BEFORE, "the front to go back by itself")
    (found,) = rollouts.reconcile(place.session)
    assert found.status is RolloutStatus.ROLLED_BACK
    assert "the front went back to the former traffic by itself" in found.reason
    assert place.serving() == {"churn:1"}
    assert rollouts.reconcile(place.session) == []


def test_an_endpoint_takes_its_rollouts_along_when_it_is_deleted(place: Place) -> None:
    place.start()
    rollouts.abort(place.session, "churn")
    deployments.stop(place.store, "churn", actor="ada")
    deployments.delete(place.store, "churn", actor="ada")
    assert record.list_rollouts(place.store) == []
