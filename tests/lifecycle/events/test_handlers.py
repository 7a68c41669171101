"""What events start besides webhooks: commands, files, mail."""

import fcntl
import json
import os
import smtplib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from lifecycle.events.told import registered, run_event, subscription

from modelwright.errors import SubscriberInvalid
from modelwright.lifecycle.events import handlers, mail, targets
from modelwright.lifecycle.events.delivery import Dispatcher
from modelwright.lifecycle.sessions import Session as ModelSession
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    DeliveryPolicy,
    DeliveryStatus,
    Event,
    EventFilter,
    HandlerKind,
    Subscription,
)
from modelwright.records import Envelope as Schema
from modelwright.store import deliveries, hops, secrets, subscriptions
from modelwright.store.database import Store

AGAIN, DELIVERED, HOPELESS = AttemptVerdict.AGAIN, AttemptVerdict.DELIVERED, AttemptVerdict.HOPELESS


def command(folder: Path, script: str, *, seconds: float = 10.0, **more: Any) -> Subscription:
    (folder / "told.py").write_text(script)
    target = targets.command(f"{sys.executable} told.py 'two words'", folder=folder)
    return subscription(HandlerKind.COMMAND, target, policy=DeliveryPolicy(timeout_seconds=seconds), **more)


def send(store: Store, wanted: Subscription, event: Event | None = None, *, attempt: int = 1) -> Attempt:
    return handlers.send(store, wanted, event or registered(), attempt=attempt)


def test_a_command_gets_the_event_as_input_and_in_variables(store: Store, tmp_path: Path) -> None:
    script = """
import json, os, sys
told = json.load(sys.stdin)
names = ("ID", "TYPE", "SUBJECT", "ATTEMPT", "HOPS")
told["seen"] = [os.environ[f"WRIGHT_EVENT_{each}"] for each in names] + [os.environ["WRIGHT_SUBSCRIPTION"]]
told["arguments"], told["folder"] = sys.argv[1:], os.getcwd()
json.dump(told, open("seen.json", "w"))
print("deployed")
"""
    assert send(store, command(tmp_path, script), attempt=2) == Attempt(DELIVERED, "exit 0: deployed")
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["data"]["model"] == "churn"
    assert seen["seen"] == [registered().id, "model.registered", "models/churn:20", "2", "1", "watcher"]
    assert (seen["arguments"], seen["folder"]) == (["two words"], str(tmp_path))
    assert not list((store.folder / "scratch").iterdir())


def test_what_feeds_itself_comes_to_an_end_that_is_told(
    session: ModelSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hops, "MOST", 1)
    store, script = (
        session.store,
        f"""
from pathlib import Path
from modelwright.store.changes import change
from modelwright.store.database import open_store
with change(open_store(Path({str(session.store.folder.absolute())!r})), actor="loop") as opened:
    opened.record("model.tagged", "models/churn")
""",
    )
    with session.change() as opened:
        subscriptions.add_subscription(opened, command(tmp_path, script))
    with session.change() as opened:
        opened.record("model.tagged", "models/churn")
    Dispatcher(store).run_once()
    told = {each.event.hops: (each.status, each.told) for each in deliveries.list_deliveries(store)}
    assert (told[0], told[1]) == ((DeliveryStatus.DELIVERED, "exit 0"), (DeliveryStatus.DELIVERED, "exit 0"))
    left_out = "left out: 2 events in a row led to it, each by what a subscription started"
    assert told[2] == (DeliveryStatus.DEAD, left_out)
    assert len(told) == 3


def test_who_only_listens_is_told_of_what_feeds_itself_too(store: Store, tmp_path: Path) -> None:
    target = targets.file("events.jsonl", folder=tmp_path)
    far = replace(registered(), hops=hops.MOST + 1)
    assert send(store, subscription(HandlerKind.FILE, target), far).verdict is DELIVERED
    assert send(store, command(tmp_path, ""), far).verdict is HOPELESS


def test_a_command_that_fails_is_tried_again_and_the_end_of_what_it_said_is_told(store: Store, tmp_path: Path) -> None:
    came = send(store, command(tmp_path, "print('x' * 1000); raise SystemExit('no such\\nregion')"))
    assert came.verdict is AGAIN
    assert came.told.startswith("exit 1: …xxx")
    assert came.told.endswith("xxx no such region")


def test_event_grids_array_is_what_a_command_reads_on_request(store: Store, tmp_path: Path) -> None:
    wanted = command(tmp_path, "import json, sys; print(*[e['eventType'] for e in json.load(sys.stdin)])")
    asked = Subscription(**{**vars(wanted), "envelope": Schema.EVENT_GRID})
    told = send(store, asked, run_event("succeeded", "succeeded")).told
    assert told.split(".")[-1] == "RunStatusChanged"
    assert "RunCompleted" in told


def test_a_command_that_takes_too_long_is_ended_with_its_children(store: Store, tmp_path: Path) -> None:
    script = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
print("begun", flush=True)
time.sleep(600)
"""
    came = send(store, command(tmp_path, script, seconds=5))
    assert came == Attempt(AGAIN, "it took longer than 5 s and was ended: begun")
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while _lives(child):
        assert time.monotonic() < deadline
        os.sched_yield()


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("line", "rule"), [("no-such-program x", "there is no program"), ("a 'b", "No closing")])
def test_a_command_that_cannot_be_one_is_refused(tmp_path: Path, line: str, rule: str) -> None:
    with pytest.raises(SubscriberInvalid, match=rule):
        targets.command(line, folder=tmp_path)


def file(path: str, folder: Path, **more: Any) -> Subscription:
    return subscription(HandlerKind.FILE, targets.file(path, folder=folder), **more)


def test_a_file_gets_a_line_for_each_event_once(store: Store, tmp_path: Path) -> None:
    wanted = file("events.jsonl", tmp_path)
    events = [registered(number) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda each: send(store, wanted, each), [*events, *events]))
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert sorted(json.loads(each)["id"] for each in lines) == [each.id for each in events]
    assert [each.verdict for each in told] == [DELIVERED] * 40
    assert sum(each.told == "was there already" for each in told) == 20


def test_a_line_that_was_cut_off_spoils_no_other(store: Store, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"id":"event_cut')
    send(store, file("events.jsonl", tmp_path))
    cut, whole = (tmp_path / "events.jsonl").read_text().splitlines()
    assert (cut, json.loads(whole)["id"]) == ('{"id":"event_cut', registered().id)


def test_a_repetition_is_found_however_long_the_file(store: Store, tmp_path: Path) -> None:
    wanted = file("events.jsonl", tmp_path)
    send(store, wanted)
    with (tmp_path / "events.jsonl").open("a") as lines:
        lines.write("x" * (3 << 20) + "\n")
    assert send(store, wanted, attempt=2).told == "was there already"


def test_a_folder_gets_a_file_for_each_event(store: Store, tmp_path: Path) -> None:
    wanted = file("events/", tmp_path, envelope=Schema.EVENT_GRID)
    event = run_event("succeeded", "succeeded")
    assert [send(store, wanted, event).told for _ in range(2)] == ["written", "was there already"]
    found = sorted((tmp_path / "events").iterdir())
    assert [each.name for each in found] == [f"{event.id}-status.json", f"{event.id}.json"]
    assert json.loads(found[1].read_text())["eventType"].endswith("RunCompleted")


def test_a_file_that_cannot_be_written_is_tried_again(store: Store, tmp_path: Path) -> None:
    wanted = file("gone/events.jsonl", _made(tmp_path / "gone").parent)
    (tmp_path / "gone").rmdir()
    came = send(store, wanted)
    assert (came.verdict, "No such file" in came.told) == (AGAIN, True)
    with pytest.raises(SubscriberInvalid, match="there is no folder"):
        targets.file("gone/events.jsonl", folder=tmp_path)


def test_a_file_that_another_program_holds_is_waited_for_no_longer_than_the_policy_says(
    store: Store, tmp_path: Path
) -> None:
    wanted = file("events.jsonl", tmp_path, policy=DeliveryPolicy(timeout_seconds=0.1))
    with (tmp_path / "events.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert send(store, wanted) == Attempt(
            AGAIN, f'"{tmp_path / "events.jsonl"}" cannot be written to: another program holds it locked'
        )
    assert send(store, wanted).verdict is DELIVERED


def test_files_of_events_are_for_whom_the_user_makes_files(store: Store, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        send(store, file("events/", tmp_path))
    finally:
        os.umask(before)
    (made,) = (tmp_path / "events").iterdir()
    assert oct(made.stat().st_mode)[-3:] == "600"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Box:
    """A mail server's box: what came, and whom it refuses."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.refused: set[str] = set()
        self.refusal = "550 no such box"

    async def handle_RCPT(  # noqa: N802 - what the server calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Box, int]]:
    """A mail server on this machine that wants TLS and the password `open sesame`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        is_known = (login.login, login.password) == (b"ada", b"open sesame")
        return AuthResult(success=is_known, handled=is_known)

    found = Box()
    controller = _Anywhere(
        found,
        hostname="127.0.0.1",
        tls_context=context,
        require_starttls=True,
        authenticator=check,
        auth_required=True,
    )
    controller.start()
    yield found, controller.port
    controller.stop()


class _Anywhere(Controller):  # type: ignore[misc]
    """Serves at a port that the system chooses, and keeps it from the beginning."""

    def _create_server(self) -> Any:
        listener = socket.create_server((self.hostname, 0))
        self.port = listener.getsockname()[1]
        return self.loop.create_server(self._factory_invoker, sock=listener, ssl=self.ssl_context)


def by_mail(store: Store, port: int, *, password: str = "open sesame", to: tuple[str, ...] = ("bob@example.org",)):
    target = targets.email(
        to, server=f"localhost:{port}", sender="wright@example.org", user="ada", is_private_allowed=True
    )
    secrets.put(store, mail.secret_name("watcher"), password)
    return subscription(HandlerKind.EMAIL, target)


def test_mail_goes_out_privately_and_once_for_each_event(store: Store, box: tuple[Box, int]) -> None:
    found, port = box
    for attempt in (1, 2):
        came = send(store, by_mail(store, port), run_event("failed", "failed"), attempt=attempt)
        assert came == Attempt(DELIVERED, "mailed to bob@example.org")
    first, second = found.messages
    assert (first["Subject"], first["To"], first["From"]) == (
        "run.failed runs/run_1",
        "bob@example.org",
        "wright@example.org",
    )
    assert first["Message-ID"] == second["Message-ID"]
    assert '"experiment": "churn"' in first.get_content()


def test_a_wrong_password_is_to_be_mended(store: Store, box: tuple[Box, int]) -> None:
    came = send(store, by_mail(store, box[1], password="wrong"))
    assert (came.verdict, came.wait_seconds) == (AGAIN, 300.0)
    assert came.told.startswith("its server does not take the password: 535")


def test_who_is_not_known_is_told(store: Store, box: tuple[Box, int]) -> None:
    found, port = box
    found.refused = {"eve@example.org"}
    both = by_mail(store, port, to=("bob@example.org", "eve@example.org"))
    assert send(store, both).told == "mailed to bob@example.org; refused: eve@example.org (550 no such box)"
    came = send(store, by_mail(store, port, to=("eve@example.org",)))
    assert came == Attempt(HOPELESS, "nobody gets it: eve@example.org (550 no such box)")


def test_a_mail_server_without_tls_gets_no_password(store: Store) -> None:
    controller = _Anywhere(Box(), hostname="127.0.0.1")
    controller.start()
    try:
        came = send(store, by_mail(store, controller.port))
    finally:
        controller.stop()
    assert came.verdict is AGAIN
    assert "STARTTLS" in came.told


def test_a_mail_server_that_drips_is_left(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped, dripped = threading.Event(), []

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stopped.wait(0.02):
                    try:
                        connection.sendall(b"2")
                        dripped.append(1)
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        wanted = by_mail(store, listener.getsockname()[1])
        wanted.target["server"] = "127.0.0.1"
        slow = Subscription(**{**vars(wanted), "policy": DeliveryPolicy(timeout_seconds=0.4)})
        came = send(store, slow)
        assert len(dripped) < 150  # which takes 3 s at least
        stopped.set()
        thread.join(60)
    assert came == Attempt(AGAIN, "its server was not done within 0.4 s")


def test_a_mail_server_at_a_private_address_is_refused_unless_allowed(store: Store) -> None:
    wanted = by_mail(store, 25)
    wanted.target["is_private_allowed"] = False
    came = send(store, wanted)
    assert (came.verdict, came.wait_seconds) == (AGAIN, 300.0)
    assert '"localhost" is at' in came.told


@pytest.mark.parametrize(
    ("to", "server", "security"),
    [
        ("bob", "mail.example.org", "starttls"),
        ("bob@example.org\nBcc: x@y", "mail.example.org", "tls"),
        ("bob@example.org", "", "tls"),
        ("bob@example.org", "mail.example.org:99999", "tls"),
        ("bob@example.org", "mail.example.org", "none"),
        ("bob@example.org\u2028Bcc:", "mail.example.org", "tls"),
        ("bob\0@example.org", "mail.example.org", "tls"),
        ("bob@example.org", "mail.example.org:25\n", "tls"),
        ("bob@example.org", "mail.example.org/x", "tls"),
        ("bob@example.org", "ada@mail.example.org", "tls"),
        ("bob@example.org", "::1", "tls"),
    ],
)
def test_mail_that_cannot_go_out_is_refused(to: str, server: str, security: str) -> None:
    with pytest.raises(SubscriberInvalid):
        targets.email((to,), server=server, user="ada", security=security)


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [("mail.example.org", "mail.example.org", 465), ("m:25", "m", 25), ("[::1]", "::1", 465), ("[::1]:25", "::1", 25)],
)
def test_a_mail_server_is_a_host_and_maybe_a_port(server: str, host: str, port: int) -> None:
    found = targets.email(("bob@example.org",), server=server, security="tls")
    assert (found["server"], found["port"]) == (host, port)


def test_what_a_mail_server_says_is_kept_in_a_line(store: Store, box: tuple[Box, int]) -> None:
    found, port = box
    found.refused = {"eve@example.org"}
    found.refusal = f"550 no\x1b[31m {'such ' * 100}box"
    came = send(store, by_mail(store, port, to=("eve@example.org",)))
    assert came.told.isprintable()
    assert came.told.endswith("…)")
    assert len(came.told) < 300


def test_the_standard_library_still_asks_for_its_socket_there() -> None:
    assert hasattr(smtplib.SMTP, "_get_socket")


def test_what_a_subscription_filters_is_looked_at_again(store: Store, tmp_path: Path) -> None:
    wanted = file("events.jsonl", tmp_path, wish=EventFilter(types=("run.*",)))
    assert send(store, wanted).told == "it is not wanted any more"
    assert not (tmp_path / "events.jsonl").exists()
