"""The files that notebooks come in: `.ipynb` of nbformat 3 and 4, and Python scripts, into parts of one shape."""

import ast
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import NotebookCorrupt, NotebookMissing, NotebookNotConvertible
from modelwright.records import Finding

_PERCENT = re.compile(r"^#\s?%%|^#\s?In\[[\d ]*\]:?\s*$", re.MULTILINE)
_NBCONVERT = re.compile(r"^# In\[[\d ]*\]:\s*$", re.MULTILINE)
_JUPYTEXT_HEADER = re.compile(r"\A# ---\n(?:#.*\n)*?# jupyter:", re.MULTILINE)
_COMMENT = re.compile(r"^#(?!!) ?")
# A heading of reStructuredText, which the galleries of libraries are written in.
_UNDERLINED = re.compile(r"^(?P<line>[=\-~^*#+\"'`])(?P=line){2,}\s*$")


@dataclass(frozen=True)
class Part:
    """A cell as its file has it: text or code, with what is stored with it."""

    is_code: bool
    source: str
    execution_count: int | None = None
    tags: frozenset[str] = frozenset()
    outputs_text: str | None = None


def parts(path: Path) -> list[Part]:
    """Return the cells of the notebook in the file `path`; those of an unknown kind are left out.

    A `.py` is taken as percent format when it has `# %%` lines, and as a single cell when it has none.

    Raises NotebookMissing, NotebookCorrupt, and NotebookNotConvertible when the notebook is of another language.
    """
    text = _text(path)
    return _of_script(text, path) if path.suffix == ".py" else _of_json(text, path)


def _text(path: Path) -> str:
    if path.is_dir():
        raise NotebookMissing(path=path, instead="; it is a folder", folder=path)
    if not path.is_file():
        raise NotebookMissing(path=path, instead="", folder=path.parent)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookCorrupt(path=path, reason=f"its bytes cannot be read ({error})") from error
    if not text.strip():
        raise NotebookCorrupt(path=path, reason="the file is empty")
    return text


# --- .ipynb ---


def _of_json(text: str, path: Path) -> list[Part]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise NotebookCorrupt(path=path, reason=f"it is not JSON ({error})") from error
    if not isinstance(content, dict) or not ({"cells", "worksheets"} & content.keys()):
        raise NotebookCorrupt(path=path, reason="it is JSON, but not of a notebook: it has no cells")
    notebook = _as_version_4(content, path)
    _must_be_python(notebook, content, path)
    try:
        return [_part(each) for each in notebook.cells if each.cell_type in {"code", "markdown"}]
    except (AttributeError, KeyError, TypeError) as error:
        raise NotebookCorrupt(path=path, reason=f"its structure is wrong ({error})") from error


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
                each.source = _joined(each.source)
    except Exception as error:
        # nbformat raises a dozen kinds, from its validators and from itself, for files that are JSON but no notebook.
        raise NotebookCorrupt(path=path, reason=f"its structure is wrong ({error})") from error
    return notebook


def _must_be_python(notebook: Any, content: dict[str, Any], path: Path) -> None:
    """Raise NotebookNotConvertible when the notebook says that it is of another language."""
    metadata = notebook.get("metadata") or {}
    kernel, info = metadata.get("kernelspec") or {}, metadata.get("language_info") or {}
    cells = [each for sheet in content.get("worksheets") or [] for each in sheet.get("cells") or []]
    told = [info.get("name"), kernel.get("language"), *(each.get("language") for each in cells)]
    language = next((each for each in told if isinstance(each, str) and each), "python")
    if language.lower().startswith(("python", "ipython")):
        return
    finding = Finding(
        code="not-python",
        message=f"it is a notebook in {language}, and only Python is converted",
        fix="name a notebook whose kernel is Python",
        notebook=path.name,
        is_error=True,
    )
    raise NotebookNotConvertible(
        notebook=path.name, message=finding.message, place="", fix=finding.fix, finding=finding
    )


def _part(cell: Any) -> Part:
    if cell.cell_type != "code":
        return Part(is_code=False, source=cell.source)
    tags = cell.get("metadata", {}).get("tags") or ()
    count = cell.get("execution_count")
    return Part(
        is_code=True,
        source=cell.source,
        execution_count=count if isinstance(count, int) else None,
        tags=frozenset(each for each in tags if isinstance(each, str)),
        outputs_text=_outputs_text(cell.get("outputs") or ()),
    )


def _outputs_text(outputs: Sequence[Any]) -> str | None:
    """Return what a cell printed and what its results look like as text, as the trace of a run has it."""
    if not outputs:
        return None
    return "".join(
        _joined(each.get("text", ""))
        if each.output_type == "stream"
        else _joined((each.get("data") or {}).get("text/plain", "")) + "\n"
        for each in outputs
        if (each.output_type == "stream" and each.get("name") == "stdout")
        or each.output_type in {"execute_result", "display_data"}
    )


def _joined(text: str | list[str]) -> str:
    """Return a text that the format allows to be a list of lines."""
    return text if isinstance(text, str) else "".join(text)


# --- .py ---


def _of_script(text: str, path: Path) -> list[Part]:
    has_header = _JUPYTEXT_HEADER.match(text) is not None
    if not has_header and not _PERCENT.search(text):
        return [Part(is_code=True, source=text)]
    import jupytext

    reader: Any = jupytext.reads
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            notebook = reader(text, fmt="py" if has_header else "py:percent")
    except Exception as error:
        # jupytext parses the header as YAML, and each library below it raises kinds of its own.
        raise NotebookCorrupt(path=path, reason=f"its cells cannot be told apart ({error})") from error
    cells = notebook.cells
    is_gallery = bool(cells) and cells[0].cell_type == "code" and _is_gallery_title(cells[0].source)
    found: list[Part] = []
    for number, cell in enumerate(cells):
        title = cell.metadata.get("title", "") if cell.cell_type == "code" else ""
        if title:
            depth = int(cell.metadata.get("cell_depth", 0))
            found.append(Part(is_code=False, source=f"{'#' * (2 + min(depth, 4))} {title}"))
        if cell.cell_type == "code":
            found += _of_script_cell(
                _part(cell), is_gallery=is_gallery, is_first=number == 0, is_nbconvert=bool(_NBCONVERT.search(text))
            )
        elif cell.cell_type == "markdown":
            found.append(_part(cell))
    return found


def _is_gallery_title(source: str) -> bool:
    """Whether a script starts as those of sphinx-gallery do: with a docstring that has a title."""
    docstring = _docstring(source)
    return docstring is not None and any(_UNDERLINED.match(line) for line in docstring.splitlines())


def _docstring(source: str) -> str | None:
    try:
        return ast.get_docstring(ast.parse(source))
    except (SyntaxError, ValueError):
        return None


def _of_script_cell(part: Part, *, is_gallery: bool, is_first: bool, is_nbconvert: bool) -> Iterable[Part]:
    """Return a cell's code, and the comments around it that are text of the notebook rather than notes on the code."""
    lines = part.source.splitlines()
    code = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not code:
        yield _as_text(lines)
        return
    if is_gallery and is_first:
        docstring = _docstring(part.source)
        if docstring:
            yield Part(is_code=False, source=docstring)
            end = ast.parse(part.source).body[0].end_lineno or 1
            lines = lines[end:]
            yield Part(is_code=True, source="\n".join(lines).strip("\n"), tags=part.tags)
            return
    start, end = 0, len(lines)
    if is_gallery:
        # The first lines after `# %%` are text up to the first that is no comment.
        start = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        yield _as_text(lines[:start])
    if is_nbconvert:
        # nbconvert writes the text of the cells between as comments, below two empty lines.
        after = code[-1] + 1
        end = next((number for number in range(after, len(lines)) if lines[number].startswith("#")), len(lines))
        end = end if end > after and not lines[end - 1].strip() else len(lines)
    yield Part(is_code=True, source="\n".join(lines[start:end]).strip("\n"), tags=part.tags)
    yield _as_text(lines[end:])


def _as_text(lines: Sequence[str]) -> Part:
    shown = [_COMMENT.sub("", line) for line in lines if not line.startswith(("#!", "# coding", "# -*-"))]
    return Part(is_code=False, source="\n".join(shown).strip("\n"))
