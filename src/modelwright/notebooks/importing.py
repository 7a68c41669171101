"""The import lines of a module, from those of a notebook: used ones only, sorted, one line for each module."""

import ast
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from modelwright.notebooks import names
from modelwright.notebooks.dataflow import Flow

_WIDTH = 100


def lines(flow: Flow, used: Collection[str], extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Return import lines for the names `used`, and for the modules in `extra`; an empty line parts the groups."""
    plain, members = {f"import {each}" for each in extra}, dict[str, set[str]]()
    odd: list[str] = []
    for each in flow.statements:
        tree = each.tree
        if isinstance(tree, ast.Import):
            plain |= {_plain(alias) for alias in tree.names if _bound(alias) in used}
        elif isinstance(tree, ast.ImportFrom):
            module = "." * tree.level + (tree.module or "")
            kept = {_member(alias) for alias in tree.names if alias.name == "*" or (alias.asname or alias.name) in used}
            if kept:
                members.setdefault(module, set()).update(kept)
        elif names.is_import(tree) and flow.effects[each.index].changes & set(used):
            odd.append(each.source)
    future = (
        [f"from __future__ import {', '.join(sorted(members.pop('__future__')))}"] if "__future__" in members else []
    )
    from_lines = {_from(module, found) for module, found in members.items()}
    groups: list[list[str]] = [future, [], []]
    for line in sorted(plain | from_lines, key=_order):
        groups[1 if _library(line) in sys.stdlib_module_names else 2].append(line)
    groups.append(odd)
    return tuple(line for group in groups if group for line in (*group, ""))[:-1]


def modules(import_lines: Sequence[str]) -> set[str]:
    """Return the installed packages that import lines name, by import name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse("\n".join(import_lines))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def beside(folder: Path, module: str) -> str | None:
    """Return the file of a module that lies beside the notebook, relative to it; None if it is an installed one."""
    return f"{module}.py" if (folder / f"{module}.py").is_file() else None


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _plain(alias: ast.alias) -> str:
    return f"import {alias.name} as {alias.asname}" if alias.asname else f"import {alias.name}"


def _member(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname and alias.asname != alias.name else alias.name


def _from(module: str, members: set[str]) -> str:
    line = f"from {module} import {', '.join(sorted(members))}"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {each},\n" for each in sorted(members)) + ")"


def _order(line: str) -> tuple[bool, str]:
    return line.startswith("from "), line.lower()


def _library(line: str) -> str:
    return line.split()[1].partition(".")[0]
