"""Names that a notebook reads before anything in it has bound them."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelwright.notebooks import effects, names
from modelwright.notebooks.effects import Effects

# What may bind any name, without saying which.
_BINDS_ANYTHING = frozenset({"exec", "globals", "locals", "vars", "execfile"})
# Contexts in which an error is expected, and caught.
_CATCHING = frozenset({"suppress", "raises", "assertRaises", "assertRaisesRegex"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def unbound_reads(trees: Sequence[ast.stmt]) -> list[frozenset[str]]:
    """Return, for each statement, the names that it may read and that no statement above it may have bound."""
    known = names.build(list(trees), effects.summary)
    return missing(trees, [effects.of(each, known) for each in trees])


def missing(trees: Sequence[ast.stmt], known: Sequence[Effects]) -> list[frozenset[str]]:
    """Return what `unbound_reads` does, from the statements' effects."""
    bound: set[str] = set()
    found = []
    for tree, own in zip(trees, known, strict=True):
        absent = frozenset(name for name in own.reads if not name.startswith("<")) - bound
        found.append(absent)
        bound |= own.binds | (own.changes - absent) | _may_bind(tree)
    return found


def binds_anything(tree: ast.AST) -> bool:
    """Whether a statement may bind names that it does not mention, as a star import does."""
    return any(
        (isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _BINDS_ANYTHING)
        or (isinstance(node, ast.Attribute) and node.attr in {"user_ns", "push"} and "get_ipython" in ast.dump(node))
        for node in ast.walk(tree)
    )


def certain_reads(tree: ast.stmt, functions: Mapping[str, Function]) -> frozenset[str]:
    """Return the names that running the statement reads on every path, the bodies of called `functions` too.

    Reads in a branch, a handler, a lambda or after a possible way out are left out: what raises there in one run does
    not in another. So are names that the branches of the same statement bind.
    """
    reader = _Reader(functions)
    reader.run([tree])
    if not hasattr(tree, "body"):
        return frozenset(reader.reads)
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(reader.reads - stored)


def functions_of(trees: Iterable[ast.stmt]) -> dict[str, Function]:
    """Return the plain functions that statements define, by name; those defined more than once are not known."""
    found: dict[str, Function] = {}
    repeated: set[str] = set()
    for tree in trees:
        if isinstance(tree, Function):
            repeated |= {tree.name} if tree.name in found else set()
            if not tree.decorator_list and not _is_lazy(tree):
                found[tree.name] = tree
    return {name: node for name, node in found.items() if name not in repeated}


def _is_lazy(node: Function) -> bool:
    """Whether calling a function does not run it: a generator, a coroutine."""
    return isinstance(node, ast.AsyncFunctionDef) or any(
        isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(node)
    )


def _may_bind(tree: ast.stmt) -> set[str]:
    """Return every name that something in a statement binds outside of functions, and what they declare global."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                found.add(name)
            case ast.MatchMapping(rest=str(name)):
                found.add(name)
            case ast.Global():
                found |= set(node.names)
    own = list(names.outside_functions(tree))
    # `x += 1` alone binds nothing that was not there.
    added = {id(each.target) for each in own if isinstance(each, ast.AugAssign)}
    stored = [each for each in own if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    return found | {each.id for each in stored if id(each) not in added}


@dataclass
class _Reader(ast.NodeVisitor):
    """Follows the one path that every run takes, and notes the module's names that it reads."""

    functions: Mapping[str, Function]
    reads: set[str] = field(default_factory=set)
    locals: set[str] = field(default_factory=set)
    running: list[str] = field(default_factory=list)

    def run(self, body: Iterable[ast.stmt]) -> bool:
        """Follow statements; return whether what comes after them surely runs."""
        for each in body:
            self.visit(each)
            if any(isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue) for node in ast.walk(each)):
                return False
        return True

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id not in self.locals:
            self.reads.add(node.id)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        called = self.functions.get(name)
        if called is None or name in self.running or name in self.locals:
            return
        outer, self.locals = self.locals, _local_names(called)
        self.running.append(name)
        self.run(called.body)
        self.running.pop()
        self.locals = outer

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        self.visit(node.comparators[0])

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.run(node.body)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for each in node.items:
            self.visit(each.context_expr)
        called = {each.attr for item in node.items for each in ast.walk(item) if isinstance(each, ast.Attribute)}
        called |= {each.id for item in node.items for each in ast.walk(item) if isinstance(each, ast.Name)}
        if not called & _CATCHING:
            self.run(node.body)

    def visit_Try(self, node: ast.Try) -> None:
        if not node.handlers:
            self.run(node.body)

    def visit_FunctionDef(self, node: Function) -> None:
        for each in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(each)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for each in (*node.decorator_list, *node.bases):
            self.visit(each)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for each in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(each)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        if len(node.generators) == 1 and not node.generators[0].ifs:
            for each in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.visit(each)

    visit_ListComp = visit_SetComp = visit_DictComp = _comprehension


def _local_names(node: Function) -> set[str]:
    """Return the names that a function's body takes for its own."""
    given = node.args
    everything = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    found = {each.arg for each in everything if each}
    for each in ast.walk(node):
        match each:
            case ast.Name(ctx=ast.Store() | ast.Del()):
                found.add(each.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(each.name)
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name.partition(".")[0] for alias in each.names}
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
    return found - {name for each in ast.walk(node) if isinstance(each, ast.Global) for name in each.names}
