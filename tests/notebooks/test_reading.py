"""Reading notebooks: formats, notebook syntax, and files that are none."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from modelwright.errors import NotebookCorrupt, NotebookMissing
from modelwright.notebooks import reading


def read_cells(folder: Path, *sources: str) -> object:
    path = folder / "book.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(each) for each in sources]), path)
    return reading.read(path)


def test_code_cells_are_numbered_as_a_fresh_run_does(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    cells = [new_markdown_cell("# Title"), new_code_cell("x = 1"), new_code_cell("  \n"), new_code_cell("y = 2")]
    nbformat.write(new_notebook(cells=cells), path)
    assert [(each.number, each.source) for each in reading.read(path).cells] == [(1, "x = 1"), (2, "y = 2")]


def test_version_3_is_read(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": ["x = 1\n", "y = x"], "language": "python", "outputs": [], "metadata": {}}
    book = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]}
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(book))
    assert reading.read(path).cells[0].source == "x = 1\ny = x"


@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1\n", "steers the notebook's display only"),
        ("%load_ext autoreload\nx = 1", "\nx = 1\n", "steers the notebook's display only"),
        ("!pip install foo\nx = 1", "\nx = 1\n", "installs packages; the project has locked requirements instead"),
        ("%pip install foo\nx = 1", "\nx = 1\n", "installs packages; the project has locked requirements instead"),
        ("!ls -l\nx = 1", "\nx = 1\n", "a shell command"),
        ("x = 1\nx?", "x = 1\n\n", "shows help"),
        ("%%time\nx = 1", "\nx = 1\n", "measures or captures; the lines below it are kept"),
        ("if True:\n    %who\nx = 1", "if True:\n    pass\nx = 1\n", "a notebook command"),
    ],
)
def test_notebook_syntax_goes_with_a_reason_and_lines_stay(tmp_path: Path, source: str, code: str, reason: str) -> None:
    notebook = reading.read(_written(tmp_path, source))
    assert notebook.cells[0].code == code
    assert [each.reason for each in notebook.removals] == [reason]


@pytest.mark.parametrize("source", ["x = 10\ny = (x\n% 3)", 'text = """\n%matplotlib inline\n!ls\n"""'])
def test_percent_and_bang_in_plain_python_are_kept(tmp_path: Path, source: str) -> None:
    notebook = reading.read(_written(tmp_path, source))
    assert notebook.cells[0].code.rstrip("\n") == source
    assert notebook.removals == ()


def test_cell_of_another_language_goes_as_a_whole(tmp_path: Path) -> None:
    notebook = reading.read(_written(tmp_path, "%%bash\nls -l"))
    assert notebook.cells[0].code == ""
    assert notebook.removals[0].source == "%%bash\nls -l"


def test_value_of_a_shell_command_is_an_error_finding(tmp_path: Path) -> None:
    notebook = reading.read(_written(tmp_path, "files = !ls"))
    assert [(each.code, each.is_error) for each in notebook.findings] == [("magic-value", True)]


def test_digest_follows_the_sources_only(tmp_path: Path) -> None:
    one = reading.read(_written(tmp_path, "x = 1"))
    path = tmp_path / "other.ipynb"
    cell = new_code_cell("x = 1", execution_count=7)
    nbformat.write(new_notebook(cells=[new_markdown_cell("words"), cell]), path)
    assert reading.read(path).digest == one.digest
    assert reading.read(_written(tmp_path, "x = 2")).digest != one.digest


def test_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotebookMissing, match=r"there is no notebook .*none\.ipynb"):
        reading.read(tmp_path / "none.ipynb")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty"),
        ("{", "it is not JSON"),
        ("[1, 2]", "not of a notebook"),
        ('{"cells": 3, "nbformat": 4}', "its structure is wrong"),
        ('{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "no code cells"),
    ],
)
def test_corrupt_file_says_what_is_wrong(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(content)
    with pytest.raises(NotebookCorrupt, match=reason):
        reading.read(path)


def test_bytes_that_are_no_text_are_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(NotebookCorrupt, match="its bytes cannot be read"):
        reading.read(path)


def test_invalid_python_names_cell_and_line(tmp_path: Path) -> None:
    with pytest.raises(NotebookCorrupt, match="cell 2, line 2 is no valid Python"):
        read_cells(tmp_path, "x = 1", "y = 2\nz = = 3")


def _written(folder: Path, source: str) -> Path:
    path = folder / "book.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    return path
