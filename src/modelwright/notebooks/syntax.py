"""A cell's source as plain Python on the same lines: finds notebook syntax and puts in its place what it becomes."""

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelwright.notebooks.magics import AUTOMATIC, HELP, SHELL, Command, Translation

_SHELL_IN_TEXT = "get_ipython()"
_BARE_WORD = re.compile(r"^(?P<name>[a-z_]+)(?!\s*=[^=])(?:\s+(?P<rest>[^\s=(].*)|\s*)$")
# A transformer that finds the same again and again is a defect; this many commands no cell has.
_LIMIT = 1000

Translate = Callable[[Command], Translation]


@dataclass(frozen=True)
class Place:
    """Where a command stood: its line in the cell, and its text."""

    line: int
    source: str


@dataclass(frozen=True)
class Plain:
    """A cell in plain Python, with each command that was in it and what became of it.

    `error` says what is wrong with it as Python; None if nothing is.
    """

    code: str
    translated: tuple[tuple[Place, Translation], ...]
    error: SyntaxError | ValueError | None


def plain(source: str, translate: Translate) -> Plain:
    """Return `source` as plain Python. A line that stays keeps its number, unless a command above became longer."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    cell = _Cell(lines, translate)
    if not parses(cell.text) or _is_automatic(cell.lines):
        cell.clean()
        cell.take_cell_commands()
        try:
            cell.take_commands()
        except IndentationError as error:  # it cannot even be cut into tokens
            return Plain(cell.text, tuple(cell.translated), error)
    if _SHELL_IN_TEXT in cell.text:
        cell.take_calls()
    return Plain(cell.text, tuple(cell.translated), syntax_error(cell.text))


def parses(text: str) -> bool:
    """Whether a text is valid Python, with `await` outside of functions as notebooks allow it."""
    return syntax_error(text) is None


def syntax_error(text: str) -> SyntaxError | ValueError | None:
    """Return what is wrong with a text as Python; None if nothing is."""
    try:
        with warnings.catch_warnings():
            # Python warns of odd escapes in the user's strings; they are the user's.
            warnings.simplefilter("ignore")
            for each in ast.parse(text).body:
                # One by one, as IPython does: imports from the future may stand anywhere.
                one = ast.Module([each], type_ignores=[])
                compile(one, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return error
    return None


def _is_automatic(lines: Sequence[str]) -> bool:
    """Whether a cell is one line such as `pwd` or `pip install x`, which IPython takes for a command."""
    filled = [line for line in lines if line.strip()]
    match = _BARE_WORD.match(filled[0]) if len(filled) == 1 else None
    return match is not None and match["name"] in AUTOMATIC


@dataclass
class _Cell:
    """The lines of a cell, while commands are taken out of them one by one."""

    lines: list[str]
    translate: Translate
    translated: list[tuple[Place, Translation]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n" if any(self.lines) else ""

    def clean(self) -> None:
        """Take away indentation of the whole cell and prompts, and give a bare command its `%`."""
        from IPython.core import inputtransformer2 as ipython

        cleaning: Any = (ipython.leading_indent, ipython.classic_prompt, ipython.ipython_prompt)
        lines = [line + "\n" for line in self.lines]
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        for transform in cleaning:
            lines = lines[:first] + transform(lines[first:])
        self.lines = [line.rstrip("\n") for line in lines]
        if _is_automatic(self.lines):
            self.lines[first] = f"%{self.lines[first]}"

    def take_cell_commands(self) -> None:
        """Take out `%%` commands at the top, each with its body unless the body is Python."""
        while True:
            first = next((number for number, line in enumerate(self.lines) if line.strip()), None)
            if first is None or not self.lines[first].startswith("%%"):
                return
            name, _, arguments = self.lines[first][2:].rstrip().partition(" ")
            body = "\n".join(self.lines[first + 1 :])
            command = Command(name.removesuffix(";"), arguments.strip(), body=body)
            became = self.translate(command)
            if became.keeps_body:
                self._note(first, self.lines[first], became)
                self.lines[first] = became.code
                continue
            whole = "\n".join(self.lines[first:]).strip("\n")
            self._note(first, self.lines[first] if became.written_file else whole, became)
            self.lines = [*self.lines[:first], *became.code.split("\n")] if became.code else []
            return

    def take_commands(self) -> None:
        """Take out `%` and `!` lines, assignments of their values, and requests for help."""
        from IPython.core.inputtransformer2 import TransformerManager

        manager: Any = TransformerManager()  # type: ignore[no-untyped-call]
        for _ in range(_LIMIT):
            found = None if parses(self.text) else _first_command(self.lines, manager.token_transformers)
            if found is None:
                return
            start, count, text = found
            head, call, tail = text.partition(_SHELL_IN_TEXT)
            command = _command(call + tail, head) if call else None
            if command is None:
                # Not a command but a call without parentheses, `/f x`; what stands there now is Python.
                self.lines[start : start + count] = [text, *[""] * (count - 1)]
                continue
            self._replace(start, count, before=head, became=self.translate(command))

    def take_calls(self) -> None:
        """Take out statements that call IPython by name, as scripts made of notebooks do."""
        if not parses(self.text):
            return
        for node in sorted(_ipython_statements(ast.parse(self.text)), key=lambda each: -each.lineno):
            start, count = node.lineno - 1, (node.end_lineno or node.lineno) - node.lineno + 1
            text = "\n".join(self.lines[start : start + count])
            head, call, _ = text.partition(_SHELL_IN_TEXT)
            command = _command(ast.unparse(node.value), head) if call and ";" not in head else None
            if command is None:
                continue
            became = self.translate(command)
            if became.keeps_body:
                inner = plain(command.body or "", self.translate)
                became = Translation(**{**vars(became), "code": inner.code.rstrip("\n")})
                self.translated += inner.translated
            self._replace(start, count, before=head, became=became)
        self.translated.sort(key=lambda each: each[0].line)

    def _replace(self, start: int, count: int, *, before: str, became: Translation) -> None:
        """Put what a command became in the place of its lines; `before` is what stood before it on the first."""
        self._note(start, "\n".join(self.lines[start : start + count]), became)
        indent = before[: len(before) - len(before.lstrip())]
        kept = f"{before.rpartition(';')[0]}; ".lstrip() if ";" in before else ""
        # `pass` keeps a block from being left empty.
        code = f"{kept}{became.code}" or ("pass" if indent else "")
        new = f"{indent}{code}".rstrip().removesuffix(";").split("\n")
        self.lines[start : start + count] = new + [""] * (count - len(new))

    def _note(self, number: int, source: str, became: Translation) -> None:
        self.translated.append((Place(number + 1, source.strip()), became))


def _first_command(lines: Sequence[str], transformers: Sequence[Any]) -> tuple[int, int, str] | None:
    """Return where IPython's own transformers see the first command: its line, its number of lines, its new text."""
    from IPython.core import inputtransformer2 as ipython

    ended = [line + "\n" for line in lines]
    tokens = ipython.make_tokens_by_line(ended)
    found = [each for each in (transformer.find(tokens) for transformer in transformers) if each]
    for each in sorted(found, key=lambda one: one.sortby()):
        try:
            changed = each.transform(ended)
        except SyntaxError:
            continue
        text = changed[each.start_line].rstrip("\n")
        return each.start_line, len(ended) - len(changed) + 1, text
    return None


def _command(call: str, head: str) -> Command | None:
    """Return the command that a call of IPython, as its transformers write it, stands for."""
    try:
        tree = ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Attribute):
        return None
    given = [each.value for each in tree.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    known = _words_of(tree.func.attr, given) if given and len(given) == len(tree.args) else None
    if known is None:
        return None
    last = head.rpartition(";")[2].strip()
    target = last.removesuffix("=").strip() if last.endswith("=") else ""
    return Command(*known[:2], target=target, body=known[2], is_nested=head[:1].isspace())


def _words_of(method: str, given: Sequence[str]) -> tuple[str, str, str | None] | None:
    """Return a command's name, arguments and body from what a method of IPython is called with."""
    match method, given:
        case ("run_line_magic", ["", line]):
            # `% matplotlib inline`, which older releases took.
            name, _, arguments = line.strip().partition(" ")
            return name, arguments, None
        case ("run_line_magic", [name, *rest]):
            is_help = name in {"pinfo", "pinfo2", "psearch"}
            return HELP if is_help else name, rest[0] if rest else "", None
        case ("magic", [line]):
            name, _, arguments = line.lstrip("% ").partition(" ")
            return name, arguments, None
        case ("system" | "getoutput", [line]):
            return SHELL, line, None
        case ("run_cell_magic", [name, arguments, body]):
            return name, arguments, body
    return None


def _ipython_statements(tree: ast.Module) -> Iterator[ast.Expr | ast.Assign]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Assign) and ast.unparse(node.value).startswith(_SHELL_IN_TEXT):
            yield node
