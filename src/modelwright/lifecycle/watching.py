"""New data at a path: which files came or changed since the last look, and are whole.

A file counts once two looks, some seconds apart, have found it with the same size and time of change: what is still
being written is left for later. What makes it new is its content; a touched file is not new.
"""

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from modelwright.store.blobs import digest_of

SETTLED = timedelta(seconds=5)


@dataclass(frozen=True)
class Look:
    """What a look found: the files that are new, and what to know at the next look."""

    new: tuple[str, ...]
    state: dict[str, Any]


def files(pattern: str) -> list[Path]:
    """Return the files that `pattern` means, hidden ones apart: of a glob, below a folder, or the one file."""
    path = Path(pattern)
    if path.is_dir():
        found = [
            each for each in path.rglob("*") if not any(part.startswith(".") for part in each.relative_to(path).parts)
        ]
    else:
        found = [Path(each) for each in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - it takes an absolute pattern
    return sorted(each for each in found if each.is_file())


def begin(pattern: str) -> dict[str, Any]:
    """Return the state in which everything that is there is known."""
    seen = {}
    for path in files(pattern):
        stamp = _stamp(path)
        if stamp:
            seen[str(path)] = [*stamp, digest_of(path)]
    return {"seen": seen, "pending": {}}


def look(pattern: str, state: Mapping[str, Any], *, now: datetime) -> Look:
    """Return the files that are new and whole since `state`."""
    seen: dict[str, list[Any]] = {}
    pending: dict[str, list[Any]] = {}
    new = []
    for path in files(pattern):
        name, stamp = str(path), _stamp(path)
        if stamp is None:
            continue
        known = state["seen"].get(name)
        if known and known[:2] == stamp:
            seen[name] = known
            continue
        waiting = state["pending"].get(name)
        is_settled = waiting is not None and waiting[:2] == stamp and _is_settled(waiting, now)
        digest = digest_of(path) if is_settled else ""
        if not is_settled or _stamp(path) != stamp:
            pending[name] = waiting if waiting and waiting[:2] == stamp else [*stamp, now.isoformat()]
            seen |= {name: known} if known else {}
            continue
        seen[name] = [*stamp, digest]
        if known is None or known[2] != digest:
            new.append(name)
    return Look(tuple(new), {"seen": seen, "pending": pending})


def _is_settled(waiting: list[Any], now: datetime) -> bool:
    return now - datetime.fromisoformat(waiting[2]) >= SETTLED


def _stamp(path: Path) -> list[int] | None:
    """Return the file's size and time of change; None when it is gone by now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
