"""Addresses that are not for everybody are refused by whatever name, and a name says once where it leads."""

import socket
import time
from typing import Any

import pytest
from lifecycle.events.receivers import receiving, reply

from modelwright.errors import AddressRefused, SubscriberInvalid
from modelwright.lifecycle.events import addresses, exchanges
from modelwright.lifecycle.events.exchanges import Limits


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
    ],
)
def test_an_address_that_is_not_for_everybody_is_known_as_such(address: str) -> None:
    assert addresses.why_closed(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_an_address_that_is_for_everybody_is_open(address: str) -> None:
    assert addresses.why_closed(address) is None


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_spelling_of_this_machine_gets_through(host: str) -> None:
    with receiving(lambda _: reply()) as receiver:
        url = f"https://{host}:{receiver.port}/"
        with pytest.raises(AddressRefused):
            exchanges.exchange("POST", url, headers={}, body=b"", limits=Limits(60.0))
        assert receiver.requests == []


def _answering(*found: str) -> Any:
    """Return a resolver that gives these addresses one by one for every question, and counts questions."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found[len(asked) - 1].split()]

    return getaddrinfo, asked


def test_a_name_that_leads_elsewhere_the_second_time_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(lambda _: reply()) as receiver:
        resolver, asked = _answering("127.0.0.1", "203.0.113.9")
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        url = f"http://rebinding.example:{receiver.port}/"
        answer = exchanges.exchange("POST", url, headers={}, body=b"", limits=Limits(60.0, is_private_allowed=True))
        assert (answer.status, asked) == (200, ["rebinding.example"])
        assert receiver.requests[0].headers["host"] == f"rebinding.example:{receiver.port}"


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver, _ = _answering("93.184.216.34 127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(AddressRefused, match=r'"both\.example" is at 127\.0\.0\.1, this machine'):
        exchanges.exchange("POST", "https://both.example/", headers={}, body=b"", limits=Limits(60.0))


def test_the_next_address_is_tried_when_one_takes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(lambda _: reply()) as receiver:
        resolver, _ = _answering("127.0.0.2 127.0.0.1")
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        url = f"http://two.example:{receiver.port}/"
        answer = exchanges.exchange("POST", url, headers={}, body=b"", limits=Limits(60.0, is_private_allowed=True))
        assert answer.status == 200


def test_a_name_that_nobody_answers_for_is_waited_for_no_longer_than_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = socket.socketpair()
    with asked[0], asked[1]:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked[0].recv(1) and [])
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            exchanges.exchange("POST", "https://slow.example/", headers={}, body=b"", limits=Limits(0.2))
        assert time.monotonic() - begun < 2.0
        asked[1].sendall(b"x")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(lambda _: reply()) as proxy, receiving(lambda _: reply("204 No Content")) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        limits = Limits(60.0, is_private_allowed=True)
        assert exchanges.exchange("POST", receiver.url, headers={}, body=b"", limits=limits).status == 204
        assert (proxy.requests, receiver.requests[0].path) == ([], "/hook?team=a")


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("ftp://example.org/", "begins with https"),
        ("file:///etc/passwd", "begins with https"),
        ("https://", "begins with https"),
        ("http://example.org/", "without TLS"),
        ("https://ada:word@example.org/", "a name and a password"),
        ("https://example.org:99999/", "Port out of range"),
        ("https://example.org/a b", "visible ASCII"),
        ("https://example.org/\r\nX-Forwarded-For: 1", "visible ASCII"),
        ("https://[::1/", "Invalid IPv6"),
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str, rule: str) -> None:
    with pytest.raises(SubscriberInvalid, match=rule):
        exchanges.checked(url, is_private_allowed=False)
