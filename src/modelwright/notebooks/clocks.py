"""Searches that measure time: what they find depends on how quick the machine was, so that no run repeats another."""

import ast

from modelwright.notebooks.dataflow import Flow
from modelwright.records import Finding

_CLOCKS = frozenset(
    f"time.{name}{ending}"
    for name in ("time", "perf_counter", "process_time", "monotonic", "thread_time")
    for ending in ("", "_ns")
) | {"timeit.default_timer", "datetime.datetime.now", "datetime.datetime.utcnow"}
# The last words of the functions that look for the best argument of a function that they are given.
_SEARCHING = frozenset(
    """basinhopping brute differential_evolution direct dual_annealing fmin fmin_bfgs fmin_cg fmin_l_bfgs_b fmin_powell
    forest_minimize gbrt_minimize gp_minimize least_squares maximize minimize minimize_scalar optimize root root_scalar
    shgo""".split()  # noqa: SIM905 - a table of words
)


def findings(notebook: str, flow: Flow) -> list[Finding]:
    """Return a finding for each search whose function returns what it computes of a clock."""
    timed = {
        node.name
        for statement in flow.statements
        for node in ast.walk(statement.tree)
        if isinstance(node, ast.FunctionDef) and _returns_time(node, flow)
    }
    found = []
    for statement in flow.statements:
        for node in ast.walk(statement.tree):
            if not (isinstance(node, ast.Call) and _last_word(node.func) in _SEARCHING):
                continue
            given = [*node.args, *(each.value for each in node.keywords)]
            name = next((each.id for each in given if isinstance(each, ast.Name) and each.id in timed), None)
            if name:
                found.append(
                    Finding(
                        code="search-by-clock",
                        message=f'the search for the best argument of "{name}" goes by the time that it takes',
                        fix=f'let "{name}" return something that does not depend on the clock, or drop the cell',
                        notebook=notebook,
                        cell=statement.cell,
                        line=statement.line,
                        is_error=True,
                    )
                )
    return found


def _returns_time(function: ast.FunctionDef, flow: Flow) -> bool:
    """Whether what the function returns is computed of a clock, by its own lines in their order."""
    tainted: set[str] = set()

    def depends(node: ast.AST | None) -> bool:
        return node is not None and any(
            (isinstance(each, ast.Call) and flow.names.origin(each.func) in _CLOCKS)
            or (isinstance(each, ast.Name) and each.id in tainted)
            for each in ast.walk(node)
        )

    for node in sorted(ast.walk(function), key=lambda each: getattr(each, "lineno", 0)):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and depends(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            tainted |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        elif isinstance(node, ast.Return) and depends(node.value):
            return True
    return False


def _last_word(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
