"""Notebook files into records: cells of plain Python, with notebook syntax taken out and reported."""

import ast
import json
import re
import warnings
from pathlib import Path
from typing import Any

from modelwright.errors import NotebookCorrupt, NotebookMissing
from modelwright.records import Cell, Finding, Notebook, Removal

_MAGIC_LINE = re.compile(r"^(?P<indent>\s*)(?P<text>(?:[%!?]|get_ipython\(\)).*|[\w.\[\]'\"]+\?{1,2})\s*$")
_CELL_MAGIC = re.compile(r"^\s*%%(?P<name>\w+)")
# Cell magics that run the rest of the cell as it is.
_UNWRAPPED = frozenset({"time", "timeit", "capture", "prun"})
_INSTALL = re.compile(r"^[%!]\s*(?:\S*python\S*\s+-m\s+)?(?:pip|conda|mamba|uv)\b")
_SETTING = re.compile(r"^%\s*(?:matplotlib|load_ext|reload_ext|autoreload|config|precision)\b")


def read(path: Path) -> Notebook:
    """Return the notebook in the file `path`, of nbformat 3 or 4.

    Raises NotebookMissing and NotebookCorrupt.
    """
    from blake3 import blake3

    if path.is_dir():
        raise NotebookMissing(path=path, instead="; it is a folder", folder=path)
    if not path.is_file():
        raise NotebookMissing(path=path, instead="", folder=path.parent)
    sources = [(source, count) for source, count in _code_cells(path) if source.strip()]
    if not sources:
        raise NotebookCorrupt(path=path, reason="it has no code cells")
    cells, removals, findings = [], [], []
    for number, (source, count) in enumerate(sources, start=1):
        code, gone = _plain_python(source, notebook=path.name, cell=number)
        _must_parse(code, path=path, cell=number)
        cells.append(Cell(number, source, code, count))
        removals += gone
        findings += [_shell_finding(each) for each in gone if each.source.startswith("!") and _is_odd(each.source)]
        if "get_ipython()" in code:
            findings.append(_magic_value(code, notebook=path.name, cell=number))
    digest = blake3("\0".join(source for source, _ in sources).encode()).hexdigest()
    return Notebook(path, digest, tuple(cells), tuple(removals), tuple(findings))


def _code_cells(path: Path) -> list[tuple[str, int | None]]:
    """Return source and execution count of each code cell."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookCorrupt(path=path, reason=f"its bytes cannot be read ({error})") from error
    if not text.strip():
        raise NotebookCorrupt(path=path, reason="the file is empty")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise NotebookCorrupt(path=path, reason=f"it is not JSON ({error})") from error
    if not isinstance(content, dict) or not ({"cells", "worksheets"} & content.keys()):
        raise NotebookCorrupt(path=path, reason="it is JSON, but not of a notebook: it has no cells")
    return [
        (each.source, each.get("execution_count"))
        for each in _as_version_4(content, path).cells
        if each.cell_type == "code"
    ]


def _as_version_4(content: dict[str, Any], path: Path) -> Any:
    import nbformat

    reading: Any = nbformat.reader.reads
    try:
        with warnings.catch_warnings():
            # nbformat warns of missing cell ids and the like, which no reader of ours needs.
            warnings.simplefilter("ignore")
            major = int(content.get("nbformat", 4 if "cells" in content else 3))
            notebook: Any = nbformat.convert(reading(json.dumps({"nbformat": major} | content)), 4)
            for each in notebook.cells:
                # The format allows a list of lines.
                each.source = each.source if isinstance(each.source, str) else "".join(each.source)
    except Exception as error:
        # nbformat raises a dozen kinds, from its validators and from itself, for files that are JSON but no notebook.
        raise NotebookCorrupt(path=path, reason=f"its structure is wrong ({error})") from error
    return notebook


def _plain_python(source: str, *, notebook: str, cell: int) -> tuple[str, list[Removal]]:
    """Return `source` as plain Python of the same lines, and the notebook syntax that went."""
    lines, removals = source.splitlines(), []

    def drop(number: int, reason: str) -> None:
        text = lines[number - 1]
        removals.append(Removal(notebook, cell, number, text.strip(), reason))
        indent = text[: len(text) - len(text.lstrip())]
        # `pass` keeps a block from being left empty; the line count stays, so that places stay true.
        lines[number - 1] = f"{indent}pass" if indent else ""

    magic = _CELL_MAGIC.match(lines[0]) if lines else None
    if magic and magic["name"] in _UNWRAPPED:
        drop(1, "measures or captures; the lines below it are kept")
    elif magic:
        reason = f"a %%{magic['name']} cell is not Python"
        return "", [Removal(notebook, cell, 1, source, reason)]
    for number in _magic_lines(lines):
        drop(number, _reason(lines[number - 1].strip()))
    text = "\n".join(lines) + "\n"
    return (text, removals) if _parses(text) else (_transformed(text), removals)


def _magic_lines(lines: list[str]) -> list[int]:
    """Return the numbers of lines that are notebook syntax as a whole, as IPython's own transformer sees them."""
    suspects = [number for number, line in enumerate(lines, start=1) if _MAGIC_LINE.match(line)]
    if not suspects or _parses("\n".join(lines)):
        # `%` and `?` also stand inside strings and continued expressions of plain Python.
        return []
    return [number for number in suspects if "get_ipython()" in _transformed(lines[number - 1].strip() + "\n")]


def _transformed(text: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        manager: Any = TransformerManager()  # type: ignore[no-untyped-call]
        return str(manager.transform_cell(text))
    except SyntaxError:
        return text


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            # Python warns of odd escapes in the user's strings; they are the user's.
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _must_parse(code: str, *, path: Path, cell: int) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError) as error:
        line, why = getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error
        raise NotebookCorrupt(path=path, reason=f"cell {cell}, line {line} is no valid Python ({why})") from error


def _reason(text: str) -> str:
    if _INSTALL.match(text):
        return "installs packages; the project has locked requirements instead"
    if _SETTING.match(text):
        return "steers the notebook's display only"
    if text.startswith("!"):
        return "a shell command"
    if "?" in text[-2:]:
        return "shows help"
    return "a notebook command"


def _is_odd(text: str) -> bool:
    return not _INSTALL.match(text)


def _shell_finding(removal: Removal) -> Finding:
    return Finding(
        code="shell-command",
        message=f'the shell command "{removal.source}" is not run',
        fix="do in Python what the later cells need of it",
        notebook=removal.notebook,
        cell=removal.cell,
        line=removal.line,
    )


def _magic_value(code: str, *, notebook: str, cell: int) -> Finding:
    line = next(number for number, each in enumerate(code.splitlines(), start=1) if "get_ipython()" in each)
    return Finding(
        code="magic-value",
        message="the value of a notebook command is used, and a project has no notebook to ask",
        fix="write the command in plain Python",
        notebook=notebook,
        cell=cell,
        line=line,
        is_error=True,
    )
