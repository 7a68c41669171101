"""Which statements of a notebook show something that depends on what a model answered: these may not be removed."""

import ast
import re
from collections.abc import Sequence

from observing import Cell

_ANSWERS = {
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "fit_predict",
    "score",
    "score_samples",
    "cross_val_score",
    "cross_validate",
    "cross_val_predict",
    "learning_curve",
    "validation_curve",
    "evaluate",
    "summary",
    "forecast",
    "best_score_",
    "cv_results_",
    "inertia_",
    "labels_",
}
_METRIC = re.compile(
    r"(_score|_error|_report|_matrix|_loss|_curve|accuracy|^auc|^rmse|^mse|^mae|^r2)$|^(accuracy|silhouette)",
)
# How much a column tells of another is looked at before there is a model.
_OF_DATA = {"mutual_info_score"}
_PLOTS = re.compile(r"^(plt|sns|ax\w*|fig\w*|axes|plot\w*|go|px|alt)$")
_MAGIC = re.compile(r"^\s*[%!?]|\?\s*$")


def metric_lines(cells: Sequence[Cell]) -> set[tuple[int, int]]:
    """Return the cell, as run, and the lines of each statement that prints or shows what depends on a model's answer.

    A reading of names only: what is assigned from such a value is such a value from there on. Plots do not count.
    """
    tainted: set[str] = set()
    found: set[tuple[int, int]] = set()
    for cell in cells:
        tree = _parsed(cell.source)
        for node in tree.body if tree else []:
            if _is_answer(node, tainted):
                if _shows(node, is_last=node is tree.body[-1] if tree else False):
                    found |= {(cell.run, line) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
                tainted |= _stored(node)
            else:
                tainted -= _stored(node) if isinstance(node, ast.Assign) else set()
    return found


def _parsed(source: str) -> ast.Module | None:
    lines = ["pass" if _MAGIC.search(line) else line for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return None


def _is_answer(node: ast.stmt, tainted: set[str]) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        # A function that computes a metric gives one when it is called.
        return isinstance(node, ast.FunctionDef) and _answers(node, set())
    return _answers(node, tainted)


def _answers(node: ast.AST, tainted: set[str]) -> bool:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and each.attr in _ANSWERS:
            return True
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in tainted | _ANSWERS:
            return True
        if isinstance(each, ast.Call) and _called(each) not in _OF_DATA and _METRIC.search(_called(each)):
            return True
    return False


def _called(node: ast.Call) -> str:
    target = node.func
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


def _stored(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _shows(node: ast.stmt, *, is_last: bool) -> bool:
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    if any(_called(each) in {"print", "display", "pprint"} for each in calls):
        return True
    return is_last and isinstance(node, ast.Expr) and not _is_plot(node.value)


def _is_plot(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        if isinstance(node, ast.Attribute) and node.attr in {"plot", "hist", "scatter", "fit"}:
            return True
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and bool(_PLOTS.match(node.id))
