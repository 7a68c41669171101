"""Whether a request without credentials comes from the workspace's own user, on this machine, and from no browser.

Whoever runs as that user can read and write the workspace's files, so a token would protect nothing from them. What
makes that certain, and what it does not cover, is told in docs/decisions/0032-who-may-do-what.md.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

# What browsers and proxies add to requests: they speak for somebody else.
_OF_OTHERS = ("origin", "referer", "cookie", "sec-", "x-forwarded-", "x-real-ip", "forwarded", "via")
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_OVERFLOW = Path("/proc/sys/kernel/overflowuid")

# Linux's words for a question about one socket: NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST.
_SOCKETS, _BY_FAMILY, _REQUEST = 4, 20, 1
_ANY_STATE = 0xFFFFFFFF
_ANY_INTERFACE_AND_COOKIE = b"\0" * 4 + b"\xff" * 8
_HEAD_BYTES, _PORTS_AT, _USER_AT, _ANSWER_BYTES = 16, 20, 80, 4096
_SILENCE_SECONDS = 1.0


def is_own(scope: Mapping[str, Any], workspace: Path) -> bool:
    """Whether the request of this ASGI scope comes from the user of `workspace`, by a program of theirs."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not server or not _is_loopback(client[0]):
        return False
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    if not _is_direct(headers):
        return False
    user = user_of((client[0], client[1]), (server[0], server[1]))
    return user is not None and user in {os.geteuid(), workspace.stat().st_uid}


def user_of(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """Return the id of the user whose socket is bound to `local` and connected to `remote`, both of this machine.

    None when the system does not tell: no Linux, a user that this container does not know, or a socket that was closed.
    """
    found = _asked(local, remote) or _listed(local, remote)
    if found is None:
        return None
    user, inode = found
    # Nobody's socket any more has root's id here; and all users that a container does not know have one id, which might
    # be ours.
    return None if not inode or user == int(_OVERFLOW.read_text(encoding="ascii")) else user


def _asked(local: tuple[str, int], remote: tuple[str, int]) -> tuple[int, int] | None:
    """Return a socket's user and inode, which the system finds as fast as it does for a packet that arrives.

    None when it does not answer that question or knows of no such socket. Source: sock_diag(7).
    """
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    ports = struct.pack("!HH", local[1], remote[1])
    hosts = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (local, remote))
    question = struct.pack("=BBxxI", family, socket.IPPROTO_TCP, _ANY_STATE) + ports + hosts + _ANY_INTERFACE_AND_COOKIE
    head = struct.pack("=IHHII", _HEAD_BYTES + len(question), _BY_FAMILY, _REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCKETS) as system:
            system.settimeout(_SILENCE_SECONDS)
            system.send(head + question)
            answer = system.recv(_ANSWER_BYTES)
    except (OSError, AttributeError):
        return None
    # Where no such socket is connected, the system tells of one that listens at the port, whoever's that is.
    if struct.unpack_from("=H", answer, 4) != (_BY_FAMILY,) or not answer.startswith(ports, _PORTS_AT):
        return None
    user, inode = struct.unpack_from("=II", answer, _USER_AT)
    return user, inode


def _listed(local: tuple[str, int], remote: tuple[str, int]) -> tuple[int, int] | None:
    """Return the same from the tables of all sockets, which take as long as they are."""
    wanted = [(_spelled(local, family), _spelled(remote, family)) for family in (socket.AF_INET, socket.AF_INET6)]
    for table in _TABLES:
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                return int(fields[7]), int(fields[9])
    return None


def _is_direct(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the headers name this machine as asked, and are those of no browser and no proxy."""
    hosts = []
    for name, value in headers:
        if name.startswith(_OF_OTHERS) or (name == "user-agent" and value.startswith("Mozilla/")):
            return False
        if name == "host":
            hosts.append(value)
    return len(hosts) == 1 and _is_loopback(_without_port(hosts[0]))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _spelled(address: tuple[str, int], family: socket.AddressFamily) -> str:
    """Return an address as the tables of /proc/net write it: words of 32 bits in the machine's own order."""
    host = address[0]
    if family is socket.AF_INET6 and ":" not in host:
        host = f"::ffff:{host}"
    elif family is socket.AF_INET and ":" in host:
        return ""
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"!{len(packed) // 4}I", packed)
    own = [int.from_bytes(word.to_bytes(4, "big"), sys.byteorder) for word in words]
    return f"{''.join(f'{word:08X}' for word in own)}:{address[1]:04X}"
