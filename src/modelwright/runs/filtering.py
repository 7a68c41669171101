"""Reads the language that runs are searched with: `mse < 3000 and (alpha = 0.5 or tags.kind = "ridge")`.

A comparison is a name, one of = != < <= > >= contains, and a number, `true`, `false`, or a text, which needs quotes
only when it is not one word. `metrics.`, `parameters.` and `tags.` before a name say what it is of; without one of them
a name compared with a number is a metric's or a parameter's, one compared with a text a parameter's or a tag's. Names
with spaces or signs stand in double quotes: metrics."loss (test)" < 1. `and` binds closer than `or`.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from modelwright.errors import FilterInvalid
from modelwright.records import AllOf, AnyOf, Condition, Order, Place, Term

ATTRIBUTES = (
    "id", "status", "reason", "kind", "experiment", "project", "parent", "actor", "note", "code", "environment",
    "commit", "branch", "repository", "started", "finished",
)  # fmt: skip
_TIMES = frozenset({"started", "finished"})
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<operator><=|>=|!=|==|=|<|>)
    |(?P<bracket>[()])
    |(?P<word>(?:[\w./@:+\-%]|(?<=\.)"[^"]*")+)
    )""",
    re.VERBOSE,
)
_PLACES = {
    "metrics": Place.METRIC,
    "metric": Place.METRIC,
    "parameters": Place.PARAMETER,
    "parameter": Place.PARAMETER,
    "params": Place.PARAMETER,
    "tags": Place.TAG,
    "tag": Place.TAG,
    "attributes": Place.ATTRIBUTE,
}


def read_filter(text: str) -> Condition:
    """Return the condition that a filter says. Raises FilterInvalid, with the place where it stops making sense."""
    return _Reader(text).whole()


def read_order(text: str) -> Order:
    """Return what `--order` says: a name, with `-` before it for the largest first."""
    is_descending = text.startswith("-")
    place, name = _place(text.removeprefix("-"))
    if place is Place.ANY:
        place = Place.ATTRIBUTE if name in ATTRIBUTES else Place.METRIC
    if not name or place is Place.TAG:
        raise FilterInvalid(text=text, position=1, reason="runs are ordered by a metric, a parameter or an attribute")
    return Order(place, name, is_descending)


@dataclass
class _Reader:
    text: str
    position: int = 0

    def whole(self) -> Condition:
        found = self._alternatives()
        if self._kind():
            raise self._invalid(self.position, '"and" or "or" comes between two comparisons')
        return found

    def _alternatives(self) -> Condition:
        parts = [self._conjunction()]
        while self._takes_word("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _conjunction(self) -> Condition:
        parts = [self._part()]
        while self._takes_word("and"):
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _part(self) -> Condition:
        if self._peek() == ("bracket", "("):
            self._take()
            found = self._alternatives()
            if self._peek() != ("bracket", ")"):
                raise self._invalid(self.position, 'a ")" is missing')
            self._take()
            return found
        return self._comparison()

    def _comparison(self) -> Term:
        kind, name = self._peek()
        if kind not in {"word", "text"}:
            raise self._invalid(self.position, "the name of a metric, parameter, tag or attribute comes here")
        place, name = _place(name) if kind == "word" else (Place.ANY, _unquoted(name))
        if place is Place.ATTRIBUTE and name not in ATTRIBUTES:
            raise self._invalid(self.position, f'"{name}" is no attribute; there are {", ".join(ATTRIBUTES)}')
        self._take()
        kind, operator = self._peek()
        if kind != "operator" and operator != "contains":
            raise self._invalid(self.position, "one of = != < <= > >= contains comes here")
        self._take()
        if self._kind() not in {"word", "text"}:
            raise self._invalid(self.position, "a number or a text comes here")
        if place is Place.ANY and name in ATTRIBUTES:
            place = Place.ATTRIBUTE
        value = self._value(place, name)
        self._take()
        return Term(place, name, "=" if operator == "==" else operator, value)

    def _value(self, place: Place, name: str) -> float | str | bool:
        kind, text = self._peek()
        if place is Place.ATTRIBUTE:
            text = _unquoted(text)
            if name in _TIMES:
                try:
                    return datetime.fromisoformat(text).astimezone().isoformat()
                except ValueError as error:
                    raise self._invalid(self.position, "a time looks like 2025-01-31 or 2025-01-31T08:00") from error
            return text
        if kind == "text":
            if place is Place.METRIC:
                raise self._invalid(self.position, f'"{name}" is a metric and compared with a number')
            return _unquoted(text)
        if text in {"true", "false"}:
            return text == "true"
        try:
            return float(text)
        except ValueError as error:
            if place is Place.METRIC:
                raise self._invalid(self.position, f'"{name}" is a metric and compared with a number') from error
            return text

    def _peek(self) -> tuple[str, str]:
        found = _TOKEN.match(self.text, self.position)
        if found is None:
            if self.text[self.position :].strip():
                raise self._invalid(self.position, "this sign means nothing here")
            return "", ""
        return str(found.lastgroup), found[str(found.lastgroup)]

    def _kind(self) -> str:
        return self._peek()[0]

    def _take(self) -> None:
        found = _TOKEN.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _takes_word(self, word: str) -> bool:
        kind, text = self._peek()
        if kind != "word" or text.lower() != word:
            return False
        self._take()
        return True

    def _invalid(self, position: int, reason: str) -> FilterInvalid:
        rest = self.text[position:]
        place = position + len(rest) - len(rest.lstrip())
        return FilterInvalid(text=self.text, position=place + 1, reason=reason)


def _place(word: str) -> tuple[Place, str]:
    before, point, name = word.partition(".")
    if point and before in _PLACES:
        return _PLACES[before], name.strip('"')
    return Place.ANY, word


def _unquoted(text: str) -> str:
    if text[:1] in {'"', "'"}:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
