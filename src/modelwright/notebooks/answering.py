"""What a scoring notebook answers, as lines of `run()`: in the end plain data under "result", whatever it was."""

import ast
from enum import Enum, auto

from modelwright.notebooks import vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.statements import Statement

_PLAIN_METHODS = frozenset({"tolist", "to_list", "to_dict", "item"})
_PLAIN_BUILTINS = frozenset({"list", "sorted", "str", "float", "int", "bool", "len", "tuple"})


class Kind(Enum):
    """What an expression gives, as far as the code tells."""

    ARRAY = auto()
    FRAME = auto()
    DICTIONARY = auto()
    PLAIN = auto()
    JSON_TEXT = auto()
    UNKNOWN = auto()


def is_answer(expression: ast.expr, flow: Flow) -> bool:
    """Whether an expression is a dictionary with a "result", be it as JSON text or by name."""
    whole = _resolved(expression, flow)
    if _is_dumped(whole, flow):
        whole = _resolved(whole.args[0], flow)  # type: ignore[attr-defined]
    return _entry(whole, "result") is not None


def lines(statement: Statement, expression: ast.expr, flow: Flow) -> list[str]:
    """Return the lines that return the answer, under "result" if the notebook did not wrap it so."""
    inner = expression.args[0] if _is_dumped(expression, flow) else expression  # type: ignore[attr-defined]
    code = statement.source_of(inner)
    kind = _kind(inner, flow)
    if kind is Kind.JSON_TEXT:
        # A name for text that was made above.
        inner, code = _resolved(inner, flow).args[0], f"json.loads({code})"  # type: ignore[attr-defined]
        return [f"return {code}" if is_answer(inner, flow) else f'return {{"result": {code}}}']
    if is_answer(inner, flow):
        return [f"return {_with_plain_entries(inner, code, statement, flow)}"]
    if kind in {Kind.PLAIN, Kind.DICTIONARY}:
        return [f'return {{"result": {code}}}']
    if isinstance(inner, ast.Name):
        return [f'return {{"result": {_made_plain(code, kind)}}}']
    return [f"result = {code}", f'return {{"result": {_made_plain("result", kind)}}}']


def seen(statement: Statement, expression: ast.expr, flow: Flow) -> str:
    """Return the expression that gives, in the notebook's own variables, what `run()` is to answer."""
    inner = expression.args[0] if _is_dumped(expression, flow) else expression  # type: ignore[attr-defined]
    code = statement.source_of(inner)
    if _kind(inner, flow) is Kind.JSON_TEXT:
        code = f'__import__("json").loads({code})'
    return code if is_answer(inner, flow) else f'{{"result": {code}}}'


def _made_plain(code: str, kind: Kind) -> str:
    if kind is Kind.ARRAY:
        return f"{code}.tolist()"
    if kind is Kind.FRAME:
        return f"{code}.to_numpy().tolist()"
    return f'{code}.tolist() if hasattr({code}, "tolist") else {code}'


def _with_plain_entries(expression: ast.expr, code: str, statement: Statement, flow: Flow) -> str:
    """Return the code of a dictionary whose entries can all be written as JSON."""
    if not isinstance(expression, ast.Dict) or None in expression.keys:
        return code
    kinds = [_kind(each, flow) for each in expression.values]
    if not {Kind.ARRAY, Kind.FRAME} & set(kinds):
        return code
    entries = [
        f"{statement.source_of(key)}: {_made_plain(value, kind) if kind in {Kind.ARRAY, Kind.FRAME} else value}"
        for key, value, kind in zip(
            filter(None, expression.keys), map(statement.source_of, expression.values), kinds, strict=True
        )
    ]
    return f"{{{', '.join(entries)}}}"


def _kind(expression: ast.expr, flow: Flow) -> Kind:
    node = _resolved(expression, flow)
    match node:
        case ast.Dict() | ast.DictComp():
            return Kind.DICTIONARY
        case ast.List() | ast.ListComp() | ast.Tuple() | ast.Constant() | ast.JoinedStr():
            return Kind.PLAIN
        case ast.Subscript(value=base):
            return _kind(base, flow) if _kind(base, flow) is not Kind.DICTIONARY else Kind.UNKNOWN
        case ast.Call():
            return _kind_of_call(node, flow)
        case ast.BinOp(left=left):
            return _kind(left, flow)
        case _:
            return Kind.UNKNOWN


def _kind_of_call(node: ast.Call, flow: Flow) -> Kind:
    origin = flow.names.origin(node.func)
    if _is_dumped(node, flow):
        return Kind.JSON_TEXT
    if origin is not None:
        known = {"pandas.DataFrame": Kind.FRAME, "pandas.Series": Kind.ARRAY}
        return known.get(origin, Kind.ARRAY if origin.startswith("numpy.") else Kind.UNKNOWN)
    if isinstance(node.func, ast.Name):
        return Kind.PLAIN if node.func.id in _PLAIN_BUILTINS else Kind.UNKNOWN
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in _PLAIN_METHODS:
            return Kind.PLAIN
        answers = vocabulary.PREDICTING_METHODS | vocabulary.TRANSFORMING_METHODS
        return Kind.ARRAY if node.func.attr in answers - {"score"} else Kind.UNKNOWN
    return Kind.UNKNOWN


def _resolved(node: ast.expr, flow: Flow) -> ast.expr:
    """Return the expression that a name was last assigned; any other expression as it is."""
    seen_names: set[str] = set()
    while isinstance(node, ast.Name) and node.id not in seen_names:
        seen_names.add(node.id)
        values = [
            each.tree.value
            for each in flow.statements
            if isinstance(each.tree, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == node.id for target in each.tree.targets)
        ]
        if not values:
            break
        node = values[-1]
    return node


def _is_dumped(node: ast.expr, flow: Flow) -> bool:
    return isinstance(node, ast.Call) and flow.names.origin(node.func) == "json.dumps" and bool(node.args)


def _entry(node: ast.expr, name: str) -> ast.expr | None:
    """Return the value under a key of a literal dictionary."""
    if not isinstance(node, ast.Dict):
        return None
    pairs = zip(node.keys, node.values, strict=True)
    return next((value for key, value in pairs if isinstance(key, ast.Constant) and key.value == name), None)
