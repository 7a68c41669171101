"""The user's edits of a project, put together with what a new conversion changes in the same files."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelwright.store.blobs import digest_of

# The texts of the last conversion; without them nobody can say which lines are the user's.
BASE_FILE = ".wright-base.json"
_FORMAT_VERSION = 1

Change = tuple[int, int, list[str]]


def base_text(files: Mapping[str, str]) -> str:
    """Return the content of the file that keeps a conversion's texts."""
    return json.dumps({"format_version": _FORMAT_VERSION, "files": dict(files)}, indent=1) + "\n"


def mergeable(folder: Path, generated: Mapping[str, str]) -> dict[str, str]:
    """Return the texts, by path, of the last conversion that are known to be those whose digests are `generated`."""
    path = folder / BASE_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = content["files"] if content["format_version"] == _FORMAT_VERSION else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: text for name, text in files.items() if _digest(text) == generated.get(name)}


def edited(folder: Path, files: Sequence[str], generated: Mapping[str, str]) -> list[str]:
    """Return those of `files` that are in the folder, but not as the last conversion wrote them."""
    return [each for each in files if (folder / each).is_file() and generated.get(each) != digest_of(folder / each)]


def merge(base: str, mine: str, new: str) -> str | None:
    """Return `base` with the changes of both `mine` and `new`; None when both change the same lines differently."""
    lines = base.splitlines(keepends=True)
    sides = (_changes(lines, mine), _changes(lines, new))
    merged: list[str] = []
    place = 0
    for start, end in _regions(sides):
        merged += lines[place:start]
        one, other = (_applied(lines, start, end, changes) for changes in sides)
        kept = lines[start:end]
        if one not in (kept, other) and other != kept:
            return None
        merged += other if one == kept else one
        place = end
    return "".join([*merged, *lines[place:]])


def _digest(text: str) -> str:
    from blake3 import blake3

    return blake3(text.encode()).hexdigest()


def _changes(base: Sequence[str], text: str) -> list[Change]:
    other = text.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, base, other, autojunk=False)
    return [(a, b, other[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]


def _regions(sides: Sequence[Sequence[Change]]) -> list[tuple[int, int]]:
    """Return the ranges of lines that change; changes that touch each other are in one."""
    regions: list[tuple[int, int]] = []
    for start, end in sorted((start, end) for changes in sides for start, end, _ in changes):
        if regions and start <= regions[-1][1]:
            regions[-1] = (regions[-1][0], max(end, regions[-1][1]))
        else:
            regions.append((start, end))
    return regions


def _applied(base: Sequence[str], start: int, end: int, changes: Sequence[Change]) -> list[str]:
    """Return the lines from `start` to `end` with those of the changes that lie there."""
    result: list[str] = []
    place = start
    for first, last, lines in changes:
        if start <= first and last <= end:
            result += [*base[place:first], *lines]
            place = last
    return [*result, *base[place:end]]
