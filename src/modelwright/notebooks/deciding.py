"""What became of every statement of a notebook: kept, a parameter, at a module's level, or removed, and why."""

import ast
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from modelwright.notebooks import names, statements
from modelwright.notebooks.statements import Statement
from modelwright.records import Notebook, Plan, Removal, Report


class Fate(StrEnum):
    """What becomes of a statement: in a function, a parameter, beside the functions, in the report, or nowhere."""

    KEPT = "kept"
    PARAMETER = "parameter"
    MODULE = "module"
    REPORT = "report"
    REMOVED = "removed"


@dataclass(frozen=True)
class Decision:
    """What became of one statement, or of one name of an import, or of a line of notebook syntax.

    `function` holds a kept statement, or one of the report; it is empty for those of a scoring notebook, whose
    functions are known to the scoring script alone. `reason` says why the statement is where it is, or why it is gone.
    """

    notebook: str
    cell: int
    line: int
    source: str
    fate: Fate
    reason: str
    function: str = ""


def decisions(notebook: Notebook, plan: Plan) -> list[Decision]:
    """Return what became of a notebook in the order of its lines; a training or a scoring notebook of the plan."""
    gone = [each for each in plan.removals if each.notebook == notebook.path.name]
    left = Counter((each.cell, each.line, each.source) for each in gone)
    homes = {place: each.name for each in reversed(plan.functions) for place in each.places}
    is_training = notebook.path.name == plan.notebook
    script = frozenset(each.id for each in ast.walk(ast.parse(plan.score)) if isinstance(each, ast.Name))
    found = [Decision(each.notebook, each.cell, each.line, each.source, Fate.REMOVED, each.reason) for each in gone]
    for one in statements.statements(notebook):
        place = (one.cell, one.line, one.source)
        if left[place]:
            left[place] -= 1
        elif not _is_unused(one, gone):
            found.append(
                _stays(one, notebook.path.name, plan, homes) if is_training else _scores(one, notebook, script)
            )
    return sorted(found, key=lambda each: (each.cell, each.line))


def _stays(one: Statement, notebook: str, plan: Plan, homes: dict[tuple[int, int], str]) -> Decision:
    place = (one.cell, one.line)
    function = homes.get(place, "")
    name = _constant(one.tree)
    if function:
        fate, reason = Fate.KEPT, ""
    elif any(each.name == name for each in plan.parameters):
        fate, reason = Fate.PARAMETER, f'the parameter "{name}"'
    elif drawing := _drawing(plan).get(place):
        fate, reason, function = Fate.REPORT, "a plot", drawing
    elif plan.report and _is_for_report(one, plan.report):
        fate, reason = Fate.REPORT, _kind(one.tree)
    else:
        fate, reason = Fate.MODULE, _kind(one.tree)
    return Decision(notebook, one.cell, one.line, one.source, fate, reason, function)


def _drawing(plan: Plan) -> dict[tuple[int, int], str]:
    """Return the functions of the report by the places of their statements."""
    report = plan.report
    plots = [*report.plots, *([report.style] if report.style else [])] if report else []
    return {place: each.function.name for each in reversed(plots) for place in each.function.places}


def _is_for_report(one: Statement, report: Report) -> bool:
    """Whether nothing but the report needs a definition, or any of what an import binds."""
    beside = [each for each in report.beside if (each.cell, each.line) == (one.cell, one.line)]
    if not isinstance(one.tree, ast.Import | ast.ImportFrom):
        return bool(beside)
    moved = {name for each in beside for name in each.removals}
    return bool(moved) and names.imported_names(one.tree).keys() <= moved


def _scores(one: Statement, notebook: Notebook, script: frozenset[str]) -> Decision:
    """Return the decision on a statement of a scoring notebook, whose script has the names `script`."""
    is_beside = names.is_import(one.tree) or names.is_definition(one.tree)
    fate, reason = (Fate.MODULE, _kind(one.tree)) if is_beside else (Fate.KEPT, "for scoring")
    name = _constant(one.tree)
    if name and name not in script:
        reason = "its value stands in the scoring script"
    return Decision(notebook.path.name, one.cell, one.line, one.source, fate, reason)


def _is_unused(one: Statement, gone: list[Removal]) -> bool:
    """Whether an import is gone name by name."""
    if not isinstance(one.tree, ast.Import | ast.ImportFrom):
        return False
    ends = [each.source for each in gone if (each.cell, each.line) == (one.cell, one.line)]
    return all(any(source.endswith(f"import {ast.unparse(name)}") for source in ends) for name in one.tree.names)


def _constant(tree: ast.stmt) -> str:
    target = (
        tree.targets[0] if isinstance(tree, ast.Assign) else tree.target if isinstance(tree, ast.AnnAssign) else None
    )
    return target.id if isinstance(target, ast.Name) else ""


def _kind(tree: ast.stmt) -> str:
    if names.is_import(tree):
        return "an import"
    if names.is_definition(tree):
        return "a definition"
    return "a setting" if isinstance(tree, ast.Expr) else "a value"
