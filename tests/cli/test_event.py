"""`wright event`, with things that really happen and receivers that really listen."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lifecycle.events.receivers import Request, receiving, reply
from standardwebhooks import Webhook

import modelwright
from modelwright.cli.program import program
from modelwright.errors import ModelwrightError, SubscriberInvalid
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.records import DeploymentStatus
from modelwright.runs import workspaces
from modelwright.store import database, endpoints, models
from modelwright.store.changes import change


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a workspace, where the user is."""
    monkeypatch.delenv("WRIGHT_WORKSPACE", raising=False)
    place = tmp_path / "team"
    place.mkdir()
    monkeypatch.chdir(place)
    database.open_store(place / ".wright").close()
    yield place
    workspaces.close_workspaces()


def wright(*arguments: str, code: int = 0, given: str | None = None) -> Result:
    """Run a command; what it raises is raised."""
    done = CliRunner().invoke(program, list(arguments), input=given)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def answer(*arguments: str, code: int = 0) -> Any:
    """Run `wright event` and return what it says with `--json`."""
    return json.loads(wright("event", *arguments, "--json", code=code).stdout)


def deliver(folder: Path) -> None:
    """Deliver all that is due, as `wright up` does."""
    store = database.open_store(folder / ".wright")
    try:
        Dispatcher(store).run_once()
    finally:
        store.close()


def register(folder: Path, area: str = "diabetes") -> None:
    """Register the next version of `churn`, with that tag."""
    (folder / "model.pkl").write_text("model")
    wright("model", "register", "model.pkl", "--name", "churn", "--tag", f"area={area}", "--property", "team=a")


def willing(request: Request) -> bytes:
    """Answer as a receiver that wants events."""
    if request.method == "OPTIONS":
        return reply(WebHook_Allowed_Origin="*")
    told = json.loads(request.body)
    if isinstance(told, list) and "validationCode" in told[0]["data"]:
        return reply(body=json.dumps({"validationResponse": told[0]["data"]["validationCode"]}).encode())
    return reply()


def test_a_registered_model_reaches_who_asked_for_its_tag(folder: Path) -> None:
    with receiving(willing) as receiver:
        made = answer(
            *("subscribe", "release", "--webhook", receiver.url, "--allow-private", "--schema", "eventgrid"),
            *("--types", "Microsoft.MachineLearningServices.ModelRegistered"),
            *("--filter", "data.ModelTags.area StringIn diabetes"),
        )
        assert (made["state"], made["secret"][:6]) == ("active", "whsec_")
        register(folder, "heart")
        register(folder)
        deliver(folder)
        _, request = receiver.requests
    Webhook(made["secret"]).verify(request.body, request.headers)
    (told,) = json.loads(request.body)
    assert (told["subject"], told["topic"][-5:]) == ("models/churn:2", "/team")
    assert told["data"] == {
        "ModelName": "churn",
        "ModelVersion": 2,
        "ModelTags": {"area": "diabetes"},
        "ModelProperties": {"team": "a"},
    }
    (delivery,) = answer("deliveries")
    assert (delivery["status"], delivery["attempts"], delivery["told"]) == ("delivered", 1, "200")
    assert "model.registered models/churn:2" in wright("event", "deliveries").stdout
    assert made["secret"] not in wright("audit", "list", "--json").stdout
    assert made["secret"] not in wright("event", "show", "release", "--json").stdout


def test_runs_say_what_subscribers_filter_by(folder: Path) -> None:
    wright("event", "subscribe", "runs", "--file", "runs.jsonl", "--types", "run.started,run.succeeded,run.failed")
    only = ("--schema", "eventgrid", "--types", "Microsoft.MachineLearningServices.RunStatusChanged")
    wright(
        "event", "subscribe", "failed", "--file", "failed.jsonl", *only, "--filter", "data.runStatus StringIn failed"
    )
    with modelwright.start_run("churn", tags={"area": "eu"}) as good:
        pass
    with pytest.raises(ZeroDivisionError), modelwright.start_run("churn"):
        1 / 0  # noqa: B018
    deliver(folder)
    told = [json.loads(each) for each in (folder / "runs.jsonl").read_text().splitlines()]
    assert sorted(each["type"] for each in told) == ["run.failed", "run.started", "run.started", "run.succeeded"]
    (success,) = [each for each in told if each["type"] == "run.succeeded"]
    assert (success["subject"], success["source"]) == (f"runs/{good.id}", "urn:modelwright:team")
    assert {name: success["data"][name] for name in ("status", "experiment", "kind", "tags")} == {
        "status": "succeeded",
        "experiment": "churn",
        "kind": "script",
        "tags": {"area": "eu"},
    }
    assert "code_digest" in success["data"]["properties"]
    (failed,) = [json.loads(each) for each in (folder / "failed.jsonl").read_text().splitlines()]
    assert failed["data"]["runStatus"] == "failed"
    assert failed["subject"].startswith("experiments/churn/runs/run_")


def test_only_a_deployment_that_serves_is_a_deployed_model(folder: Path) -> None:
    grid = ("--schema", "eventgrid", "--types", "Microsoft.MachineLearningServices.ModelDeployed")
    wright("event", "subscribe", "deployed", "--file", "deployed.jsonl", *grid)
    wright("event", "subscribe", "failed", "--file", "failed.jsonl", "--types", "deployment.failed")
    register(folder)
    store = database.open_store(folder / ".wright")
    version = models.find_version(store, "churn:1")
    for status in (DeploymentStatus.FAILED, DeploymentStatus.HEALTHY):
        with change(store, actor="ada") as opened:
            place = endpoints.ensure_endpoint(opened, "prod", host="127.0.0.1")
            deployment = endpoints.add_deployment(opened, place, version=version)
            endpoints.set_deployment_status(opened, deployment, status=status, reason="a test")
    store.close()
    deliver(folder)
    (deployed,) = [json.loads(each) for each in (folder / "deployed.jsonl").read_text().splitlines()]
    assert (deployed["subject"], deployed["data"]["ModelIds"]) == ("endpoints/prod", "churn:1")
    assert deployed["data"]["ServiceTags"] == {"area": "diabetes"}
    (failed,) = [json.loads(each) for each in (folder / "failed.jsonl").read_text().splitlines()]
    assert (failed["data"]["version"], failed["data"]["reason"]) == ("churn:1", "a test")


def test_a_webhook_that_does_not_agree_waits_and_is_asked_again(folder: Path) -> None:
    says = [reply("404 Not Found")]
    with receiving(lambda _: says[0]) as receiver:
        url = ("--webhook", receiver.url, "--allow-private")
        done = wright("event", "subscribe", "shy", *url, "--types", "model.*", code=1)
        assert "it has not said that it wants events: OPTIONS: 404" in done.stderr
        register(folder)
        deliver(folder)
        assert [each.method for each in receiver.requests] == ["OPTIONS"]
        wright("event", "test", "shy", code=1)
        wright("event", "resume", "shy", code=1)
        says[0] = reply(WebHook_Allowed_Origin="modelwright")
        assert answer("resume", "shy")["state"] == "active"
        deliver(folder)
        assert receiver.requests[-1].headers["content-type"].startswith("application/cloudevents+json")


def test_what_was_given_up_is_told_with_its_reason_and_replayed(folder: Path) -> None:
    says = [reply("400 Bad Request", body=b"no such field")]
    more = ("--allow-private", "--no-handshake", "--types", "model.registered")
    with receiving(lambda _: says[0]) as receiver:
        wright("event", "subscribe", "picky", "--webhook", receiver.url, *more)
        register(folder)
        deliver(folder)
        (dead,) = answer("deliveries", "--dead", "--subscription", "picky")
        reason = "400 no such field: it says that the event is wrong"
        assert (dead["deadLetterReason"], dead["deliveryAttempts"]) == ("hopeless", 1)
        assert (dead["lastDeliveryOutcome"], dead["publishTime"]) == (reason, dead["event"]["at"])
        assert dead["lastDeliveryAttemptTime"]
        assert "dead (hopeless)" in wright("event", "deliveries", "--dead").stdout
        says[0] = reply()
        assert wright("event", "replay", "picky").stdout == "1 delivery is tried again from the start\n"
        deliver(folder)
        first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == dead["event"]["id"]
    assert answer("deliveries", "--dead") == []
    wright("event", "replay", dead["id"])
    assert answer("deliveries", "--waiting")[0]["id"] == dead["id"]


def test_a_paused_subscriber_is_told_later(folder: Path) -> None:
    wright("event", "subscribe", "notes", "--file", "events.jsonl", "--types", "model.registered")
    assert wright("event", "pause", "notes").stdout == '"notes" is paused\n'
    register(folder)
    deliver(folder)
    assert not (folder / "events.jsonl").exists()
    wright("event", "resume", "notes")
    deliver(folder)
    assert len((folder / "events.jsonl").read_text().splitlines()) == 1


def test_a_test_says_at_once_what_comes_of_it(folder: Path) -> None:
    wright("event", "subscribe", "notes", "--file", "events.jsonl", "--types", "run.failed")
    assert wright("event", "test", "notes").stdout == "delivered: written\n"
    (told,) = [json.loads(each) for each in (folder / "events.jsonl").read_text().splitlines()]
    assert (told["type"], told["data"]["is_test"]) == ("run.failed", True)
    wright("event", "subscribe", "broken", "--command", "false")
    assert answer("test", "broken", code=1)["told"] == "exit 1"


def test_secrets_are_rotated_or_brought(folder: Path) -> None:
    own = "whsec_" + "QUJD" * 10
    with receiving(willing) as receiver:
        hook = ("--webhook", receiver.url, "--allow-private", "--secret", "-")
        assert own not in wright("event", "subscribe", "mine", *hook, given=f"{own}\n").stdout
        new = answer("rotate", "mine")["secret"]
        wright("event", "test", "mine")
        request = receiver.requests[-1]
    for each in (own, new):
        Webhook(each).verify(request.body, request.headers)
    with pytest.raises(SubscriberInvalid) as refused:
        wright("event", "rotate", "mine", "--secret", "whsec_short")
    assert "short" not in str(refused.value)
    wright("event", "unsubscribe", "mine")
    assert list((folder / ".wright" / "secrets").iterdir()) == []
    types = [each["type"] for each in answer("list", "--types", "subscription.*")]
    assert types == [f"subscription.{fact}" for fact in ("removed", "secret_rotated", "activated", "added")]


def test_lists_are_for_people_too(folder: Path) -> None:
    assert "next: wright event subscribe" in wright("event", "subscriptions").stdout
    wright(
        "event", "subscribe", "notes", "--file", "events.jsonl", "--types", "model.*", "--subject-begins", "models/ch"
    )
    register(folder)
    deliver(folder)
    assert "model.* of models/ch…" in wright("event", "subscriptions").stdout
    assert "1 delivered, 0 waiting, 0 dead" in wright("event", "show", "notes").stdout
    (told,) = answer("list", "--types", "model.registered", "--subject", "models/churn:*")
    shown = wright("event", "show", told["id"]).stdout
    assert '"area": "diabetes"' in shown
    assert "notes" in shown


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--types", "model.registerd", "--file", "a"), "event-type-unknown"),
        (("--filter", "data.a Is b", "--file", "a"), "event-filter-invalid"),
        (("--webhook", "http://example.org/"), "subscriber-invalid"),
        (("--email", "you@example.org"), "subscriber-invalid"),
        (("--email", "a@b.org", "--smtp-server", "b.org", "--smtp-user", "a"), "subscriber-invalid"),
        (("--email", "a@b.org", "--smtp-server", "b.org", "--secret", "x"), "subscriber-invalid"),
        (("--file", "a", "--secret", "whsec_QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD"), "subscriber-invalid"),
        (("--pipeline", "small"), "pipeline-missing"),
        (("--command", "no-such-program"), "subscriber-invalid"),
        (("--file", "no/such/folder"), "subscriber-invalid"),
    ],
)
def test_a_subscription_that_cannot_work_is_refused_before_anything_is_recorded(
    folder: Path, options: tuple[str, ...], code: str
) -> None:
    with pytest.raises(ModelwrightError) as refused:
        wright("event", "subscribe", "wrong", *options)
    assert refused.value.code == code
    assert answer("subscriptions") == []


def test_a_private_address_is_refused_unless_it_is_allowed(folder: Path) -> None:
    with receiving(willing) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/"
        done = wright("event", "subscribe", "inside", "--webhook", url, code=1)
        assert '"127.0.0.1" is at 127.0.0.1, this machine: requests there are refused' in done.stderr
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "exactly one"),
        (("--file", "a", "--command", "true"), "exactly one"),
        (("--file", "a", "--set", "b=c"), "--set: it goes with --pipeline, not with --file"),
        (("--command", "true", "--smtp-user", "ada"), "--smtp-user: it goes with --email"),
        (("--command", "true", "--smtp-security", "none"), "--smtp-security: it goes with --email"),
        (("--file", "a", "--allow-private"), "--allow-private: it goes with --email or --webhook"),
        (("--email", "a@b", "--no-handshake"), "--no-handshake: it goes with --webhook"),
        (("--webhook", "https://example.org", "--secret", "-"), "--secret: it is empty"),
    ],
)
def test_options_that_would_mean_nothing_are_refused(folder: Path, options: tuple[str, ...], told: str) -> None:
    assert told in wright("event", "subscribe", "x", *options, code=2, given="\n").stderr


def test_a_webhook_that_does_not_want_events_is_exit_1_in_json_too(folder: Path) -> None:
    with receiving(lambda _: reply("200 OK")) as receiver:
        hook = ("--webhook", receiver.url, "--allow-private")
        assert answer("subscribe", "unwilling", *hook, code=1)["state"] == "pending"
        assert answer("resume", "unwilling", code=1)["state"] == "pending"
        assert answer("resume", "unwilling", "--no-handshake")["state"] == "active"


@contextlib.contextmanager
def documented_receiver(folder: Path, secret: str) -> Iterator[subprocess.Popen[str]]:
    """The receiver of docs/events.md, as a process."""
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    (folder / "receiver.py").write_text(page.split("```python\n")[1].split("```")[0])
    process = subprocess.Popen(
        [sys.executable, "receiver.py"],
        env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=120)


def test_the_receiver_of_the_documentation_checks_signatures_and_drops_what_it_has_had(folder: Path) -> None:
    secret = "whsec_" + "QUJD" * 10
    with documented_receiver(folder, secret) as process:
        assert process.stdout
        port = process.stdout.readline().split()[-1]
        hook = ("--webhook", f"http://127.0.0.1:{port}/", "--allow-private", "--secret", secret)
        wright("event", "subscribe", "documented", *hook, "--types", "model.registered")
        register(folder)
        deliver(folder)
        (delivery,) = answer("deliveries")
        assert (delivery["status"], delivery["told"]) == ("delivered", "204")
        wright("event", "replay", delivery["id"])
        deliver(folder)
        wright("event", "rotate", "documented")
        wright("event", "test", "documented")
        wright("event", "rotate", "documented", "--overlap", "0")
        assert answer("test", "documented", code=1)["told"] == "401"
        process.kill()
        assert process.stdout.read().splitlines() == [
            "model.registered models/churn:1",
            "model.registered models/sample:1",
        ]
