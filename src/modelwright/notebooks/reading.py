"""Notebook files into records: cells of plain Python, with notebook syntax taken out and reported."""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelwright.errors import NotebookCorrupt, NotebookMissing, NotebookNotConvertible
from modelwright.notebooks import credentials, formats, headings, magics, namespace, syntax
from modelwright.notebooks.formats import Part
from modelwright.notebooks.magics import Command, Problem, Translation
from modelwright.notebooks.namespace import Lost
from modelwright.records import Cell, Finding, Notebook, Removal, Wishes

_PATH_ABOVE = re.compile(r"""sys\.path\.(?:append|insert)\(.*['"]\.\./?['"]""")
_RAISES = "raises-exception"


def read(path: Path) -> Notebook:
    """Return the notebook in the file `path`: an `.ipynb` of nbformat 3 or 4, or a Python script.

    A script's cells begin at `# %%`; one without such lines is a single cell.

    Raises NotebookMissing, NotebookCorrupt, and NotebookNotConvertible when it is of another language.
    """
    from blake3 import blake3

    gathered = _Gathered()
    cells = _cells(path, gathered, folder=path.parent)
    if not cells:
        raise NotebookCorrupt(path=path, reason="it has no code cells")
    cells = namespace.with_pylab_names(cells)
    findings = [
        *gathered.findings,
        *(_asks_ipython(each, path.name) for each in cells if "get_ipython()" in each.code),
        *namespace.lost_values(path.name, cells, gathered.lost),
    ]
    return Notebook(
        path=path,
        digest=blake3("\0".join(gathered.sources).encode()).hexdigest(),
        cells=tuple(cells),
        removals=tuple(gathered.removals),
        findings=tuple(findings),
        requirements=tuple(dict.fromkeys(gathered.requirements)),
        written_files=tuple(dict(gathered.written_files).items()),
    )


def wished(notebook: Notebook, wishes: Wishes) -> Notebook:
    """Return the notebook with cells to keep tagged "keep", and without those to drop: as wished, and as tagged.

    Raises NotebookNotConvertible for the number of a cell that is not there.
    """
    last = notebook.cells[-1].number
    for number in (*wishes.keep, *wishes.drop):
        if not 1 <= number <= last:
            raise NotebookNotConvertible(
                notebook=notebook.path.name,
                message=f"there is no cell {number}",
                place="",
                fix=f"its code cells count from 1 to {last}",
                finding=None,
            )
    cells, removals = [], []
    for each in notebook.cells:
        if each.number in wishes.drop or "drop" in each.tags:
            removals.append(Removal(notebook.path.name, each.number, 1, each.source, "left out as wished"))
            cells.append(replace(each, code=""))
        else:
            cells.append(replace(each, tags=each.tags | {"keep"}) if each.number in wishes.keep else each)
    return replace(notebook, cells=tuple(cells), removals=(*notebook.removals, *removals))


def imports_from_above(notebook: Notebook) -> bool:
    """Whether a notebook imports modules from the folder above its own."""
    return any(_PATH_ABOVE.search(each.code) for each in notebook.cells)


@dataclass
class _Gathered:
    """What is found while cells are read, those of files that they run included; `running` are those files."""

    removals: list[Removal] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    written_files: list[tuple[str, str]] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    running: tuple[Path, ...] = ()


def _cells(path: Path, gathered: _Gathered, *, folder: Path) -> list[Cell]:
    """Return the cells of a file in plain Python; commands in them are relative to `folder`."""
    parts = formats.parts(path)
    gathered.running = (*gathered.running, path.resolve())
    found: list[Cell] = []
    place: tuple[headings.Heading, ...] = ()
    texts: list[str] = []
    for part in parts:
        if not part.is_code:
            texts.append(part.source)
            place = headings.outline(place, part.source)
        elif part.source.strip():
            number = len(found) + 1
            gathered.sources.append(part.source)
            found.append(
                Cell(
                    number=number,
                    source=part.source,
                    code=_code(part, gathered, path=path, number=number, folder=folder),
                    execution_count=part.execution_count,
                    heading=place[-1].text if place else "",
                    section=tuple(each.text for each in place),
                    markdown="\n\n".join(each.strip() for each in texts if each.strip()),
                    tags=part.tags,
                    outputs_text=part.outputs_text,
                )
            )
            texts = []
    gathered.running = gathered.running[:-1]
    return found


def _code(part: Part, gathered: _Gathered, *, path: Path, number: int, folder: Path) -> str:
    """Return a cell as plain Python, noting what went and what came of it. Raises NotebookCorrupt if it is none."""
    if _RAISES in part.tags:
        reason = f'tagged "{_RAISES}": it fails on purpose'
        gathered.removals.append(Removal(path.name, number, 1, credentials.masked(part.source), reason))
        gathered.findings.append(_raises_on_purpose(path.name, number))
        return ""
    translate = _translator(gathered, folder=folder)
    became = syntax.plain(part.source, translate)
    error = became.error
    if error is not None:
        line, why = getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error
        why = f"{why}: the notebook is in Python 2" if "Missing parentheses in call to" in str(why) else why
        raise NotebookCorrupt(path=path, reason=f"cell {number}, line {line} is no valid Python ({why})") from error
    for where, translation in became.translated:
        _note(gathered, where, translation, notebook=path.name, cell=number)
    return became.code


def _note(gathered: _Gathered, where: syntax.Place, became: Translation, *, notebook: str, cell: int) -> None:
    source = credentials.masked(where.source)
    gathered.removals.append(Removal(notebook, cell, where.line, source, became.reason))
    gathered.requirements += became.requirements
    gathered.written_files += [became.written_file] if became.written_file else []
    gathered.lost += [Lost(name, cell, where.line, source) for name in became.lost]
    problem = became.problem
    if problem:
        message = credentials.masked(problem.message)
        gathered.findings.append(
            Finding(problem.code, message, problem.fix, notebook, cell, where.line, problem.is_error)
        )


def _translator(gathered: _Gathered, *, folder: Path) -> Callable[[Command], Translation]:
    def translate(command: Command) -> Translation:
        if command.body is None and command.name == "run":
            return _run(command, gathered, folder=folder)
        if command.body is None and command.name == "pylab":
            is_small = "--no-import-all" in command.arguments
            code = namespace.PYLAB_MODULES_ONLY if is_small else namespace.PYLAB
            return Translation(magics.TRANSLATED, code=code)
        return magics.translate(command, folder)

    return translate


# --- files that cells run ---


def _run(command: Command, gathered: _Gathered, *, folder: Path) -> Translation:
    """Return the code of the file that `%run` names, or why it cannot stand in the command's place."""
    words = [each for each in _words(command.arguments) if each not in {"-i", "-n", "-e", "-t", "-p", "-d", "-G"}]
    if not words or len(words) > 1:
        return _not_run(command, "it is given arguments" if words else "it names no file")
    if command.is_nested:
        return _not_run(command, "it stands inside a block")
    path = folder / words[0]
    path = path if path.suffix else path.with_suffix(".py")
    if path.resolve() in gathered.running:
        return _not_run(command, f'"{path.name}" runs itself')
    if path.suffix not in {".py", ".ipynb"}:
        return _not_run(command, f'"{path.name}" is no notebook and no script')
    try:
        code = _text_of(_cells(path, gathered, folder=folder))
    except NotebookMissing:
        return _not_run(command, f'there is no file "{words[0]}"')
    return Translation(magics.INLINED, code=code)


def _text_of(cells: Sequence[Cell]) -> str:
    """Return the code of cells as one text, without the imports from the future that may only stand at a file's top."""
    code = "\n\n".join(each.code.strip("\n") for each in cells)
    return "\n".join(line for line in code.split("\n") if not line.startswith("from __future__ import"))


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments, comments=True)
    except ValueError:
        return arguments.split()


def _not_run(command: Command, why: str) -> Translation:
    problem = Problem(
        "run-not-inlined",
        f'"%run {command.arguments}" cannot be replaced by the code of its file: {why}',
        "copy the code that is needed into the notebook, or import it",
        is_error=True,
    )
    return Translation(magics.COMMAND, problem=problem)


# --- findings ---


def _raises_on_purpose(notebook: str, cell: int) -> Finding:
    return Finding(
        code="raises-on-purpose",
        message=f'the cell is tagged "{_RAISES}" and is left out',
        fix="remove the tag if later cells need what the cell does",
        notebook=notebook,
        cell=cell,
        line=1,
    )


def _asks_ipython(cell: Cell, notebook: str) -> Finding:
    line = next(number for number, each in enumerate(cell.code.splitlines(), start=1) if "get_ipython()" in each)
    return Finding(
        code="asks-notebook",
        message="get_ipython() asks the notebook itself, and a project has none",
        fix="leave the line out, or do in plain Python what it is for",
        notebook=notebook,
        cell=cell.number,
        line=line,
    )
