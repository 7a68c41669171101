"""Which module of a project a plan's functions and definitions stand in, and what each module imports.

Little code stays together: everything that trains is in one module. Much is cut by job. What the user defined in the
notebook stands beside its only user, or in a module of its own when several need it or a saved model may refer to it.
"""

import ast
import builtins
import symtable
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import libcst as cst

from modelwright.notebooks import importing
from modelwright.notebooks.layouts import Layout, Style
from modelwright.records import Function, Plan

# More lines of code than this are cut by job.
_SMALL_LINES = 150


@dataclass(frozen=True)
class Definition:
    """A statement at a module's level: the names that it binds and reads. A setting binds none."""

    code: str
    binds: frozenset[str]
    reads: frozenset[str]
    is_block: bool


@dataclass(frozen=True)
class Arrangement:
    """What stands where: functions and definitions by module, and the module of each name that another may import.

    `beside` are the names of the user's own modules, which come with the project.
    """

    functions: Mapping[str, tuple[Function, ...]]
    definitions: Mapping[str, tuple[Definition, ...]]
    homes: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that have anything in them."""
        return tuple(dict.fromkeys([*self.definitions, *self.functions]))


def arrange(plan: Plan, layout: Layout) -> Arrangement:
    """Return where the plan's code stands in the layout."""
    # Where folders were asked for, what measures has its own even when there is little of it.
    jobs = {"evaluate": layout.evaluation} if layout.style is Style.MLOPSPYTHON else {}
    if _line_count(plan) > _SMALL_LINES:
        jobs = {"load": layout.data, "split": layout.data, "prepare": layout.features, "evaluate": layout.evaluation}
    functions: dict[str, tuple[Function, ...]] = {}
    for each in plan.functions:
        module = jobs.get(each.role, layout.train)
        functions[module] = (*functions.get(module, ()), each)
    known = definitions(plan.definitions)
    users = {module: "\n".join(each.code for each in found) for module, found in functions.items()}
    # Settings of a project in several modules hold whichever of them is imported first.
    settings_home = layout.train if len(functions) == 1 else layout.package
    settings = "\n".join(each.code for each in known if not each.binds)
    users[settings_home] = f"{settings}\n{users.get(settings_home, '')}"
    places = _places(known, users | {layout.score: plan.score}, layout, settings_home)
    placed: dict[str, tuple[Definition, ...]] = {}
    for one, module in zip(known, places, strict=True):
        placed[module] = (*placed.get(module, ()), one)
    homes = {name: module for module, found in placed.items() for each in found for name in each.binds}
    homes |= {each.name: module for module, found in functions.items() for each in found}
    beside = {each.partition("/")[0].removesuffix(".py") for each in plan.data_files if each.endswith(".py")}
    return Arrangement(functions, placed, homes, frozenset(beside))


def definitions(code: str) -> list[Definition]:
    """Return the statements of a module's level; the line that names the project's folder is not the user's."""
    module = cst.parse_module(code)
    found = []
    for number, node in enumerate(module.body):
        if number == 0 and module.header:
            node = node.with_changes(leading_lines=[*module.header, *node.leading_lines])  # noqa: PLW2901 - the header is its
        text = cst.Module([node]).code.strip("\n")
        is_block = isinstance(node, cst.FunctionDef | cst.ClassDef)
        one = Definition(text, bound(text), reads(text), is_block)
        if "PROJECT" not in one.binds:
            found.append(one)
    return found


def joined(found: Iterable[Definition]) -> str:
    """Return definitions as text, two blank lines around functions and classes."""
    text = ""
    was_block = False
    for each in found:
        text += ("\n\n\n" if each.is_block or was_block else "\n") if text else ""
        text += each.code
        was_block = each.is_block
    return text


def reads(code: str) -> frozenset[str]:
    """Return the names that code takes from its module, be it at once or when its functions are called."""
    found: set[str] = set()

    def visit(scope: symtable.SymbolTable, *, is_top: bool) -> None:
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (is_top or symbol.is_global()):
                found.add(symbol.get_name())
        for child in scope.get_children():
            visit(child, is_top=False)

    visit(symtable.symtable(code, "module", "exec"), is_top=True)
    return frozenset(found)


def bound(code: str) -> frozenset[str]:
    """Return the names that code gives a value at its module's level."""
    table = symtable.symtable(code, "module", "exec")
    return frozenset(each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported())


def unresolved(code: str) -> frozenset[str]:
    """Return the names that code reads and does not bind itself."""
    return reads(code) - bound(code)


def _line_count(plan: Plan) -> int:
    texts = [plan.definitions, *plan.imports, *(each.code for each in plan.functions)]
    # main() has about three lines for each function, and one for each parameter.
    return sum(each.count("\n") + 1 for each in texts) + 3 * len(plan.functions) + len(plan.parameters)


def _places(known: list[Definition], users: Mapping[str, str], layout: Layout, settings_home: str) -> list[str]:
    """Return the module of each definition: its only user, or the one that several share."""
    needing = {module: _closure(unresolved(code), known) for module, code in users.items()}
    shared = frozenset[str]().union(*(each.binds for each in known if _may_be_kept(each, known, users)))
    everything = _closure(shared, known)
    result = []
    for each in known:
        modules = [module for module, names in needing.items() if each.binds & names]
        if not each.binds:
            result.append(settings_home)
        elif len(modules) == 1 and not each.binds & everything:
            result.append(modules[0])
        else:
            result.append(layout.components)
    return result


def _closure(names: Iterable[str], known: Iterable[Definition]) -> frozenset[str]:
    """Return the names with all that the definitions of them read in turn."""
    found = frozenset(names)
    while True:
        more = found.union(*(each.reads for each in known if each.binds & found))
        if more == found:
            return found
        found = more


def _may_be_kept(one: Definition, known: Iterable[Definition], users: Mapping[str, str]) -> bool:
    """Whether a saved model may refer to a definition: to a class, or to a function that is handed on, not called.

    A module that is run as a program has another name then, by which nobody else finds what it defines.
    """
    if not one.is_block:
        return False
    if one.code.lstrip("@").startswith("class ") or "\nclass " in one.code:
        return True
    for code in (*(each.code for each in known), *users.values()):
        tree = ast.parse(code)
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if any(
            isinstance(node, ast.Name) and node.id in one.binds and id(node) not in called for node in ast.walk(tree)
        ):
            return True
    return False


def import_lines(
    code: str, *, given: Iterable[str], homes: Mapping[str, str], module: str, beside: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the import lines that a module's code needs, of those `given` and of the project's own modules.

    The user's own modules `beside` stand with the project's.
    """
    needed = unresolved(code)
    ours = {name: home for name, home in homes.items() if name in needed and home != module}
    lines = [each for each in given if each]
    known = (
        importing.binds(ast.parse("\n".join(lines))) | ours.keys() | vars(builtins).keys() | {"__file__", "__name__"}
    )
    if needed <= known:
        # Nothing is left that only a star could bring.
        lines = [each for each in lines if not each.endswith("import *")]
    lines += [f"from {home} import {name}" for name, home in ours.items()]
    return importing.select(lines, needed, {home.partition(".")[0] for home in homes.values()} | set(beside))


def opened(code: str) -> tuple[str, list[str], str]:
    """Return a module's docstring, its import lines, and the rest of it."""
    tree = ast.parse(code)
    lines = code.splitlines()
    imports = []
    end = 0
    for number, node in enumerate(tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr)
        if not is_docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            break
        end = node.end_lineno or node.lineno
        if not is_docstring:
            imports.append("\n".join(lines[node.lineno - 1 : end]))
    return ast.get_docstring(tree) or "", imports, "\n".join(lines[end:]).strip("\n")
