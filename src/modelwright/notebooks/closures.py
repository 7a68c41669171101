"""Functions of the user's that read variables of the notebook: what each of them must be given as an argument.

A notebook's function sees every variable of the notebook; a module's sees its own. So a variable that a function
reads becomes a keyword parameter of it, and every call hands it over. A name that is defined several times is a
function of its own each time.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst

from modelwright.notebooks import names
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.slicing import Slice


@dataclass(frozen=True)
class Closures:
    """What definitions are given, by their final name, and the final names of definitions, by statement.

    `impossible` are the statements of definitions that cannot be given what they read, each with that name.
    `variables` are the names of definitions that stand for something else by a statement, to which it was assigned.
    """

    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lives: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    impossible: Sequence[tuple[int, str]] = ()
    variables: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def applied(self, syntax: cst.CSTNode, statement: int) -> cst.CSTNode:
        """Return a statement with its definitions' parameters, and its calls' arguments."""
        others = self.variables.get(statement, frozenset())
        lives = {name: final for name, final in self.lives.get(statement, {}).items() if name not in others}
        given = {name: handed for name, handed in self.given.items() if name not in others}
        if not (given or lives):
            return syntax
        return syntax.visit(_Handing(given, lives))  # type: ignore[return-value]

    def read(self, name: str, statement: int) -> tuple[str, ...]:
        """Return the variables that using a definition's name in a statement takes."""
        if name in self.variables.get(statement, ()):
            return ()
        return self.given.get(self.lives.get(statement, {}).get(name, name), ())


def closures(flow: Flow, kept: Slice) -> Closures:
    """Return what the kept definitions must be given."""
    lives = _lives(flow, kept)
    final = {
        index: lives.get(index, {}).get(_name(flow, index), _name(flow, index)) for index in _definitions(flow, kept)
    }
    own = {index: _variables_read(flow, kept, index) for index in final}
    given = {final[index]: set(found) for index, found in own.items()}
    called = {
        index: {lives.get(index, {}).get(name, name) for name in names.global_reads(flow.statements[index].tree)}
        & given.keys()
        for index in final
    }
    while True:
        more = {
            final[index]: set().union(*(given[name] for name in called[index])) - given[final[index]] for index in final
        }
        if not any(more.values()):
            break
        for name, found in more.items():
            given[name] |= found
    impossible = [
        (index, variable)
        for index, name in sorted(final.items())
        for variable in sorted(given[name])
        if _cannot_be_given(flow.statements[index].tree, variable)
    ]
    known = {name: tuple(sorted(found)) for name, found in given.items() if found}
    return Closures(known, lives, impossible, _assigned_over(flow, kept))


def _assigned_over(flow: Flow, kept: Slice) -> dict[int, frozenset[str]]:
    """Return the names of definitions that hold what was assigned to them last, by statement."""
    defined = {_name(flow, index) for index in _definitions(flow, kept)}
    others: set[str] = set()
    found = {}
    for each in flow.statements:
        if names.is_definition(each.tree):
            others -= {_name(flow, each.index)}
            continue
        found[each.index] = frozenset(others)
        bound = flow.effects[each.index].binds & defined
        others = others - bound if names.is_import(each.tree) else others | bound
    return found


def _definitions(flow: Flow, kept: Slice) -> list[int]:
    return [index for index in sorted(kept.definitions) if names.is_definition(flow.statements[index].tree)]


def _name(flow: Flow, index: int) -> str:
    return str(getattr(flow.statements[index].tree, "name", ""))


def _lives(flow: Flow, kept: Slice) -> dict[int, dict[str, str]]:
    """Return the final names of definitions that are made several times, by statement."""
    places: dict[str, list[int]] = {}
    for index in _definitions(flow, kept):
        known = places.setdefault(_name(flow, index), [])
        known.append(index)
    taken = set().union(*(each.binds | each.reads for each in flow.effects)) if flow.effects else set()
    found: dict[int, dict[str, str]] = {}
    for name, indices in places.items():
        imports = [each.index for each in flow.statements if _imports(each.tree, name)]
        for life, start in enumerate(indices, start=1):
            if life == 1 and not imports:
                continue
            # What is imported keeps its name; a definition that takes its place is another thing.
            final = f"{name}_{life}" if life > 1 else f"own_{name}"
            final = final if final not in taken else f"{final}_again"
            end = min((each for each in (*indices, *imports) if each > start), default=len(flow.statements))
            for index in range(start, end):
                found.setdefault(index, {})[name] = final
    return found


def _imports(tree: ast.stmt, name: str) -> bool:
    return names.is_import(tree) and any(
        name in names.imported_names(each) for each in ast.walk(tree) if isinstance(each, ast.Import | ast.ImportFrom)
    )


def _variables_read(flow: Flow, kept: Slice, index: int) -> set[str]:
    """Return the variables of the notebook that a definition reads when it is called."""
    at_hand = {name for each in kept.definitions | kept.settings for name in flow.effects[each].binds}
    bound = set().union(*(each.binds | each.changes for each in flow.effects))
    tree = flow.statements[index].tree
    return set(names.global_reads(tree) & bound) - at_hand - flow.names.imports.keys()


def _cannot_be_given(tree: ast.stmt, variable: str) -> bool:
    """Whether a variable cannot become a parameter: of a class, of a function that assigns it, here or as its own."""
    if isinstance(tree, ast.ClassDef):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.Global) and variable in node.names:
            return True
        if isinstance(node, ast.Name) and node.id == variable and isinstance(node.ctx, ast.Store):
            return True
    return False


class _Handing(cst.CSTTransformer):
    """Gives definitions their parameters, and calls of them their arguments."""

    def __init__(self, given: Mapping[str, tuple[str, ...]], lives: Mapping[str, str]) -> None:
        super().__init__()
        self.given = given
        self.lives = lives
        self.called: set[int] = set()
        self.hidden: list[set[str]] = []

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.hidden.append(_bound_in(node))

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Name):
            self.called.add(id(node.func))

    def visit_Attribute_attr(self, node: cst.Attribute) -> None:
        self.called.add(id(node.attr))  # an attribute's own name is no name of ours

    def visit_Arg_keyword(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self.called.add(id(node.keyword))

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        if not isinstance(original_node.func, cst.Name) or self._is_hidden(original_node.func.value):
            return updated_node
        final = self.lives.get(original_node.func.value, original_node.func.value)
        handed = [_argument(each) for each in self.given.get(final, ())]
        if original_node.func.value != final:
            updated_node = updated_node.with_changes(func=cst.Name(final))
        return updated_node.with_changes(args=[*updated_node.args, *handed]) if handed else updated_node

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        name = original_node.value
        if (
            id(original_node) in self.called
            or name not in self.lives.keys() | self.given.keys()
            or self._is_hidden(name)
        ):
            return updated_node
        final = self.lives.get(original_node.value, original_node.value)
        handed = self.given.get(final, ())
        if not handed:
            return cst.Name(final)
        return cst.Call(cst.parse_expression("functools.partial"), [cst.Arg(cst.Name(final)), *map(_argument, handed)])

    def _is_hidden(self, name: str) -> bool:
        return any(name in bound for bound in self.hidden)

    def visit_AssignTarget_target(self, node: cst.AssignTarget) -> None:
        self.called.add(id(node.target))

    def visit_FunctionDef_name(self, node: cst.FunctionDef) -> None:
        self.called.add(id(node.name))

    def visit_ClassDef_name(self, node: cst.ClassDef) -> None:
        self.called.add(id(node.name))

    def visit_Param_name(self, node: cst.Param) -> None:
        self.called.add(id(node.name))

    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        return updated_node.with_changes(
            name=cst.Name(self.lives.get(original_node.name.value, original_node.name.value))
        )

    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        self.hidden.pop()
        final = self.lives.get(original_node.name.value, original_node.name.value)
        parameters = [cst.Param(cst.Name(each)) for each in self.given.get(final, ())]
        if parameters:
            known = updated_node.params
            star = known.star_arg if isinstance(known.star_arg, cst.Param) else cst.ParamStar()
            updated_node = updated_node.with_changes(
                params=known.with_changes(star_arg=star, kwonly_params=[*known.kwonly_params, *parameters])
            )
        return updated_node.with_changes(name=cst.Name(final))


def _argument(name: str) -> cst.Arg:
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    return cst.Arg(cst.Name(name), keyword=cst.Name(name), equal=equal)


def _bound_in(function: cst.FunctionDef) -> set[str]:
    """Return the names that are a function's own."""
    collector = _Bound()
    function.params.visit(collector)
    function.body.visit(collector)
    return collector.names


class _Bound(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        if isinstance(node.target, cst.Name):
            self.names.add(node.target.value)

    def visit_Param(self, node: cst.Param) -> None:
        self.names.add(node.name.value)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        self.names.add(node.name.value)
        return False
