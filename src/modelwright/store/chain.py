"""The chain of audit records: each carries a digest of itself and of the digest before it.

So whoever changes, removes or inserts a record would have to write every later digest anew, the last one included,
which anybody may have noted.
"""

import json
from typing import NamedTuple

FIRST = "0" * 64  # what stands for the digest before the first record


class Written(NamedTuple):
    """An audit record as it is written: the time as ISO 8601 text, `before` and `after` as JSON text."""

    sequence: int
    at: str
    actor: str
    action: str
    subject: str
    why: str
    before: str
    after: str


def digest_after(previous: str, written: Written) -> str:
    """Return the digest of a record that follows the one with the digest `previous`, 64 hexadecimal digits."""
    from blake3 import blake3

    return blake3(json.dumps([previous, *written]).encode()).hexdigest()
