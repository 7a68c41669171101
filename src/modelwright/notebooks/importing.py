"""The import lines of a module: used ones only, sorted, one line for each module, as ruff wants them."""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelwright.notebooks import names
from modelwright.notebooks.dataflow import Flow

_WIDTH = 100
_FUTURE, _STANDARD, _INSTALLED, _PROJECT = range(4)


@dataclass
class _Found:
    """Imports put together: whole modules, members by module, and statements that are kept as they are."""

    modules: set[tuple[str, str]] = field(default_factory=set)
    members: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)

    def add(self, tree: ast.stmt, used: Collection[str]) -> None:
        """Take of an import statement what is `used`; everything that a star brings."""
        if isinstance(tree, ast.Import):
            self.modules |= {(each.name, each.asname or "") for each in tree.names if _bound(each) in used}
        elif isinstance(tree, ast.ImportFrom):
            kept = {
                (each.name, "" if each.asname == each.name else each.asname or "")
                for each in tree.names
                if each.name == "*" or _bound(each) in used
            }
            if kept:
                self.members.setdefault("." * tree.level + (tree.module or ""), set()).update(kept)


def lines(flow: Flow, used: Collection[str], extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Return import lines for the names `used`, and for the modules in `extra`; an empty line parts the groups."""
    found = _Found(modules={(each, "") for each in extra})
    for each in flow.statements:
        found.add(each.tree, used)
        is_plain = isinstance(each.tree, ast.Import | ast.ImportFrom)
        if not is_plain and names.is_import(each.tree) and flow.effects[each.index].changes & set(used):
            found.odd.append(each.source)
    return _written(found, ())


def select(given: Iterable[str], used: Collection[str], project: Collection[str] = ()) -> tuple[str, ...]:
    """Return of the import lines `given` what binds names that are `used`.

    The modules of which the first part is among `project` stand in a group of their own, the last one.
    """
    found = _Found()
    for line in filter(None, given):
        for tree in ast.parse(line).body:
            if isinstance(tree, ast.Import | ast.ImportFrom):
                found.add(tree, {*used, *_future(tree)})
            elif binds(tree) & set(used):
                found.odd.append(ast.get_source_segment(line, tree) or line)
    return _written(found, project)


def modules(import_lines: Sequence[str]) -> set[str]:
    """Return the installed packages that import lines name, by import name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse("\n".join(import_lines))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def beside(folder: Path, module: str) -> list[str]:
    """Return the files of a module or package that lies beside the notebook, relative to it; none of installed ones."""
    if (folder / f"{module}.py").is_file():
        return [f"{module}.py"]
    return [each.relative_to(folder).as_posix() for each in sorted((folder / module).rglob("*.py"))]


def origins(import_lines: Iterable[str]) -> dict[str, str]:
    """Return the names that import lines bind, each with the dotted name of what it stands for."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse("\n".join(import_lines))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= names.imported_names(node)
    return found


def names_bound(line: str) -> set[str]:
    """Return the names that an import line binds."""
    return binds(ast.parse(line))


def binds(tree: ast.AST) -> set[str]:
    """Return the names that the import statements in a tree bind."""
    found = (each for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom))
    return {_bound(alias) for each in found for alias in each.names}


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _future(tree: ast.stmt) -> set[str]:
    return binds(tree) if isinstance(tree, ast.ImportFrom) and tree.module == "__future__" else set()


def _written(found: _Found, project: Collection[str]) -> tuple[str, ...]:
    groups: list[list[str]] = [[], [], [], []]
    for module, name in sorted(found.modules, key=lambda each: (_natural(each[0]), each[0], each[1])):
        groups[_group(module, project)].append(f"import {module} as {name}" if name else f"import {module}")
    for module, members in sorted(found.members.items(), key=lambda each: (_natural(each[0]), each[0])):
        groups[_group(module, project)] += _from(module, members)
    whole = [*groups, found.odd]
    return tuple(line for group in whole if group for line in (*group, ""))[:-1]


def _group(module: str, project: Collection[str]) -> int:
    first = module.partition(".")[0]
    if first == "__future__":
        return _FUTURE
    if first in project or not first:
        return _PROJECT
    return _STANDARD if first in sys.stdlib_module_names else _INSTALLED


def _from(module: str, members: Collection[tuple[str, str]]) -> list[str]:
    """Return the lines for a module's members; each one that is given another name has a line of its own."""
    plain = sorted((name for name, other in members if not other), key=_member_order)
    found = [(plain[0], "", _wrapped(module, plain))] if plain else []
    found += [(name, other, f"from {module} import {name} as {other}") for name, other in members if other]
    return [line for *_, line in sorted(found, key=lambda each: (_member_order(each[0]), each[1]))]


def _wrapped(module: str, members: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(members)}"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {each},\n" for each in members) + ")"


def _member_order(name: str) -> tuple[int, list[tuple[bool, int, str]], str]:
    """Return a key that puts a star first, then constants, classes and all others."""
    is_constant = name.isupper() and len(name) > 1
    kind = 0 if name == "*" else 1 if is_constant else 2 if name[:1].isupper() else 3
    return kind, _natural(name), name


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key by which numbers in names count as numbers."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(not each.isdigit(), int(each) if each.isdigit() else 0, each) for each in parts]
