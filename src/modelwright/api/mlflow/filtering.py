"""Reads the language that MLflow's clients search with: `metrics.loss < 0.1 and tags.kind = 'a' and params.x IS NULL`.

A comparison is a name, an operator and a number, a text in quotes, or a list of texts. Comparisons are joined by AND
alone. Names with other signs than letters stand in backticks or double quotes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modelwright.errors import ClientFilterInvalid
from modelwright.records import Criterion, Order, Place

_NUMERIC = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXTUAL = frozenset({"=", "!=", "LIKE", "ILIKE"})
_LISTS = frozenset({"IN", "NOT IN"})
_PRESENCE = frozenset({"IS NULL", "IS NOT NULL"})
_PLACES = {
    Place.METRIC: ("metric", "metrics"),
    Place.PARAMETER: ("parameter", "parameters", "param", "params"),
    Place.TAG: ("tag", "tags"),
    Place.ATTRIBUTE: ("attribute", "attributes", "attr", "run"),
    Place.DATASET: ("dataset", "datasets"),
}
_PLACE_OF = {word: place for place, words in _PLACES.items() for word in words}
_DATASET = frozenset({"name", "digest", "context"})
_QUOTED = r"`[^`]*`|\"[^\"]*\""
_NAME = re.compile(rf"\s*(?:(?P<place>\w+|`\w+`)\.)?(?P<name>{_QUOTED}|[\w./\-]+)")
_OPERATOR = re.compile(r"\s*(<=|>=|!=|=|<|>|NOT\s+IN\b|I?LIKE\b|IN\b|IS\s+NOT\s+NULL\b|IS\s+NULL\b)", re.IGNORECASE)
_TEXT = r"'(?:[^']|'')*'|\"[^\"]*\""
_VALUE = re.compile(rf"\s*(?:(?P<text>{_TEXT})|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))")
_LIST = re.compile(rf"\s*\(\s*((?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*)?\s*,?\s*\)")
_AND = re.compile(r"\s+AND\b|\s*$", re.IGNORECASE)
# What a statement of the database can hold, with room for the rest of it.
_MOST_TERMS = 300
_MOST_LISTED = 10_000
_MOST_TOLD = 1000
_WAY = re.compile(r"\s+(asc|desc)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Language:
    """What can be asked of one kind of thing.

    `attributes` leads from the names that clients use to ours. Those in `times` are compared with milliseconds since
    1970, those in `numbers` with numbers, those in `lists` with several texts too.
    """

    places: frozenset[Place]
    attributes: Mapping[str, str]
    times: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    has_presence: bool = False


def read_filter(text: str | None, language: Language) -> list[Criterion]:
    """Return the comparisons of a filter, all of which are to hold. Raises ClientFilterInvalid."""
    return _Reader(text, language).terms() if text and text.strip() else []


def read_order(text: str, language: Language) -> Order:
    """Return what `name ASC` or `name DESC` says. Raises ClientFilterInvalid."""
    way = _WAY.search(text)
    name = text[: way.start()] if way else text
    reader = _Reader(name, language)
    place, found = reader.name()
    if name[reader.position :].strip() or place is Place.DATASET:
        raise reader.error(reader.position, "it is a name, with ASC or DESC after it or nothing")
    return Order(place, found, is_descending=bool(way) and way[1].lower() == "desc" if way else False)


@dataclass
class _Reader:
    text: str
    language: Language
    position: int = 0
    listed: int = 0

    def terms(self) -> list[Criterion]:
        found = [self._term()]
        while self.text[self.position :].strip():
            self._match(_AND, "AND comes between two comparisons")
            found.append(self._term())
            if len(found) > _MOST_TERMS:
                raise self.error(self.position, f"there may be {_MOST_TERMS} comparisons")
        return found

    def name(self) -> tuple[Place, str]:
        """Take a name; return of what it is, and which of ours it is."""
        found = self._match(_NAME, "the name of what is compared comes here")
        word, name = (found["place"] or "attributes").strip("`"), found["name"]
        name = name[1:-1] if name[0] in '`"' else name
        place = _PLACE_OF.get(word)
        if place is None or place not in self.language.places:
            kinds = ", ".join(sorted(each.value for each in self.language.places))
            raise self.error(self.position, f'"{word}" is none of {kinds}')
        if place is Place.ATTRIBUTE:
            if name not in self.language.attributes:
                raise self.error(
                    self.position, f'"{name}" is no attribute; there are {", ".join(self.language.attributes)}'
                )
            return place, self.language.attributes[name]
        if place is Place.DATASET and name not in _DATASET:
            raise self.error(
                self.position, f'"{name}" is no attribute of a dataset; there are {", ".join(sorted(_DATASET))}'
            )
        return place, name

    def _term(self) -> Criterion:
        place, name = self.name()
        operator = " ".join(self._match(_OPERATOR, "an operator comes here")[1].upper().split())
        is_number = place is Place.METRIC or (
            place is Place.ATTRIBUTE and name in self.language.times | self.language.numbers
        )
        allowed = _NUMERIC if is_number else _TEXTUAL | self._further(place, name)
        if operator not in allowed:
            raise self.error(
                self.position, f"{operator} does not go with {name}; these do: {' '.join(sorted(allowed))}"
            )
        if operator in _PRESENCE:
            return Criterion(place, name, operator, None)
        if operator in _LISTS:
            return Criterion(place, name, operator, tuple(self._list()))
        found = self._match(_VALUE, "a number or a text in quotes comes here")
        if is_number != bool(found["number"]):
            wanted = "a number, without quotes" if is_number else "a text in quotes"
            raise self.error(self.position, f"{name} is compared with {wanted}")
        if not is_number:
            return Criterion(place, name, operator, _unquoted(found["text"]))
        value = float(found["number"])
        return Criterion(place, name, operator, self._moment(value) if name in self.language.times else value)

    def _further(self, place: Place, name: str) -> frozenset[str]:
        """Return the operators that only some texts have."""
        if place is Place.DATASET or (place is Place.ATTRIBUTE and name in self.language.lists):
            return _LISTS
        is_there = self.language.has_presence and place in {Place.TAG, Place.PARAMETER}
        return _PRESENCE if is_there else frozenset()

    def _list(self) -> list[str]:
        found = self._match(_LIST, "a list of texts in quotes comes here: ('a', 'b')")
        if not found[1]:
            raise self.error(self.position, "the list has at least one text")
        texts = [_unquoted(each) for each in re.findall(_TEXT, found[1])]
        self.listed += len(texts)
        if self.listed > _MOST_LISTED:
            raise self.error(self.position, f"there may be {_MOST_LISTED} texts in lists")
        return texts

    def _moment(self, milliseconds: float) -> str:
        try:
            return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="microseconds")
        except (OverflowError, ValueError, OSError):
            raise self.error(self.position, "a time is a number of milliseconds since 1970") from None

    def _match(self, pattern: re.Pattern[str], reason: str) -> re.Match[str]:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise self.error(self.position, reason)
        self.position = found.end()
        return found

    def error(self, position: int, reason: str) -> ClientFilterInvalid:
        """Return the error that the text makes no sense from there on."""
        text = self.text if len(self.text) <= _MOST_TOLD else f"{self.text[:_MOST_TOLD]}…"
        return ClientFilterInvalid(text=text, position=position + 1, reason=reason)


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
