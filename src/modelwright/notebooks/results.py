"""What a training notebook is for: the models it fits and saves, the metrics it shows, the files it writes."""

import ast
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from modelwright.notebooks import constants, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.names import Names, root
from modelwright.notebooks.statements import Statement

# How names tell which rows they hold.
_ROWS = {"train": r"train|_tr\b|_tr_", "valid": r"valid|_val\b|_dev\b", "test": r"test|_te\b"}


@dataclass(frozen=True, eq=False)
class Save:
    """A statement that writes an object to a file. `file` is None when the analysis cannot tell the path.

    `is_path` says that the expression of the path is the path object that writes: `Path("model.pkl").write_bytes(…)`.
    """

    statement: int
    value: ast.expr | None
    path: ast.expr
    file: str | None
    loader: str
    is_path: bool = False


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric: its name in the project and its expression.

    `place` is where its value is to be had after the statement. `is_bound` says that the statement puts it there
    itself, as in `mse = …` or `scores = {"mse": …}`; otherwise it only shows the expression's value.
    """

    statement: int
    name: str
    expression: ast.expr
    function: str
    place: str
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
    """Return the names that a statement fits: `model.fit(…)`, and `model = Ridge().fit(…)`, be it in a loop."""
    found = []
    for inner in (each for each in ast.walk(tree) if isinstance(each, ast.Assign | ast.Expr)):
        for node in ast.walk(inner):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in vocabulary.FITTING_METHODS:
                continue
            name = root(node.func.value) if not isinstance(node.func.value, ast.Call) else None
            if name is None and isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Name):
                name = inner.targets[0].id
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
        value, path, loader = _saved(node, flow.names, opened)
        if path is None:
            continue
        path = opened.get(path.id, path) if isinstance(path, ast.Name) else path
        path = _path_of_open(path) or path
        file = constants.text(path, names=flow.names, values=values)
        is_path = isinstance(node.func, ast.Attribute) and path is node.func.value
        found.append(Save(statement.index, value, path, file, loader, is_path))
    return found


def _saved(node: ast.Call, names: Names, opened: Collection[str]) -> tuple[ast.expr | None, ast.expr | None, str]:
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
    if isinstance(node.func, ast.Attribute) and node.args:
        receiver = node.func.value
        is_file = node.func.attr in {"write", "writelines"} and isinstance(receiver, ast.Name) and receiver.id in opened
        if is_file or node.func.attr in vocabulary.PATH_WRITING_METHODS:
            given = node.args[0]
            is_dump = isinstance(given, ast.Call) and names.origin(given.func) in vocabulary.DUMPING_FUNCTIONS
            value = _argument(given, 0, "obj") if is_dump and isinstance(given, ast.Call) else None
            return value, receiver, "pickle" if value else ""
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
        bound = [
            Measure(each.index, name, expression, function, place, is_bound=True)
            for name, place, expression in _bound(each.tree)
            if (function := _metric_function(expression, flow.names, numbers, fitted)) is not None
        ]
        numbers |= {one.place: one.function for one in bound}
        found = [one for one in found if one.name not in {other.name for other in bound}] + bound
        for expression in _shown(each) if not bound else []:
            shown = _metric_function(expression, flow.names, numbers, fitted)
            if shown is None or _unrounded(expression) in numbers:
                continue
            name = _free_name(_shown_name(expression, shown), expression, {other.name for other in found})
            found.append(Measure(each.index, name, expression, shown, name, is_bound=False))
    return found


def _unrounded(node: ast.expr) -> str:
    """Return the name, or entry of one, whose value an expression shows, be it rounded; else an empty text."""
    while isinstance(node, ast.Call) and _is_builtin(node, "round", "float") and node.args:
        node = node.args[0]
    return _place(node)


def _place(node: ast.expr) -> str:
    """Return `mse` or `scores["mse"]`, however its quotes are written; an empty text for anything else."""
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as key)):
            return f'{name}["{key}"]'
    return node.id if isinstance(node, ast.Name) else ""


def _bound(tree: ast.stmt) -> list[tuple[str, str, ast.expr]]:
    """Return what a statement surely binds: the value's own name, where it is to be had, and its expression."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    if isinstance(tree, ast.Assign) and len(tree.targets) == 1:
        pairs.append((tree.targets[0], tree.value))
    elif isinstance(tree, ast.AnnAssign) and tree.value:
        pairs.append((tree.target, tree.value))
    # What a branch or a loop binds may not be there; what a condition binds is.
    always = [tree.test] if isinstance(tree, ast.If) else [tree] if isinstance(tree, ast.Expr) else []
    inside = [node for each in always for node in ast.walk(each)]
    pairs += [(each.target, each.value) for each in inside if isinstance(each, ast.NamedExpr)]
    return [each for target, value in pairs for each in _named(target, value)]


def _named(target: ast.expr, value: ast.expr) -> list[tuple[str, str, ast.expr]]:
    """Return the parts of an assignment: a and b of `a, b = …, …`; mse of `all = {"mse": …}` and `all["mse"] = …`."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [each for pair in zip(target.elts, value.elts, strict=True) for each in _named(*pair)]
    place = _place(target)
    if isinstance(target, ast.Name) and isinstance(value, ast.Dict):
        return [
            (key.value, f'{target.id}["{key.value}"]', entry)
            for key, entry in zip(value.keys, value.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier()
        ]
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        key = target.slice.value
        return [(key, place, value)] if place and isinstance(key, str) and key.isidentifier() else []
    return [(place, place, value)] if place else []


def _metric_function(node: ast.expr, names: Names, numbers: dict[str, str], fitted: set[str]) -> str | None:
    """Return the function whose number an expression gives, through roots, rounding and arithmetic; else None."""

    def inner(each: ast.expr) -> str | None:
        return _metric_function(each, names, numbers, fitted)

    match node:
        case ast.Name() | ast.Subscript():
            return numbers.get(_place(node))
        case ast.NamedExpr():
            return inner(node.value)
        case ast.BinOp():
            return inner(node.left) or inner(node.right)
        case ast.Call():
            return _function_called(node, names, fitted, inner)
        case _:
            return None


def _function_called(
    node: ast.Call, names: Names, fitted: set[str], inner: Callable[[ast.expr], str | None]
) -> str | None:
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
        return _printed_parts(call) if statement.is_last else []
    return [part for given in call.args for part in _printed_parts(given)]


def _printed_parts(node: ast.expr) -> list[ast.expr]:
    """Return the values that stand in a printed text: in an f-string, `%` and `.format` too, and in collections."""
    parts = [node]
    match node:
        case ast.Tuple() | ast.List():
            parts = list(node.elts)
        case ast.Dict():
            parts = list(node.values)
        case ast.JoinedStr():
            parts = [each.value for each in node.values if isinstance(each, ast.FormattedValue)]
        case ast.BinOp(op=ast.Mod(), left=left, right=right) if _is_text(left):
            parts = list(right.elts) if isinstance(right, ast.Tuple) else [right]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            parts = [*_printed_parts(left), *_printed_parts(right)]
        case ast.Call(func=ast.Attribute(value=text, attr="format")) if _is_text(text):
            parts = list(node.args)
        case ast.Call() if _is_builtin(node, "str", "repr"):
            parts = list(node.args)
    return parts


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
