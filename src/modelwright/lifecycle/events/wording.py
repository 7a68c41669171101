"""What others say, made fit to be kept and shown: in one line, without control characters, and not too long."""

_MOST_CHARACTERS = 200


def in_a_line(text: str, *, most: int = _MOST_CHARACTERS) -> str:
    """Return the words of a text; of more than `most` characters the beginning."""
    words = _words(text)
    return words if len(words) <= most else f"{words[:most]}…"


def end_in_a_line(text: str, *, most: int = _MOST_CHARACTERS) -> str:
    """Return the words of a text; of more than `most` characters the end."""
    words = _words(text)
    return words if len(words) <= most else f"…{words[-most:]}"


def _words(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
