"""Findings about a notebook before anything of it runs."""

import ast
import builtins
import difflib
import re
from pathlib import PurePosixPath

from modelwright.notebooks import clocks, constants, history, names, surroundings, unbound, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import RANDOM
from modelwright.notebooks.results import Results
from modelwright.notebooks.statements import Statement
from modelwright.records import Finding, Notebook

# Every finding's code with what it means; the reference in `docs/` is checked against this table.
CODES = {
    "name-undefined": "A name is used that nothing in the notebook assigns. Stops the conversion.",
    "name-before-assignment": "A name is used in a cell above the one that assigns it. Stops the conversion.",
    "asks-for-input": "A cell calls input(); a project runs unattended. Stops the conversion.",
    "magic-value": "The value of a notebook command is used. Stops the conversion.",
    "not-python": "The notebook's language is not Python. Stops the conversion.",
    "run-not-inlined": "The file that %run names cannot stand in the command's place. Stops the conversion.",
    "no-model": "Nothing is fitted, written or computed and shown. Stops the conversion.",
    "save-path-unknown": "The path that a model is saved to cannot be told from the code. Stops the conversion.",
    "name-at-run-time": "A variable is made by exec() or globals(), not by its name. Stops the conversion.",
    "search-by-clock": "A search goes by the time that its function takes; no run repeats it. Stops the conversion.",
    "function-reads-variable": "A function reads a variable that it is not given. Stops the conversion.",
    "file-outside-folder": "A file is read by an absolute path or from outside the notebook's folder.",
    "absolute-path": "A path in the code is a place on one machine.",
    "shell-command": "A shell command is not run.",
    "notebook-command": "A notebook command has no equal in a project; it is not run.",
    "asks-notebook": "The notebook itself is asked, with get_ipython(); a project has none.",
    "other-language": "A cell of another language is not run.",
    "raises-on-purpose": "A cell that is tagged as failing on purpose is left out.",
    "execution-order": "The cells were last run in another order than the file's.",
    "stale-output": "A stored result shows other numbers than running the cell gives.",
    "credentials-in-code": "A password, key or token stands in the code. It is not repeated anywhere.",
    "clock-dependent": "A value depends on when the notebook runs.",
    "network-access": "A cell asks another machine, whose answer may change or fail.",
    "fit-before-split": "What is fitted on all rows sees the test rows before they are split off.",
    "star-import": "All names of a module are imported; which ones are used is not known.",
    "unseeded-randomness": "Random numbers are drawn from an unseeded generator; two runs differ.",
    "no-metric": "No metric is computed; the project cannot compare models.",
    "scoring-takes-prepared-rows": "No scoring notebook; the derived scoring script takes rows as the model sees them.",
    "scoring-step-not-replayed": "A step from raw rows to the model cannot be repeated for the rows of a request.",
    "scoring-not-understood": "The scoring notebook's path from request to answer was not found; a default is used.",
    "scoring-loads-other-file": (
        "The scoring notebook loads what training does not save. Stops the conversion unless it can only be the model."
    ),
    "unknown-call": "A call of an unknown library is kept, because what it does is not known.",
    "report-left-out": "What a cell draws of a model is not in `report.py`, because drawing it there failed.",
}

# difflib's own measure of a close match; below it a proposal misleads more often than it helps.
_ALIKE = 0.6
_BUILTINS = frozenset(dir(builtins)) | {"display", "get_ipython", "exit", "quit", "__file__", "__builtins__"}
_MAKING_NAMES = frozenset({"exec", "eval", "globals", "locals", "vars"})
_HISTORY = re.compile(r"^(?:_\d*|__|___|_i{1,3}|_i\d+|_ih|_oh|_dh|In|Out)$")
# Transformers that learn nothing of the rows that could tell the test rows.
_LEARN_NOTHING = frozenset(
    """LabelEncoder OneHotEncoder OrdinalEncoder LabelBinarizer Normalizer Binarizer PolynomialFeatures
    FunctionTransformer MultiLabelBinarizer""".split()  # noqa: SIM905 - a table of words
)
_LEARNING = ("sklearn.preprocessing", "sklearn.impute", "sklearn.feature_selection", "sklearn.decomposition")

# A repository's notebooks read its data from a sister folder; more is another project.
_MOST_ABOVE = 3


def findings(notebook: Notebook, flow: Flow) -> list[Finding]:
    """Return the findings of a notebook, in cell order."""
    found = [
        *notebook.findings,
        *_undefined(notebook, flow),
        *history.execution_order(notebook),
        *surroundings.findings(notebook.path.name, flow),
        *_fitted_before_split(notebook, flow),
        *clocks.findings(notebook.path.name, flow),
    ]
    found += _made_at_run_time(notebook, flow)
    values = constants.assigned_values(flow)
    for statement in flow.statements:
        found += _of_statement(notebook, statement, flow, values)
    unseeded = _unseeded(notebook, flow)
    found += [unseeded] if unseeded else []
    outside = {(each.cell, each.line) for each in found if each.code == "file-outside-folder"}
    # One place, one finding: the file that is read matters more than how its path is written.
    found = [each for each in found if each.code != "absolute-path" or (each.cell, each.line) not in outside]
    return sorted(found, key=lambda each: (each.cell, each.line))


def result_findings(notebook: Notebook, flow: Flow, results: Results) -> list[Finding]:
    """Return the findings about what a training notebook gives."""
    found = []
    for save in results.saves:
        if save.file is None:
            statement = flow.statements[save.statement]
            found.append(
                Finding(
                    code="save-path-unknown",
                    message="the path that the model is saved to cannot be told from the code",
                    fix=f"write the path as a text, for example {statement.source_of(save.value or save.path)}.pkl",
                    notebook=notebook.path.name,
                    cell=statement.cell,
                    line=statement.line,
                    is_error=True,
                )
            )
    learning = results.learning
    if not (learning.fits or learning.training or results.saves or results.files or results.shows):
        found.append(
            Finding(
                code="no-model",
                message="nothing is fitted, written or computed and shown, that a project could give",
                fix="name a training notebook, one that calls .fit(…)",
                notebook=notebook.path.name,
                is_error=True,
            )
        )
    if not results.measures:
        found.append(
            Finding(
                code="no-metric",
                message="no metric is computed, so models cannot be compared",
                fix="add a cell such as: mse = mean_squared_error(y_test, model.predict(X_test))",
                notebook=notebook.path.name,
            )
        )
    return found


def _made_at_run_time(notebook: Notebook, flow: Flow) -> list[Finding]:
    """Return a finding for the first variable seen to be bound without being named, and read elsewhere."""
    written = {node.id for one in flow.statements for node in ast.walk(one.tree) if isinstance(node, ast.Name)}
    for statement in flow.statements:
        seen = flow.seen.get(statement.index)
        calls = [node.func for node in ast.walk(statement.tree) if isinstance(node, ast.Call)]
        called = {each.id for each in calls if isinstance(each, ast.Name)}
        if seen is None or not called & _MAKING_NAMES:
            continue
        for name in sorted((seen.bound - flow.effects[statement.index].binds) & written - _stored(statement.tree)):
            return [
                Finding(
                    code="name-at-run-time",
                    message=f'"{name}" is made by {min(called & _MAKING_NAMES)}(), in no place that names it',
                    fix=f"assign it by its name, or keep such values in a dictionary: values[{name!r}]",
                    notebook=notebook.path.name,
                    cell=statement.cell,
                    line=statement.line,
                    is_error=True,
                )
            ]
    return []


def _stored(tree: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _undefined(notebook: Notebook, flow: Flow) -> list[Finding]:
    """Return a finding for the first sure use of each name that has no value by then.

    Uses that not every run comes to, and those below something that may bind any name, are left to the run.
    """
    trees = [each.tree for each in flow.statements]
    functions = unbound.functions_of(trees)
    # Below a file that could not be read in, whatever it binds is missing, too.
    unread = min((each.cell for each in notebook.findings if each.code == "run-not-inlined"), default=len(trees) + 1)
    reported: set[str] = set()
    found = []
    for statement, absent in zip(flow.statements, unbound.missing(trees, flow.effects), strict=True):
        if unbound.binds_anything(statement.tree) or statement.cell >= unread:
            break
        sure = (absent - _BUILTINS - reported) & unbound.certain_reads(statement.tree, functions)
        for name in sorted(sure):
            reported.add(name)
            found.append(_without_value(notebook, flow, statement, name))
    return found


def _without_value(notebook: Notebook, flow: Flow, statement: Statement, name: str) -> Finding:
    place, later = _place(statement, name), _bound_later(flow, name, statement.index)
    if later:
        return _before_assignment(notebook, name, statement.cell, place, later)
    if _HISTORY.match(name):
        return _reads_history(notebook, name, statement.cell, place)
    bound = {each for known in flow.effects[: statement.index] for each in known.binds | known.changes} - {name}
    return _never_assigned(notebook, name, statement.cell, place, _meant(name, bound, flow, statement))


def _reads_history(notebook: Notebook, name: str, cell: int, line: int) -> Finding:
    return Finding(
        code="magic-value",
        message=f'"{name}" is what the notebook remembers of earlier cells, and a project has no notebook to ask',
        fix="assign the value to a variable in its own cell, and use that",
        notebook=notebook.path.name,
        cell=cell,
        line=line,
        is_error=True,
    )


def _bound_later(flow: Flow, name: str, index: int) -> int:
    """Return the cell that assigns `name` after statement `index`, or 0."""
    for each in flow.statements[index:]:
        if name in flow.effects[each.index].binds:
            return each.cell
    return 0


def _before_assignment(notebook: Notebook, name: str, cell: int, line: int, later: int) -> Finding:
    return Finding(
        code="name-before-assignment",
        message=f'"{name}" is used before it is assigned in cell {later}',
        fix=f"move cell {later} above cell {cell}" if later != cell else f'assign "{name}" above line {line}',
        notebook=notebook.path.name,
        cell=cell,
        line=line,
        is_error=True,
    )


def _never_assigned(notebook: Notebook, name: str, cell: int, line: int, meant: str | None) -> Finding:
    return Finding(
        code="name-undefined",
        message=f'"{name}" is used but never assigned' + (f'; "{meant}" may be meant' if meant else ""),
        fix=f'write "{meant}" instead of "{name}"' if meant else f'assign "{name}", or import it, in a cell above',
        notebook=notebook.path.name,
        cell=cell,
        line=line,
        is_error=True,
    )


def _place(statement: Statement, name: str) -> int:
    """Return the line within the cell where a statement first uses a name."""
    lines = [each.lineno for each in ast.walk(statement.tree) if isinstance(each, ast.Name) and each.id == name]
    return min(lines, default=statement.line)


def _meant(name: str, bound: set[str], flow: Flow, statement: Statement) -> str | None:
    """Return the bound name that is most like `name`, if one is; what was fitted comes first where a model is saved."""
    saves = any(flow.names.origin(each) in vocabulary.SAVING_FUNCTIONS for each in ast.walk(statement.tree))

    def likeness(other: str) -> float:
        one, two = name.lower(), other.lower()
        starts = two.startswith(one) or one.startswith(two)
        ratio = difflib.SequenceMatcher(None, one, two).ratio()
        built = other in flow.names.constructors and flow.names.is_estimator(flow.names.constructors[other])
        return max(ratio, 0.8 if starts and min(len(one), len(two)) > 1 else 0.0) + (0.2 if saves and built else 0.0)

    ranked = sorted((each for each in bound if not each.startswith("<")), key=lambda each: (-likeness(each), each))
    if ranked and likeness(ranked[0]) >= _ALIKE:
        return ranked[0]
    return None


def _star(tree: ast.stmt) -> bool:
    return isinstance(tree, ast.ImportFrom) and any(each.name == "*" for each in tree.names)


def _of_statement(notebook: Notebook, statement: Statement, flow: Flow, values: dict[str, ast.expr]) -> list[Finding]:
    found = []

    def report(code: str, message: str, fix: str, line: int, *, is_error: bool = False) -> None:
        found.append(Finding(code, message, fix, notebook.path.name, statement.cell, line, is_error))

    if _star(statement.tree):
        report("star-import", f'"{statement.source}" hides which names it binds', "import names", statement.line)
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "input":
            report(
                "asks-for-input",
                "the notebook asks for input()",
                "assign the value in a cell; it becomes a parameter",
                node.lineno,
                is_error=True,
            )
        path = read_path(node, flow, values)
        if path is not None and is_outside(path):
            report(
                "file-outside-folder",
                f'"{path}" lies outside the notebook\'s folder and will not be part of the project',
                "put the file beside the notebook and read it from there",
                node.lineno,
            )
    return found


def read_path(node: ast.Call, flow: Flow, values: dict[str, ast.expr]) -> str | None:
    """Return the path of the file that a call reads, if it reads one and literals tell the path."""
    origin = flow.names.origin(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
    if origin not in vocabulary.READING_FUNCTIONS or not node.args or _opens_to_write(node, origin):
        return None
    path = constants.text(node.args[0], names=flow.names, values=values)
    return None if path is None or "://" in path else path


def _opens_to_write(node: ast.Call, origin: str) -> bool:
    mode = (
        node.args[1] if len(node.args) > 1 else next((each.value for each in node.keywords if each.arg == "mode"), None)
    )
    return origin == "open" and isinstance(mode, ast.Constant) and any(each in str(mode.value) for each in "wax+")


def is_outside(path: str) -> bool:
    """Whether a path leads to a place of one machine rather than to one beside the notebook or a little above it."""
    parts = PurePosixPath(path).parts
    return PurePosixPath(path).is_absolute() or path.startswith("~") or parts.count("..") > _MOST_ABOVE


def _fitted_before_split(notebook: Notebook, flow: Flow) -> list[Finding]:
    """Return a finding where rows go straight from a transformer's `fit_transform` into the split."""
    transformed: dict[str, Statement] = {}
    found = []
    for statement, known in zip(flow.statements, flow.effects, strict=True):
        for call in (each for each in ast.walk(statement.tree) if isinstance(each, ast.Call)):
            rows = call.args[0] if call.args else None
            is_split = flow.names.origin(call.func) in vocabulary.SPLITTERS
            if is_split and isinstance(rows, ast.Name) and rows.id in transformed:
                found.append(_saw_test_rows(notebook, transformed[rows.id]))
        for name in known.binds:
            transformed.pop(name, None)
        tree = statement.tree
        if isinstance(tree, ast.Assign) and isinstance(tree.targets[0], ast.Name) and _learns(tree.value, flow):
            transformed[tree.targets[0].id] = statement
    return found


def _learns(node: ast.expr, flow: Flow) -> bool:
    """Whether an expression is `x.fit_transform(…)` of a transformer that learns from its rows."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fit_transform"):
        return False
    receiver = node.func.value
    built = flow.names.constructors.get(receiver.id) if isinstance(receiver, ast.Name) else receiver
    origin = (flow.names.constructor(built) if built else None) or ""
    return origin.startswith(_LEARNING) and origin.rpartition(".")[2] not in _LEARN_NOTHING


def _saw_test_rows(notebook: Notebook, statement: Statement) -> Finding:
    return Finding(
        code="fit-before-split",
        message="this is fitted on all rows, the test rows too, which makes results look better than they are",
        fix="split first, then fit on the training rows and transform both",
        notebook=notebook.path.name,
        cell=statement.cell,
        line=statement.line,
    )


def _unseeded(notebook: Notebook, flow: Flow) -> Finding | None:
    """Return a finding for the first draw from random state that nothing has seeded."""
    seeded: set[str] = set()
    for statement, known in zip(flow.statements, flow.effects, strict=True):
        seeded |= known.binds & RANDOM
        if known.unseeded or (known.changes & RANDOM) - seeded - (known.binds & RANDOM):
            if names.is_definition(statement.tree):
                continue
            return Finding(
                code="unseeded-randomness",
                message="random numbers are drawn here without a seed, so two runs may differ",
                fix="pass random_state=0, or call np.random.seed(0) in a cell above",
                notebook=notebook.path.name,
                cell=statement.cell,
                line=statement.line,
            )
    return None
