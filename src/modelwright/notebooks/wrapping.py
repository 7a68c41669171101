"""Generated code in lines that are not too long, cut as ruff and Black cut them."""

import ast
import io
import tokenize
from collections.abc import Sequence

WIDTH = 100


def call(function: str, arguments: Sequence[str], *, targets: Sequence[str] = (), indent: int = 4) -> list[str]:
    """Return the lines of a call whose result is given the names `targets`, indented by `indent` spaces."""
    space = " " * indent
    bound = ", ".join(targets)
    opening = f"{bound} = {function}(" if bound else f"{function}("
    is_too_long = indent + len(f"{opening}{', '.join(arguments)})") > WIDTH
    if is_too_long and bound and (not arguments or indent + len(opening) > WIDTH):
        lines = [f"{space}{bound} = (", *call(function, arguments, indent=indent + 4), f"{space})"]
        if all(len(each) <= WIDTH for each in lines):
            return lines
        if len(targets) > 1:
            above = [f"{space}(", *(f"{space}    {each}," for each in targets)]
            return [*above, *parts(f") = {function}(", arguments, ")", indent=indent)]
    return parts(opening, arguments, ")", indent=indent)


def parts(opening: str, given: Sequence[str], closing: str, *, indent: int = 4) -> list[str]:
    """Return `opening`, what is `given` and `closing`: on one line, else on three, else with a line for each part.

    The entries of a dictionary or list, and the only argument of a definition, have a line of their own and a comma.
    """
    space = " " * indent
    whole = f"{space}{opening}{', '.join(given)}{closing}"
    if not given or len(whole) <= WIDTH:
        return [whole]
    inner = f"{space}    {', '.join(given)}"
    is_entry = opening.endswith(("{", "[")) or (opening.startswith("def ") and len(given) == 1)
    if not is_entry and (len(inner) <= WIDTH or len(given) == 1):
        return [f"{space}{opening}", inner, f"{space}{closing}"]
    return [f"{space}{opening}", *(f"{space}    {each}," for each in given), f"{space}{closing}"]


def wrapped(code: str) -> str:
    """Return code with its too long lines cut where they are a call, a list or a dictionary, and nothing else.

    All others are left alone.
    """
    text = "\n".join(each for line in code.splitlines() for each in _cut(line))
    # What looks like a call may be a line of a text that goes over several.
    return text if ast.dump(ast.parse(text)) == ast.dump(ast.parse(code)) else code


def _cut(line: str) -> list[str]:
    """Return the lines of what is only a call, list or dictionary, perhaps bound or returned; else the line itself."""
    if len(line) <= WIDTH:
        return [line]
    text = line.strip().removesuffix(",")
    start = len("return ") if text.startswith("return ") else 0
    try:
        (statement,) = ast.parse(text[start:]).body
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return [line]
    node: ast.AST | None = getattr(statement, "value", None)
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    given = _given(node) if isinstance(statement, ast.Assign | ast.Expr) else []
    if not given or not text.isascii() or any(each.type == tokenize.COMMENT for each in tokens):
        return [line]
    segments = [text[start + first : start + end] for first, end in given]
    opening = text[: start + given[0][0]]
    closing = text[start + (getattr(node, "end_col_offset", None) or 0) - 1 :]
    indent = len(line) - len(line.lstrip())
    bound, is_bound, function = opening.removesuffix("(").partition(" = ")
    if is_bound and closing == ")" and "(" not in opening[:-1]:
        found = call(function, segments, targets=bound.split(", "), indent=indent)
    else:
        found = parts(opening, segments, closing, indent=indent)
    if line.endswith(","):
        found[-1] += ","
    return [each for one in found for each in _cut(one)] if len(found) > 1 else [line]


def _given(node: ast.AST | None) -> list[tuple[int, int]]:
    """Return where the arguments of a call, and the entries of a list or dictionary, start and end in their line."""
    match node:
        case ast.Call() if not any(isinstance(each, ast.GeneratorExp) for each in node.args):
            arguments: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
            places = [(each.col_offset, each.end_col_offset or 0) for each in arguments]
        case ast.List():
            places = [(each.col_offset, each.end_col_offset or 0) for each in node.elts]
        case ast.Dict():
            places = [
                (key.col_offset, value.end_col_offset or 0)
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None
            ]
            # What is unpacked has no place of its own.
            places = places if len(places) == len(node.keys) else []
        case _:
            places = []
    return sorted(places)
