"""Two runs side by side: what they were given, what ran, with what, on what, and what came out."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwright.environments.locking import pins
from modelwright.records import Artifact, Run
from modelwright.store import environments, runs
from modelwright.store.database import Store

# Longer files are data more often than code, and to compare them line by line takes minutes.
_LONGEST_TEXT_BYTES = 1_000_000


@dataclass(frozen=True)
class Pair:
    """A fact of both runs; None where a run does not have it."""

    name: str
    first: Any
    second: Any

    @property
    def is_equal(self) -> bool:
        """Whether both runs have the same; a NaN is the same as another."""
        are_numbers = isinstance(self.first, float) and isinstance(self.second, float)
        are_nan = are_numbers and math.isnan(self.first) and math.isnan(self.second)
        return are_nan or bool(self.first == self.second)


@dataclass(frozen=True)
class FileChange:
    """A file of the code that is not the same; `difference` is for people to read, empty for what is no text."""

    path: str
    change: str
    difference: str


@dataclass(frozen=True)
class RunComparison:
    """Two runs side by side. Of packages and code only what differs."""

    first: str
    second: str
    facts: tuple[Pair, ...]
    parameters: tuple[Pair, ...]
    metrics: tuple[Pair, ...]
    tags: tuple[Pair, ...]
    datasets: tuple[Pair, ...]
    packages: tuple[Pair, ...]
    code: tuple[FileChange, ...]


def compare_runs(store: Store, first: str, second: str) -> RunComparison:
    """Return two runs side by side. Raises RunMissing."""
    one, other = runs.get_run(store, first), runs.get_run(store, second)
    packages = _pairs(_packages(store, one), _packages(store, other))
    return RunComparison(
        first=one.id,
        second=other.id,
        facts=_pairs(_facts(one), _facts(other)),
        parameters=_pairs(one.parameters, other.parameters),
        metrics=_pairs(one.metrics, other.metrics),
        tags=_pairs(one.tags, other.tags),
        datasets=_pairs(_datasets(one), _datasets(other)),
        packages=tuple(each for each in packages if not each.is_equal),
        code=_code_changes(store, runs.list_code(store, one), runs.list_code(store, other)),
    )


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Pair, ...]:
    return tuple(Pair(name, first.get(name), second.get(name)) for name in dict.fromkeys([*first, *second]))


def _facts(run: Run) -> dict[str, Any]:
    git = run.git
    return {
        "status": f"{run.status} {run.reason}".strip(),
        "kind": str(run.kind),
        "project": run.project,
        "experiment": run.experiment,
        "seed": run.seed,
        "code": run.code_digest,
        "commit": git.commit if git else None,
        "branch": git.branch if git else None,
        "uncommitted changes": git.is_dirty if git else None,
        "environment": run.environment_digest,
        **{f"machine {name}": value for name, value in run.machine.items()},
    }


def _datasets(run: Run) -> dict[str, str]:
    return {each.dataset: f"{each.reference} {each.digest[:12]}" for each in run.datasets}


def _packages(store: Store, run: Run) -> dict[str, str]:
    if not run.environment_digest:
        return {}
    lock = environments.get_environment(store, run.environment_digest)
    return {"Python": lock.python_version, "platform": lock.platform} | pins(lock)


def _code_changes(
    store: Store, first: Mapping[str, Artifact], second: Mapping[str, Artifact]
) -> tuple[FileChange, ...]:
    found = []
    for path in sorted({*first, *second}):
        old, new = first.get(path), second.get(path)
        if old and new and old.digest == new.digest:
            continue
        change = "changed" if old and new else "added" if new else "removed"
        found.append(FileChange(path, change, _difference(path, _lines(store, old), _lines(store, new))))
    return tuple(found)


def _lines(store: Store, file: Artifact | None) -> list[str] | None:
    """Return the lines of a file, none of one that is not there; None when it is no text."""
    if file is None:
        return []
    if file.size_bytes > _LONGEST_TEXT_BYTES:
        return None
    try:
        return store.blobs.path(file.digest).read_text(encoding="utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


def _difference(path: str, old: list[str] | None, new: list[str] | None) -> str:
    if old is None or new is None:
        return ""
    lines = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
