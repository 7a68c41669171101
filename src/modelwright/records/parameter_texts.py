"""Parameters as the texts that MLflow's clients know, and as what the texts say, which our searches compare."""

import json
import math

_WORDS = {"True": True, "False": False, "None": None}
# Beyond it a float has no whole number of its own.
_LARGEST = 1 << 53


def text_of(value: object) -> str:
    """Return a parameter as a text: what `value_of` made of a text becomes that text again."""
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def value_of(text: str) -> object:
    """Return what a text says, where `text_of` makes the same text of it; otherwise the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        if str(found) == text and _is_kept(found):
            return found
    return text


def _is_kept(number: float) -> bool:
    """Whether the database, in which 5.0 is 5, gives the number back as it was."""
    if isinstance(number, int):
        return abs(number) < _LARGEST
    return math.isfinite(number) and number != round(number)
