"""Recognises scoring scripts that do nothing but pass a request's rows to a model and give back what it predicts.

Those that projects are shipped with by default are of this kind. A script is read, never run: what its `run()` may
consist of is followed from the request to the answer, and one step that is not known makes the script opaque.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_MODULES = frozenset({"json", "os", "os.path", "pathlib", "pickle", "joblib", "numpy", "pandas", "typing"})
_LOADERS = frozenset({"joblib.load", "pickle.load"})
_FUNCTIONS = frozenset({"getattr", "hasattr"})
# How scripts say where the files of their model are, as `ast.unparse` writes it.
_FOLDERS = frozenset(
    {
        "model_folder()",
        "os.environ['AZUREML_MODEL_DIR']",
        "os.environ.get('AZUREML_MODEL_DIR')",
        "os.getenv('AZUREML_MODEL_DIR')",
    }
)
_MODEL_FOLDER = "return os.environ.get('AZUREML_MODEL_DIR', os.path.join(PROJECT, 'outputs'))"
_PROJECTS = frozenset(
    {
        "os.path.dirname(os.path.abspath(__file__))",
        *(f"{path}(__file__).resolve().parents[{depth}]" for path in ("pathlib.Path", "Path") for depth in range(4)),
    }
)


@dataclass(frozen=True)
class Form:
    """Between which keys a script passes rows on, and under which name it keeps its model."""

    key: str
    answer_key: str
    model: str


@dataclass(frozen=True)
class _Value:
    """What an expression in `run()` is: a kind of thing, and the key that it came by."""

    kind: str
    key: str = ""


class _OpaqueError(Exception):
    pass


@dataclass
class _Run:
    """What is known while following `run()`."""

    modules: Mapping[str, str]
    body: str
    model: str
    values: dict[str, _Value] = field(default_factory=dict)


def form_of(source: bytes) -> Form | None:
    """Return how a script passes rows to its model and predictions back; None for an opaque one."""
    try:
        module = ast.parse(source)
        functions = {each.name: each for each in module.body if isinstance(each, ast.FunctionDef)}
        modules = _modules(module)
        _check_top(module)
        model = _model_of(functions["init"], modules)
        return _followed(functions["run"], modules, model)
    except (_OpaqueError, SyntaxError, KeyError, ValueError, RecursionError):
        return None


def _modules(module: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    found = {}
    for each in module.body:
        if isinstance(each, ast.Import):
            for alias in each.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(each, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{each.module}.{alias.name}" for alias in each.names}
    return found


def _check_top(module: ast.Module) -> None:
    """Allow imports of what is needed, declared names, where the project is, and functions without decorators."""
    for each in module.body:
        match each:
            case ast.Import(names=names) if all(alias.name in _MODULES for alias in names):
                pass
            case ast.ImportFrom(module=name, level=0) if name in _MODULES:
                pass
            case ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None, target=ast.Name()):
                pass
            case ast.FunctionDef(name="init" | "run", decorator_list=[]):
                pass
            case ast.FunctionDef(name="model_folder", decorator_list=[], body=[*_, ast.Return() as last]) if (
                ast.unparse(last) == _MODEL_FOLDER and all(_is_docstring(line) for line in each.body[:-1])
            ):
                pass
            case ast.Assign(targets=[ast.Name(id="PROJECT")], value=value) if ast.unparse(value) in _PROJECTS:
                pass
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")])):
                pass
            case _:
                raise _OpaqueError


def _model_of(init: ast.FunctionDef, modules: Mapping[str, str]) -> str:
    """Return the global name under which `init()` keeps the model, if loading it is all that it does."""
    body = [each for each in init.body if not _is_docstring(each)]
    match body:
        case [ast.Global(names=[model]), *rest]:
            known: dict[str, bool] = {}
        case _:
            raise _OpaqueError
    for each in rest:
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name != model and _is_place(value, known):
                known[name] = True
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[given], keywords=[]) as call) if (
                name == model and _called(call.func, modules) in _LOADERS and _is_place(given, known)
            ):
                pass
            case ast.With(
                items=[
                    ast.withitem(
                        context_expr=ast.Call(func=ast.Name(id="open"), args=[given, ast.Constant(value="rb")]),
                        optional_vars=ast.Name(id=file),
                    )
                ],
                body=[ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Name(id=read)]) as call)],
            ) if name == model and file == read and _called(call.func, modules) in _LOADERS and _is_place(given, known):
                pass
            case _:
                raise _OpaqueError
    return model


def _is_place(node: ast.expr, known: Mapping[str, bool]) -> bool:
    """Whether an expression is the path of a file in the model's folder."""
    match node:
        case ast.Name(id=name):
            return name in known
        case ast.Call(args=[folder, ast.Constant(value=str())], keywords=[]):
            return ast.unparse(node.func) == "os.path.join" and ast.unparse(folder) in _FOLDERS
    return False


def _followed(run: ast.FunctionDef, modules: Mapping[str, str], model: str) -> Form:
    arguments = run.args
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs or arguments.kwonlyargs or arguments.defaults:
        raise _OpaqueError
    inputs = [each.arg for each in arguments.args if each.arg != "request_headers"]
    taken = {model, *inputs, *modules, *_FUNCTIONS}
    if len(inputs) != 1 or inputs[0] in modules or modules.get("os", "os") != "os":
        raise _OpaqueError
    known = _Run(modules, inputs[0], model)
    for each in run.body:
        if _is_docstring(each):
            continue
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in taken:
                known.values[name] = _value(value, known)
            case ast.Return(value=ast.Dict(keys=[ast.Constant(value=str(key))], values=[value])):
                found = _value(value, known)
                if found.kind != "list":
                    raise _OpaqueError
                return Form(found.key, key, model)
            case _:
                raise _OpaqueError
    raise _OpaqueError


def _value(node: ast.expr, known: _Run) -> _Value:
    """Return what an expression is, if it is a step on the way from the request to the answer."""
    found = _Value("unknown")
    match node:
        case ast.Name(id=name):
            found = _Value("text") if name == known.body else known.values.get(name, found)
        case ast.Subscript(value=of, slice=ast.Constant(value=str(key))):
            _expect(_value(of, known), "object")
            found = _Value("rows", key)
        case ast.IfExp(body=body, orelse=other, test=ast.Call(func=ast.Name(id="hasattr"), args=[asked, _])):
            # What a model predicts is an array, which has tolist().
            if _value(other, known) == _expect(_value(asked, known), "predictions"):
                found = _expect(_value(body, known), "list")
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="predict"), args=[given], keywords=[]) if (
            name == known.model
        ):
            found = _Value("predictions", _expect(_value(given, known), "table").key)
        case ast.Call(func=ast.Attribute(value=of, attr="tolist"), args=[], keywords=[]):
            found = _Value("list", _expect(_value(of, known), "predictions").key)
        case ast.Call():
            found = _call(node, known)
    if found.kind == "unknown":
        raise _OpaqueError
    return found


def _call(node: ast.Call, known: _Run) -> _Value:
    """Return what a call gives: parsed JSON, a table, or the names of a model's columns."""
    steps: dict[str, Callable[[], _Value]] = {
        "json.loads": lambda: _Value("object" if _plain(node, known).kind == "text" else "unknown"),
        "numpy.array": lambda: _table(_plain(node, known)),
        "pandas.DataFrame": lambda: _table(_value(node.args[0], known)),
    }
    called = _called(node.func, known.modules)
    if called in steps and (called != "pandas.DataFrame" or _has_names(node, known)):
        return steps[called]()
    match node:
        case ast.Call(
            func=ast.Name(id="getattr"),
            args=[ast.Name(id=name), ast.Constant(value="feature_names_in_"), ast.Constant(value=None)],
            keywords=[],
        ) if name == known.model:
            return _Value("names")
    raise _OpaqueError


def _has_names(node: ast.Call, known: _Run) -> bool:
    """Whether a frame is made of rows alone, or with the names that the model knows."""
    if len(node.args) != 1 or len(node.keywords) > 1:
        return False
    return all(each.arg == "columns" and _value(each.value, known).kind == "names" for each in node.keywords)


def _plain(node: ast.Call, known: _Run) -> _Value:
    if len(node.args) != 1 or node.keywords:
        raise _OpaqueError
    return _value(node.args[0], known)


def _table(rows: _Value) -> _Value:
    return _Value("table", _expect(rows, "rows").key)


def _expect(value: _Value, kind: str) -> _Value:
    if value.kind != kind:
        raise _OpaqueError
    return value


def _called(node: ast.expr, modules: Mapping[str, str]) -> str:
    """Return the full name of what is called, such as `numpy.array`."""
    match node:
        case ast.Name(id=name):
            return modules.get(name, "")
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in modules:
            return f"{modules[name]}.{attribute}"
    return ""


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
