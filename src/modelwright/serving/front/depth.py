"""How deep JSON is nested, without reading it: a body that is nested too deeply never reaches a parser."""

import re
from itertools import accumulate

# One that has no end goes on to the end of all: looking for another beginning in it would take the square of the time.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")  # one deeper, and as a signed byte one back
# Tables are two or three deep: taking away their innermost brackets at once leaves little to count one by one.
_TAKEN_AT_ONCE = 3
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
    brackets = _TEXT.sub(b"", body).translate(_ALIKE, delete=_OTHERS)
    taken = 0
    while brackets and taken < _TAKEN_AT_ONCE:
        brackets = brackets.replace(b"[]", b"")
        taken += 1
    return taken + max(accumulate(memoryview(brackets.translate(_STEPS)).cast("b")), default=0) > most
