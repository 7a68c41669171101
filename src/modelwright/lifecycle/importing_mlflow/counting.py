"""Counts what was found and what is here, read back, kind by kind; and names whatever is not the same."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from modelwright.lifecycle.importing_mlflow.found import Unreadable

# In the order in which they are told.
KINDS = (
    "experiments",
    "experiment tags",
    "runs",
    "parameters",
    "metric points",
    "tags",
    "inputs",
    "outputs",
    "run files",
    "logged models",
    "logged model parameters",
    "logged model tags",
    "logged model metrics",
    "logged model files",
    "registered models",
    "registered model tags",
    "versions",
    "version tags",
    "aliases",
)
_MOST_NAMED = 3
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Lack:
    """Something that was found and is not here as it was there, and why."""

    kind: str
    what: str
    why: str


@dataclass(frozen=True)
class Line:
    """How many of a kind were found, how many of them were here before and are now."""

    kind: str
    found: int
    before: int
    here: int


@dataclass
class Tally:
    """What was counted so far. `notes` tell what is otherwise here than there; `left_out` what is never taken over."""

    found: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    here: Counter[str] = field(default_factory=Counter)
    missing: list[Lack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def lines(self) -> list[Line]:
        """Return the counts of each kind that was found."""
        return [Line(each, self.found[each], self.before[each], self.here[each]) for each in KINDS if self.found[each]]

    def count(
        self,
        kind: str,
        owner: str,
        *,
        wanted: Collection[Hashable],
        before: Collection[Hashable],
        here: Collection[Hashable] | None,
    ) -> None:
        """Count what is `wanted` of a kind, `before` it was written and after; None when nothing was to be written.

        What of it is not here is named, unless it was said already why.
        """
        asked = set(wanted)
        self.found[kind] += len(asked)
        self.before[kind] += len(asked & set(before))
        if here is None:
            return
        lacking = asked - set(here)
        self.here[kind] += len(asked) - len(lacking)
        for each in sorted(map(str, lacking))[:_MOST_NAMED]:
            self.missing.append(Lack(kind, f"{owner}: {each}", "it is otherwise here"))

    def readable(self, found: Iterable[_Found | Unreadable]) -> Iterator[_Found]:
        """Give what could be read, and count the rest as missing."""
        for each in found:
            if isinstance(each, Unreadable):
                self.lack(each.kind, each.what, each.why)
            else:
                yield each

    def finish(self) -> None:
        """Tell of the runs without a folder of files, of which nobody can say whether they ever had one."""
        if self.absent:
            told = "runs have no folder of files, as those have not that wrote none"
            moved = "if they were moved: --artifacts FOLDER"
            self.notes.append(f'{len(self.absent)} {told}; the first is "{self.absent[0]}", and {moved}')

    def lack(self, kind: str, what: str, why: str) -> None:
        """Count something that was named there and could not be had."""
        self.found[kind] += 1
        self.missing.append(Lack(kind, what, why))
