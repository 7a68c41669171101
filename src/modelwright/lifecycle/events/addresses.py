"""Where requests may go: addresses that everybody may ask, or others where an owner allows it.

A name is resolved once, every address that it has is looked at, and the connection goes to one of those very addresses.
A name that leads somewhere else the next time it is asked for has nothing to win by it. Ranges: the special-purpose
registries of IANA (RFC 6890 and what was added since).
"""

import contextlib
import ipaddress
import socket
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from modelwright.errors import AddressRefused

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CLOSED_4 = {
    "0.0.0.0/8": "this machine",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's own network",
    "127.0.0.0/8": "this machine",
    "169.254.0.0/16": "a link, where clouds keep their secrets",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "a protocol's own address",
    "192.0.2.0/24": "an address for examples",
    "192.88.99.0/24": "a relay between kinds of addresses",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "a network for measurements",
    "198.51.100.0/24": "an address for examples",
    "203.0.113.0/24": "an address for examples",
    "224.0.0.0/4": "a group of machines",
    "240.0.0.0/4": "reserved",
}
# What lies outside of this is for nobody or not for everybody.
_OPEN_6 = ipaddress.ip_network("2000::/3")
_CLOSED_6 = {
    "2001::/23": "a protocol's own address",
    "2001:db8::/32": "an address for examples",
    "2002::/16": "a relay between kinds of addresses",
    "3fff::/20": "an address for examples",
}
_CLOSED = {ipaddress.ip_network(each): why for each, why in (_CLOSED_4 | _CLOSED_6).items()}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LAST_32_BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class Place:
    """Where a name leads: what the socket library calls family and address, in its order."""

    family: int
    address: tuple[Any, ...]


@lru_cache(maxsize=1024)
def why_closed(text: str) -> str | None:
    """Return what an address is when it is not one that everybody may ask; None for one that is."""
    address = _meant(ipaddress.ip_address(text.partition("%")[0]))
    for network, why in _CLOSED.items():
        if address.version == network.version and address in network:
            return why
    if address.version == 6 and address not in _OPEN_6:  # noqa: PLR2004 - IPv6
        return "this machine" if address.is_loopback or address.is_unspecified else "a private network"
    return None


def resolve(host: str, port: int, *, timeout_seconds: float, is_private_allowed: bool) -> list[Place]:
    """Return the addresses of a host. Raises AddressRefused, OSError when it has none, TimeoutError."""
    found = _looked_up(host, port, timeout_seconds=timeout_seconds)
    for each in found:
        reason = why_closed(each.address[0])
        if reason and not is_private_allowed:
            raise AddressRefused(host=host, address=each.address[0], reason=reason)
    return found


def connect(host: str, port: int, *, deadline: float, is_private_allowed: bool) -> socket.socket:
    """Return a connection to the first address of a host that takes one, by `deadline`, a time of the monotonic clock.

    Raises AddressRefused, OSError, TimeoutError.
    """
    places = resolve(host, port, timeout_seconds=remaining(deadline), is_private_allowed=is_private_allowed)
    for number, place in enumerate(places):
        connection = socket.socket(place.family, socket.SOCK_STREAM)
        try:
            # Of several addresses one that swallows everything must not use up the time of all.
            connection.settimeout(remaining(deadline) / (len(places) - number))
            connection.connect(place.address)
        except OSError:
            connection.close()
            if number == len(places) - 1:
                raise
        else:
            return connection
    raise AssertionError(host)  # a name that is found has an address


def remaining(deadline: float) -> float:
    """Return the seconds up to a time of the monotonic clock. Raises TimeoutError when it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _meant(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does for one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & _LAST_32_BITS)
    return address


def _looked_up(host: str, port: int, *, timeout_seconds: float) -> list[Place]:
    """Ask the system for the addresses of a name; it cannot be told to be quick, so a thread waits for it.

    What is an address already is nobody asked for.
    """
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return _asked(host, port, socket.AI_NUMERICHOST)
    answers: list[list[Place] | Exception] = []

    def ask() -> None:
        try:
            answers.append(_asked(host, port))
        except (OSError, UnicodeError) as error:  # a name can be none at all
            answers.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout_seconds)
    if not answers:
        raise TimeoutError
    if isinstance(answers[0], Exception):
        told = f'"{host}" has no address: {answers[0]}'
        raise OSError(told) from answers[0]
    return answers[0]


def _asked(host: str, port: int, flags: int = 0) -> list[Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(Place(family, address) for family, _, _, _, address in found))
