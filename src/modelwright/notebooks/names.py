"""What names stand for in a notebook: imports by their dotted origin, functions it defines, estimators it builds."""

import ast
import re
import symtable
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelwright.notebooks import vocabulary

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SCOPES = Definition | ast.Lambda
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True)
class FunctionSummary:
    """What calling a function of the user's does to the notebook: the globals it reads, the parameters it changes."""

    reads: frozenset[str]
    changes: frozenset[str]
    parameters: tuple[str, ...]
    changed_parameters: frozenset[str]
    returns: bool = True


@dataclass(frozen=True)
class Names:
    """The meaning of a notebook's names, taken over all its cells."""

    imports: Mapping[str, str]
    functions: Mapping[str, FunctionSummary]
    constructors: Mapping[str, ast.Call]
    classes: frozenset[str] = frozenset()
    silent_methods: frozenset[str] = frozenset()
    canvases: frozenset[str] = frozenset()

    def origin(self, node: ast.AST) -> str | None:
        """Return the dotted name of what an expression such as `np.random.seed` refers to, if it was imported."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.origin(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def constructor(self, node: ast.AST) -> str | None:
        """Return the class's dotted name if the expression builds an object of an imported class."""
        if not isinstance(node, ast.Call):
            return None
        origin = self.origin(node.func)
        if origin is None:
            return None
        last = origin.rpartition(".")[2]
        return origin if last[:1].isupper() or last in {"make_pipeline", "make_column_transformer"} else None

    def is_estimator(self, node: ast.AST | None) -> bool:
        """Whether the expression builds an object of a machine-learning library."""
        origin = self.constructor(node) if node else None
        return origin is not None and origin.partition(".")[0] in vocabulary.ESTIMATOR_LIBRARIES

    def is_silent(self, node: ast.AST) -> bool:
        """Whether an expression is a call of a function of the user's that returns nothing, and so shows nothing."""
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                return not self.functions[name].returns
            case ast.Call(func=ast.Attribute(attr=method)):
                return method in self.silent_methods
        return False

    def is_own_class(self, node: ast.Call) -> bool:
        """Whether a call builds an object of a class of the user's."""
        return isinstance(node.func, ast.Name) and node.func.id in self.classes

    def is_steady(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        """Whether fitting what the expression builds draws nothing from shared random state."""
        if isinstance(node, ast.Name):
            built = self.constructors.get(node.id)
            return built is None or node.id in seen or self.is_steady(built, seen | {node.id})
        if not isinstance(node, ast.Call):
            return all(self.is_steady(each, seen) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr))
        inner = [*node.args, *(each.value for each in node.keywords)]
        if self.is_estimator(node):
            last = (self.constructor(node) or "").rpartition(".")[2]
            if not has_random_state(node) and (last not in vocabulary.STEADY_ESTIMATORS or _shuffles(node)):
                return False
        return all(self.is_steady(each, seen) for each in inner)


Summarise = Callable[[Definition, Names], FunctionSummary]


def has_random_state(call: ast.Call) -> bool:
    """Whether a call is given `random_state`, other than None."""
    given = [each.value for each in call.keywords if each.arg in {"random_state", "seed"}]
    return any(not (isinstance(value, ast.Constant) and value.value is None) for value in given)


def _shuffles(call: ast.Call) -> bool:
    given = [each.value for each in call.keywords if each.arg == "shuffle"]
    return any(not (isinstance(value, ast.Constant) and value.value is False) for value in given)


def imported_names(tree: ast.stmt) -> dict[str, str]:
    """Return the names that an import statement binds, each with its dotted origin."""
    if isinstance(tree, ast.Import):
        return {
            each.asname or each.name.partition(".")[0]: each.name if each.asname else each.name.partition(".")[0]
            for each in tree.names
        }
    if isinstance(tree, ast.ImportFrom):
        base = "." * tree.level + (tree.module or "")
        return {each.asname or each.name: f"{base}.{each.name}" for each in tree.names if each.name != "*"}
    return {}


def is_import(tree: ast.stmt) -> bool:
    """Whether the statement imports, and nothing else; `try: import … except ImportError: …` too."""
    if isinstance(tree, ast.Try):
        return any(isinstance(each, ast.Import | ast.ImportFrom) for each in tree.body)
    return isinstance(tree, ast.Import | ast.ImportFrom)


def is_definition(tree: ast.stmt) -> bool:
    """Whether the statement defines a function or class."""
    return isinstance(tree, Definition)


def is_literal(tree: ast.stmt) -> bool:
    """Whether a statement assigns a literal, lists and dictionaries of literals included."""
    if not isinstance(tree, ast.Assign):
        return False
    try:
        ast.literal_eval(tree.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def global_reads(tree: ast.stmt) -> frozenset[str]:
    """Return the module's names that a function or class definition reads when it runs or is called."""
    table = symtable.symtable(ast.unparse(tree), "cell", "exec")
    names: set[str] = set()

    def visit(scope: symtable.SymbolTable) -> None:
        for symbol in scope.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                names.add(symbol.get_name())
        for child in scope.get_children():
            visit(child)

    for child in table.get_children():
        visit(child)
    return frozenset(names)


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs in the notebook's own scope; a function or class itself is told of, its body is not."""
    yield tree
    if not isinstance(tree, SCOPES | COMPREHENSIONS):
        for child in ast.iter_child_nodes(tree):
            yield from outside_functions(child)


def walk_imports(trees: Iterable[ast.stmt]) -> dict[str, str]:
    """Return all names imported anywhere in the statements, function bodies too."""
    found: dict[str, str] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= imported_names(node)
    return found


def root(node: ast.AST) -> str | None:
    """Return the name that an attribute, subscript or call chain starts from."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def build(trees: list[ast.stmt], summarise: Summarise) -> Names:
    """Return the names of a notebook from its statements. `summarise` gives a function's summary."""
    imports = walk_imports(trees)
    constructors: dict[str, ast.Call] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                built = _innermost(node.value)
                if isinstance(built, ast.Call):
                    constructors[node.targets[0].id] = built
    functions: dict[str, FunctionSummary] = {}
    for tree in trees:
        if isinstance(tree, Definition):
            functions[tree.name] = summarise(tree, Names(imports, functions, constructors))
    own = [tree for tree in trees if isinstance(tree, ast.ClassDef)]
    return Names(
        imports,
        functions,
        constructors,
        frozenset(each.name for each in own),
        _silent_methods(own),
        _canvases(trees, Names(imports, {}, {})),
    )


def _canvases(trees: Iterable[ast.stmt], names: Names) -> frozenset[str]:
    """Return the names that only ever hold figures and their parts, as libraries of plots give them."""
    bound = [pair for tree in trees for node in ast.walk(tree) for pair in _bindings(node)]
    found: set[str] = set()
    while True:
        drawn = {name for name, value in bound if _is_canvas(value, names, found)}
        drawn -= {name for name, value in bound if name in drawn and not _is_canvas(value, names, found | drawn)}
        if drawn <= found:
            return frozenset(found)
        found |= drawn


def _is_canvas(value: ast.expr, names: Names, known: Collection[str]) -> bool:
    if root(value) in known:
        return True
    called = value.func if isinstance(value, ast.Call) else value
    library = (names.origin(called) or "").partition(".")[0]
    if library in vocabulary.PLOT_LIBRARIES:
        return isinstance(value, ast.Call)
    return isinstance(called, ast.Attribute) and value is not called and called.attr in vocabulary.PLOT_METHODS


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Give each name that a statement binds with what it is bound to, or with what that is a part of."""
    match node:
        case ast.Assign(targets=targets, value=value):
            pairs = [(each, value) for each in targets]
        case ast.For(target=ast.Tuple(elts=parts), iter=ast.Call(func=ast.Name(id="zip"), args=given)):
            pairs = list(zip(parts, given, strict=False))
        case ast.For(target=ast.Tuple(elts=[_, part]), iter=ast.Call(func=ast.Name(id="enumerate"), args=[given, *_])):
            pairs = [(part, given)]
        case ast.For(target=target, iter=value):
            pairs = [(target, value)]
        case _:
            pairs = []
    for target, value in pairs:
        yield from ((each.id, value) for each in ast.walk(target) if isinstance(each, ast.Name))


def _silent_methods(classes: Iterable[ast.ClassDef]) -> frozenset[str]:
    """Return the names of methods of the user's that never return anything."""
    methods = [each for tree in classes for each in tree.body if isinstance(each, ast.FunctionDef)]
    return frozenset(each.name for each in methods) - {each.name for each in methods if returns(each)}


def returns(function: ast.AST) -> bool:
    """Whether a function gives something back."""
    return any(isinstance(each, ast.Return) and each.value is not None for each in ast.walk(function))


def _innermost(node: ast.expr) -> ast.expr:
    """Return `Ridge()` of `Ridge().fit(X, y)`."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        node = node.func.value
    return node


def snake(name: str) -> str:
    """Return a class's name as words of a function's: `SVC` is `svc`, `RandomForestClassifier` without its kind."""
    kind = re.sub(r"^make_|(Classifier|Regressor|Regression)$", "", name) or name
    kind = kind if len(kind) > 1 else name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()
