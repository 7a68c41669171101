"""Generated code in lines that are not too long, cut as ruff and Black cut them."""

import ast
import io
import tokenize
from collections.abc import Sequence

WIDTH = 100


def call(function: str, arguments: Sequence[str], *, targets: Sequence[str] = (), indent: int = 4) -> list[str]:
    """Return the lines of a call whose result is given the names `targets`, indented by `indent` spaces."""
    bound = ", ".join(targets)
    opening = f"{bound} = {function}(" if bound else f"{function}("
    if indent + len(opening) > WIDTH and len(targets) > 1:
        *above, last = parts("(", targets, f") = {function}(", indent=indent, is_whole=False)
        return [*above, *_from(last, parts("(", arguments, ")", indent=indent, is_whole=False))]
    return parts(opening, arguments, ")", indent=indent)


def parts(opening: str, given: Sequence[str], closing: str, *, indent: int = 4, is_whole: bool = True) -> list[str]:
    """Return `opening`, what is `given` and `closing`: on one line, else on three, else with a line for each part.

    Without `is_whole`, never on one line.
    """
    space = " " * indent
    whole = f"{space}{opening}{', '.join(given)}{closing}"
    if not given or (is_whole and len(whole) <= WIDTH):
        return [whole]
    inner = f"{space}    {', '.join(given)}"
    if len(inner) <= WIDTH:
        return [f"{space}{opening}", inner, f"{space}{closing}"]
    return [f"{space}{opening}", *(f"{space}    {each}," for each in given), f"{space}{closing}"]


def wrapped(code: str) -> str:
    """Return code with its too long lines cut where they are a call and nothing else; all others are left alone."""
    lines: list[str] = []
    for line in code.splitlines():
        lines += _cut(line) if len(line) > WIDTH else [line]
    text = "\n".join(lines)
    # What looks like a call may be a line of a text that goes over several.
    return text if ast.dump(ast.parse(text)) == ast.dump(ast.parse(code)) else code


def _cut(line: str) -> list[str]:
    """Return the lines of a statement that is a call, its result perhaps bound or returned; else the line itself."""
    text = line.lstrip()
    try:
        (statement,) = ast.parse(text if not text.startswith("return ") else f"{text[7:]}").body
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return [line]
    node: ast.AST | None = getattr(statement, "value", None)
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    is_call = isinstance(statement, ast.Assign | ast.Expr) and isinstance(node, ast.Call)
    if not is_call or not text.isascii() or any(each.type == tokenize.COMMENT for each in tokens):
        return [line]
    assert isinstance(node, ast.Call)  # noqa: S101 - is_call says so
    start = len("return ") if text.startswith("return ") else 0
    given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    given = sorted(given, key=lambda each: (each.lineno, each.col_offset))
    if not given or any(isinstance(each, ast.GeneratorExp) for each in node.args):
        return [line]
    segments = [text[start + each.col_offset : start + (each.end_col_offset or 0)] for each in given]
    opening = text[: start + given[0].col_offset]
    closing = text[start + (node.end_col_offset or 0) - 1 :]
    return parts(opening, segments, closing, indent=len(line) - len(text))


def _from(last: str, following: Sequence[str]) -> list[str]:
    """Return lines of which the first goes on where `last` ends."""
    return [last, *following[1:]]
