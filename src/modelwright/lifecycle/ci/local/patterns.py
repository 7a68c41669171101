"""Patterns of paths and branches, as the systems write them: `*` stays in a folder, `**` goes below it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from modelwright.lifecycle.ci.local.workflow import Situation


def matches(path: str, pattern: str) -> bool:
    """Whether a path answers to a pattern."""
    return bool(_expression(pattern).fullmatch(path))


def any_matches(paths: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether one of the paths answers to the patterns; one that begins with `!` takes back what came before it."""
    return any(_is_wanted(path, patterns) for path in paths)


def why_none(situation: Situation, *, branches: Sequence[str], paths: Sequence[str]) -> str:
    """Return why what happened is not wanted; nothing when it is. No patterns are all branches, or all paths."""
    if branches and not any_matches([situation.branch], branches):
        return f'the branch is "{situation.branch}", not {", ".join(branches)}'
    if paths and not any_matches(situation.changed, paths):
        return f"nothing has changed of {', '.join(paths)}"
    return ""


def _is_wanted(path: str, patterns: Sequence[str]) -> bool:
    is_wanted = False
    for pattern in patterns:
        if matches(path, pattern.removeprefix("!")):
            is_wanted = not pattern.startswith("!")
    return is_wanted


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    pieces = re.split(r"(\*\*/|\*\*|\*)", pattern)
    return re.compile("".join(meaning.get(each, re.escape(each)) for each in pieces), re.DOTALL)
