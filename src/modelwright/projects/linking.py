"""Which lines of a project hold which statements of its notebook."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from modelwright.notebooks.deciding import Decision, Fate
from modelwright.projects.manifest import PARAMETERS_FILE

# Of the words of two statements, the share that must be the same before one is taken for the other.
_LIKENESS = 0.3
_WORD = re.compile(r"\w+|[^\w\s]")

Place = tuple[str, int]
_Tree = TypeVar("_Tree", bound=ast.AST)


def links(found: Sequence[Decision], modules: Mapping[str, str]) -> dict[Place, list[int]]:
    """Return the places, path and line, that hold decided statements, each with their indices in `found`.

    What the user has edited since may be linked less closely; a file that is no Python is not linked at all.
    """
    linked: dict[Place, list[int]] = {}
    parameters = {
        line.partition("=")[0].strip(): (PARAMETERS_FILE, number)
        for number, line in enumerate(modules.get(PARAMETERS_FILE, "").splitlines(), start=1)
    }
    for index, each in enumerate(found):
        place = parameters.get(each.reason.rpartition(" ")[2].strip('"')) if each.fate is Fate.PARAMETER else None
        if place:
            linked.setdefault(place, []).append(index)
    for path, text in modules.items():
        tree = _tree(path, text)
        for node, index in _placed(tree, found) if tree else ():
            new = _names(node) - _names_in(found[index].source) if found[index].function else set()
            places = [*((path, line) for line in _lines(node)), *(parameters[name] for name in new & parameters.keys())]
            for place in places:
                known = linked.setdefault(place, [])
                known += [index] if index not in known else []
    return linked


def functions(modules: Mapping[str, str]) -> dict[str, Place]:
    """Return where each function at a module's level begins, by name."""
    return {
        node.name: (path, node.lineno)
        for path, text in modules.items()
        if (tree := _tree(path, text)) is not None
        for node in _of(tree.body, ast.FunctionDef)
    }


def _tree(path: str, text: str) -> ast.Module | None:
    if not path.endswith(".py"):
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _of(nodes: Iterable[ast.AST], kind: type[_Tree]) -> Iterator[_Tree]:
    return (each for each in nodes if isinstance(each, kind))


def _lines(node: ast.stmt) -> range:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return range(first, (node.end_lineno or node.lineno) + 1)


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _names_in(text: str) -> set[str]:
    try:
        return _names(ast.parse(text))
    except (SyntaxError, ValueError):
        return set(_WORD.findall(text))


def _placed(tree: ast.Module, found: Sequence[Decision]) -> Iterator[tuple[ast.stmt, int]]:
    """Give the statements of a module with the index of the decision that each comes from."""
    for function in _of(tree.body, ast.FunctionDef):
        inside = [number for number, each in enumerate(found) if each.function == function.name]
        inside = inside or (_scoring(found) if _is_scoring(tree) and function.name in {"init", "run"} else [])
        for node, index in _aligned(function.body, [found[each].source for each in inside]):
            yield node, inside[index]
    for index, each in enumerate(found):
        if each.fate is Fate.MODULE or (each.fate is Fate.REPORT and not each.function):
            yield from ((node, index) for node in _homes(each.source, tree.body))


# --- statements in functions ---


def _aligned(body: Sequence[ast.stmt], sources: Sequence[str]) -> list[tuple[ast.stmt, int]]:
    """Return a function's statements with the index of the source that each comes from.

    Both are in the same order. Of all ways to pair them so, it is the one with the most words in common; a source may
    have become several statements, and what the conversion added comes from none.
    """
    words = [Counter(_WORD.findall(each)) for each in sources]
    # best[place] and its pairs: when no source after `place` - 1 has been used yet.
    best: list[tuple[float, tuple[tuple[ast.stmt, int], ...]]] = [(0.0, ())] * (len(sources) + 1)
    for node in body:
        mine = Counter(_WORD.findall(ast.unparse(node)))
        latest = best
        best = list(latest)
        for place in range(1, len(sources) + 1):
            score, pairs = latest[place]
            gain = _likeness(mine, words[place - 1]) - _LIKENESS
            best[place] = max(
                (best[place - 1], best[place], (score + gain, (*pairs, (node, place - 1)))), key=lambda each: each[0]
            )
    return list(best[-1][1])


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


def _is_scoring(tree: ast.Module) -> bool:
    return {"init", "run"} <= {each.name for each in _of(tree.body, ast.FunctionDef)}


def _scoring(found: Sequence[Decision]) -> list[int]:
    return [number for number, each in enumerate(found) if each.fate is Fate.KEPT and not each.function]


# --- statements beside functions ---


def _homes(source: str, body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return the statements at a module's level that do what `source` does."""
    try:
        tree = ast.parse(source).body[0]
    except (SyntaxError, ValueError, IndexError):
        return []
    wanted = _imported(tree.body if isinstance(tree, ast.Try) else [tree])
    if wanted:
        return [each for each in body if wanted & _imported(each.body if isinstance(each, ast.Try) else [each])]
    name = getattr(tree, "name", None) or _target(tree)
    same = ast.unparse(tree)
    return [
        each
        for each in body
        if (name and name == (getattr(each, "name", None) or _target(each))) or ast.unparse(each) == same
    ]


def _imported(body: Sequence[ast.stmt]) -> set[tuple[str, str, str]]:
    return {
        (node.module or "" if isinstance(node, ast.ImportFrom) else "", each.name, each.asname or "")
        for node in body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for each in node.names
    }


def _target(tree: ast.stmt) -> str:
    target = tree.targets[0] if isinstance(tree, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""
