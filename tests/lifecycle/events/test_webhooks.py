"""Webhooks: what is sent, what answers mean, what a receiver can check, and how one agrees."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from lifecycle.events.receivers import Receiver, Request, receiving, reply
from lifecycle.events.told import registered, subscription
from standardwebhooks import Webhook, WebhookVerificationError

from modelwright.lifecycle.events import handlers, signing, webhooks
from modelwright.records import (
    Attempt,
    AttemptVerdict,
    DeliveryPolicy,
    Envelope,
    EventFilter,
    HandlerKind,
    Subscription,
    SubscriptionState,
    now,
)
from modelwright.store import subscriptions
from modelwright.store.changes import change
from modelwright.store.database import Store

AGAIN, DELIVERED, HOPELESS = AttemptVerdict.AGAIN, AttemptVerdict.DELIVERED, AttemptVerdict.HOPELESS


def hook(
    store: Store, receiver: Receiver, *, envelope: Envelope = Envelope.CLOUD_EVENTS, timeout_seconds: float = 60.0
) -> Subscription:
    """A subscription by webhook with a secret."""
    signing.renew(store, "watcher", now=now(), own=None, overlap=timedelta())
    target = {"url": receiver.url, "is_private_allowed": True}
    policy = DeliveryPolicy(timeout_seconds=timeout_seconds)
    return subscription(HandlerKind.WEBHOOK, target, envelope=envelope, policy=policy)


def sent(store: Store, answer: bytes, *, attempt: int = 1) -> tuple[Attempt, Request]:
    with receiving(lambda _: answer) as receiver:
        came = handlers.send(store, hook(store, receiver), registered(), attempt=attempt)
        return came, receiver.requests[0]


def test_the_reference_library_verifies_what_is_sent(store: Store) -> None:
    came, request = sent(store, reply())
    assert (came.verdict, came.told, request.method, request.path) == (DELIVERED, "200", "POST", "/hook?team=a")
    (secret,) = signing.present(store, "watcher", now=now())
    told = Webhook(secret).verify(request.body, request.headers)
    assert told["data"]["tags"] == {"area": "Diabetes"}
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["wright-event-hops"] == "1"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", request.headers)


def test_the_id_is_the_same_on_every_attempt(store: Store) -> None:
    first, second = (sent(store, reply("500 No"), attempt=attempt)[1].headers["webhook-id"] for attempt in (1, 2))
    assert first == second == registered().id


def test_after_a_rotation_both_secrets_verify_for_a_while(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        wanted = hook(store, receiver)
        (old,) = signing.present(store, "watcher", now=now())
        new = signing.renew(store, "watcher", now=now(), own=None, overlap=timedelta(hours=1))
        handlers.send(store, wanted, registered(), attempt=1)
    (request,) = receiver.requests
    assert old != new
    assert len(request.headers["webhook-signature"].split()) == 2
    for each in (old, new):
        Webhook(each).verify(request.body, request.headers)
    assert signing.present(store, "watcher", now=now() + timedelta(hours=2)) == [new]


def test_secrets_are_for_their_owner_alone_and_in_no_record(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        hook(store, receiver)
    (secret,) = signing.present(store, "watcher", now=now())
    folder = store.folder / "secrets"
    assert [oct(each.stat().st_mode)[-3:] for each in (folder, *folder.iterdir())] == ["700", "600"]
    assert secret.encode() not in (store.folder / "modelwright.db").read_bytes()


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
def test_200_to_204_are_success(store: Store, status: int) -> None:
    assert sent(store, reply(f"{status} Yes"))[0].verdict is DELIVERED


@pytest.mark.parametrize("status", [205, 206, 299, 402, 408, 409, 418, 422, 500, 502, 504, 599])
def test_others_are_tried_again(store: Store, status: int) -> None:
    came, _ = sent(store, reply(f"{status} Well", body=b"something\n\tis wrong\x1b[31m"))
    assert (came.verdict, came.wait_seconds) == (AGAIN, 0.0)
    assert came.told == f"{status} something is wrong [31m"


@pytest.mark.parametrize("status", [400, 413])
def test_some_will_never_work(store: Store, status: int) -> None:
    assert sent(store, reply(f"{status} No"))[0].verdict is HOPELESS


@pytest.mark.parametrize("status", [401, 403, 404])
def test_some_somebody_has_to_mend(store: Store, status: int) -> None:
    came, _ = sent(store, reply(f"{status} No"))
    assert (came.verdict, came.wait_seconds) == (AGAIN, 300.0)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(store: Store, status: int) -> None:
    assert sent(store, reply(f"{status} Busy", Retry_After="120"))[0].wait_seconds == 120.0
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    assert 590.0 < sent(store, reply(f"{status} Busy", Retry_After=later))[0].wait_seconds <= 600.0
    assert sent(store, reply(f"{status} Busy", Retry_After="9" * 400))[0].wait_seconds == 86400.0
    assert sent(store, reply(f"{status} Busy", Retry_After="soon"))[0].wait_seconds == 0.0


def test_410_ends_the_delivery_and_pauses_the_subscription(store: Store) -> None:
    with receiving(lambda _: reply("410 Gone")) as receiver:
        wanted = hook(store, receiver)
        with change(store, actor="ada") as opened:
            subscriptions.add_subscription(opened, wanted)
        assert handlers.send(store, wanted, registered(), attempt=1).verdict is HOPELESS
    assert subscriptions.get_subscription(store, "watcher").state is SubscriptionState.PAUSED


def test_a_redirect_is_a_failure_that_says_where_it_wanted_to_go(store: Store) -> None:
    with receiving(lambda _: reply()) as secret_place:
        place = f"http://127.0.0.1:{secret_place.port}/latest/meta-data"
        came, _ = sent(store, reply("302 Found", Location=place))
        assert came == Attempt(AGAIN, f'302: it wants to go to "{place}"; redirects are not followed')
        assert secret_place.requests == []


def test_a_body_that_drips_is_cut_off_with_the_whole_exchange(store: Store) -> None:
    with receiving(lambda _: reply(body=b"x" * 500), drip_seconds=0.02) as receiver:
        wanted = hook(store, receiver, timeout_seconds=0.6)
        came = handlers.send(store, wanted, registered(), attempt=1)
        assert receiver.dripped < 100  # which takes 2 s at least
    assert came == Attempt(AGAIN, "no whole answer within 0.6 s")


def test_a_receiver_that_says_nothing_is_waited_for_so_long(store: Store) -> None:
    done = threading.Event()

    def hold(_: Request) -> bytes:
        done.wait(60)
        return b""

    with receiving(hold) as receiver:
        came = handlers.send(store, hook(store, receiver, timeout_seconds=0.3), registered(), attempt=1)
        done.set()
    assert came == Attempt(AGAIN, "no whole answer within 0.3 s")


def test_of_an_endless_answer_the_beginning_is_read(store: Store) -> None:
    came, _ = sent(store, b"HTTP/1.1 500 No\r\nContent-Length: 900000000\r\n\r\n" + b"y" * 100_000)
    assert (came.verdict, came.told) == (AGAIN, f"500 {'y' * 200}…")
    came, _ = sent(store, b"HTTP/1.1 200 Yes\r\n" + b"X: y\r\n" * 20_000)
    assert (came.verdict, came.told) == (AGAIN, "no answer: the headers of its answer have no end")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "the connection ended without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it does not speak HTTP"),
        (b"HTTP/1.1 200 Yes\r\nContent-Le", "the connection ended without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the connection ended without an answer"),
    ],
)
def test_what_is_no_answer_is_told_as_that(store: Store, said: bytes, told: str) -> None:
    came, _ = sent(store, said)
    assert came.verdict is AGAIN
    assert told in came.told


def test_an_interim_answer_is_not_the_answer(store: Store) -> None:
    assert sent(store, b"HTTP/1.1 100 Continue\r\n\r\n" + reply("204 Yes"))[0].told == "204"


def test_a_receiver_that_is_not_there_is_tried_again(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        wanted = hook(store, receiver)
    came = handlers.send(store, wanted, registered(), attempt=1)
    assert came == Attempt(AGAIN, "no answer: Connection refused")


def test_an_address_that_is_not_allowed_is_told_and_left_alone(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        wanted = hook(store, receiver)
        wanted.target.update(is_private_allowed=False, url=f"https://localhost:{receiver.port}/")
        came = handlers.send(store, wanted, registered(), attempt=1)
        assert receiver.requests == []
    assert (came.verdict, came.wait_seconds) == (AGAIN, 300.0)
    assert came.told.endswith("an owner allows it for one subscription with --allow-private")
    assert '"localhost" is at 127.0.0.1' in came.told or '"localhost" is at ::1' in came.told


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    """An authority that this process trusts."""
    found = trustme.CA()
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return found


@pytest.mark.parametrize(("name", "is_trusted"), [("localhost", True), ("elsewhere.example", False)])
def test_tls_is_with_whom_the_address_names(store: Store, authority: trustme.CA, name: str, is_trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    asked: list[str] = []
    context.sni_callback = lambda _socket, server, _context: asked.append(server)

    def wrap(raw: socket.socket) -> socket.socket:
        return context.wrap_socket(raw, server_side=True)

    with receiving(lambda _: reply(), wrap=wrap) as receiver:
        wanted = hook(store, receiver)
        wanted.target["url"] = f"https://localhost:{receiver.port}/"
        came = handlers.send(store, wanted, registered(), attempt=1)
    assert asked == ["localhost"]
    assert (came.verdict is DELIVERED) is is_trusted
    assert is_trusted or came.told.startswith("its certificate does not hold: Hostname mismatch")


def test_event_grids_body_is_an_array_with_its_headers(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        wanted = hook(store, receiver, envelope=Envelope.EVENT_GRID)
        assert handlers.send(store, wanted, registered(), attempt=3).verdict is DELIVERED
    (request,) = receiver.requests
    (told,) = json.loads(request.body)
    assert told["data"]["ModelName"] == "churn"
    kept = ("content-type", "aeg-event-type", "aeg-subscription-name", "aeg-delivery-count", "aeg-metadata-version")
    assert [request.headers[each] for each in kept] == [
        "application/json; charset=utf-8",
        "Notification",
        "WATCHER",
        "2",
        "1",
    ]


def test_what_is_not_wanted_any_more_is_not_sent(store: Store) -> None:
    with receiving(lambda _: reply()) as receiver:
        wanted = hook(store, receiver)
        other = Subscription(**{**vars(wanted), "filter": EventFilter(types=("run.*",))})
        assert handlers.send(store, other, registered(), attempt=1).verdict is DELIVERED
        assert receiver.requests == []


def test_cloud_events_ask_with_options_and_need_an_origin(store: Store) -> None:
    for origin, is_welcome in (("*", True), ("modelwright", True), ("eventgrid.azure.net", False), ("", False)):
        with receiving(lambda _, origin=origin: reply(WebHook_Allowed_Origin=origin)) as receiver:
            came = webhooks.shake_hands(store, hook(store, receiver))
        assert (came.verdict is DELIVERED) is is_welcome, came
        (request,) = receiver.requests
        assert (request.method, request.headers["webhook-request-origin"]) == ("OPTIONS", "modelwright")


def _echo(request: Request) -> bytes:
    (told,) = json.loads(request.body)
    assert told["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    return json.dumps({"validationResponse": told["data"]["validationCode"]}).encode()


def test_event_grid_asks_for_its_code(store: Store) -> None:
    answers = [
        (lambda request: reply(body=_echo(request)), True),
        (lambda request: reply("202 Accepted", body=_echo(request)), False),
        (lambda _: reply(body=b'{"validationResponse": "another"}'), False),
        (lambda _: reply(body=b"[]"), False),
        (lambda _: reply(), False),
    ]
    for answer, is_welcome in answers:
        with receiving(answer) as receiver:
            came = webhooks.shake_hands(store, hook(store, receiver, envelope=Envelope.EVENT_GRID))
        assert (came.verdict is DELIVERED) is is_welcome, came
        assert receiver.requests[0].headers["aeg-event-type"] == "SubscriptionValidation"
