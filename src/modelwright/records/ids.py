"""Ids that sort by time, and the time."""

import os
import time
from datetime import UTC, datetime

_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(prefix: str, *, milliseconds: int | None = None, randomness: bytes | None = None) -> str:
    """Return an id such as `run_01J…`: 48 bits of time and 80 of randomness in Crockford base 32, so ids sort by time.

    Source: the ULID specification, github.com/ulid/spec.
    """
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    value = (stamp << 80) | int.from_bytes(randomness or os.urandom(10), "big")
    digits = "".join(_BASE32[(value >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}"


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
