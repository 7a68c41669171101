"""Scoring scripts: `init()` that loads the model and `run(raw_data, request_headers)` that answers."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

import libcst as cst

from modelwright.notebooks import (
    answering,
    constants,
    importing,
    learning,
    names,
    rendering,
    replaying,
    slicing,
    vocabulary,
    wrapping,
)
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.replaying import Replay
from modelwright.notebooks.results import Results
from modelwright.notebooks.statements import Statement
from modelwright.records import Notebook, ProbePoint, Removal

_MODEL_FOLDER = '''def model_folder() -> str:
    """Return the folder of the model's files: the one served, else the last one trained here."""
    return os.environ.get("AZUREML_MODEL_DIR", os.path.join(PROJECT, "outputs"))'''


# So many characters of a sample request stand on a line.
_PIECE = 80
_TABLE_IMPORTS = {"pd": "import pandas as pd", "np": "import numpy as np"}
# The types of the tables that raw rows are made into, and that models are given.
_TABLES = {"array": "np.ndarray", "series": "pd.Series", "frame": "pd.DataFrame", "list": "list"}
_GIVEN = {"numpy.ndarray": "np.ndarray", "pandas.DataFrame": "pd.DataFrame", "pandas.Series": "pd.Series"}


@dataclass(frozen=True)
class Script:
    """A scoring script's code, the request it was tried with, and what the notebook loads.

    `loads` maps the paths by which the notebook loads files to their names in the model's folder.
    """

    code: str
    sample_request: str | None
    loads: Mapping[str, str]
    modules: frozenset[str]
    removals: tuple[Removal, ...]
    probe: tuple[ProbePoint, ...]


@dataclass(frozen=True, eq=False)
class Load:
    """A statement that loads an object from a file, with the expression of its path."""

    statement: Statement
    path: ast.expr
    file: str


@dataclass(frozen=True, eq=False)
class _Request:
    """The statement that holds the sample request, and the lines that put the real one in its place."""

    statement: int
    lines: tuple[str, ...]
    sample: str


def default(model_file: str, loader: str, *, has_frames: bool = False) -> Script:
    """Return a scoring script for a model that predicts from rows: `{"data": [[…], …]}`.

    With `has_frames`, the rows get the names of the columns that the model learnt from, if it did from named ones.
    """
    frame = [
        'columns = getattr(model, "feature_names_in_", None)',
        'data = pd.DataFrame(json.loads(raw_data)["data"], columns=columns)',
    ]
    body = [
        *(frame if has_frames else ['data = np.array(json.loads(raw_data)["data"])']),
        "result = model.predict(data)",
        'return {"result": result.tolist()}',
    ]
    standard = ["import json", "import os", *(["import pickle"] if loader == "pickle" else [])]
    installed = [*(["import joblib"] if loader == "joblib" else [])]
    installed.append("import pandas as pd" if has_frames else "import numpy as np")
    code = _script(
        imports=(*standard, "", *installed),
        definitions="",
        global_names=["model"],
        init=[_line(each) for each in _loading("model", model_file, loader)],
        run=[_line(each) for each in body],
        sample=None,
    )
    return Script(code, None, {}, frozenset(importing.modules(installed)), (), ())


def replayed(
    flow: Flow,
    replay: Replay,
    outcome: Mapping[str, Any],
    *,
    model: str,
    files: Mapping[str, tuple[str, str]],
) -> Script:
    """Return a scoring script that prepares raw rows as the training notebook did: `{"data": [[…], …]}`.

    `outcome` is what trying the replay showed of its rows; `files` are the files of the names saved, with what loads
    each of them.
    """
    loads = [_line(each) for name in (model, *replay.saved) for each in _loading(name, *files[name])]
    table = _table_of_request(outcome, replay.entry)
    # What needs no statement of its own needs no function.
    prepare = _typed(replay, outcome) if replay.steps else ""
    rows = f"{replaying.PREPARE}({replay.entry if table else 'data'})" if prepare else replay.given
    run = [
        'data = json.loads(raw_data)["data"]',
        *(table if table or prepare else [f"{replay.entry} = data"]),
        f"result = {model}.predict({rows})",
        'return {"result": result.tolist() if hasattr(result, "tolist") else result}',
    ]
    constants_ = _constant("COLUMNS", outcome["columns"]) if outcome["columns"] else []
    added = outcome["added"]
    if added is not None:
        # The notebook's own lines take the column that is to be told out of the table again.
        constants_ += _constant("ALL_COLUMNS", added)
    text = "\n".join([*run, prepare, *constants_])
    read = {each.id for each in ast.walk(ast.parse("\n".join(run[:-1]) + "\n" + prepare)) if isinstance(each, ast.Name)}
    used = read & flow.names.imports.keys()
    loaders = sorted({files[name][1] for name in (model, *replay.saved)})
    extra = [each for each in ("json", "os", *loaders) if each not in used]
    imports = list(importing.lines(flow, used, extra))
    standard = [each for name, each in _TABLE_IMPORTS.items() if f"{name}." in text and name not in used]
    imports = list(importing.select([*imports, *standard], [*used, *extra, *_TABLE_IMPORTS]))
    code = _script(
        imports=imports,
        constants_="\n".join(constants_),
        definitions="",
        global_names=[model, *replay.saved],
        init=loads,
        run=[_line(each) for each in run],
        sample=None,
        prepare=prepare,
    )
    sample = json.dumps({"data": outcome["data"]})
    return Script(code, sample, {}, frozenset(importing.modules(imports)), (), ())


def _typed(replay: Replay, outcome: Mapping[str, Any]) -> str:
    """Return the function that prepares rows with the types that it was seen to take and give."""
    header = f"def {replaying.PREPARE}({replay.entry}"
    gives = _GIVEN.get(outcome["gives"], "")
    types = f"{header}: {_TABLES[outcome['kind']]}){f' -> {gives}' if gives else ''}:"
    return replay.code.replace(f"{header}):", types, 1)


def _table_of_request(outcome: Mapping[str, Any], entry: str) -> list[str]:
    """Return the lines that make of a request's data the table `entry` that the notebook started from.

    There are none where it started from the data as they are.
    """
    dtype = f', dtype="{outcome["dtype"]}"' if outcome["dtype"] else ""
    if outcome["kind"] == "array":
        return [f"{entry} = np.array(data{dtype})"]
    if outcome["kind"] == "series":
        return [f"{entry} = pd.Series(data{dtype})"]
    if outcome["kind"] == "list":
        return []
    lines = [f"{entry} = pd.DataFrame(data, columns=list(COLUMNS)).astype(COLUMNS)"]
    lines += [f'{entry} = {entry}.fillna(float("nan"))'] if outcome["has_missing"] else []
    return lines if outcome["added"] is None else [*lines, f"{entry} = {entry}.reindex(columns=ALL_COLUMNS)"]


def _constant(name: str, value: Mapping[str, str] | Sequence[str]) -> list[str]:
    """Return the lines that give a dictionary or list a name."""
    is_mapping = isinstance(value, Mapping)
    entries = [json.dumps(each, ensure_ascii=False) for each in value]
    if isinstance(value, Mapping):
        entries = [f"{entry}: {json.dumps(each)}" for entry, each in zip(entries, value.values(), strict=True)]
    return wrapping.parts(
        f"{name} = {{" if is_mapping else f"{name} = [", entries, "}" if is_mapping else "]", indent=0
    )


def from_notebook(notebook: Notebook, flow: Flow, files: Sequence[str]) -> Script | None:
    """Return the scoring script that a scoring notebook's own statements make; None if they show no way to score.

    `files` are the names of what training saves, the model's first: it is what a notebook loads by another name.
    """
    loads = loading(flow)
    request = _request(flow)
    answer = _answer(flow, loads)
    if request is None or answer is None:
        return None
    needed = slicing.closure(flow, {answer[0].index})
    loads = [each for each in loads if each.statement.index in needed.body]
    if not loads or request.statement not in needed.body:
        return None
    loaders = {each.statement.index for each in loads}
    before = slicing.closure(flow, loaders).body
    names_of = {each.file: saved_as(each, files) for each in loads}
    edits: dict[int, list[tuple[ast.expr, str]]] = {}
    for each in loads:
        place = f'os.path.join(model_folder(), "{names_of[each.file]}")'
        edits.setdefault(each.statement.index, []).append((each.path, place))
    known = rendering.Context(flow, edits, {}, {})
    in_init = sorted(index for index in before if index in loaders or not _only_path(flow, index, loads))
    in_run = sorted(needed.body - before - {answer[0].index})
    globals_ = sorted(_bound(flow, in_init) & _read(flow, [*in_run, answer[0].index, request.statement]))
    run: list[cst.BaseStatement] = []
    for index in in_run:
        if index == request.statement:
            run += [_line(each) for each in request.lines]
        else:
            run += rendering.statement(flow.statements[index], known)
    returned = answering.lines(*answer, flow)
    run += [_line(each) for each in returned]
    lines = [*request.lines, *returned]
    used = _used_imports(flow, [*in_init, *in_run], needed, request, lines)
    extra = ["os", *(["json"] if "json.loads" in "".join(lines) and "json" not in used else [])]
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
        absorbed=frozenset({request.statement, answer[0].index} | before),
        results=Results((), (), (), frozenset(), frozenset(), learning.learning(flow), ""),
    )
    probe = ProbePoint(answer[0].cell, answer[0].end_line, "answer", "answer", answering.seen(*answer, flow))
    return Script(code, request.sample, names_of, frozenset(importing.modules(imports)), tuple(gone), (probe,))


def _loading(name: str, model_file: str, loader: str) -> list[str]:
    """Return the statements that load a file of the model's folder."""
    path = f'os.path.join(model_folder(), "{model_file}")'
    if loader == "pickle":
        opening = f'    with open({path}, "rb") as file:'
        bound = [] if len(opening) <= wrapping.WIDTH else [f"path = {path}"]
        return [*bound, f'with open({"path" if bound else path}, "rb") as file:\n    {name} = pickle.load(file)']
    return [f"{name} = joblib.load({path})"]


def _line(code: str) -> cst.SimpleStatementLine | cst.BaseCompoundStatement:
    return cst.parse_statement(code)


def _script(
    *,
    imports: Sequence[str],
    definitions: str,
    global_names: Sequence[str],
    constants_: str = "",
    init: Sequence[cst.BaseStatement],
    run: Sequence[cst.BaseStatement],
    sample: str | None,
    prepare: str = "",
) -> str:
    opening = [_line(f"global {', '.join(global_names)}")] if global_names else []
    # Declared, not bound: until `init()` ran there is no model.
    declared = "\n".join(f"{each}: Any" for each in global_names)
    parts = [
        '"""Score rows with the trained model: `init()` once, then `run()` for each request."""\n\n'
        + "\n".join([*imports, *(["from typing import Any"] if declared else [])]),
        "\n".join(each for each in (constants_, declared) if each),
        definitions.strip("\n"),
        _MODEL_FOLDER,
        prepare,
        _function("def init() -> None:", "Load the model.", [*opening, *init]),
        _function(
            "def run(raw_data: str, request_headers: dict) -> dict:", "Answer a request, whose body is JSON text.", run
        ),
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
    opening = 'if __name__ == "__main__":\n    init()\n'
    plain = f"    print(run({sample!r}, {{}}))"
    if len(plain) <= wrapping.WIDTH:
        return f"{opening}{plain}"
    whole = f"    raw_data = {sample!r}"
    if len(whole) > wrapping.WIDTH:
        is_one_line = len(f"        {sample!r}") <= wrapping.WIDTH
        length = len(sample) if is_one_line else _PIECE
        pieces = [sample[start : start + length] for start in range(0, len(sample), length)]
        whole = "    raw_data = (\n" + "".join(f"        {each!r}\n" for each in pieces) + "    )"
    return f"{opening}{whole}\n    print(run(raw_data, {{}}))"


# --- reading the notebook ---


def loading(flow: Flow) -> list[Load]:
    """Return what a scoring notebook loads, as far as the code tells the path."""
    values = constants.assigned_values(flow)
    found = []
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
                found.append(Load(each, path, text))
    return found


def saved_as(load: Load, files: Sequence[str]) -> str:
    """Return the name in the model's folder of what a notebook loads: its own, else the model's."""
    name = PurePosixPath(load.file).name
    return name if name in files else files[0]


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
        flow=Flow([], names.Names({}, {}, {}), [], [], [], []),
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


def _answer(flow: Flow, loads: Sequence[Load]) -> tuple[Statement, ast.expr] | None:
    """Return the last statement that shows or binds what the model answered, and the expression of the answer.

    A dictionary with a "result" is preferred to the bare values.
    """
    downstream = {each.statement.index for each in loads}
    made = {name for index in downstream for name in flow.effects[index].binds}
    candidates: list[tuple[bool, int, Statement, ast.expr]] = []
    for each in flow.statements:
        if each.index in downstream or not flow.sources[each.index] & downstream:
            continue
        downstream.add(each.index)
        made |= flow.effects[each.index].binds
        for expression in _values(each):
            reads = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
            for name in reads & flow.names.functions.keys():
                reads |= flow.names.functions[name].reads
            if reads & made and not _is_drawing(flow, each):
                candidates.append((answering.is_answer(expression, flow), each.index, each, expression))
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


def _only_path(flow: Flow, index: int, loads: Sequence[Load]) -> bool:
    """Whether a statement only serves to name the files loaded, which the script finds by itself."""
    paths = {id(node) for each in loads for node in ast.walk(each.path)}
    other = {
        node.id
        for each in loads
        for node in ast.walk(each.statement.tree)
        if isinstance(node, ast.Name) and id(node) not in paths
    }
    return not flow.effects[index].binds & other


def _bound(flow: Flow, indices: Sequence[int]) -> set[str]:
    return {name for index in indices for name in flow.effects[index].binds | flow.effects[index].changes}


def _read(flow: Flow, indices: Sequence[int]) -> set[str]:
    return {name for index in indices for name in flow.effects[index].reads}


def _used_imports(
    flow: Flow, indices: Sequence[int], needed: slicing.Slice, request: _Request, lines: Sequence[str]
) -> set[str]:
    names_read = _read(flow, [index for index in [*indices, *needed.definitions] if index != request.statement])
    for line in lines:
        names_read |= {node.id for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Name)}
    for index in needed.definitions:
        names_read |= names.global_reads(flow.statements[index].tree)
    return names_read & flow.names.imports.keys()
