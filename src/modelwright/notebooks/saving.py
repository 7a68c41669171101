"""A training notebook as it would be if its author had saved what scoring needs."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from modelwright.notebooks import dataflow, results, statements
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.replaying import Replay
from modelwright.notebooks.splicing import edited
from modelwright.records import Cell, Notebook, Trace


def hoisted(notebook: Notebook, flow: Flow, found: Sequence[Replay]) -> Notebook:
    """Return the notebook with names for what the replays take from the middle of expressions; it does the same."""
    hoists: dict[int, Sequence[tuple[ast.expr, str]]] = {}
    for each in reversed(found):
        hoists |= each.hoists
    cells = {each.number: each for each in notebook.cells}
    by_cell: dict[int, list[tuple[ast.expr, str]]] = {}
    for index, edits in hoists.items():
        by_cell.setdefault(flow.statements[index].cell, []).extend(edits)
    for number, edits in by_cell.items():
        cells[number] = replace(cells[number], code=edited(cells[number].code.splitlines(), edits))
    return replace(notebook, cells=tuple(cells.values()))


def with_saved(notebook: Notebook, flow: Flow, replay: Replay, *, model: str) -> Notebook:
    """Return the notebook as it would be if its author had saved what the replay needs, in a last cell."""
    changed = hoisted(notebook, flow, [replay])
    saved = {each.value.id for each in results.results(flow).saves if isinstance(each.value, ast.Name)}
    missing = [each for each in (model, *replay.saved) if each not in saved] if replay.saved else []
    if not missing:
        return changed
    lines = [f'joblib.dump({name}, "{saved_file(name, model=model)}")' for name in missing]
    code = "\n".join(["import joblib", "", *lines])
    last = Cell(number=max(each.number for each in notebook.cells) + 1, source=code, code=code)
    return replace(changed, cells=(*changed.cells, last))


def with_trace(trace: Trace, flow: Flow, replay: Replay) -> Trace:
    """Return the trace of a notebook as that of `with_saved`, which has other objects change than the notebook has."""
    gone: dict[int, set[str]] = {}
    for index, hoists in replay.hoists.items():
        originals = flow.statements[index].renamed.variables
        for node, code in hoists:
            left = {originals.get(each, each) for each in _names(node) - _names(ast.parse(code))}
            gone.setdefault(index, set()).update(left)
    seen = [replace(each, mutated=each.mutated - gone.get(each.index, set())) for each in trace.statements]
    return replace(trace, statements=tuple(seen))


def _names(tree: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}


def saved_file(name: str, *, model: str) -> str:
    """Return the file in the output folder for what a variable holds."""
    return "model.joblib" if name == model else f"{name}.joblib"


def files(notebook: Notebook, replay: Replay, *, model: str, otherwise: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """Return the files of what a notebook saves for a replay, by name, each with what loads it.

    The model's is `otherwise` if it is saved by no name.
    """
    known = {
        each.value.id: (PurePosixPath(each.file).name, each.loader)
        for each in results.results(dataflow.flow(statements.statements(notebook))).saves
        if isinstance(each.value, ast.Name) and each.file
    }
    return {model: otherwise} | {name: known[name] for name in (model, *replay.saved) if name in known}
