"""Which cells of the notebooks each function of a project was made of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from modelwright.notebooks import deciding
from modelwright.notebooks.deciding import Decision
from modelwright.projects import linking
from modelwright.projects.digesting import Definition, code_digest, definitions
from modelwright.records import Notebook, Origin, OriginCell, Plan


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


def _linked(
    path: str, node: Definition, links: Mapping[linking.Place, Sequence[int]], decided: Sequence[Decision]
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
