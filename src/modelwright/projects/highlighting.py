"""Python code as lines of HTML, its words marked by their kind."""

import builtins
import html
import io
import keyword
import tokenize
from collections.abc import Iterator

_BUILTINS = frozenset(vars(builtins))
# Characters that are not seen, or that turn the order of those that are: they would let a page show other code.
_UNSEEN = {
    code: f"\\u{code:04x}"
    for code in (*range(9), 11, 12, 13, *range(14, 32), 127, 0x200B, *range(0x200E, 0x2010), *range(0x202A, 0x202F))
} | {code: f"\\u{code:04x}" for code in (*range(0x2066, 0x206A), 0xFEFF, *range(0xD800, 0xE000))}
_TEXT_TOKENS = {tokenize.STRING} | {
    getattr(tokenize, name) for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END") if hasattr(tokenize, name)
}


def escaped(text: str) -> str:
    """Return any text as HTML that shows it, in elements and in attributes; what cannot be seen is spelt out."""
    return html.escape(text.translate(_UNSEEN))


def highlighted(code: str) -> list[str]:
    """Return the lines of `code` as HTML: `b` keywords, `i` texts, `em` comments, `u` numbers, `s` built-in names.

    Lines from where it is no Python on have no marks.
    """
    lines = code.split("\n")
    marks: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    for kind, (first, start), (last, end) in _marked(code):
        for number in range(first, min(last, len(lines)) + 1):
            text = lines[number - 1]
            from_column, to_column = (start if number == first else 0), (end if number == last else len(text))
            marks[number - 1].append((from_column, to_column, kind))
    return [_line(text, found) for text, found in zip(lines, marks, strict=True)]


def _line(text: str, marks: list[tuple[int, int, str]]) -> str:
    parts, place = [], 0
    for start, end, kind in marks:
        if start < place or end <= start:
            continue
        parts += [escaped(text[place:start]), f"<{kind}>{escaped(text[start:end])}</{kind}>"]
        place = end
    return "".join([*parts, escaped(text[place:])])


def _marked(code: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    before = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            kind = _kind(token, before)
            if kind:
                yield kind, token.start, token.end
            before = token.string if token.string.strip() else before
    except (tokenize.TokenError, SyntaxError):
        return


def _kind(token: tokenize.TokenInfo, before: str) -> str:
    if token.type in _TEXT_TOKENS:
        return "i"
    if token.type == tokenize.COMMENT:
        return "em"
    if token.type == tokenize.NUMBER:
        return "u"
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "b"
    return "s" if token.type == tokenize.NAME and before != "." and token.string in _BUILTINS else ""
