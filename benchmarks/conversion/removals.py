"""What a conversion says that it removed, placed in the cells of the notebook."""

from collections.abc import Callable, Sequence
from typing import Any

from observing import Cell

_NUMBERINGS: tuple[Callable[[Cell], int], ...] = (
    lambda cell: cell.code_place,
    lambda cell: cell.place,
    lambda cell: cell.run,
    lambda cell: cell.place - 1,
    lambda cell: cell.code_place - 1,
)


class Removed:
    """The lines that were removed, by cell as run."""

    def __init__(self, cells: Sequence[Cell], removals: Sequence[dict[str, Any]]) -> None:
        """Find out how the removals count cells: as most of their sources are found where they say."""
        self._cells = {each.run: each for each in cells}
        numbering = max(_NUMBERINGS, key=lambda each: _hits(cells, removals, each))
        by_number = {numbering(each): each for each in cells}
        self._lines: dict[int, set[int]] = {}
        self.sources: list[str] = []
        for each in removals:
            cell = by_number.get(int(each.get("cell") or 0))
            source = str(each.get("source", ""))
            self.sources.append(source)
            if cell is not None:
                begin = int(each.get("line") or 1)
                end = max(int(each.get("end_line") or 0), begin + source.count("\n"))
                self._lines.setdefault(cell.run, set()).update(range(begin, end + 1))

    def has(self, cell: int, line: int) -> bool:
        """Say whether the line was removed; line 0 is the cell's last."""
        lines = self._lines.get(cell, set())
        if line:
            return line in lines
        source = self._cells[cell].source.rstrip() if cell in self._cells else ""
        last = len(source.splitlines())
        while last and source.splitlines()[last - 1].lstrip().startswith("#"):
            last -= 1
        return last in lines

    def lines(self, cell: int) -> set[int]:
        """Return the removed lines of a cell."""
        return self._lines.get(cell, set())


def _hits(cells: Sequence[Cell], removals: Sequence[dict[str, Any]], numbering: Callable[[Cell], int]) -> int:
    by_number = {numbering(each): each.source.splitlines() for each in cells}
    hits = 0
    for each in removals:
        lines = by_number.get(int(each.get("cell") or 0), [])
        line = int(each.get("line") or 1)
        first = str(each.get("source", "")).strip().splitlines()
        hits += bool(first) and 0 < line <= len(lines) and first[0].strip() in lines[line - 1]
    return hits
