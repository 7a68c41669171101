"""Where a notebook learns: the statements that fit something, and those whose results depend on what was learnt."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modelwright.notebooks import names as naming
from modelwright.notebooks import vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.names import Names, root

# What only asks about what it is given.
_ASKING = frozenset({"callable", "help", "isinstance", "issubclass", "print", "super", "type"})


@dataclass(frozen=True)
class Learning:
    """The fits of a notebook, as pairs of a statement and the name fitted, and what follows from them.

    `transformers` are the names fitted that only turn rows into rows. `training` are the statements that learn what
    predicts, or, when nothing in the notebook predicts, that learn or compute anything. `tests` are those that test a
    hypothesis. `dependent` are the statements that use, at any remove, a variable that either of them gives.
    """

    fits: Sequence[tuple[int, str]]
    transformers: frozenset[str]
    training: frozenset[int]
    tests: frozenset[int]
    dependent: frozenset[int]


def learning(flow: Flow) -> Learning:
    """Return where the notebook's statements learn."""
    fits = [(each.index, name) for each in flow.statements for name in _fitted(each.tree, flow.names)]
    transformers = _transformers(flow)
    trainers = _calling(flow, lambda tree, known: _trains(tree, flow.names, known, frozenset()))
    testers = _calling(flow, lambda tree, known: _tests(tree, flow.names, known))
    done = [each for each in flow.statements if not naming.is_definition(each.tree)]
    training = {each.index for each in done if _trains(each.tree, flow.names, trainers, transformers)}
    tests = frozenset(each.index for each in done if _tests(each.tree, flow.names, testers))
    if not training:
        training = {index for index, _ in fits} or _computing(flow)
    starts = frozenset(training)
    return Learning(fits, transformers, starts, tests, flow.descendants(starts | tests) | tests)


def _computing(flow: Flow) -> set[int]:
    """Return the statements of a notebook without any fit that compute: those that call the user's own functions.

    A model written by hand learns in a function or a loop of the user's.
    """
    own = {each.tree.name for each in flow.statements if isinstance(each.tree, naming.Definition)}
    return {
        each.index
        for each in flow.statements
        if not naming.is_definition(each.tree)
        and (
            isinstance(each.tree, ast.For | ast.While)
            or any(isinstance(node, ast.Name) and node.id in own for node in ast.walk(each.tree))
        )
    }


def _fitted(tree: ast.stmt, names: Names) -> list[str]:
    """Return the names that a statement fits: `model.fit(…)`, and `model = Ridge().fit(…)`, be it in a loop."""
    if naming.is_definition(tree):
        return []
    found = []
    for inner in (each for each in ast.walk(tree) if isinstance(each, ast.Assign | ast.Expr)):
        for node in ast.walk(inner):
            if not isinstance(node, ast.Call) or not _is_fit(node, names):
                continue
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else node
            name = root(receiver) if not isinstance(receiver, ast.Call) else None
            if (name is None or name in names.imports) and isinstance(inner, ast.Assign):
                target = inner.targets[0]
                name = target.id if isinstance(target, ast.Name) else None
            if name is not None and name not in names.imports:
                found.append(name)
    return found


def _is_fit(node: ast.Call, names: Names) -> bool:
    if names.origin(node.func) in vocabulary.TRAINING_FUNCTIONS:
        return True
    return isinstance(node.func, ast.Attribute) and node.func.attr in vocabulary.FITTING_METHODS


def _calling(flow: Flow, is_it: Callable[[ast.stmt, frozenset[str]], bool]) -> frozenset[str]:
    """Return the user's functions and classes that do something when called, directly or by one another."""
    bodies = {each.tree.name: each.tree for each in flow.statements if isinstance(each.tree, naming.Definition)}
    found: frozenset[str] = frozenset()
    while True:
        more = {name for name, tree in bodies.items() if name not in found and is_it(tree, found)}
        if not more:
            return found
        found |= more


def _tests(tree: ast.stmt, names: Names, testers: frozenset[str]) -> bool:
    """Whether a statement, or a definition when it is called, tests a hypothesis."""
    return any(
        names.origin(node.func) in vocabulary.TESTING_FUNCTIONS or _calls(node, testers)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    )


def _trains(tree: ast.stmt, names: Names, trainers: frozenset[str], transformers: frozenset[str]) -> bool:
    """Whether a statement, or a definition when it is called, learns what predicts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While) and _descends(node):
            return True
        if not isinstance(node, ast.Call):
            continue
        if names.origin(node.func) in vocabulary.TRAINING_FUNCTIONS | vocabulary.VALIDATING_FUNCTIONS:
            return True
        if _calls(node, trainers):
            return True
        if not isinstance(node.func, ast.Attribute):
            continue
        method = node.func
        if method.attr in vocabulary.TRAINING_METHODS:
            return True
        if method.attr in vocabulary.FITTING_METHODS and not _is_transformer(method.value, names, transformers):
            return True
    return False


def _calls(node: ast.Call, functions: frozenset[str]) -> bool:
    """Whether a call is one of the user's `functions`, or gives one to what calls it: `minimize(objective, 0.5)`."""
    if isinstance(node.func, ast.Name):
        if node.func.id in functions:
            return True
        if node.func.id in _ASKING:
            return False
    given = [*node.args, *(each.value for each in node.keywords)]
    return any(isinstance(each, ast.Name) and each.id in functions for each in given)


def _descends(loop: ast.For | ast.While) -> bool:
    """Whether a loop takes steps against what it computes of where it is, as a gradient descent written by hand does.

    One of its variables has something subtracted from it, or a product added, that depends on the variable itself.
    """
    reads: dict[str, set[str]] = {}
    steps: list[tuple[str, ast.expr]] = []
    for node in ast.walk(loop):
        if isinstance(node, ast.AugAssign):
            one, operator, change = root(node.target), node.op, node.value
        elif isinstance(node, ast.Assign):
            targets = [each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            for each in targets:
                reads.setdefault(each.id, set()).update(_names_in(node.value))
            if not isinstance(node.value, ast.BinOp) or not isinstance(node.value.left, ast.Name):
                continue
            one, operator, change = node.value.left.id, node.value.op, node.value.right
            if one not in {each.id for each in targets}:
                continue
        else:
            continue
        is_product = any(isinstance(each, ast.BinOp) and isinstance(each.op, ast.Mult) for each in ast.walk(change))
        if one and (isinstance(operator, ast.Sub) or (isinstance(operator, ast.Add) and is_product)):
            steps.append((one, change))
    return any(one in _names_behind(change, {**reads, one: set()}) for one, change in steps)


def _names_behind(value: ast.expr, reads: Mapping[str, set[str]]) -> set[str]:
    """Return the names that a value is computed from, at any remove."""
    found, waiting = set[str](), _names_in(value)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= reads.get(name, set())
    return found


def _names_in(value: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}


def _is_transformer(receiver: ast.expr, names: Names, transformers: frozenset[str]) -> bool:
    """Whether what is fitted turns rows into rows: a name used so, or a class known to."""
    receiver = receiver.value if isinstance(receiver, ast.NamedExpr) else receiver
    if isinstance(receiver, ast.Call):
        return _class_of(receiver, names) in vocabulary.TRANSFORMERS
    name = root(receiver) or ""
    return name in transformers or is_transformer(name, names)


def is_transformer(name: str, names: Names) -> bool:
    """Whether a name was last bound to an object of a class known to turn rows into rows."""
    built = names.constructors.get(name)
    return built is not None and _class_of(built, names) in vocabulary.TRANSFORMERS


def _class_of(node: ast.Call, names: Names) -> str:
    return (names.constructor(node) or "").rpartition(".")[2]


def _transformers(flow: Flow) -> frozenset[str]:
    transforms, predicts = set(), set()
    for each in flow.statements:
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = root(node.func.value)
                if name and node.func.attr in vocabulary.TRANSFORMING_METHODS:
                    transforms.add(name)
                if name and node.func.attr in vocabulary.PREDICTING_METHODS | {"fit_predict"}:
                    predicts.add(name)
    return frozenset(transforms - predicts)
