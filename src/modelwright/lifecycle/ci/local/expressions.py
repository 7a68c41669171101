"""Expressions of workflow files: names, texts, calls, comparisons, and, or, not. Each system brings its own names."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"[^"]*")|(?P<number>\d+)|(?P<sign>&&|\|\||==|!=|!|\(|\)|,|\.|\[|\])
    |(?P<name>\$?[A-Za-z_][\w-]*))""",
    re.VERBOSE,
)
_PLAIN: Mapping[str, object] = {"true": True, "false": False, "null": None}

# What a name such as `needs.find.outputs.version` means.
Names = Callable[[Sequence[str]], Any]
Functions = Mapping[str, Callable[..., Any]]


class ExpressionInvalid(ValueError):
    """An expression that is not understood, told in words."""


def evaluate(text: str, names: Names, functions: Functions) -> Any:
    """Return the value of an expression. Raises ExpressionInvalid."""
    parser = _Parser(_tokens(text), text, names, functions)
    value = parser.any()
    if parser.tokens:
        raise parser.fail()
    return value


def calls(text: str) -> set[str]:
    """Return the names of the functions that an expression calls."""
    return set(re.findall(r"([A-Za-z_]\w*)\s*\(", re.sub(r"'(?:[^']|'')*'", "", text)))


def are_equal(one: object, other: object) -> bool:
    """Whether two values are equal: texts in any case, and nothing is the empty text."""
    return _word(one) == _word(other)


def is_true(value: object) -> bool:
    """Whether a value counts as true; the text `false` does, as any text that is not empty."""
    return bool(value)


def _word(value: object) -> str:
    return "" if value is None else str(value).lower()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            told = f"`{text}` is not understood from `{text[place:]}` on"
            raise ExpressionInvalid(told)
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return found


@dataclass
class _Parser:
    """Takes tokens from the front and gives values; all parts are evaluated, since none has an effect."""

    tokens: list[tuple[str, str]]
    text: str
    names: Names
    functions: Functions

    def any(self) -> Any:
        value = self.all()
        while self._took("||"):
            other = self.all()
            value = value if is_true(value) else other
        return value

    def all(self) -> Any:
        value = self._comparison()
        while self._took("&&"):
            other = self._comparison()
            value = other if is_true(value) else value
        return value

    def fail(self) -> ExpressionInvalid:
        return ExpressionInvalid(f"`{self.text}` is not understood")

    def _comparison(self) -> Any:
        value = self._single()
        if self._took("=="):
            return are_equal(value, self._single())
        if self._took("!="):
            return not are_equal(value, self._single())
        return value

    def _single(self) -> Any:
        if self._took("!"):
            return not is_true(self._single())
        if self._took("("):
            value = self.any()
            self._need(")")
            return value
        kind, token = self._next()
        if kind == "text":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return int(token)
        if kind != "name":
            raise self.fail()
        if token in _PLAIN:
            return _PLAIN[token]
        return self._call(token) if self._took("(") else self._name(token)

    def _call(self, name: str) -> Any:
        if name not in self.functions:
            told = f"`{self.text}` calls `{name}`"
            raise ExpressionInvalid(told)
        arguments = []
        while not self._took(")"):
            arguments.append(self.any())
            if not self._took(","):
                self._need(")")
                break
        return self.functions[name](*arguments)

    def _name(self, first: str) -> Any:
        path = [first]
        while True:
            if self._took("."):
                kind, token = self._next()
                if kind != "name":
                    raise self.fail()
                path.append(token)
            elif self._took("["):
                path.append(str(self.any()))
                self._need("]")
            else:
                return self.names(path)

    def _next(self) -> tuple[str, str]:
        if not self.tokens:
            raise self.fail()
        return self.tokens.pop(0)

    def _took(self, sign: str) -> bool:
        if self.tokens and self.tokens[0] == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._took(sign):
            raise self.fail()
