"""The text of locks: exact versions with their hashes, as one spelling that uv and pip both read.

Whatever file the versions came from, the same ones give the same text, and so the same digest.
"""

import re
from collections.abc import Iterable

from packaging.utils import canonicalize_name

from modelwright.records import Lock, Pin

_ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)(?P<rest>(?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE
)
_HASH = re.compile(r"--hash=(\w+:[0-9a-f]+)")


def read_pins(lock: Lock) -> tuple[Pin, ...]:
    """Return what the lock names, in its order."""
    return pins_in(lock.text)


def pins_in(text: str) -> tuple[Pin, ...]:
    """Return the exact versions in the text of a pip requirements file, with their hashes."""
    return tuple(
        Pin(canonicalize_name(found["name"]), found["version"], tuple(_HASH.findall(found["rest"])))
        for found in _ENTRY.finditer(text)
    )


def text_of(pins: Iterable[Pin]) -> str:
    """Return the text of a lock: a pip requirements file sorted by name, as uv writes it."""
    return "".join(
        " \\\n    ".join([f"{each.name}=={each.version}", *(f"--hash={digest}" for digest in sorted(each.hashes))])
        + "\n"
        for each in sorted(pins, key=lambda pin: pin.name)
    )
