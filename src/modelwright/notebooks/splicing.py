"""Texts of statements with other code in the place of some expressions."""

import ast
from collections.abc import Iterable, Sequence


def spliced(lines: Sequence[str], node: ast.AST, edits: Iterable[tuple[ast.expr, str]]) -> str:
    """Return a node's text as the user wrote it, with other code for the expressions in `edits`."""
    return edited(lines, edits, *span(lines, node))


def edited(lines: Sequence[str], edits: Iterable[tuple[ast.expr, str]], start: int = 0, end: int = -1) -> str:
    """Return the text from `start` to `end`, to its own end by default, with other code for the expressions."""
    whole = "\n".join(lines)
    end = len(whole) if end < 0 else end
    text, place = "", start
    # Of two that lie in one another the outer one counts.
    for first, last, code in sorted(((*span(lines, each), text) for each, text in edits), key=lambda x: (x[0], -x[1])):
        if first >= place and last <= end:
            text += whole[place:first] + code
            place = last
    return text + whole[place:end]


def span(lines: Sequence[str], node: ast.AST) -> tuple[int, int]:
    """Return where a node stands in a text; Python counts columns in bytes."""

    def place(line: int, column: int) -> int:
        before = sum(len(each) + 1 for each in lines[: line - 1])
        return before + len(lines[line - 1].encode()[:column].decode())

    located: ast.expr = node  # type: ignore[assignment]
    return (
        place(located.lineno, located.col_offset),
        place(located.end_lineno or located.lineno, located.end_col_offset or 0),
    )
