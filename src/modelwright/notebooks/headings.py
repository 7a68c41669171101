"""Headings of a notebook's text: where in its outline a cell stands."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^\s{0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"^\s{0,3}(?P<marks>#{1,6})\s*(?P<text>[^#\s].*?)\s*#*\s*$")
_HTML = re.compile(r"<h(?P<level>[1-6])\b[^>]*>(?P<text>.*?)</h(?P=level)>", re.IGNORECASE | re.DOTALL)
_UNDERLINE = re.compile(r"^\s{0,3}(?P<mark>[=\-~^*+\"'`])(?P=mark){2,}\s*$")
_TAG = re.compile(r"<[^>]+>")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(\*\*|__|`)(.+?)\1|(?<!\w)[*_](\S(?:.*?\S)?)[*_](?!\w)")
# Markdown knows two underlines; reStructuredText any, in the order of their use, for which this is the custom.
_UNDERLINE_LEVELS = {"=": 1, "-": 2, "~": 3, "^": 4}


@dataclass(frozen=True)
class Heading:
    """A heading without its marks; level 1 is the outermost."""

    level: int
    text: str


def headings(text: str) -> list[Heading]:
    """Return the headings of a Markdown text, those written as HTML or underlined too; code blocks have none."""
    found: list[Heading] = []
    lines, fence = _HTML.sub(_as_markdown, text).splitlines(), ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
            continue
        if fence:
            continue
        above = lines[number - 1].strip() if number else ""
        atx, underline = _ATX.match(line), _UNDERLINE.match(line)
        if atx:
            found.append(Heading(len(atx["marks"]), _plain(atx["text"])))
        elif underline and above and not _ATX.match(above) and not _is_list_or_table(above):
            found.append(Heading(_UNDERLINE_LEVELS.get(underline["mark"], 4), _plain(above)))
    return [each for each in found if each.text]


def outline(before: tuple[Heading, ...], text: str) -> tuple[Heading, ...]:
    """Return the headings that what follows `text` lies under, the outermost first, when it lay under `before`."""
    path = before
    for heading in headings(text):
        path = (*(each for each in path if each.level < heading.level), heading)
    return path


def _as_markdown(match: re.Match[str]) -> str:
    return f"\n{'#' * int(match['level'])} {' '.join(match['text'].split())}\n"


def _is_list_or_table(line: str) -> bool:
    return line.startswith(("|", "- ", "* ", "+ ", ">")) or set(line) <= set("=-~^*+ |")


def _plain(text: str) -> str:
    """Return a heading's words without marks of emphasis, links and tags."""
    words = _LINK.sub(r"\1", _TAG.sub("", text))
    words = _EMPHASIS.sub(lambda match: match[2] or match[3] or "", words)
    return " ".join(words.split()).rstrip(":").strip()
