"""Mutants of a project: copies with one small thing wrong, which its tests should notice."""

import ast
import copy
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from projects import Project

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
# What changes no result, and names that stand for a place.
_TRIVIAL = re.compile(
    r"^(verbose|n_jobs|figsize|title|label|color|xlabel|ylabel|help|description|encoding|exist_ok|file)$"
)
_TRIVIAL_CALLS = {"print", "makedirs", "mkdir", "show", "add_argument", "parse_args", "display", "filterwarnings"}
_TRIVIAL_FUNCTIONS = {"main", "parse_arguments", "arguments", "read_parameters", "parameters"}
_SEEDS = re.compile(r"^(random_state|seed|random_seed|manual_seed|set_seed|RANDOM_STATE|SEED)$", re.IGNORECASE)
_SIZES = re.compile(r"^(test_size|train_size|validation_size|valid_size)$", re.IGNORECASE)
_NOT_HYPER = re.compile(r"folder|path|file|verbose|n_jobs|shuffle|figsize|url|digits", re.IGNORECASE)


@dataclass(frozen=True)
class Mutant:
    """A file of the project with its text after the mutation, and what was done on which line."""

    file: Path
    line: int
    what: str
    text: str


@dataclass(frozen=True)
class _Change:
    """A change of one node of a module: done by a function of that node in a copy of the tree."""

    line: int
    what: str
    node: ast.AST
    apply: Callable[[ast.AST], None]


def sample(project: Project, count: int) -> list[Mutant]:
    """Return up to `count` random mutants of the project's non-trivial lines, the same ones each time."""
    found = [(path, tree, each) for path, tree in _trees(project) for each in _changes(tree)]
    chosen = random.Random(0).sample(found, min(count, len(found)))  # noqa: S311 - which ones are tried is no secret
    return [_mutant(path, tree, each) for path, tree, each in chosen]


def hyperparameters(project: Project) -> list[Mutant]:
    """Return mutants that change a hyperparameter: a literal given to a class, a default, a line of parameters.toml."""
    found = []
    for path, tree in _trees(project):
        places = [*_keyword_values(tree), *_defaults(tree)]
        for name, value in places:
            if _is_number(value) and not any(each.search(name) for each in (_SEEDS, _SIZES, _NOT_HYPER)):
                found.append(_mutant(path, tree, _Change(value.lineno, f"{name} changed", value, _change_number)))
    return found + _settings(project, lambda name: not any(each.search(name) for each in (_SEEDS, _SIZES, _NOT_HYPER)))


def seeds(project: Project) -> list[Mutant]:
    """Return mutants that leave a seed out, of splits first."""
    found = []
    for path, tree in _trees(project):
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        calls.sort(key=lambda each: "split" not in _called(each))
        found += [
            _mutant(path, tree, _Change(call.lineno, f"no {keyword.arg}", keyword, _no_value))
            for call in calls
            for keyword in call.keywords
            if keyword.arg and _SEEDS.match(keyword.arg)
        ]
        found += [
            _mutant(path, tree, _Change(node.lineno, "no seed", node, _drop))
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _SEEDS.match(_called(node.value))
        ]
    return found


def splits(project: Project) -> list[Mutant]:
    """Return mutants that swap the parts of a split, or change its size."""
    found = []
    for path, tree in _trees(project):
        for node in ast.walk(tree):
            is_split = isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            if is_split and "split" in _called(node.value) and isinstance(node.targets[0], ast.Tuple):  # type: ignore[attr-defined]
                found.append(_mutant(path, tree, _Change(node.lineno, "split swapped", node, _swap_targets)))  # type: ignore[attr-defined]
        for name, value in [*_keyword_values(tree), *_defaults(tree)]:
            if _SIZES.match(name) and _is_number(value):
                found.append(_mutant(path, tree, _Change(value.lineno, f"{name} changed", value, _change_number)))
    return found + _settings(project, lambda name: bool(_SIZES.match(name)))


def _trees(project: Project) -> list[tuple[Path, ast.Module]]:
    return [(each, ast.parse(each.read_text(encoding="utf-8"))) for each in project.modules]


def _mutant(path: Path, tree: ast.Module, change: _Change) -> Mutant:
    """Apply a change to a copy of the tree; the copy's node is the one at the same place of the walk."""
    place = next(number for number, node in enumerate(ast.walk(tree)) if node is change.node)
    changed = copy.deepcopy(tree)
    node = next(each for number, each in enumerate(ast.walk(changed)) if number == place)
    change.apply(node)
    text = ast.unparse(ast.fix_missing_locations(changed)) + "\n"
    return Mutant(path, change.line, change.what, text)


# --- where something can be changed ---


def _changes(tree: ast.Module) -> Iterator[_Change]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name not in _TRIVIAL_FUNCTIONS:
            body = function.body[1:] if ast.get_docstring(function) is not None else function.body
            for statement in body:
                yield from _statement_changes(statement)
            for name, value in _function_defaults(function):
                if not _TRIVIAL.match(name) and not _NOT_HYPER.search(name) and _is_number(value):
                    yield _Change(value.lineno, f"default of {name}", value, _change_number)


def _statement_changes(statement: ast.stmt) -> Iterator[_Change]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Raise | ast.Assert | ast.Import | ast.ImportFrom):
        return  # inner functions are walked for themselves
    if _is_trivial(statement):
        return
    stores = isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Name | ast.Tuple)
    if isinstance(statement, ast.Expr | ast.AugAssign) or stores:
        yield _Change(statement.lineno, "statement dropped", statement, _drop)
    for field in ("body", "orelse", "finalbody"):
        for inner in getattr(statement, field, []):
            if isinstance(inner, ast.stmt):
                yield from _statement_changes(inner)
    yield from _expression_changes(statement)


def _is_trivial(statement: ast.stmt) -> bool:
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return is_call and _called(statement.value) in _TRIVIAL_CALLS  # type: ignore[attr-defined]


def _expression_changes(node: ast.AST) -> Iterator[_Change]:
    """Return the changes of the expressions of a statement, those of statements inside of it left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) or (isinstance(child, ast.keyword) and _TRIVIAL.match(child.arg or "")):
            continue
        if isinstance(child, ast.Call) and _called(child) in _TRIVIAL_CALLS:
            continue
        if isinstance(child, ast.BinOp) and type(child.op) in _OPERATORS:
            yield _Change(child.lineno, "operator", child, _change_operator)
        elif isinstance(child, ast.Compare) and type(child.ops[0]) in _COMPARISONS:
            yield _Change(child.lineno, "comparison", child, _change_comparison)
        elif isinstance(child, ast.BoolOp):
            yield _Change(child.lineno, "and/or", child, _change_boolean)
        elif isinstance(child, ast.Constant) and isinstance(child.value, bool | int | float | str):
            yield _Change(child.lineno, f"constant {child.value!r}"[:40], child, _change_number)
        elif isinstance(child, ast.Call) and _can_swap(child):
            yield _Change(child.lineno, "arguments swapped", child, _swap_arguments)
        if not isinstance(child, ast.JoinedStr):
            yield from _expression_changes(child)


def _can_swap(call: ast.Call) -> bool:
    plain = call.args[:2]
    has_two = len(plain) == 2 and not any(isinstance(each, ast.Starred) for each in plain)  # noqa: PLR2004 - a pair
    return has_two and ast.dump(plain[0]) != ast.dump(plain[1])


def _keyword_values(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    return [
        (each.arg, each.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and (_called(call)[:1].isupper() or "split" in _called(call))
        for each in call.keywords
        if each.arg
    ]


def _defaults(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [pair for each in functions for pair in _function_defaults(each)]


def _function_defaults(function: ast.FunctionDef) -> list[tuple[str, ast.expr]]:
    given = function.args
    pairs = list(zip(reversed(given.args), reversed(given.defaults), strict=False))
    named = [
        (each, value) for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is not None
    ]
    return [(each.arg, value) for each, value in [*reversed(pairs), *named]]


def _settings(project: Project, is_wanted: Callable[[str], bool]) -> list[Mutant]:
    file = project.folder / "parameters.toml"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = []
    for number, line in enumerate(lines):
        match = re.fullmatch(r"(\w+) *= *(-?\d+(?:\.\d+)?)( *#.*)?", line)
        if match and is_wanted(match[1]) and not _SEEDS.match(match[1]):
            value = match[2]
            changed = str(int(value) + 1) if value.lstrip("-").isdigit() else str(_other(float(value)))
            text = "\n".join([*lines[:number], f"{match[1]} = {changed}", *lines[number + 1 :]]) + "\n"
            found.append(Mutant(file, number + 1, f"{match[1]} changed in parameters.toml", text))
    return found


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _called(node: ast.expr) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


# --- changes, made in place in a copy ---


def _other(value: float) -> float:
    return round(value / 2, 12) if value else 1.0


def _change_number(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)  # noqa: S101 - only constants are given to it
    value = node.value
    if isinstance(value, bool):
        node.value = not value
    elif isinstance(value, int):
        node.value = value + 1
    elif isinstance(value, float):
        node.value = _other(value)
    else:
        node.value = str(value) + "XX"


def _change_operator(node: ast.AST) -> None:
    node.op = _OPERATORS[type(node.op)]()  # type: ignore[attr-defined]


def _change_comparison(node: ast.AST) -> None:
    node.ops[0] = _COMPARISONS[type(node.ops[0])]()  # type: ignore[attr-defined]


def _change_boolean(node: ast.AST) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()  # type: ignore[attr-defined]


def _swap_arguments(node: ast.AST) -> None:
    node.args[0], node.args[1] = node.args[1], node.args[0]  # type: ignore[attr-defined]


def _swap_targets(node: ast.AST) -> None:
    targets = node.targets[0].elts  # type: ignore[attr-defined]
    targets[0], targets[1] = targets[1], targets[0]


def _no_value(node: ast.AST) -> None:
    node.value = ast.Constant(None)  # type: ignore[attr-defined]


def _drop(node: ast.AST) -> None:
    """Turn a statement, in place, into one that does nothing."""
    node.__class__ = ast.Pass
    node.__dict__ = {each: value for each, value in vars(node).items() if each.endswith(("lineno", "col_offset"))}
