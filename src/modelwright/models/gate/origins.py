"""A guest: the names of an array's columns, found in the table that its rows come from. Standard library only.

Projects cut tables into plain arrays, which have no names. Where every row of an array is, value for value, a row of a
table with some of its columns left out, and only one choice of columns makes it so, these are its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# More choices of columns than these are not tried, since one that fits would prove nothing.
_MOST_CHOICES = 50


def names(array: Any, tables: Iterable[Any]) -> list[str] | None:
    """Return the names of the columns of an array of two dimensions; None when no table tells them for certain."""
    for table in tables:
        found = _fitting(array, table)
        if found is not None:
            return found
    return None


def _fitting(array: Any, table: Any) -> list[str] | None:
    width = int(array.shape[1])
    labels = list(table.columns)
    if width > len(labels):
        return None
    columns = [[_plain(each) for each in table[label]] for label in labels]
    held = [set(each) for each in columns]
    wanted = [[_plain(each) for each in array[:, place]] for place in range(width)]
    fits = [[set(each) <= among for among in held] for each in wanted]
    rows = list(zip(*wanted))  # noqa: B905 - Python 3.9
    found = []
    for number, choice in enumerate(_choices(fits, 0)):
        if number == _MOST_CHOICES:
            return None
        known = set(zip(*(columns[place] for place in choice)))  # noqa: B905 - as above
        if all(row in known for row in rows):
            found.append(choice)
    return [str(labels[place]) for place in found[0]] if len(found) == 1 else None


def _choices(fits: list[list[bool]], first: int) -> Iterator[tuple[int, ...]]:
    """Give each choice of table columns, in their order, that could be the array's."""
    if not fits:
        yield ()
        return
    for place in range(first, len(fits[0])):
        if fits[0][place]:
            for rest in _choices(fits[1:], place + 1):
                yield (place, *rest)


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not equal to itself
