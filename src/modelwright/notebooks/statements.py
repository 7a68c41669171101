"""A notebook's top-level statements: each as a Python tree to reason about and as a LibCST tree to write back.

LibCST keeps the user's comments and layout; Python's own tree is simpler to analyse. Both have the same places.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from modelwright.notebooks import renaming
from modelwright.notebooks.renaming import Renamed
from modelwright.records import Cell, Notebook

# What a notebook shows by itself: the last expression of a cell, unless it is told otherwise.
_INTERACTIVITY = re.compile(r"ast_node_interactivity\s*=\s*['\"](\w+)")

Span = tuple[int, int, int, int]
Syntax = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True, eq=False)
class Statement:
    """One top-level statement of a cell.

    `index` orders all of a notebook's statements, `is_displayed` says that the notebook shows its
    value by itself, `heading` stands above its cell and `markdown` directly above, `is_wished` says that the
    user keeps it, and `nodes` finds the LibCST
    expression at a span of lines and columns. `source` is the notebook's own text; in all else names are `renamed`.
    """

    index: int
    cell: int
    line: int
    end_line: int
    is_displayed: bool
    tree: ast.stmt
    syntax: Syntax
    source: str
    nodes: Mapping[Span, cst.BaseExpression] = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    heading: str = ""
    markdown: str = ""
    is_wished: bool = False
    renamed: Renamed = field(default=Renamed(()), repr=False)

    def syntax_of(self, expression: ast.expr) -> cst.BaseExpression:
        """Return the LibCST node of one of the statement's expressions."""
        if isinstance(expression, ast.Starred):
            expression = expression.value  # LibCST has its star apart
        span = _span(expression, self.lines)
        return self.nodes.get(span) or self._inside(span)

    def _inside(self, span: Span) -> cst.BaseExpression:
        """Return what stands in parentheses: Python counts those of a tuple or a generator as a part of it."""
        kinds = cst.Tuple | cst.GeneratorExp
        start, end = span[:2], span[2:]
        inside = [
            one for one, node in self.nodes.items() if isinstance(node, kinds) and one[:2] >= start and one[2:] <= end
        ]
        return self.nodes[min(inside)]

    def source_of(self, expression: ast.expr) -> str:
        """Return an expression's text as the user wrote it."""
        return cst.Module([]).code_for_node(self.syntax_of(expression)).strip()


def statements(notebook: Notebook) -> list[Statement]:
    """Return all top-level statements in cell order."""
    found: list[Statement] = []
    told = [match[1] for each in notebook.cells if (match := _INTERACTIVITY.search(each.source))]
    renamed = renaming.renamed([each.code for each in notebook.cells])
    for cell, code in zip(notebook.cells, renamed.codes, strict=True):
        found += _of_cell(cell, code, renamed, first_index=len(found), interactivity="".join(told[:1]))
    return found


def _of_cell(cell: Cell, code: str, renamed: Renamed, *, first_index: int, interactivity: str) -> list[Statement]:
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
    lines, written = tuple(code.splitlines()), re.split("\r\n|\r|\n", cell.code)
    parts = _flat(module)
    return [
        Statement(
            index=first_index + number,
            cell=cell.number,
            line=tree.lineno,
            end_line=tree.end_lineno or tree.lineno,
            is_displayed=_is_displayed(tree, is_last=tree is trees[-1], interactivity=interactivity),
            tree=_as_function(tree),
            syntax=_as_function_syntax(syntax) if _names_lambda(tree) else syntax,
            source=_source(original, written),
            nodes=nodes,
            lines=lines,
            heading=cell.heading,
            markdown=cell.markdown,
            is_wished="keep" in cell.tags,
            renamed=renamed,
        )
        for number, (original, tree, syntax) in enumerate(zip(originals, trees, parts, strict=True))
    ]


def _source(tree: ast.stmt, lines: Sequence[str]) -> str:
    """Return a statement's text; `ast.get_source_segment` would split the whole cell for each of them."""
    last = (tree.end_lineno or tree.lineno) - 1
    text = [each.encode() for each in lines[tree.lineno - 1 : last + 1]]
    text[-1] = text[-1][: tree.end_col_offset]
    text[0] = text[0][tree.col_offset :]
    return b"\n".join(text).decode()


def _is_displayed(tree: ast.stmt, *, is_last: bool, interactivity: str) -> bool:
    """Whether a notebook shows a statement's value by itself."""
    if isinstance(tree, ast.Expr):
        return is_last or interactivity == "all"
    is_name = isinstance(tree, ast.Assign) and isinstance(tree.targets[0], ast.Name)
    return is_name and is_last and interactivity == "last_expr_or_assign"


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


def _names_lambda(tree: ast.stmt) -> bool:
    """Whether a statement is `name = lambda …: …`, which says with fewer words what a definition does."""
    if not isinstance(tree, ast.Assign) or not isinstance(tree.value, ast.Lambda) or len(tree.targets) != 1:
        return False
    odd = ast.Yield | ast.YieldFrom | ast.Await | ast.NamedExpr
    return isinstance(tree.targets[0], ast.Name) and not any(isinstance(each, odd) for each in ast.walk(tree.value))


def _as_function(tree: ast.stmt) -> ast.stmt:
    """Return a named lambda as the definition that it is; any other statement as it stands."""
    if not _names_lambda(tree):
        return tree
    assigned = cast("ast.Assign", tree)
    given = cast("ast.Lambda", assigned.value)
    name = cast("ast.Name", assigned.targets[0]).id
    # Parsed, it has all that a definition has in this version of Python.
    function = cast("ast.FunctionDef", ast.parse(f"def {name}(): pass").body[0])
    function.args = given.args
    function.body = [ast.copy_location(ast.Return(given.body), given.body)]
    return ast.copy_location(function, tree)


def _as_function_syntax(syntax: Syntax) -> cst.FunctionDef:
    line = cast("cst.SimpleStatementLine", syntax)
    assigned = cast("cst.Assign", line.body[0])
    given = cast("cst.Lambda", assigned.value)
    body = given.body
    if "\n" in cst.Module([]).code_for_node(body) and not body.lpar:
        body = body.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    returned = cst.SimpleStatementLine([cst.Return(body)], trailing_whitespace=line.trailing_whitespace)
    return cst.FunctionDef(
        name=cast("cst.Name", assigned.targets[0].target),
        params=given.params,
        body=cst.IndentedBlock([returned]),
        leading_lines=line.leading_lines,
    )


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
