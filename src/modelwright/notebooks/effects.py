"""What a statement reads, binds and changes. Where the analysis cannot know, it takes the worst.

Hidden state is a name in angle brackets: shared random state orders statements as a variable would, and figures,
settings and files are changed rather than named.
"""

import ast
import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from modelwright.notebooks import names as naming
from modelwright.notebooks import vocabulary
from modelwright.notebooks.names import Definition, FunctionSummary, Names, root

NUMPY_RANDOM = "<numpy random>"
PYTHON_RANDOM = "<python random>"
TORCH_RANDOM = "<torch random>"
FIGURE = "<figure>"
DISPLAY = "<display>"
WORLD = "<world>"
RANDOM = frozenset({NUMPY_RANDOM, PYTHON_RANDOM, TORCH_RANDOM})

_BUILTINS = frozenset(dir(builtins)) | {"display", "get_ipython", "__file__", "__name__"}
# Builtins whose result holds what they are given.
_HOLDING_BUILTINS = frozenset({"list", "dict", "tuple", "set", "sorted", "zip", "iter", "reversed", "enumerate"})


@dataclass(frozen=True)
class Effects:
    """The names a statement reads before it binds them, surely binds, and may bind or change in place.

    `links` are pairs of names that may share memory afterwards. Of the changes, `fits` are those by a library's `fit`
    alone, which leaves what the estimator was built with as it was, and `may_bind` those that only bind a name, in a
    branch or a loop, and so leave whatever else shares memory with its object as it was. `unseeded` says that it draws
    random numbers from fresh entropy.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    changes: frozenset[str]
    links: frozenset[tuple[str, str]] = frozenset()
    fits: frozenset[str] = frozenset()
    may_bind: frozenset[str] = frozenset()
    unseeded: bool = False


def of(tree: ast.stmt, names: Names) -> Effects:
    """Return the effects of a statement."""
    collector = _Collector(names)
    collector.visit(tree)
    return collector.effects()


def summary(tree: Definition, names: Names) -> FunctionSummary:
    """Return what calling a function, or using a class, does to the notebook's variables and to its arguments."""
    free = naming.global_reads(tree) - _BUILTINS - names.imports.keys()
    parameters = _parameter_names(tree) if not isinstance(tree, ast.ClassDef) else ()
    collector = _Collector(names)
    for each in tree.body:
        collector.visit(each)
    inner = collector.effects()
    groups = Groups()
    groups.add(inner.links)
    changed = frozenset().union(*(groups.of(name) for name in inner.changes)) if inner.changes else frozenset()
    reads = set(free)
    written = inner.changes | (inner.binds & RANDOM)
    changes = {name for name in written if name in free or name.startswith("<")}
    for called in free & names.functions.keys():
        reads |= names.functions[called].reads
        changes |= names.functions[called].changes
    declared_global = {name for each in ast.walk(tree) if isinstance(each, ast.Global) for name in each.names}
    return FunctionSummary(
        reads=frozenset(reads) | (inner.reads & RANDOM),
        changes=frozenset(changes) | declared_global,
        parameters=parameters,
        changed_parameters=frozenset(parameters) & changed,
        returns=isinstance(tree, ast.ClassDef) or naming.returns(tree),
    )


def _parameter_names(tree: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    given = tree.args
    return tuple(each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs))


class Groups:
    """Names that may share memory, as sets that only grow together."""

    def __init__(self) -> None:
        """Start with every name alone."""
        self._group: dict[str, frozenset[str]] = {}

    def add(self, links: Iterable[tuple[str, str]]) -> None:
        """Join the groups of each pair."""
        for one, other in links:
            joined = self.of(one) | self.of(other)
            for name in joined:
                self._group[name] = joined

    def of(self, name: str) -> frozenset[str]:
        """Return the names that may share memory with `name`, itself included."""
        return self._group.get(name, frozenset({name}))


@dataclass
class _State:
    reads: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    maybe_bound: set[str] = field(default_factory=set)
    links: set[tuple[str, str]] = field(default_factory=set)
    fits: set[str] = field(default_factory=set)
    unseeded: bool = False


class _Collector(ast.NodeVisitor):
    """Walks a statement in the order of its execution."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.state = _State()
        self.bound: set[str] = set()
        self.locals: list[set[str]] = []

    def effects(self) -> Effects:
        state = self.state
        return Effects(
            reads=frozenset(state.reads),
            binds=frozenset(self.bound),
            changes=frozenset(state.changes | state.fits | (state.maybe_bound - self.bound)),
            links=frozenset(state.links),
            fits=frozenset(state.fits - state.changes),
            may_bind=frozenset(state.maybe_bound - self.bound - state.changes - state.fits),
            unseeded=state.unseeded,
        )

    # --- names ---

    def _read(self, name: str) -> None:
        if any(name in scope for scope in self.locals):
            return
        if name not in self.bound:
            self.state.reads.add(name)
        called = self.names.functions.get(name)
        if called:
            self.state.reads |= called.reads - self.bound
            self.state.changes |= called.changes

    def _change(self, name: str | None) -> None:
        """Note that what `name` holds may change in place; what was imported or defined does not."""
        if name is None or name in self.names.imports or name in self.names.functions:
            return
        if not any(name in scope for scope in self.locals):
            self._read(name)
            self.state.changes.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif isinstance(node.ctx, ast.Del):
            self._read(node.id)
            self.state.changes.add(node.id)
        elif self.locals:
            self.locals[-1].add(node.id)
        else:
            self.bound.add(node.id)
            self.state.maybe_bound.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._store_into(node)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._store_into(node)
        self.visit(node.value)
        self.visit(node.slice)

    def _store_into(self, node: ast.Attribute | ast.Subscript) -> None:
        origin = self.names.origin(node) or ""
        self.state.changes.add(DISPLAY) if _is_display(origin) else self._change(root(node))

    # --- statements ---

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._link(target, node.value)
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
            self._link(node.target, node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._link(node.target, node.value)
        # A walrus inside a comprehension binds outside of it.
        inner, self.locals = self.locals, []
        self.visit(node.target)
        self.locals = inner

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._change(root(node.target))
        if not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for each in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(each)
        self.bound.add(node.name)
        self.state.maybe_bound.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for each in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(each)
        self.bound.add(node.name)
        self.state.maybe_bound.add(node.name)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        imported = naming.imported_names(node).keys()
        self.bound |= imported
        self.state.maybe_bound |= imported

    visit_ImportFrom = visit_Import

    def visit_Lambda(self, node: ast.Lambda) -> None:
        given = node.args
        for default in (*given.defaults, *filter(None, given.kw_defaults)):
            self.visit(default)
        everything = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
        self.locals.append({each.arg for each in everything if each})
        self.visit(node.body)
        self.locals.pop()

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        self.locals.append(set())
        for number, generator in enumerate(node.generators):
            if number:
                self.visit(generator.iter)
            self.visit(generator.target)
            for condition in generator.ifs:
                self.visit(condition)
        for each in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(each)
        self.locals.pop()

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def _branches(self, branches: Iterable[list[ast.stmt]], *, covers_all: bool) -> None:
        """Walk alternatives; afterwards only what every one of them binds is surely bound."""
        before, after = set(self.bound), []
        for body in branches:
            self.bound = set(before)
            for each in body:
                self.visit(each)
            after.append(self.bound)
        self.bound = set.intersection(*after) if covers_all and after else before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches([node.body, node.orelse], covers_all=True)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._link(node.target, node.iter)
        before = set(self.bound)
        self.visit(node.target)
        self._branches([node.body], covers_all=True)
        # A loop over nothing binds nothing.
        self.bound = before
        self._branches([node.orelse], covers_all=False)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branches([node.body], covers_all=False)
        self._branches([node.orelse], covers_all=False)

    def visit_Try(self, node: ast.Try) -> None:
        self._branches([node.body], covers_all=False)
        for handler in node.handlers:
            if handler.type:
                self.visit(handler.type)
            before = set(self.bound)
            if handler.name:
                self.bound.add(handler.name)
            self._branches([handler.body], covers_all=False)
            self.bound = before
        self._branches([node.orelse], covers_all=False)
        for each in node.finalbody:
            self.visit(each)

    # --- calls ---

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        origin = self.names.origin(node.func)
        if origin is not None:
            self._library_call(node, origin)
        elif isinstance(node.func, ast.Name):
            self._named_call(node, node.func.id)
        elif isinstance(node.func, ast.Attribute):
            self._method_call(node, node.func)
        else:
            self._change_all(node)

    def _library_call(self, node: ast.Call, origin: str) -> None:
        library, last = origin.partition(".")[0], origin.rpartition(".")[2]
        state = self.state
        if origin in vocabulary.WRITING_FUNCTIONS and node.args:
            self._change(root(node.args[0]))
        if origin.startswith(("numpy.random.", "random.")):
            self._random_call(node, last, NUMPY_RANDOM if library == "numpy" else PYTHON_RANDOM)
        elif last == "manual_seed":
            self._random_call(node, "seed", TORCH_RANDOM)
        elif origin in vocabulary.DRAWING_FUNCTIONS and not naming.has_random_state(node):
            inner = [*node.args, *(each.value for each in node.keywords)]
            if not (last.startswith("cross_") and all(self.names.is_steady(each) for each in inner)):
                self._draw(NUMPY_RANDOM)
        elif library in vocabulary.PLOT_LIBRARIES:
            state.changes.add(FIGURE)
            state.reads.add(FIGURE)
        elif _is_display(origin):
            state.changes.add(DISPLAY)
        elif library not in vocabulary.TRUSTED_LIBRARIES:
            self._change_all(node)

    def _random_call(self, node: ast.Call, last: str, state: str) -> None:
        if last in {"seed", "set_state", "setstate"}:
            if not node.args and not node.keywords:
                self.state.unseeded = True
            self.bound.add(state)
            self.state.maybe_bound.add(state)
        elif last in {"default_rng", "RandomState", "Random", "SeedSequence"}:
            self.state.unseeded |= not node.args and not node.keywords
        else:
            self._draw(state)

    def _draw(self, state: str) -> None:
        self._read(state)
        self.state.changes.add(state)

    def _named_call(self, node: ast.Call, name: str) -> None:
        known = self.names.functions.get(name)
        if known:
            for position, given in enumerate(node.args):
                if position >= len(known.parameters) or known.parameters[position] in known.changed_parameters:
                    self._change_value(given)
            for keyword in node.keywords:
                if keyword.arg is None or keyword.arg in known.changed_parameters:
                    self._change_value(keyword.value)
        elif name in vocabulary.WRITING_FUNCTIONS:
            self._change(root(node.args[0]) if node.args else None)
        elif name not in _BUILTINS:
            self._change(name)
            self._change_all(node)

    def _method_call(self, node: ast.Call, method: ast.Attribute) -> None:
        receiver = root(method.value)
        if method.attr in {"query", "eval"}:
            self.state.reads |= {name for each in node.args for name in _queried(each)}
        if receiver in self.names.canvases:
            self._draw(FIGURE)
            self._change(receiver)
        elif method.attr in vocabulary.PLOT_METHODS or method.attr.startswith("plot_") or _is_plot_accessor(method):
            self._draw(FIGURE)
        elif method.attr in vocabulary.FITTING_METHODS:
            self._fit(receiver)
            if not self.names.is_steady(method.value):
                self._draw(NUMPY_RANDOM)
        elif method.attr == "sample" and not naming.has_random_state(node):
            self._draw(NUMPY_RANDOM)
        elif method.attr not in vocabulary.PURE_METHODS or _is_in_place(node):
            self._change(receiver)
            if method.attr in {"append", "extend", "insert", "add", "update", "setdefault"} and receiver:
                self.state.links |= {(receiver, each) for given in node.args for each in self._sharing(given)}

    def _fit(self, name: str | None) -> None:
        is_new = name is not None and name not in self.state.changes
        self._change(name)
        if is_new and name in self.state.changes and self.names.is_estimator(self.names.constructors.get(name)):
            self.state.changes.discard(name)
            self.state.fits.add(name)

    def _change_all(self, node: ast.Call) -> None:
        for given in (*node.args, *(each.value for each in node.keywords)):
            self._change_value(given)

    def _change_value(self, given: ast.expr) -> None:
        for name in self._sharing(given):
            self._change(name)

    # --- shared memory ---

    def _link(self, target: ast.expr, value: ast.expr) -> None:
        targets = {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._link(one, other)
            return
        self.state.links |= {(one, other) for one in targets for other in self._sharing(value)}

    def _sharing(self, node: ast.expr) -> set[str]:
        """Return the names whose objects the value of an expression may be, or hold, or look into."""
        parts: list[ast.expr] = []
        match node:
            case ast.Name():
                known = node.id in self.names.imports or any(node.id in scope for scope in self.locals)
                return set() if known else {node.id}
            case ast.Call():
                return self._sharing_of_call(node)
            case ast.Attribute() | ast.Subscript() | ast.Starred() | ast.NamedExpr() | ast.Await():
                parts = [node.value]
            case ast.Tuple() | ast.List() | ast.Set():
                parts = node.elts
            case ast.Dict() | ast.BoolOp():
                parts = node.values
            case ast.IfExp():
                parts = [node.body, node.orelse]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                parts = [each.iter for each in node.generators]
        return self._sharing_of_all(parts)

    def _sharing_of_all(self, parts: Iterable[ast.expr]) -> set[str]:
        return {name for each in parts for name in self._sharing(each)}

    def _sharing_of_call(self, node: ast.Call) -> set[str]:
        origin = self.names.origin(node.func)
        inner = self._sharing_of_all([*node.args, *(each.value for each in node.keywords)])
        if origin is not None:
            library, last = origin.partition(".")[0], origin.rpartition(".")[2]
            makes_object = last[:1].isupper() or last.startswith(("make_pipeline", "make_column"))
            keeps = makes_object or origin in vocabulary.VIEW_FUNCTIONS
            return inner if keeps or library not in vocabulary.TRUSTED_LIBRARIES else set()
        if isinstance(node.func, ast.Attribute):
            return self._sharing_of_method(node.func, inner)
        is_fresh = isinstance(node.func, ast.Name) and node.func.id in _BUILTINS - _HOLDING_BUILTINS
        return set() if is_fresh else inner

    def _sharing_of_method(self, method: ast.Attribute, inner: set[str]) -> set[str]:
        receiver = self._sharing(method.value)
        if method.attr in vocabulary.VIEW_METHODS:
            return receiver
        if method.attr in vocabulary.PURE_METHODS:
            return set()
        # Most fits return the estimator itself, which does not hold the rows; an unknown method may hold all.
        return receiver if method.attr in vocabulary.FITTING_METHODS else receiver | inner


def _is_display(origin: str) -> bool:
    return any(
        origin.startswith(each) if each.endswith(".") else origin == each for each in vocabulary.DISPLAY_SETTINGS
    )


def _is_plot_accessor(method: ast.Attribute) -> bool:
    """Whether a method is `….plot.bar` or the like."""
    return isinstance(method.value, ast.Attribute) and method.value.attr == "plot"


def _queried(text: ast.expr) -> list[str]:
    """Return the variables that the text of a query of pandas names: `"price < @most"`."""
    texts = [each.value for each in ast.walk(text) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return [name for each in texts for name in re.findall(r"@(\w+)", each)]


def _is_in_place(node: ast.Call) -> bool:
    return any(
        each.arg == "inplace" and not (isinstance(each.value, ast.Constant) and each.value.value is False)
        for each in node.keywords
    )
