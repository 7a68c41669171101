"""The chain of audit records: each carries a digest of itself and of the digest before it.

So whoever changes, removes or inserts a record would have to write every later digest anew, the last one included,
which anybody may have noted. As a file it is JSON lines: what it is, the records, how many they are.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from blake3 import blake3

FIRST = "0" * 64  # what stands for the digest before the first record
HEADER = {"format": "modelwright-audit", "version": 1}

_JSON = ("before", "after", "undo")
_ENCODER = json.JSONEncoder(default=repr)  # for what is no text only because somebody changed it


class Written(NamedTuple):
    """An audit record as it is written: the time as ISO 8601 text; `before`, `after` and `undo` as JSON text.

    `undo` is None in records from before there was any.
    """

    sequence: int
    at: str
    actor: str
    action: str
    subject: str
    why: str
    before: str
    after: str
    undo: str | None


class Link(NamedTuple):
    """A record and the digest that it is stored with."""

    written: Written
    digest: str


def digest_after(previous: str, written: Written) -> str:
    """Return the digest of a record that follows the one with the digest `previous`, 64 hexadecimal digits."""
    return blake3(_ENCODER.encode([previous, *written]).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """What a walk along the chain found: how many records follow from each other, and the last one's digest.

    `fault` says what is wrong with the first record that does not fit, and `broken_at` which one that is.
    """

    count: int
    head: str
    fault: str = ""
    broken_at: int | None = None

    def broken(self, sequence: int, fault: str) -> "Found":
        """Return the same with a fault."""
        return replace(self, fault=fault, broken_at=sequence)


class Walk:
    """A walk along the chain, a record at a time."""

    def __init__(self, head: str | None = None) -> None:
        """Take the digest that is to be met on the way."""
        self.count = 0
        self._digest = FIRST
        self._awaited = head
        self._fault, self._broken_at = "", 0

    def take(self, link: Link) -> str:
        """Take the next record; return what is wrong with it, nothing when it fits."""
        sequence = link.written.sequence
        if sequence != self.count + 1:
            self._broken_at = self.count + 1
            is_gap = isinstance(sequence, int) and sequence > self._broken_at
            missing = f"{numbers(self._broken_at, sequence - 1)} removed" if is_gap else ""
            self._fault = missing or f"record {self._broken_at} is numbered {sequence!r}"
        elif digest_after(self._digest, link.written) != link.digest:
            self._broken_at = sequence
            self._fault = (
                f"record {sequence} is not what was written after record {self.count}: its digest is "
                f"{link.digest!s:.12}, its content gives {digest_after(self._digest, link.written):.12}"
            )
        else:
            self.count, self._digest = sequence, link.digest
            if link.digest == self._awaited:
                self._awaited = None
        return self._fault

    def found(self) -> Found:
        """Return what was found so far."""
        found = Found(self.count, self._digest)
        if self._fault:
            return found.broken(self._broken_at, self._fault)
        if self._awaited not in {None, FIRST}:
            lacks = f"no record has the digest {self._awaited:.12}: what it stood for was cut off or written anew"
            return found.broken(self.count + 1, lacks)
        return found


def walk(
    links: Iterable[Link], *, head: str | None = None, on_record: Callable[[int], None] = lambda _count: None
) -> Found:
    """Walk along the chain to its end, or to the first record that does not fit, and return what was found."""
    walking = Walk(head)
    for link in links:
        if walking.take(link):
            break
        on_record(walking.count)
    return walking.found()


def numbers(first: int, last: int) -> str:
    """Return how records are called that something happened to, with the verb."""
    return f"record {first} was" if first == last else f"records {first} to {last} were"


def told(link: Link) -> dict[str, Any]:
    """Return a record as it stands in a file."""
    facts = link.written._asdict()
    read = {name: None if facts[name] is None else json.loads(facts[name]) for name in _JSON}
    return {**facts, **read, "digest": link.digest}


def trailer(found: Found) -> dict[str, object]:
    """Return what ends a file."""
    return {"records": found.count, "head": found.head}


def line(facts: dict[str, Any]) -> bytes:
    """Return the one way in which facts are written as a line."""
    return json.dumps(facts).encode() + b"\n"


def check_file(
    lines: Iterable[bytes], *, head: str | None = None, on_record: Callable[[int], None] = lambda _count: None
) -> Found:
    """Walk along the chain in a file, every byte of it, and return what was found."""
    walking = Walk(head)
    number, is_whole = 0, False
    for number, text in enumerate(lines, 1):
        facts = _read(text)
        if facts is None or is_whole or (number == 1) != (text == line(HEADER)):
            return _spoilt(walking, number)
        if "records" in facts:
            is_whole = text == line(trailer(walking.found()))
            if not is_whole:
                return _spoilt(walking, number)
        elif number > 1:
            link = _link(facts)
            if link is None:
                return _spoilt(walking, number)
            if walking.take(link):
                return walking.found()
            on_record(walking.count)
    return walking.found() if is_whole else _spoilt(walking, number + 1)


def _spoilt(walking: Walk, number: int) -> Found:
    fault = f"line {number} of the file is not as it was written"
    return walking.found().broken(walking.count + 1, fault)


def _read(text: bytes) -> dict[str, Any] | None:
    """Return what a line says, when it says that in the one way in which it is written."""
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) and line(facts) == text else None


def _link(facts: dict[str, Any]) -> Link | None:
    """Return the record that a line holds; None when it is none."""
    try:
        digest, undo = facts.pop("digest"), facts["undo"]
        texts = {"before": json.dumps(facts["before"]), "after": json.dumps(facts["after"])}
        return Link(Written(**facts | texts | {"undo": None if undo is None else json.dumps(undo)}), digest)
    except (KeyError, TypeError):
        return None
