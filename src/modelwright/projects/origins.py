"""Which cells of the notebooks each function of a project was made of, and whether it is still that function."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from modelwright.notebooks import deciding
from modelwright.notebooks.deciding import Decision
from modelwright.projects import linking
from modelwright.records import Notebook, Origin, OriginCell, Plan

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def origins(
    notebooks: Sequence[Notebook], plan: Plan, modules: Mapping[str, str], *, written: Mapping[str, str]
) -> list[Origin]:
    """Return where the functions and classes of a project come from.

    `modules` are the files that the conversion made, by path; `written` are the digests of all files that it wrote.
    """
    decided = [one for each in notebooks for one in deciding.decisions(each, plan)]
    links = linking.links(decided, modules)
    report = [each.function for each in (*plan.report.plots, *filter(None, [plan.report.style]))] if plan.report else []
    places = {each.name: each.places for each in (*plan.functions, *report)}
    sources = {(each.path.name, cell.number): cell.source for each in notebooks for cell in each.cells}
    found = []
    for path, text in modules.items():
        for node in definitions(text):
            lines = {(plan.notebook, *each) for each in places.get(node.name, ())}
            lines |= set(_linked(path, node, links, decided))
            if lines:
                cells = tuple(_cells(sorted(lines), sources))
                found.append(Origin(path, node.name, written.get(path, ""), code_digest(node), cells))
    return found


def definitions(text: str) -> list[_Definition]:
    """Return the functions and classes at a module's level; nothing where the text is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [each for each in tree.body if isinstance(each, _Definition)]


def code_digest(definition: _Definition) -> str:
    """Return the digest of what a definition does: comments, docstrings and layout do not count."""
    from blake3 import blake3

    body = definition.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return blake3("\n".join(map(ast.dump, (*_head(definition), *body))).encode()).hexdigest()


def _head(definition: _Definition) -> Iterator[ast.AST]:
    yield from definition.decorator_list
    if isinstance(definition, ast.ClassDef):
        yield from definition.bases
        yield from definition.keywords
    else:
        yield definition.args


def _linked(
    path: str, node: _Definition, links: Mapping[linking.Place, Sequence[int]], decided: Sequence[Decision]
) -> Iterator[tuple[str, int, int]]:
    """Give notebook, cell and line of every statement that stands in a definition."""
    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        for index in links.get((path, line), ()):
            each = decided[index]
            yield each.notebook, each.cell, each.line


def _cells(lines: Iterable[tuple[str, int, int]], sources: Mapping[tuple[str, int], str]) -> Iterator[OriginCell]:
    from blake3 import blake3

    by_cell: dict[tuple[str, int], list[int]] = {}
    for notebook, cell, line in lines:
        by_cell.setdefault((notebook, cell), []).append(line)
    for (notebook, cell), inside in by_cell.items():
        digest = blake3(sources.get((notebook, cell), "").encode()).hexdigest()
        yield OriginCell(notebook, cell, tuple(inside), digest)
