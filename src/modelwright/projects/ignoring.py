"""Which files of a folder count: ignore files in the syntax of git. Source: git's manual, gitignore(5)."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

OWN_FILE = ".wrightignore"
GIT_FILE = ".gitignore"


@dataclass(frozen=True)
class Rule:
    """One line of an ignore file; `pattern` is matched with a path relative to that file's folder."""

    pattern: re.Pattern[str]
    is_kept: bool
    is_for_folders: bool


@dataclass(frozen=True)
class Rules:
    """The lines of one ignore file. What they say of a path is remembered: a folder is looked at again and again."""

    rules: tuple[Rule, ...]
    _decided: dict[tuple[str, bool], bool | None] = field(default_factory=dict, compare=False)

    def ignores(self, path: str, *, is_folder: bool) -> bool | None:
        """Return whether the last line that matches `path` leaves it out; None when no line matches."""
        key = (path, is_folder)
        if key not in self._decided:
            self._decided[key] = self._decide(path, is_folder=is_folder)
        return self._decided[key]

    def _decide(self, path: str, *, is_folder: bool) -> bool | None:
        for rule in reversed(self.rules):
            if (is_folder or not rule.is_for_folders) and rule.pattern.fullmatch(path):
                return not rule.is_kept
        return None


def parse(text: str) -> Rules:
    """Return the rules in the text of an ignore file."""
    return Rules(tuple(rule for rule in map(_rule, text.splitlines()) if rule))


def read(path: Path) -> Rules | None:
    """Return the rules of the ignore file at `path`, read again only after it changed; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _read(path, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=256)
def _read(path: Path, *_stat: int) -> Rules:
    return parse(path.read_text(encoding="utf-8", errors="surrogateescape"))


def _rule(line: str) -> Rule | None:
    line = re.sub(r"(?<!\\)\s+$", "", line)
    if not line or line.startswith("#"):
        return None
    is_kept = line.startswith("!")
    line = line.removeprefix("!")
    is_for_folders = line.endswith("/")
    line = line.rstrip("/") if is_for_folders else line
    if not line:
        return None
    is_anchored = "/" in line
    body = _expression(line.removeprefix("/"))
    return Rule(re.compile(body if is_anchored else f"(?:.*/)?{body}", re.DOTALL), is_kept, is_for_folders)


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern: `*` and `?` stop at a slash, `**` between slashes does not."""
    parts, index = [], 0
    while index < len(pattern):
        rest = pattern[index:]
        if rest.startswith("**/") and (index == 0 or pattern[index - 1] == "/"):
            parts.append("(?:.*/)?")
            index += 3
        elif rest == "**" and index and pattern[index - 1] == "/":
            parts.append(".+")
            index += 2
        elif rest[0] == "*":
            parts.append("[^/]*")
            index += 1
        elif rest[0] == "?":
            parts.append("[^/]")
            index += 1
        elif bracket := re.match(r"\[([!^]?)(\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]", rest):
            parts.append(_bracket(bracket[1], bracket[2]))
            index += bracket.end()
        else:
            is_escaped = rest[0] == "\\" and len(rest) > 1
            parts.append(re.escape(rest[1] if is_escaped else rest[0]))
            index += 2 if is_escaped else 1
    return "".join(parts)


_CLASSES = {"alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\s"}


def _bracket(negation: str, members: str) -> str:
    members = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], ""), members)
    escaped = re.sub(r"([\[\]&~|^])", r"\\\1", members)
    return f"(?!/)[{'^' if negation else ''}{escaped}]"
