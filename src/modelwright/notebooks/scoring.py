"""Scoring scripts: `init()` that loads the model and `run(raw_data, request_headers)` that answers."""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

import libcst as cst

from modelwright.notebooks import constants, importing, names, rendering, slicing, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.results import Results
from modelwright.notebooks.statements import Statement
from modelwright.records import Notebook, ProbePoint, Removal

_MODEL_FOLDER = '''def model_folder():
    """Return the folder of the model's files: the one served, else the last one trained here."""
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "outputs")
    return os.environ.get("AZUREML_MODEL_DIR", beside)'''


@dataclass(frozen=True)
class Script:
    """A scoring script's code, the request it was tried with, and where the notebook looked for the model.

    `model` is the name of its global.
    """

    code: str
    sample_request: str | None
    model_path: str | None
    modules: frozenset[str]
    removals: tuple[Removal, ...]
    probe: tuple[ProbePoint, ...]


@dataclass(frozen=True, eq=False)
class _Request:
    """The statement that holds the sample request, and the lines that put the real one in its place."""

    statement: int
    lines: tuple[str, ...]
    sample: str


def default(model_file: str, loader: str) -> Script:
    """Return a scoring script for a model that predicts from rows of numbers: `{"data": [[…], …]}`."""
    body = [
        'data = np.array(json.loads(raw_data)["data"])',
        "result = model.predict(data)",
        'return {"result": result.tolist()}',
    ]
    load = _load_line("model", model_file, loader)
    imports = ("import json", "import os", *(["import pickle"] if loader == "pickle" else []), "")
    third = (*(["import joblib"] if loader == "joblib" else []), "import numpy as np")
    code = _script(
        imports=(*imports, *third),
        definitions="",
        global_names=["model"],
        init=[_line(load)],
        run=[_line(each) for each in body],
        sample=None,
    )
    return Script(code, None, None, frozenset({"numpy"} | ({"joblib"} if loader == "joblib" else set())), (), ())


def from_notebook(notebook: Notebook, flow: Flow, model_file: str) -> Script | None:
    """Return the scoring script that a scoring notebook's own statements make; None if they show no way to score."""
    load = _loading(flow)
    request = _request(flow)
    answer = _answer(flow, load) if load else None
    if load is None or request is None or answer is None:
        return None
    needed = slicing.closure(flow, {answer[0].index})
    if load[0].index not in needed.body or request.statement not in needed.body:
        return None
    loading = slicing.closure(flow, {load[0].index}).body
    path = load[2]
    edits = {load[0].index: [(load[1], f'os.path.join(model_folder(), "{PurePosixPath(model_file).name}")')]}
    known = rendering.Context(flow, edits, {}, {})
    in_init = sorted(index for index in loading if index == load[0].index or not _only_path(flow, index, load))
    in_run = sorted(needed.body - set(loading) - {answer[0].index})
    globals_ = sorted(_bound(flow, in_init) & _read(flow, [*in_run, answer[0].index, request.statement]))
    run: list[cst.BaseStatement] = []
    for index in in_run:
        if index == request.statement:
            run += [_line(each) for each in request.lines]
        else:
            run += rendering.statement(flow.statements[index], known)
    run += _answer_lines(answer)
    used = _used_imports(flow, [*in_init, *in_run, answer[0].index], needed, request)
    extra = ["os", *(["json"] if "json.loads" in "".join(request.lines) and "json" not in used else [])]
    imports = importing.lines(flow, used, extra)
    code = _script(
        imports=imports,
        definitions=rendering.definitions(flow, sorted(needed.definitions), known),
        global_names=globals_,
        init=[part for index in in_init for part in rendering.statement(flow.statements[index], known)],
        run=run,
        sample=request.sample,
    )
    kept = slicing.Slice(needed.body, frozenset(), needed.definitions, frozenset(used))
    gone = slicing.removals(
        notebook,
        flow,
        kept,
        absorbed=frozenset({request.statement, answer[0].index} | set(loading)),
        results=Results((), (), (), (), frozenset()),
    )
    shown = answer[0].source_of(answer[1])
    expression = shown if isinstance(answer[1], ast.Dict) else f'{{"result": {shown}}}'
    probe = ProbePoint(answer[0].cell, answer[0].end_line, "answer", "answer", expression)
    return Script(code, request.sample, path, frozenset(importing.modules(imports)), tuple(gone), (probe,))


def _load_line(name: str, model_file: str, loader: str) -> str:
    path = f'os.path.join(model_folder(), "{model_file}")'
    if loader == "pickle":
        return f'with open({path}, "rb") as file:\n    {name} = pickle.load(file)'
    return f"{name} = joblib.load({path})"


def _line(code: str) -> cst.SimpleStatementLine | cst.BaseCompoundStatement:
    return cst.parse_statement(code)


def _script(
    *,
    imports: Sequence[str],
    definitions: str,
    global_names: Sequence[str],
    init: Sequence[cst.BaseStatement],
    run: Sequence[cst.BaseStatement],
    sample: str | None,
) -> str:
    opening = [_line(f"global {', '.join(global_names)}")] if global_names else []
    parts = [
        '"""Score rows with the trained model: `init()` once, then `run()` for each request."""\n\n'
        + "\n".join(imports),
        definitions.strip("\n"),
        _MODEL_FOLDER,
        _function("def init():", "Load the model.", [*opening, *init]),
        _function("def run(raw_data, request_headers):", "Answer a request, whose body is JSON text.", run),
        _try_it(sample),
    ]
    return "\n\n\n".join(each.strip("\n") for each in parts if each) + "\n"


def _function(header: str, purpose: str, body: Sequence[cst.BaseStatement]) -> str:
    module = cst.parse_module(f"{header}\n    pass\n")
    docstring = _line(f'"""{purpose}"""')
    function = cast("cst.FunctionDef", module.body[0])
    return module.with_changes(body=[function.with_changes(body=cst.IndentedBlock(body=[docstring, *body]))]).code


def _try_it(sample: str | None) -> str:
    if sample is None:
        return ""
    return f'if __name__ == "__main__":\n    init()\n    print(run({sample!r}, {{}}))'


# --- reading the notebook ---


def _loading(flow: Flow) -> tuple[Statement, ast.expr, str] | None:
    """Return the statement that loads the model, the expression of its path, and the path."""
    values = constants.assigned_values(flow)
    for each in flow.statements:
        opened = {
            item.optional_vars.id: item.context_expr.args[0]
            for node in ast.walk(each.tree)
            if isinstance(node, ast.With)
            for item in node.items
            if isinstance(item.optional_vars, ast.Name) and isinstance(item.context_expr, ast.Call)
        }
        for node in ast.walk(each.tree):
            if not isinstance(node, ast.Call) or flow.names.origin(node.func) not in vocabulary.LOADING_FUNCTIONS:
                continue
            path = node.args[0] if node.args else node.keywords[0].value
            if isinstance(path, ast.Name) and path.id in opened:
                path = opened[path.id]
            elif isinstance(path, ast.Call) and isinstance(path.func, ast.Name) and path.func.id == "open":
                path = path.args[0]
            text = constants.text(path, names=flow.names, values=values)
            if text is not None:
                return each, path, text
    return None


def _request(flow: Flow) -> _Request | None:
    """Return the sample request: JSON in a text, a dictionary, or the rows themselves."""
    for each in flow.statements:
        tree = each.tree
        if not isinstance(tree, ast.Assign) or not isinstance(tree.targets[0], ast.Name):
            continue
        name = tree.targets[0].id
        for literal in _outermost_literals(tree.value):
            value = ast.literal_eval(literal)
            if isinstance(value, str) and _is_json_request(value):
                given = () if name == "raw_data" else (f"{name} = raw_data",)
                return _Request(each.index, given, value) if literal is tree.value else None
            if isinstance(value, dict) and value and _is_jsonable(value):
                code = _with(each, literal, "json.loads(raw_data)")
                # A dictionary that is made into JSON text is what a client would send.
                dumps = isinstance(tree.value, ast.Call) and flow.names.origin(tree.value.func) == "json.dumps"
                line = f"{name} = raw_data" if dumps else code
                return _Request(each.index, () if line == "raw_data = raw_data" else (line,), json.dumps(value))
            if isinstance(value, list) and _is_table(value):
                code = _with(each, literal, 'json.loads(raw_data)["data"]')
                return _Request(each.index, (code,), json.dumps({"data": value}))
    return None


def _with(statement: Statement, literal: ast.expr, code: str) -> str:
    known = rendering.Context(
        flow=Flow([], names.Names({}, {}, {}), [], [], []),
        edits={statement.index: [(literal, code)]},
        measures={},
        defaults={},
    )
    return cst.Module(rendering.statement(statement, known)).code.strip()


def _outermost_literals(node: ast.expr) -> list[ast.expr]:
    """Return the literals of an expression that stand in no larger literal."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return [
            found
            for each in ast.iter_child_nodes(node)
            if isinstance(each, ast.expr)
            for found in _outermost_literals(each)
        ]
    return [node]


def _is_json_request(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _is_jsonable(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, dict) and any(isinstance(each, list | dict) for each in value.values())


def _is_table(value: list[object]) -> bool:
    return bool(value) and all(isinstance(row, list) and row for row in value)


def _answer(flow: Flow, load: tuple[Statement, ast.expr, str]) -> tuple[Statement, ast.expr] | None:
    """Return the last statement that shows or binds what the model answered, and the expression of the answer.

    A dictionary with a "result" is preferred to the bare values.
    """
    model = flow.effects[load[0].index].binds
    downstream = {load[0].index}
    candidates: list[tuple[int, int, Statement, ast.expr]] = []
    for each in flow.statements[load[0].index + 1 :]:
        if not flow.sources[each.index] & downstream:
            continue
        downstream.add(each.index)
        for expression in _values(each):
            is_answer = isinstance(expression, ast.Dict) and any(
                isinstance(key, ast.Constant) and key.value == "result" for key in expression.keys
            )
            reads = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
            made = {name for index in downstream for name in flow.effects[index].binds}
            if reads & (made | model) and not _is_drawing(flow, each):
                candidates.append((is_answer, each.index, each, expression))
    if not candidates:
        return None
    _, _, statement, expression = max(candidates, key=lambda each: each[:2])
    return statement, expression


def _is_drawing(flow: Flow, statement: Statement) -> bool:
    return any(each.startswith("<") for each in flow.effects[statement.index].changes)


def _values(statement: Statement) -> list[ast.expr]:
    """Return the expressions that a statement binds or shows."""
    tree = statement.tree
    if isinstance(tree, ast.Assign):
        return [tree.value]
    if not isinstance(tree, ast.Expr):
        return []
    call = tree.value
    shows = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"print", "display"}
    given = call.args if shows and isinstance(call, ast.Call) else [call]
    return [each for each in given if not isinstance(each, ast.Constant | ast.JoinedStr)]


def _answer_lines(answer: tuple[Statement, ast.expr]) -> list[cst.BaseStatement]:
    """Return the lines that return the answer, under "result" if the notebook did not wrap it so."""
    statement, expression = answer
    code = statement.source_of(expression)
    if isinstance(expression, ast.Dict):
        return [_line(f"return {code}")]
    called = isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute)
    if called and expression.func.attr in {"tolist", "item"}:  # type: ignore[attr-defined]
        return [_line(f'return {{"result": {code}}}')]
    first = [] if code == "result" else [_line(f"result = {code}")]
    return [*first, _line('return {"result": result.tolist()}')]


def _only_path(flow: Flow, index: int, load: tuple[Statement, ast.expr, str]) -> bool:
    """Whether a statement only serves to name the model's file, which the script finds by itself."""
    used = {node.id for node in ast.walk(load[1]) if isinstance(node, ast.Name)}
    other = {node.id for node in ast.walk(load[0].tree) if isinstance(node, ast.Name)} - used
    return not flow.effects[index].binds & other


def _bound(flow: Flow, indices: Sequence[int]) -> set[str]:
    return {name for index in indices for name in flow.effects[index].binds | flow.effects[index].changes}


def _read(flow: Flow, indices: Sequence[int]) -> set[str]:
    return {name for index in indices for name in flow.effects[index].reads}


def _used_imports(flow: Flow, indices: Sequence[int], needed: slicing.Slice, request: _Request) -> set[str]:
    replaced = {request.statement}
    names_read = _read(flow, [index for index in [*indices, *needed.definitions] if index not in replaced])
    for line in request.lines:
        names_read |= {node.id for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Name)}
    for index in needed.definitions:
        names_read |= names.global_reads(flow.statements[index].tree)
    return names_read & flow.names.imports.keys()
