"""Names that stand for two things in a notebook, or that the project needs for itself: given other ones.

A notebook may import `metrics` and make a variable of that name later. In a function of a project both would be the
variable, so the import gets another name for as long as the name stands for it.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelwright.notebooks.names import COMPREHENSIONS, SCOPES, imported_names, outside_functions

# What the modules of a project bind or are given themselves.
_RESERVED = frozenset(
    {"PROJECT", "argparse", "functools", "joblib", "main", "os", "output_folder", "pathlib", "pickle"}
)


@dataclass(frozen=True)
class Renamed:
    """The code of each cell, and the notebook's own name for each new one of an import or a variable."""

    codes: tuple[str, ...]
    imports: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """A name in the text: its cell, line, column in bytes of UTF-8, what stands there, and what will."""

    cell: int
    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True)
class _Event:
    """A top-level statement that gives a name a meaning: an import's origin, or an empty text for a variable."""

    statement: int
    origin: str
    alias: ast.alias | None = None


def renamed(codes: Sequence[str]) -> Renamed:
    """Return the cells' code with names that each stand for one thing; lines stay where they are."""
    with warnings.catch_warnings():
        # Odd escapes in the user's strings are the user's affair.
        warnings.simplefilter("ignore")
        trees = [(cell, tree) for cell, code in enumerate(codes) for tree in ast.parse(code).body]
    events = _events(trees)
    unclear = [name for name, found in events.items() if _has_two_meanings(found) or name in _RESERVED]
    if not unclear:
        return Renamed(tuple(codes))
    taken = {node.id for _, tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} | events.keys()
    lines = [[each.encode() for each in code.split("\n")] for code in codes]
    edits: list[_Place] = []
    imports, variables = dict[str, str](), dict[str, str]()
    for name in unclear:
        if _has_two_meanings(events[name]):
            groups = _import_lives(name, events[name], trees, taken)
            target = imports
        elif any(each.alias for each in events[name]):
            continue
        else:
            new = _free([f"{name}_"], taken)
            groups, target = [(new, _variable_places(name, new, trees))], variables
        for new, places in groups:
            if places and all(_stands(each, lines) for each in places):
                target[new] = name
                taken.add(new)
                edits += places
    _write(edits, lines)
    return Renamed(tuple(b"\n".join(each).decode() for each in lines), imports, variables)


def _has_two_meanings(events: Sequence[_Event]) -> bool:
    """Whether a name is an import and something else too, in statements of their own."""
    origins = {each.origin for each in events}
    is_clear = len(origins) == 1 or origins == {""}
    by_statement: dict[int, set[str]] = {}
    for each in events:
        by_statement.setdefault(each.statement, set()).add(each.origin)
    # `try: import x … except ImportError: x = None` means one thing, whichever it is.
    return not is_clear and all(len(each) == 1 for each in by_statement.values())


def _events(trees: Sequence[tuple[int, ast.stmt]]) -> dict[str, list[_Event]]:
    found: dict[str, list[_Event]] = {}
    for number, (_, tree) in enumerate(trees):
        for node in outside_functions(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                origins = imported_names(node)
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    if name in origins:
                        found.setdefault(name, []).append(_Event(number, origins[name], alias))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.setdefault(node.name, []).append(_Event(number, ""))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.setdefault(node.id, []).append(_Event(number, ""))
    return found


# --- where a name stands ---


def _import_lives(
    name: str, events: Sequence[_Event], trees: Sequence[tuple[int, ast.stmt]], taken: set[str]
) -> list[tuple[str, list[_Place]]]:
    """Return the places of each life of an import, but for the last one that nothing but imports took turns with."""
    found: dict[str, list[_Place]] = {}
    has_variable = any(not each.origin for each in events)
    for position, event in enumerate(events):
        is_plain = event.alias is not None and (event.alias.asname or "." not in event.alias.name)
        later = [each for each in events[position + 1 :] if each.origin != event.origin]
        if not event.alias or not is_plain or not (later or has_variable):
            continue
        last = event.origin.rpartition(".")[2]
        wanted = [last, event.origin.strip(".").replace(".", "_"), f"{name}_module"]
        new = _free([each for each in wanted if each.isidentifier()], taken - found.keys())
        end = later[0].statement if later else len(trees)
        cell = trees[event.statement][0]
        text = event.alias.name if new == event.alias.name else f"{event.alias.name} as {new}"
        places = found.setdefault(new, [])
        places.append(_Place(cell, event.alias.lineno, event.alias.col_offset, _written(event.alias), text))
        for number in range(event.statement, min(end + 1, len(trees))):
            cell, tree = trees[number]
            if number < end or isinstance(tree, ast.Assign | ast.AnnAssign):
                uses = [each for each in _uses(tree, name) if isinstance(each.ctx, ast.Load)]
                places += [_Place(cell, each.lineno, each.col_offset, name, new) for each in uses]
    return [(new, list(dict.fromkeys(places))) for new, places in found.items()]


def _written(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _variable_places(name: str, new: str, trees: Sequence[tuple[int, ast.stmt]]) -> list[_Place]:
    """Return all places of a notebook's variable or function."""
    found = []
    for cell, tree in trees:
        found += [_Place(cell, each.lineno, each.col_offset, name, new) for each in _uses(tree, name)]
        for node in outside_functions(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
                keyword = {ast.FunctionDef: "def ", ast.AsyncFunctionDef: "async def "}.get(type(node), "class ")
                found.append(_Place(cell, node.lineno, node.col_offset, keyword + name, keyword + new))
    return found


def _uses(tree: ast.AST, name: str) -> Iterator[ast.Name]:
    """Return where a tree names the notebook's variable, rather than one of a function's own."""
    if isinstance(tree, ast.Name):
        if tree.id == name:
            yield tree
        return
    inside: Iterable[ast.AST] = ast.iter_child_nodes(tree)
    if isinstance(tree, SCOPES | COMPREHENSIONS) and name in _own(tree):
        outer = [*getattr(tree, "decorator_list", ())]
        if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            outer += [*tree.args.defaults, *filter(None, tree.args.kw_defaults)]
        elif isinstance(tree, COMPREHENSIONS):
            outer.append(tree.generators[0].iter)
        inside = outer
    for child in inside:
        yield from _uses(child, name)


def _own(scope: ast.AST) -> set[str]:
    """Return the names that a function, class or comprehension binds for itself."""
    found = {each.arg for each in ast.walk(scope) if isinstance(each, ast.arg)}
    found |= {each.id for each in ast.walk(scope) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    imports = [each for each in ast.walk(scope) if isinstance(each, ast.Import | ast.ImportFrom)]
    found = found.union(*(imported_names(each) for each in imports))
    return found - {name for each in ast.walk(scope) if isinstance(each, ast.Global) for name in each.names}


# --- the text ---


def _free(wanted: Sequence[str], taken: set[str]) -> str:
    candidates = [*wanted, *(f"{wanted[-1]}{number}" for number in range(2, 1000))]
    return next(each for each in candidates if each not in taken and each not in _RESERVED)


def _stands(place: _Place, lines: Sequence[Sequence[bytes]]) -> bool:
    """Whether the text is where Python says: inside of f-strings it may be elsewhere, and inside of brackets spread."""
    return lines[place.cell][place.line - 1][place.column :].startswith(place.old.encode())


def _write(places: Iterable[_Place], lines: Sequence[list[bytes]]) -> None:
    for each in sorted(places, key=lambda each: (each.cell, each.line, each.column), reverse=True):
        line = lines[each.cell][each.line - 1]
        end = each.column + len(each.old.encode())
        lines[each.cell][each.line - 1] = line[: each.column] + each.new.encode() + line[end:]
