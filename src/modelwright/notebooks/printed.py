"""Texts that a notebook shows beside those that its project prints: found again line by line, numbers compared."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelwright.notebooks.describing import difference

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
# What tells of the clock, of memory or of the screen, and of no result.
_PASSING = (
    re.compile(r"0x[0-9a-fA-F]+"),
    re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"),
    re.compile(r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?"),
    re.compile(r"[\d.]+ ?(?:ns|us|µs|ms|s|sec|secs|seconds|min|minutes)\b(?:/\w+)?"),
)
_FIGURE = re.compile(r"<(?:Figure|Axes|matplotlib|seaborn|AxesSubplot)|^\[<matplotlib|^Text\(|^\(?array\(\[<A")


@dataclass(frozen=True)
class Match:
    """Where a text was found again, and how far its numbers are from the notebook's; infinitely if it was not found."""

    text: str
    difference: float


def numbers(text: str) -> list[float]:
    """Return the numbers of a text, but for those of clocks and addresses."""
    for each in _PASSING:
        text = each.sub(" ", text)
    return [float(each) for each in _NUMBER.findall(text)]


def lines(text: str) -> list[str]:
    """Return the lines that say something, without what plots show of themselves."""
    return [each.strip() for each in text.splitlines() if each.strip() and not _FIGURE.search(each.strip())]


class Printed:
    """What a project printed, looked through from top to bottom."""

    def __init__(self, text: str) -> None:
        """Start at the top of `text`."""
        self._lines = lines(text)
        self._words = [_words(each) for each in self._lines]
        self._next = 0

    def find(self, text: str, *, is_display: bool) -> Match:
        """Return where a text of the notebook comes next; of a displayed value only the numbers count."""
        wanted = lines(text)
        if not wanted or (is_display and not numbers("\n".join(wanted))):
            return Match(text, 0.0)
        return self._displayed(wanted) if is_display else self._said(wanted)

    def _said(self, wanted: Sequence[str]) -> Match:
        words = [_words(each) for each in wanted]
        best = Match("", float("inf"))
        for start in range(self._next, len(self._lines) - len(wanted) + 1):
            if self._words[start : start + len(wanted)] != words:
                continue
            found = self._lines[start : start + len(wanted)]
            apart = difference(numbers("\n".join(wanted)), numbers("\n".join(found)))
            if apart < best.difference or not best.text:
                best = Match("\n".join(found), apart)
                place = start + len(wanted)
            if apart == 0.0:
                break
        if best.text:
            self._next = place
        return best

    def _displayed(self, wanted: Sequence[str]) -> Match:
        values = numbers("\n".join(wanted))
        rest = [(value, at) for at in range(self._next, len(self._lines)) for value in numbers(self._lines[at])]
        best = Match("", float("inf"))
        for start in range(len(rest) - len(values) + 1):
            found = rest[start : start + len(values)]
            apart = difference(values, [value for value, _ in found])
            if apart < best.difference:
                best = Match("\n".join(self._lines[found[0][1] : found[-1][1] + 1]), apart)
                place = found[-1][1] + 1
            if apart == 0.0:
                break
        if best.difference < _NEAR:
            self._next = place
            return best
        return Match(best.text, best.difference)


# Numbers farther apart than this are other numbers, not these after other roundings.
_NEAR = 1e-6


def _words(line: str) -> str:
    for each in _PASSING:
        line = each.sub("@", line)
    return " ".join(_NUMBER.sub("#", line).split())
