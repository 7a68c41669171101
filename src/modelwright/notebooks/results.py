"""What a training notebook is for: the models it fits and saves, the metrics it shows, the files it writes."""

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelwright.notebooks import constants, learning, measuring, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.learning import Learning
from modelwright.notebooks.measuring import Measure
from modelwright.notebooks.names import Names
from modelwright.notebooks.statements import Statement

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".svg", ".pdf", ".eps", ".gif"})


@dataclass(frozen=True, eq=False)
class Save:
    """A statement that writes an object to a file. `file` is None when the analysis cannot tell the path.

    `is_path` says that the expression of the path is the path object that writes: `Path("model.pkl").write_bytes(…)`.
    """

    statement: int
    value: ast.expr | None
    path: ast.expr
    file: str | None
    loader: str
    is_path: bool = False


@dataclass(frozen=True, eq=False)
class Results:
    """What is kept of a notebook: models and files saved, metrics, and the statements that show more than metrics.

    `writes` are the statements that were seen to write files other than pictures. `model` is the variable that holds
    the model kept; the text is empty when none does.
    """

    saves: Sequence[Save]
    files: Sequence[Save]
    measures: Sequence[Measure]
    shows: frozenset[int]
    writes: frozenset[int]
    learning: Learning
    model: str


def results(flow: Flow) -> Results:
    """Return what the notebook's statements give."""
    values = constants.assigned_values(flow)
    saves = [save for each in flow.statements for save in _saves(each, flow, values)]
    learnt = learning.learning(flow)
    measured = measuring.measures(flow, learnt)
    return Results(
        saves=[each for each in saves if each.value is not None],
        files=[each for each in saves if each.value is None],
        measures=measured.metrics,
        shows=measured.shows - {each.statement for each in saves},
        writes=frozenset(index for index, seen in flow.seen.items() if any(map(_is_result, seen.written))),
        learning=learnt,
        model=_model(flow, [each for each in saves if each.value is not None], learnt),
    )


def _model(flow: Flow, saves: Sequence[Save], learning: Learning) -> str:
    """Return the variable that holds the model kept: the one saved, preferring one that predicts; else fitted last.

    A variable that was given something else after its last fit holds no model at the end. What turns rows into rows
    is the model of a notebook that learns nothing else.
    """
    saved = [each.value.id for each in saves if isinstance(each.value, ast.Name)]
    predicting = [each for each in saved if each not in learning.transformers]
    last_fit = {name: index for index, name in learning.fits}
    last_bound = {name: index for index, each in enumerate(flow.effects) for name in each.binds}
    held = [name for _, name in learning.fits if last_bound.get(name, -1) <= last_fit[name]]
    fitted = [name for index, name in learning.fits if name in held and index in learning.training]
    only_transforms = learning.training <= {index for index, _ in learning.fits}
    fitted = [each for each in fitted if each not in learning.transformers] or (held if only_transforms else [])
    ranked = [*(each for each in predicting if each in fitted), *predicting, *saved, *reversed(fitted)]
    return ranked[0] if ranked else ""


def _is_result(file: str) -> bool:
    return PurePosixPath(file).suffix.lower() not in _PICTURES


# --- saves ---


def _saves(statement: Statement, flow: Flow, values: dict[str, ast.expr]) -> list[Save]:
    found = []
    opened = _opened(statement.tree)
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Call):
            continue
        value, path, loader = _saved(node, flow.names, opened)
        if path is None:
            continue
        path = opened.get(path.id, path) if isinstance(path, ast.Name) else path
        path = _path_of_open(path) or path
        file = constants.text(path, names=flow.names, values=values)
        is_path = isinstance(node.func, ast.Attribute) and path is node.func.value
        found.append(Save(statement.index, value, path, file, loader, is_path))
    return found


def _saved(node: ast.Call, names: Names, opened: Collection[str]) -> tuple[ast.expr | None, ast.expr | None, str]:
    """Return the object saved if it may be a model, the path, and the library that loads it; no path: nothing saved."""
    origin = names.origin(node.func) or ""
    if origin in vocabulary.SAVING_FUNCTIONS:
        value = _argument(node, 0, "value", "obj")
        path = _argument(node, 1, "filename", "file")
        return value, path, vocabulary.SAVING_FUNCTIONS[origin]
    if origin in vocabulary.FILE_WRITING_FUNCTIONS:
        return None, _argument(node, 1 if origin == "json.dump" else 0, "fp", "file", "fname"), ""
    if isinstance(node.func, ast.Attribute) and node.func.attr in vocabulary.WRITING_METHODS:
        return None, _argument(node, 0, "path_or_buf", "path", "excel_writer"), ""
    if isinstance(node.func, ast.Attribute) and node.args:
        receiver = node.func.value
        is_file = node.func.attr in {"write", "writelines"} and isinstance(receiver, ast.Name) and receiver.id in opened
        if is_file or node.func.attr in vocabulary.PATH_WRITING_METHODS:
            given = node.args[0]
            is_dump = isinstance(given, ast.Call) and names.origin(given.func) in vocabulary.DUMPING_FUNCTIONS
            value = _argument(given, 0, "obj") if is_dump and isinstance(given, ast.Call) else None
            return value, receiver, "pickle" if value else ""
    return None, None, ""


def _argument(node: ast.Call, position: int, *keywords: str) -> ast.expr | None:
    for each in node.keywords:
        if each.arg in keywords:
            return each.value
    return node.args[position] if len(node.args) > position else None


def _opened(tree: ast.stmt) -> dict[str, ast.expr]:
    """Return the paths of files that a `with open(path) as file` of the statement names."""
    return {
        item.optional_vars.id: path
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and (path := _path_of_open(item.context_expr)) is not None
    }


def _path_of_open(node: ast.expr) -> ast.expr | None:
    is_open = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    return node.args[0] if is_open and isinstance(node, ast.Call) and node.args else None
