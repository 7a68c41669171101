"""Digests of what definitions do, by which it is told whether a function is still the one that was written."""

import ast
from collections.abc import Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(text: str) -> list[Definition]:
    """Return the functions and classes at a module's level; nothing where the text is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [each for each in tree.body if isinstance(each, Definition)]


def code_digest(definition: Definition) -> str:
    """Return the digest of what a definition does: comments, docstrings and layout do not count."""
    from blake3 import blake3

    body = definition.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return blake3("\n".join(map(ast.dump, (*_head(definition), *body))).encode()).hexdigest()


def _head(definition: Definition) -> Iterator[ast.AST]:
    yield from definition.decorator_list
    if isinstance(definition, ast.ClassDef):
        yield from definition.bases
        yield from definition.keywords
    else:
        yield definition.args
