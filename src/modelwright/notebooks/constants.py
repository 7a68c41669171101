"""Values that are known without running anything: literals, and names bound once to a literal."""

import ast
import os.path
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath

from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.names import Names, is_literal

Scalar = bool | int | float | str


def scalar(node: ast.expr) -> Scalar | None:
    """Return the value of a literal number, string or truth value; None for anything else."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def bound_once(flow: Flow) -> dict[str, int]:
    """Return the names that one plain assignment binds and nothing else touches, with that statement's index."""
    counts: Counter[str] = Counter()
    for each in flow.effects:
        counts.update(each.binds | each.changes)
    return {
        each.tree.targets[0].id: each.index
        for each in flow.statements
        if isinstance(each.tree, ast.Assign)
        and len(each.tree.targets) == 1
        and isinstance(each.tree.targets[0], ast.Name)
        and counts[each.tree.targets[0].id] == 1
    }


def literals(flow: Flow) -> dict[str, int]:
    """Return the names that one assignment of literals binds, be it of several, and nothing else touches."""
    counts: Counter[str] = Counter()
    for known in flow.effects:
        counts.update(known.binds | known.changes)
    return {
        name: each.index
        for each in flow.statements
        if is_literal(each.tree)
        for name in flow.effects[each.index].binds
        if counts[name] == 1
    }


def scalars(flow: Flow) -> dict[str, int]:
    """Return the names bound once, to a literal scalar, with their statement's index."""
    return {
        name: index
        for name, index in bound_once(flow).items()
        if scalar(flow.statements[index].tree.value) is not None  # type: ignore[attr-defined]
    }


def text(node: ast.expr, *, names: Names, values: Mapping[str, ast.expr]) -> str | None:
    """Return the string or path that an expression gives, if literals and names in `values` tell it."""

    def known(each: ast.expr) -> str | None:
        return text(each, names=names, values=values)

    match node:
        case ast.Constant(value=str()):
            found: str | None = str(node.value)
        case ast.Name() if node.id in values:
            rest = {name: value for name, value in values.items() if name != node.id}
            found = text(values[node.id], names=names, values=rest)
        case ast.JoinedStr():
            parts = [known(each.value if isinstance(each, ast.FormattedValue) else each) for each in node.values]
            found = "".join(filter(None, parts)) if None not in parts else None
        case ast.BinOp(op=ast.Add() | ast.Div()):
            found = _combined(known(node.left), known(node.right), node.op)
        case ast.Call():
            found = _joined(node, [known(each) for each in node.args], names)
        case _:
            found = None
    return found


def _combined(left: str | None, right: str | None, operator: ast.operator) -> str | None:
    if left is None or right is None:
        return None
    return left + right if isinstance(operator, ast.Add) else str(PurePosixPath(left, right))


def _joined(node: ast.Call, parts: list[str | None], names: Names) -> str | None:
    origin = names.origin(node.func)
    given = [each for each in parts if each is not None]
    if not given or len(given) != len(parts):
        return None
    if origin == "os.path.join":
        return os.path.join(*given)  # noqa: PTH118 - the notebook's own function, to give what it gives
    if origin in {"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"}:
        return str(PurePosixPath(*given))
    return given[0] if isinstance(node.func, ast.Name) and node.func.id == "str" else None


def assigned_values(flow: Flow) -> dict[str, ast.expr]:
    """Return the expressions of all names that are bound once."""
    return {
        name: flow.statements[index].tree.value  # type: ignore[attr-defined]
        for name, index in bound_once(flow).items()
    }
