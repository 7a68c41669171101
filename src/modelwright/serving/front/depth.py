"""How deep JSON is nested, without reading it: a body that is nested too deeply never reaches a parser."""

import re
from itertools import accumulate

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS = b"[{]}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")  # one deeper, and as a signed byte one back
# Looking at more would keep everybody waiting. The version's own parser refuses what is left, in its own process.
_MOST_BYTES = 1 << 20


def is_too_deep(body: bytes, most: int) -> bool:
    """Return whether arrays and objects of a JSON text are nested more than `most` deep.

    Only a body with more opening brackets than that is looked at, and all of it in C.
    """
    if body.count(b"[") + body.count(b"{") <= most or len(body) > _MOST_BYTES:
        return False
    if body.lstrip()[:1] not in {b"[", b"{"}:
        return False
    steps = _TEXT.sub(b"", body).translate(_STEPS, delete=_OTHERS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > most
