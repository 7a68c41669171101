"""What a training notebook is for: the models it fits and saves, the metrics it shows, the files it writes."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelwright.notebooks import constants, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.names import Names, root
from modelwright.notebooks.statements import Statement

# How names tell which rows they hold.
_ROWS = {"train": r"train|_tr\b|_tr_", "valid": r"valid|_val\b|_dev\b", "test": r"test|_te\b"}


@dataclass(frozen=True, eq=False)
class Save:
    """A statement that writes an object to a file. `file` is None when the analysis cannot tell the path."""

    statement: int
    value: ast.expr | None
    path: ast.expr
    file: str | None
    loader: str


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric: its name in the project and its expression.

    `is_bound` says that the statement binds the name itself; otherwise it only shows the expression's value.
    """

    statement: int
    name: str
    expression: ast.expr
    function: str
    is_bound: bool


@dataclass(frozen=True, eq=False)
class Results:
    """What is kept of a notebook, and what was recognised on the way.

    `fits` are the statements that fit something, with the name fitted; `transformers` the names fitted that turn rows
    into rows.
    """

    saves: Sequence[Save]
    measures: Sequence[Measure]
    files: Sequence[Save]
    fits: Sequence[tuple[int, str]]
    transformers: frozenset[str]


def results(flow: Flow) -> Results:
    """Return what the notebook's statements give."""
    values = constants.assigned_values(flow)
    saves = [save for each in flow.statements for save in _saves(each, flow, values)]
    models = [each for each in saves if each.value is not None]
    return Results(
        saves=models,
        measures=_measures(flow),
        files=[each for each in saves if each.value is None],
        fits=[(each.index, name) for each in flow.statements for name in _fitted(each.tree)],
        transformers=_transformers(flow),
    )


def _fitted(tree: ast.stmt) -> list[str]:
    """Return the names that a statement fits: `model.fit(…)`, and `model = Ridge().fit(…)`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in vocabulary.FITTING_METHODS:
                continue
            name = root(node.func.value) if not isinstance(node.func.value, ast.Call) else None
            if name is None and isinstance(tree, ast.Assign) and isinstance(tree.targets[0], ast.Name):
                name = tree.targets[0].id
            if name is not None:
                found.append(name)
    return found


def _fitted_names(flow: Flow) -> set[str]:
    """Return the names of what was fitted, and of its parts: `best = search.best_estimator_`."""
    found = {name for each in flow.statements for name in _fitted(each.tree)}
    for each in flow.statements:
        tree = each.tree
        if not isinstance(tree, ast.Assign) or not isinstance(tree.targets[0], ast.Name):
            continue
        if isinstance(tree.value, ast.Name | ast.Attribute | ast.Subscript) and root(tree.value) in found:
            found.add(tree.targets[0].id)
    return found


def _transformers(flow: Flow) -> frozenset[str]:
    transforms, predicts = set(), set()
    for each in flow.statements:
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = root(node.func.value)
                if name and node.func.attr in vocabulary.TRANSFORMING_METHODS:
                    transforms.add(name)
                if name and node.func.attr in vocabulary.PREDICTING_METHODS:
                    predicts.add(name)
    return frozenset(transforms - predicts)


# --- saves ---


def _saves(statement: Statement, flow: Flow, values: dict[str, ast.expr]) -> list[Save]:
    found = []
    opened = _opened(statement.tree)
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Call):
            continue
        value, path, loader = _saved(node, flow.names)
        if path is None:
            continue
        path = opened.get(path.id, path) if isinstance(path, ast.Name) else path
        path = _path_of_open(path) or path
        file = constants.text(path, names=flow.names, values=values)
        found.append(Save(statement.index, value, path, file, loader))
    return found


def _saved(node: ast.Call, names: Names) -> tuple[ast.expr | None, ast.expr | None, str]:
    """Return the object saved if it may be a model, the path, and the library that loads it; no path: nothing saved."""
    origin = names.origin(node.func) or ""
    if origin in vocabulary.SAVING_FUNCTIONS:
        value = _argument(node, 0, "value", "obj")
        path = _argument(node, 1, "filename", "file")
        return value, path, vocabulary.SAVING_FUNCTIONS[origin]
    if origin in vocabulary.FILE_WRITING_FUNCTIONS:
        return None, _argument(node, 1 if origin == "json.dump" else 0, "fp", "file", "fname"), ""
    if isinstance(node.func, ast.Attribute) and node.func.attr in vocabulary.WRITING_METHODS:
        return None, _argument(node, 0, "path_or_buf", "path", "excel_writer"), ""
    return None, None, ""


def _argument(node: ast.Call, position: int, *keywords: str) -> ast.expr | None:
    for each in node.keywords:
        if each.arg in keywords:
            return each.value
    return node.args[position] if len(node.args) > position else None


def _opened(tree: ast.stmt) -> dict[str, ast.expr]:
    """Return the paths of files that a `with open(path) as file` of the statement names."""
    return {
        item.optional_vars.id: path
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and (path := _path_of_open(item.context_expr)) is not None
    }


def _path_of_open(node: ast.expr) -> ast.expr | None:
    is_open = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    return node.args[0] if is_open and isinstance(node, ast.Call) and node.args else None


# --- metrics ---


def _measures(flow: Flow) -> list[Measure]:
    found: list[Measure] = []
    numbers: dict[str, str] = {}  # names of variables that hold a metric, with the function that gave it
    fitted = _fitted_names(flow)
    for each in flow.statements:
        bound = _bound_measure(each, flow.names, numbers, fitted)
        if bound is not None:
            name, expression, function = bound
            numbers[name] = function
            found = [other for other in found if other.name != name]
            found.append(Measure(each.index, name, expression, function, is_bound=True))
        else:
            for expression in _shown(each):
                shown = _metric_function(expression, flow.names, numbers, fitted)
                if shown is None or _unrounded(expression) in numbers:
                    continue
                name = _free_name(_shown_name(expression, shown), expression, {other.name for other in found})
                found.append(Measure(each.index, name, expression, shown, is_bound=False))
    return found


def _unrounded(node: ast.expr) -> str:
    """Return the name whose value an expression shows, be it rounded; an empty text for anything else."""
    while isinstance(node, ast.Call) and _is_builtin(node, "round", "float") and node.args:
        node = node.args[0]
    return node.id if isinstance(node, ast.Name) else ""


def _bound_measure(
    statement: Statement, names: Names, numbers: dict[str, str], fitted: set[str]
) -> tuple[str, ast.expr, str] | None:
    tree = statement.tree
    if not isinstance(tree, ast.Assign) or len(tree.targets) != 1 or not isinstance(tree.targets[0], ast.Name):
        return None
    function = _metric_function(tree.value, names, numbers, fitted)
    return None if function is None else (tree.targets[0].id, tree.value, function)


def _metric_function(node: ast.expr, names: Names, numbers: dict[str, str], fitted: set[str]) -> str | None:
    """Return the function whose number an expression gives, through roots, rounding and arithmetic; else None."""

    def inner(each: ast.expr) -> str | None:
        return _metric_function(each, names, numbers, fitted)

    if isinstance(node, ast.Name):
        return numbers.get(node.id)
    if isinstance(node, ast.BinOp):
        return inner(node.left) or inner(node.right)
    if not isinstance(node, ast.Call):
        return None
    origin = names.origin(node.func) or ""
    last = origin.rpartition(".")[2]
    if origin.startswith("sklearn.metrics.") and last in vocabulary.METRIC_FUNCTIONS:
        return None if _is_per_class(node) else last
    if origin in {"numpy.sqrt", "math.sqrt", "numpy.round", "numpy.mean"} or _is_builtin(node, "round", "float", "abs"):
        return inner(node.args[0]) if node.args else None
    is_score = isinstance(node.func, ast.Attribute) and node.func.attr == "score" and root(node.func.value) in fitted
    return "score" if is_score else None


def _is_per_class(node: ast.Call) -> bool:
    """Whether a metric's call gives one number for each class rather than one."""
    return any(
        (each.arg == "average" and isinstance(each.value, ast.Constant) and each.value.value is None)
        or (each.arg == "multioutput" and isinstance(each.value, ast.Constant) and each.value.value == "raw_values")
        for each in node.keywords
    )


def _is_builtin(node: ast.Call, *names: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in names


def _shown(statement: Statement) -> list[ast.expr]:
    """Return the expressions whose values a statement prints or shows."""
    tree = statement.tree
    if not isinstance(tree, ast.Expr):
        return []
    call = tree.value
    if not (isinstance(call, ast.Call) and _is_builtin(call, "print", "display")):
        return [call] if statement.is_last else []
    return [part for given in call.args for part in _printed_parts(given)]


def _printed_parts(node: ast.expr) -> list[ast.expr]:
    """Return the values that stand in a printed text: in an f-string, `%` and `.format` too."""
    if isinstance(node, ast.JoinedStr):
        return [each.value for each in node.values if isinstance(each, ast.FormattedValue)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
        return list(node.right.elts) if isinstance(node.right, ast.Tuple) else [node.right]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_printed_parts(node.left), *_printed_parts(node.right)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return list(node.args) if _is_text(node.func.value) else [node]
    if isinstance(node, ast.Call) and _is_builtin(node, "str", "repr"):
        return list(node.args)
    return [node]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _shown_name(expression: ast.expr, function: str) -> str:
    name = vocabulary.METRIC_FUNCTIONS.get(function, (function, None))[0]
    takes_root = _is_half_power(expression) or any(
        isinstance(each, ast.Attribute | ast.Name)
        and (getattr(each, "attr", None) or getattr(each, "id", "")) == "sqrt"
        for each in ast.walk(expression)
    )
    return f"r{name}" if takes_root and name in {"mse", "msle"} else name


def _is_half_power(expression: ast.expr) -> bool:
    is_power = isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Pow)
    return is_power and ast.unparse(expression).replace(" ", "").endswith(("**0.5", "**(1/2)"))


def _free_name(name: str, expression: ast.expr, taken: set[str]) -> str:
    """Return `name`, or one that tells the rows it was measured on, or a numbered one, whichever is free."""
    words = "|".join(each.id.lower() for each in ast.walk(expression) if isinstance(each, ast.Name))
    rows = next((rows for rows, pattern in _ROWS.items() if re.search(pattern, words)), "")
    # A plain name is for the rows that count; what was measured on the rows learnt from says so.
    plain = f"{rows}_{name}" if rows == "train" else name
    candidates = [plain, *([f"{rows}_{name}"] if rows else []), *(f"{name}_{number}" for number in range(2, 1000))]
    return next(each for each in candidates if each not in taken)
