"""A notebook's top-level statements: each as a Python tree to reason about and as a LibCST tree to write back.

LibCST keeps the user's comments and layout; Python's own tree is simpler to analyse. Both have the same places.
"""

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from modelwright.notebooks import renaming
from modelwright.notebooks.renaming import Renamed
from modelwright.records import Cell, Notebook

Span = tuple[int, int, int, int]
Syntax = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True, eq=False)
class Statement:
    """One top-level statement of a cell.

    `index` orders all of a notebook's statements, `heading` stands above its cell, `is_wished` says that the
    user keeps it, and `nodes` finds the LibCST
    expression at a span of lines and columns. `source` is the notebook's own text; in all else names are `renamed`.
    """

    index: int
    cell: int
    line: int
    end_line: int
    is_last: bool
    tree: ast.stmt
    syntax: Syntax
    source: str
    nodes: Mapping[Span, cst.BaseExpression] = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    heading: str = ""
    is_wished: bool = False
    renamed: Renamed = field(default=Renamed(()), repr=False)

    def syntax_of(self, expression: ast.expr) -> cst.BaseExpression:
        """Return the LibCST node of one of the statement's expressions."""
        return self.nodes[_span(expression, self.lines)]

    def source_of(self, expression: ast.expr) -> str:
        """Return an expression's text as the user wrote it."""
        return cst.Module([]).code_for_node(self.syntax_of(expression)).strip()


def statements(notebook: Notebook) -> list[Statement]:
    """Return all top-level statements in cell order."""
    found: list[Statement] = []
    renamed = renaming.renamed([each.code for each in notebook.cells])
    for cell, code in zip(notebook.cells, renamed.codes, strict=True):
        found += _of_cell(cell, code, renamed, first_index=len(found))
    return found


def _of_cell(cell: Cell, code: str, renamed: Renamed, *, first_index: int) -> list[Statement]:
    with warnings.catch_warnings():
        # Odd escapes in the user's strings are the user's affair.
        warnings.simplefilter("ignore")
        originals, trees = ast.parse(cell.code).body, ast.parse(code).body
    module = cst.parse_module(code)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    nodes = {
        (place.start.line, place.start.column, place.end.line, place.end.column): node
        for node, place in wrapper.resolve(PositionProvider).items()
        if isinstance(node, cst.BaseExpression)
    }
    lines = tuple(code.splitlines())
    parts = _flat(module)
    return [
        Statement(
            index=first_index + number,
            cell=cell.number,
            line=tree.lineno,
            end_line=tree.end_lineno or tree.lineno,
            is_last=tree is trees[-1],
            tree=tree,
            syntax=syntax,
            source=ast.get_source_segment(cell.code, original) or "",
            nodes=nodes,
            lines=lines,
            heading=cell.heading,
            is_wished="keep" in cell.tags,
            renamed=renamed,
        )
        for number, (original, tree, syntax) in enumerate(zip(originals, trees, parts, strict=True))
    ]


def _flat(module: cst.Module) -> list[Syntax]:
    """Return the module's statements, `a; b` as two; comments above the first come with it."""
    parts: list[Syntax] = []
    for syntax in module.body:
        if isinstance(syntax, cst.SimpleStatementLine) and len(syntax.body) > 1:
            for number, small in enumerate(syntax.body):
                plain = small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
                parts.append(
                    syntax.with_changes(body=[plain]) if number == 0 else cst.SimpleStatementLine(body=[plain])
                )
        else:
            parts.append(syntax)
    if parts and module.header:
        parts[0] = parts[0].with_changes(leading_lines=[*module.header, *parts[0].leading_lines])
    return [_without_trailing_semicolon(part) for part in parts]


def _without_trailing_semicolon(syntax: Syntax) -> Syntax:
    if isinstance(syntax, cst.SimpleStatementLine):
        return syntax.with_changes(body=[syntax.body[0].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)])
    return syntax


def _span(expression: ast.expr, lines: tuple[str, ...]) -> Span:
    """Return an expression's place in LibCST's terms: Python's own columns count bytes of UTF-8."""
    end_line, end_column = expression.end_lineno or expression.lineno, expression.end_col_offset or 0
    return (
        expression.lineno,
        _column(lines[expression.lineno - 1], expression.col_offset),
        end_line,
        _column(lines[end_line - 1], end_column),
    )


def _column(line: str, byte_offset: int) -> int:
    return len(line.encode()[:byte_offset].decode())
