"""The numbers that tell how good a model is, and the statements that show what depends on a model."""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modelwright.notebooks import names as naming
from modelwright.notebooks import vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import FIGURE
from modelwright.notebooks.learning import Learning
from modelwright.notebooks.names import Names, root
from modelwright.notebooks.statements import Statement

# How names tell which rows they hold.
_ROWS = {"train": r"train|_tr\b|_tr_", "valid": r"valid|_val\b|_dev\b", "test": r"test|_te\b"}
_PLACE_OF_VALUE = re.compile(r"\{[^{}]*\}|%[-+ #0-9.]*[a-zA-Z]")
_PERCENT = re.compile(r"\{[^{}]*%\}")
_NUMBER_IN_WORDS = re.compile(r"(?<![\w.])\d")
# What the scores of several folds are summed up with.
_SUMMARIES = frozenset({"mean", "std", "max", "min", "median"})


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
class Measures:
    """A notebook's metrics, and the statements kept for what they show beyond metrics."""

    metrics: Sequence[Measure]
    shows: frozenset[int]


def measures(flow: Flow, learning: Learning) -> Measures:
    """Return the metrics in the order of the statements, and which statements show more that depends on a model."""
    return _Measuring(flow, learning).run()


def subject(flow: Flow, learning: Learning, index: int) -> str:
    """Return the name of the model that a statement measures: the one fitted last of those that it depends on."""
    before = flow.ancestors(frozenset({index})) | {index}
    fits = [name for place, name in learning.fits if place in before and place in learning.training]
    return fits[-1] if fits else ""


class _Measuring:
    """Goes through the statements in order, with the names that hold a metric by then."""

    def __init__(self, flow: Flow, learning: Learning) -> None:
        self.flow = flow
        self.learning = learning
        self.found: list[Measure] = []
        self.numbers: dict[str, str] = {}  # where a metric is to be had, with the function that gave it
        self.folds: set[str] = set()  # names of arrays that hold a score for each fold
        self.fitted = _fitted_names(flow, learning)
        self.losses = _losses(flow)
        self.variables = {name for each in flow.effects for name in each.binds | each.reads}

    def run(self) -> Measures:
        shows = set()
        for each in self.flow.statements:
            if not naming.is_definition(each.tree) and not naming.is_import(each.tree):
                self._note_folds(each.tree)
                is_told = self._measured(each)
                if not is_told and self._shows_more(each):
                    shows.add(each.index)
        return Measures(self.found, frozenset(shows))

    def _measured(self, one: Statement) -> bool:
        """Note the metrics of a statement; return whether they are all that it shows."""
        rebound = self.flow.effects[one.index].binds
        self.numbers = {place: value for place, value in self.numbers.items() if _owner(place) not in rebound}
        bound = [
            (name, place, expression, function)
            for name, place, expression in _bound(one.tree)
            if (function := self._function(expression)) is not None
        ]
        for name, place, expression, function in bound:
            free = self._free(name, one.index)
            self.found.append(Measure(one.index, free, expression, function, place, is_bound=True))
            self.numbers[place] = function
        if bound and not isinstance(one.tree, ast.Expr):
            return True
        is_told = True
        for expression in _shown(one):
            function = self._function(expression)
            if function is None:
                is_told = is_told and isinstance(expression, ast.Constant)
            elif _unrounded(expression) not in self.numbers:
                # A new variable, which must not take the place of one of the user's.
                taken = {each.name for each in self.found} | self.variables
                model = subject(self.flow, self.learning, one.index)
                name = _free_name(_shown_name(expression, function), expression, taken, model)
                self.found.append(Measure(one.index, name, expression, function, name, is_bound=False))
        return is_told and bool(_shown(one)) and not _says_numbers(one.tree) and not _says_percents(one.tree)

    def _function(self, node: ast.expr) -> str | None:
        return _metric_function(node, self.flow.names, self.numbers, self.fitted, self.folds)

    def _note_folds(self, tree: ast.stmt) -> None:
        if isinstance(tree, ast.Assign) and len(tree.targets) == 1 and isinstance(tree.targets[0], ast.Name):
            value = tree.value.operand if isinstance(tree.value, ast.UnaryOp) else tree.value
            is_call = isinstance(value, ast.Call)
            origin = self.flow.names.origin(value.func) if isinstance(value, ast.Call) else None
            known = is_call and origin == "sklearn.model_selection.cross_val_score"
            (self.folds.add if known else self.folds.discard)(tree.targets[0].id)

    def _free(self, name: str, index: int) -> str:
        taken = {each.name for each in self.found}
        model = subject(self.flow, self.learning, index)
        candidates = [name, *([f"{model}_{name}"] if model else []), *(f"{name}_{n}" for n in range(2, 1000))]
        return next(each for each in candidates if each not in taken)

    def _shows_more(self, one: Statement) -> bool:
        """Whether a statement shows something that depends on a model and is no plot."""
        learning, tree = self.learning, one.tree
        depends = one.index in learning.dependent | learning.training or _shows_learnt(tree, self.fitted)
        depends = depends or bool(self.flow.effects[one.index].reads & self.losses)
        if not depends or not _is_shown(one, self.flow):
            return False
        if FIGURE in self.flow.effects[one.index].changes and not _prints(tree):
            return False
        if not isinstance(tree, ast.Expr) or _prints(tree):
            return True
        is_fit = isinstance(tree.value, ast.Call) and _last(tree.value) in vocabulary.FITTING_METHODS
        return not is_fit and not (isinstance(tree.value, ast.Name) and tree.value.id in self.fitted)


def _shows_learnt(tree: ast.stmt, fitted: set[str]) -> bool:
    """Whether an expression shows what something fitted has learnt: `pca.explained_variance_ratio_`."""
    return isinstance(tree, ast.Expr) and any(
        isinstance(each, ast.Attribute)
        and each.attr.endswith("_")
        and not each.attr.startswith("_")
        and root(each.value) in fitted
        for each in ast.walk(tree)
    )


def _says_numbers(tree: ast.stmt) -> bool:
    """Whether a statement's own words hold numbers, as "R^2" does, which would go with its text."""
    specs = {id(each.format_spec) for each in ast.walk(tree) if isinstance(each, ast.FormattedValue)}
    inside = {id(part) for each in ast.walk(tree) if id(each) in specs for part in ast.walk(each)}
    texts = [
        _PLACE_OF_VALUE.sub("", each.value)
        for each in ast.walk(tree)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in inside
    ]
    return any(_NUMBER_IN_WORDS.search(each) for each in texts)


def _says_percents(tree: ast.stmt) -> bool:
    """Whether a statement writes a number as a percentage, which is another number: `f"{score:.1%}"`."""
    specs = [each.format_spec for each in ast.walk(tree) if isinstance(each, ast.FormattedValue) and each.format_spec]
    texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return any(ast.unparse(each).endswith("%'") for each in specs) or any(map(_PERCENT.search, texts))


def _is_shown(one: Statement, flow: Flow) -> bool:
    """Whether a statement shows anything: as it was seen to, or else as its text says."""
    if one.index in flow.seen:
        return bool(flow.seen[one.index].printed.strip())
    return _prints(one.tree) or one.is_displayed


def _prints(tree: ast.stmt) -> bool:
    return any(isinstance(each, ast.Call) and _is_builtin(each, "print", "display") for each in ast.walk(tree))


def _last(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _owner(place: str) -> str:
    return place.partition("[")[0]


def _losses(flow: Flow) -> set[str]:
    """Return the names of what gradients were asked of: `loss.backward()`."""
    called = [each.func for one in flow.statements for each in ast.walk(one.tree) if isinstance(each, ast.Call)]
    found = (root(each.value) for each in called if isinstance(each, ast.Attribute) and each.attr == "backward")
    return {each for each in found if each}


def _fitted_names(flow: Flow, learning: Learning) -> set[str]:
    """Return the names of what was fitted, and of its parts: `best = search.best_estimator_`."""
    found = {name for _, name in learning.fits}
    for each in flow.statements:
        tree = each.tree
        if not isinstance(tree, ast.Assign) or not isinstance(tree.targets[0], ast.Name):
            continue
        is_part = isinstance(tree.value, ast.Name | ast.Attribute | ast.Subscript) and root(tree.value) in found
        # Most fits return the estimator itself.
        is_fit = isinstance(tree.value, ast.Call) and _last(tree.value) in {"fit", "partial_fit"}
        if is_part or is_fit:
            found.add(tree.targets[0].id)
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


def _metric_function(
    node: ast.expr, names: Names, numbers: Mapping[str, str], fitted: set[str], folds: set[str]
) -> str | None:
    """Return the function whose number an expression gives, through roots, rounding and arithmetic; else None."""

    def inner(each: ast.expr) -> str | None:
        return _metric_function(each, names, numbers, fitted, folds)

    match node:
        case ast.Name() | ast.Subscript():
            return numbers.get(_place(node))
        case ast.NamedExpr():
            return inner(node.value)
        case ast.BinOp():
            return inner(node.left) or inner(node.right)
        case ast.Call():
            return "cv_score" if _sums_up(node, names, folds) else _function_called(node, names, fitted, inner)
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


def _sums_up(node: ast.Call, names: Names, folds: set[str]) -> bool:
    """Whether a call gives one number of the scores of several folds: `scores.mean()`, `np.std(scores)`."""
    origin = names.origin(node.func) or ""
    if origin.startswith("numpy.") and origin.rpartition(".")[2] in _SUMMARIES and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id in folds
    method = node.func
    if not isinstance(method, ast.Attribute) or method.attr not in _SUMMARIES or node.args:
        return False
    return isinstance(method.value, ast.Name) and method.value.id in folds


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
        return _printed_parts(call) if statement.is_displayed else []
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
            parts = [*node.args, *(each.value for each in node.keywords)]
        case ast.Call() if _is_builtin(node, "str", "repr"):
            parts = list(node.args)
    return parts


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _shown_name(expression: ast.expr, function: str) -> str:
    name = vocabulary.METRIC_FUNCTIONS.get(function, (function, None))[0]
    if function == "cv_score" and isinstance(expression, ast.Call):
        summary = _last(expression) if isinstance(expression.func, ast.Attribute) else ""
        name = f"cv_score_{summary}" if summary and summary != "mean" else name
    takes_root = _is_half_power(expression) or any(
        isinstance(each, ast.Attribute | ast.Name)
        and (getattr(each, "attr", None) or getattr(each, "id", "")) == "sqrt"
        for each in ast.walk(expression)
    )
    return f"r{name}" if takes_root and name in {"mse", "msle"} else name


def _is_half_power(expression: ast.expr) -> bool:
    is_power = isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Pow)
    return is_power and ast.unparse(expression).replace(" ", "").endswith(("**0.5", "**(1/2)"))


def _free_name(name: str, expression: ast.expr, taken: set[str], subject: str) -> str:
    """Return `name`, or one that tells the rows or the model it was measured on, or a numbered one: the first free."""
    words = "|".join(each.id.lower() for each in ast.walk(expression) if isinstance(each, ast.Name))
    rows = next((rows for rows, pattern in _ROWS.items() if re.search(pattern, words)), "")
    # A plain name is for the rows that count; what was measured on the rows learnt from says so.
    plain = f"{rows}_{name}" if rows == "train" else name
    candidates = [plain, *([f"{rows}_{name}"] if rows else []), *([f"{subject}_{plain}"] if subject else [])]
    candidates += [f"{name}_{number}" for number in range(2, 1000)]
    return next(each for each in candidates if each not in taken)
