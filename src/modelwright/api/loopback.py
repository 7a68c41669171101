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

    None when the system does not tell: no Linux, or a user that this container does not know.
    """
    wanted = [(_spelled(local, family), _spelled(remote, family)) for family in (socket.AF_INET, socket.AF_INET6)]
    for table in _TABLES:
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) in wanted:
                user = int(fields[7])
                # All users that a container does not know have one id here, which might be ours.
                return None if user == int(_OVERFLOW.read_text(encoding="ascii")) else user
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
