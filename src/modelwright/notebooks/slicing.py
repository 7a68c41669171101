"""What is kept of a notebook: the statements that its results need; the rest goes, each with its reason."""

import ast
from dataclasses import dataclass, replace

from modelwright.notebooks import constants, effects, names, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import FIGURE, RANDOM
from modelwright.notebooks.results import Results
from modelwright.notebooks.statements import Statement
from modelwright.records import Notebook, Removal

# How much stays with growing caution: all but plots, everything.
_ALL_BUT_PLOTS, _ALL = 2, 3

_SETTING_WORDS = ("set_", "seterr", "manual_seed", "enable_", "disable_", "use_")


@dataclass(frozen=True)
class Slice:
    """Statements kept, by index: `body` flows into functions, `settings` and `definitions` stand in the module.

    `imports` are the names of those imported that are used. `draws` are those of the body that nothing needs but the
    random numbers drawn after them.
    """

    body: frozenset[int]
    settings: frozenset[int]
    definitions: frozenset[int]
    imports: frozenset[str]
    draws: frozenset[int] = frozenset()


def keep(flow: Flow, results: Results, *, caution: int = 0) -> Slice:
    """Return the backward slice from a training notebook's results.

    With `caution` 1 all that is no plot and no look at the data stays, with 2 all but plots, with 3 everything.
    """
    settings = frozenset(
        each.index for each in flow.statements if is_setting(each, flow) and not _uses_variables(each.index, flow)
    )
    roots = {each.statement for each in (*results.saves, *results.files)} | results.shows | results.writes | settings
    roots |= {each.statement for each in results.measures}
    roots |= {each.index for each in flow.statements if results.writes and _makes_folder(each, flow)}
    roots |= {each.index for each in flow.statements if results.shows and _steers_printing(each, flow)}
    roots |= _trained(flow, results)
    roots |= {each.index for each in flow.statements if is_unknown_call(each, flow)}
    roots |= {each.index for each in flow.statements if each.is_wished or (caution and _stays(each, flow, caution))}
    kept = closure(flow, roots, settings)
    spare = kept.body - closure(replace(flow, sources=flow.data_sources), roots, settings).body
    draws = frozenset(index for index in spare if flow.effects[index].changes & RANDOM)
    return replace(kept, body=kept.body - _naming_files(flow, kept.body, results), draws=draws)


def _steers_printing(statement: Statement, flow: Flow) -> bool:
    """Whether a statement sets how numbers and tables are printed from there on."""
    origins = {
        flow.names.origin(node.func if isinstance(node, ast.Call) else node) or ""
        for node in ast.walk(statement.tree)
        if isinstance(node, ast.Call) or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    }
    return not names.is_definition(statement.tree) and any(
        each.startswith(vocabulary.PRINT_SETTINGS) for each in origins
    )


def _makes_folder(statement: Statement, flow: Flow) -> bool:
    """Whether a statement makes a folder, into which results may go."""
    calls = [each for each in ast.walk(statement.tree) if isinstance(each, ast.Call)]
    is_made = any(
        flow.names.origin(each.func) in {"os.makedirs", "os.mkdir"}
        or (isinstance(each.func, ast.Attribute) and each.func.attr == "mkdir")
        for each in calls
    )
    return is_made and not names.is_definition(statement.tree)


def _trained(flow: Flow, results: Results) -> set[int]:
    """Return the statement that fits the model kept, if none saves one; of models without a name, all that train."""
    learning, model = results.learning, results.model
    if not learning.fits:
        return {index for index in learning.training if not _is_plot(flow.statements[index], flow)}
    return set() if results.saves else set([index for index, name in learning.fits if name == model][-1:])


def _uses_variables(index: int, flow: Flow) -> bool:
    """Whether a statement uses anything but imports, definitions and literals that never change."""
    once = set(constants.scalars(flow).values())
    trees = {each: flow.statements[each].tree for each in flow.data_sources[index]}
    return not all(names.is_import(tree) or names.is_definition(tree) or at in once for at, tree in trees.items())


def _stays(statement: Statement, flow: Flow, caution: int) -> bool:
    """Whether a statement stays although nothing is seen to need it."""
    tree = statement.tree
    if names.is_definition(tree) or names.is_import(tree):
        return False
    if FIGURE in flow.effects[statement.index].changes:
        return caution >= _ALL
    is_look = isinstance(tree, ast.Expr) and not flow.effects[statement.index].changes
    return not is_look or caution >= _ALL_BUT_PLOTS


def _is_plot(statement: Statement, flow: Flow) -> bool:
    """Whether a statement draws, and gives nothing else: no text, no variable."""
    known, seen = flow.effects[statement.index], flow.seen.get(statement.index)
    if FIGURE not in known.changes:
        return False
    is_silent = seen is None or not any(line.strip() and not line.startswith("<") for line in seen.printed.splitlines())
    return is_silent and not any(not name.startswith("<") for name in known.binds | known.changes)


def _naming_files(flow: Flow, body: frozenset[int], results: Results) -> set[int]:
    """Return the assignments that only serve the paths of results, which the caller of a project names instead."""
    saves = [each for each in (*results.saves, *results.files) if each.file is not None]
    paths = {id(node) for each in saves for node in ast.walk(each.path)}
    values = constants.assigned_values(flow)
    naming: set[int] = set()
    for name, index in sorted(constants.bound_once(flow).items(), key=lambda each: -each[1]):
        if index not in body or constants.text(values[name], names=flow.names, values=values) is None:
            continue
        users = [other for other in body - naming if index in flow.sources[other]]
        read = [
            node
            for other in users
            for node in ast.walk(flow.statements[other].tree)
            if isinstance(node, ast.Name) and node.id == name
        ]
        if (read or not users) and all(id(node) in paths for node in read):
            naming.add(index)
    return naming


def closure(flow: Flow, roots: set[int], settings: frozenset[int] = frozenset()) -> Slice:
    """Return all that `roots` need, sorted by where it will stand."""
    kept: set[int] = set()
    waiting = list(roots)
    while waiting:
        index = waiting.pop()
        if index not in kept:
            kept.add(index)
            waiting += flow.sources[index]
            tree = flow.statements[index].tree
            if names.is_definition(tree):
                waiting += _helpers(tree, flow)
    definitions = {index for index in kept if names.is_definition(flow.statements[index].tree)}
    # What a definition's defaults, decorators or bases need of the notebook's variables stays with them.
    definitions -= {index for index in definitions if _uses_variables(index, flow)}
    definitions |= _constants_of(definitions | (settings & kept), flow)
    imports = {index for index in kept if names.is_import(flow.statements[index].tree)}
    return Slice(
        body=frozenset(kept - definitions - imports - settings),
        settings=frozenset(settings),
        definitions=frozenset(definitions),
        imports=_used_imports(flow, kept - imports),
    )


def _helpers(tree: ast.stmt, flow: Flow) -> list[int]:
    """Return the definitions and imports that a kept definition reads when it is called."""
    read = names.global_reads(tree)
    return [
        each.index
        for each in flow.statements
        if (names.is_definition(each.tree) or names.is_import(each.tree)) and read & flow.effects[each.index].binds
    ]


def _constants_of(users: set[int] | frozenset[int], flow: Flow) -> set[int]:
    """Return the assignments that what stands in the module needs beside it.

    These are of literals, never changed; and of what else is bound once without any data, such as a device, where a
    class reads it, which cannot be given it as an argument.
    """
    once = constants.literals(flow) | constants.bound_once(flow)
    found: set[int] = set()
    waiting = list(users)
    while waiting:
        index = waiting.pop()
        tree = flow.statements[index].tree
        read = names.global_reads(tree) | (flow.effects[index].reads if index in found or index in users else set())
        needed = {place for name, place in once.items() if name in read and place not in found}
        for place in needed:
            is_plain = isinstance(tree, ast.ClassDef) and not _uses_variables(place, flow)
            if names.is_literal(flow.statements[place].tree) or is_plain:
                found.add(place)
                waiting.append(place)
    return found


def _used_imports(flow: Flow, kept: set[int]) -> frozenset[str]:
    read: set[str] = set()
    for index in kept:
        tree = flow.statements[index].tree
        read |= flow.effects[index].reads
        read |= {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return frozenset(read & flow.names.imports.keys())


def is_setting(statement: Statement, flow: Flow) -> bool:
    """Whether a statement sets something for the whole process that results may depend on."""
    tree = statement.tree
    if isinstance(tree, ast.Assign):
        return any((flow.names.origin(_object(each)) or "").startswith("os.environ") for each in tree.targets)
    if not isinstance(tree, ast.Expr) or not isinstance(tree.value, ast.Call):
        return False
    origin = flow.names.origin(tree.value.func)
    if (
        origin is None
        or origin.startswith(("numpy.random.", "random."))
        or flow.effects[statement.index].binds & RANDOM
    ):
        return False
    last = origin.rpartition(".")[2]
    if origin.startswith(("sys.path.", "locale.")):
        return True
    if not last.startswith(_SETTING_WORDS) or FIGURE in flow.effects[statement.index].changes:
        return False
    return not _sets_display(tree.value, flow, statement)


def _sets_display(call: ast.Call, flow: Flow, statement: Statement) -> bool:
    """Whether a setter only steers what is shown; pandas' options are told apart by their prefix."""
    if effects.DISPLAY not in flow.effects[statement.index].changes:
        return all(each.arg == "display" for each in call.keywords) and not call.args
    option = call.args[0] if call.args else None
    is_text = isinstance(option, ast.Constant) and isinstance(option.value, str)
    is_pandas = (flow.names.origin(call.func) or "").startswith("pandas.")
    return not (is_pandas and is_text and "mode." in str(option.value))  # type: ignore[union-attr]


def is_unknown_call(statement: Statement, flow: Flow) -> bool:
    """Whether a statement calls an unknown library for its effect, which therefore must not be dropped."""
    tree = statement.tree
    if not isinstance(tree, ast.Expr) or not isinstance(tree.value, ast.Call) or is_setting(statement, flow):
        return False
    origin = flow.names.origin(tree.value.func)
    if origin is None:
        return False
    seen = flow.seen.get(statement.index)
    if seen is not None and not (seen.written or seen.settings):
        return False  # what it changed, if anything, is known and speaks for itself
    library = origin.partition(".")[0]
    known = vocabulary.TRUSTED_LIBRARIES | vocabulary.PLOT_LIBRARIES | {"IPython"}
    return library not in known and not statement.is_displayed


def _object(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


# --- what goes ---


def removals(
    notebook: Notebook, flow: Flow, kept: Slice, *, absorbed: frozenset[int], results: Results
) -> list[Removal]:
    """Return all that goes, be it only that an assigned value is shown. `absorbed` statements live on as parameters."""
    metrics = {each.place.partition("[")[0] for each in results.measures}
    found = list(notebook.removals)
    for each in flow.statements:
        if names.is_import(each.tree):
            unused = [name for name in sorted(flow.effects[each.index].binds) if name not in kept.imports]
            found += [_removal(notebook, each, "unused import", _import_source(each, name)) for name in unused]
        elif each.index not in kept.body | kept.settings | kept.definitions | absorbed:
            found.append(_removal(notebook, each, _reason(each, flow, metrics), each.source))
        elif each.is_displayed and each.index not in results.shows and (shown := _only_shown(each, flow)):
            found.append(_removal(notebook, each, "shows the data", shown))
    return sorted(found, key=lambda each: (each.cell, each.line))


def _only_shown(statement: Statement, flow: Flow) -> str:
    """Return what a kept statement shows beside what it is kept for: the value assigned, the rows drawn."""
    if isinstance(statement.tree, ast.Assign):
        return ast.unparse(statement.tree.targets[0])
    changes = flow.effects[statement.index].changes
    return f"display({statement.source})" if changes and changes <= RANDOM else ""


def _removal(notebook: Notebook, statement: Statement, reason: str, source: str) -> Removal:
    return Removal(notebook.path.name, statement.cell, statement.line, source, reason)


def _import_source(statement: Statement, name: str) -> str:
    """Return the part of an import statement that binds one name."""
    tree = statement.tree
    if isinstance(tree, ast.Import | ast.ImportFrom) and len(tree.names) > 1:
        only = next(each for each in tree.names if (each.asname or each.name.partition(".")[0]) == name)
        part = f"{only.name} as {only.asname}" if only.asname else only.name
        start = f"from {'.' * tree.level}{tree.module or ''} " if isinstance(tree, ast.ImportFrom) else ""
        return f"{start}import {part}"
    return statement.source


def _reason(statement: Statement, flow: Flow, metrics: set[str]) -> str:
    tree, known = statement.tree, flow.effects[statement.index]
    if FIGURE in known.changes:
        return "a plot"
    if effects.DISPLAY in known.changes:
        return "steers the display only"
    if isinstance(tree, ast.Expr) and (statement.is_displayed or isinstance(tree.value, ast.Call)):
        return _reason_of_expression(statement, tree.value, metrics)
    if names.is_definition(tree):
        return "defines what nothing kept uses"
    if isinstance(tree, ast.Pass):
        return "does nothing"
    bound = sorted(each for each in known.binds if not each.startswith("<"))
    return f"nothing that is kept uses {_listed(bound)}" if bound else "nothing that is kept needs it"


def _reason_of_expression(statement: Statement, value: ast.expr, metrics: set[str]) -> str:
    read = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in {"print", "display"}:
        if read & metrics:
            return "prints a metric; main() prints it instead"
        return "prints the shape" if _looks_at(value, "shape") else "prints only"
    if not statement.is_displayed:
        return "nothing that is kept needs it"
    if read & metrics:
        return "shows a metric; main() prints it instead"
    return "shows the data" if isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.Subscript) else "shows only"


def _looks_at(value: ast.expr, attribute: str) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == attribute for each in ast.walk(value))


def _listed(words: list[str]) -> str:
    return " or ".join(f'"{each}"' for each in words)
