"""What a client asks for: who it is, and the values that it gives, each checked as it is taken."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelwright.errors import ValueRefused
from modelwright.lifecycle.sessions import Session
from modelwright.store.database import Store

_LONGEST_KEY = 250
_KEY = re.compile(r"[/\w.\- :]+")
LARGEST_WHOLE = (1 << 63) - 1
_MOST_PER_PAGE = 50_000
# What a statement of the database can hold, with room for the rest of it.
MOST_SEARCHED = 10_000
MOST_ORDERS = 100


@dataclass(frozen=True)
class Call:
    """One request: in whose name it comes, and what it gives, from its JSON body, its query or its path."""

    session: Session
    given: Mapping[str, Any]

    @property
    def store(self) -> Store:
        """The store of the workspace."""
        return self.session.store

    @property
    def run_id(self) -> str:
        """The run that the call is about, which clients name in two fields."""
        return self.text("run_id") if self.given.get("run_id") else self.text("run_uuid", told="run_id")

    def text(self, name: str, *, longest: int = 0, told: str = "") -> str:
        """Return a text that must be there, of at most `longest` characters. Raises ValueRefused."""
        found = self.optional(name, longest=longest)
        if not found:
            raise ValueRefused(name=told or name, rule="it is required")
        return found

    def optional(self, name: str, *, longest: int = 0) -> str | None:
        """Return a text, None when it is not given. Raises ValueRefused."""
        return checked_text(name, self.given.get(name), longest=longest)

    def whole(self, name: str, default: int | None = None) -> int:
        """Return a whole number, `default` when it is not given. Raises ValueRefused."""
        return whole(name, self.given.get(name, default))

    def page_size(self, *, default: int, most: int = _MOST_PER_PAGE) -> int:
        """Return how many things the answer may have at most. Raises ValueRefused."""
        found = self.whole("max_results", default)
        if not 1 <= found <= most:
            raise ValueRefused(name="max_results", rule=f"it is a number from 1 to {most}, not {found}")
        return found

    def moment(self, name: str) -> datetime | None:
        """Return a time that is given in milliseconds since 1970. Raises ValueRefused."""
        return moment(name, self.given[name]) if self.given.get(name) else None

    def texts(self, name: str, *, most: int = 0) -> list[str]:
        """Return texts, of which there may be none, and at most `most`. Raises ValueRefused."""
        found = self.given.get(name) or []
        if isinstance(found, str):  # of a query that names it once
            return [found]
        return [checked_text(name, each) or "" for each in items(name, found, most=most)]

    def entries(self, name: str, *, most: int = 0) -> list[Mapping[str, Any]]:
        """Return objects, of which there may be none, and at most `most`. Raises ValueRefused."""
        return objects(name, self.given.get(name) or [], most=most)

    def key(self, name: str = "key") -> str:
        """Return the name of a metric, a parameter or a tag. Raises ValueRefused."""
        return checked_key(name, self.given.get(name))

    def labels(self, name: str, *, longest: int = 0, most: int = 0) -> dict[str, str]:
        """Return names and texts from a list of keys and values. Raises ValueRefused."""
        return labels(name, self.entries(name, most=most), longest=longest)


def checked_text(name: str, value: object, *, longest: int = 0) -> str | None:
    """Return a text of at most `longest` characters, None when there is none. Raises ValueRefused."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueRefused(name=name, rule=f"it is a text, not {type(value).__name__}")
    if longest and len(value) > longest:
        raise ValueRefused(name=name, rule=f"it has at most {longest} characters, not {len(value)}")
    return value


def checked_key(name: str, value: object) -> str:
    """Return the name of a metric, a parameter or a tag, of which some are drawn as folders. Raises ValueRefused."""
    found = checked_text(name, value, longest=_LONGEST_KEY)
    if not found:
        raise ValueRefused(name=name, rule="it is required")
    if not _KEY.fullmatch(found):
        raise ValueRefused(name=name, rule=f'it has letters, digits, and any of _ - . : / and spaces, not "{found}"')
    if not {"/", "."}.isdisjoint(found) and (
        posixpath.normpath(found) != found or found == "." or found.startswith(("..", "/"))
    ):
        raise ValueRefused(name=name, rule=f'it names no folder above or below nothing, as "{found}" does')
    return found


def number(name: str, value: object) -> float:
    """Return a number, which is a text when it is none, such as "NaN". Raises ValueRefused."""
    if type(value) is float:  # as nearly all are
        return value
    refused = ValueRefused(name=name, rule="it is a number of 64 bits")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refused
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise refused from None


def whole(name: str, value: object) -> int:
    """Return a whole number, which some clients send as a text. Raises ValueRefused."""
    if type(value) is int and abs(value) <= LARGEST_WHOLE:  # as nearly all are
        return value
    refused = ValueRefused(name=name, rule="it is a whole number of 64 bits")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refused
    try:
        found = int(value)
    except (ValueError, OverflowError):
        raise refused from None
    if (isinstance(value, float) and found != value) or abs(found) > LARGEST_WHOLE:
        raise refused
    return found


def moment(name: str, value: object) -> datetime:
    """Return a time that is given in milliseconds since 1970. Raises ValueRefused."""
    try:
        return datetime.fromtimestamp(whole(name, value) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueRefused(name=name, rule="it is a time in milliseconds since 1970") from None


def items(name: str, value: object, *, most: int = 0) -> Sequence[Any]:
    """Return a list, of at most `most`. Raises ValueRefused."""
    if not isinstance(value, list):
        raise ValueRefused(name=name, rule=f"it is a list, not {type(value).__name__}")
    if most and len(value) > most:
        raise ValueRefused(name=name, rule=f"there may be {most} of them in one request, not {len(value)}")
    return value


def objects(name: str, value: object, *, most: int = 0) -> list[Mapping[str, Any]]:
    """Return a list of objects, of at most `most`. Raises ValueRefused."""
    found = list(items(name, value, most=most))
    for each in found:
        if not isinstance(each, dict):
            raise ValueRefused(name=name, rule=f"it is a list of objects, not of {type(each).__name__}")
    return found


def labels(name: str, entries: Sequence[Mapping[str, Any]], *, longest: int = 0) -> dict[str, str]:
    """Return names and texts from keys and values. Raises ValueRefused."""
    return {
        checked_key(f"{name}.key", each.get("key")): checked_text(f"{name}.value", each.get("value"), longest=longest)
        or ""
        for each in entries
    }
