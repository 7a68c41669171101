"""Reading notebooks: formats, notebook syntax, and files that are none."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from modelwright.errors import NotebookCorrupt, NotebookMissing, NotebookNotConvertible
from modelwright.notebooks import reading
from modelwright.records import Notebook


def read_cells(folder: Path, *sources: str) -> Notebook:
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
        ("if True:\n    %who\nx = 1", "if True:\n    pass\nx = 1\n", "shows something to the reader only"),
        ("% matplotlib inline\nx = 1", "\nx = 1\n", "steers the notebook's display only"),
        ("x = 1\n%store x", "x = 1\n\n", "a notebook command"),
        ("%timeit f()\nx = 1", "\nx = 1\n", "runs many times to measure, and binds nothing"),
        ("%time x = f()", "x = f()\n", "measures; the statement itself is kept"),
        ("%time model.fit(X, y)", "model.fit(X, y)\n", "measures; the statement itself is kept"),
        ("x = %time f()", "x = f()\n", "measures; the statement itself is kept"),
        ("if a:\n    %time f()", "if a:\n    f()\n", "measures; the statement itself is kept"),
        ("%prun -l 10 -s cumulative f()", "f()\n", "measures; the statement itself is kept"),
        ("%lprun -f g f()", "f()\n", "measures; the statement itself is kept"),
        ("%%timeit -n 3\nf()", "\nf()\n", "measures or captures; the lines below it are kept"),
        ("%%timeit\nx = f()", "", "runs many times to measure, and binds nothing"),
        (
            "!pip install a \\\n  b\nx = 1",
            "\n\nx = 1\n",
            "installs packages; the project has locked requirements instead",
        ),
        ("%cd data", 'import os; os.chdir("data")\n', "written in plain Python instead"),
        ("%cd ~/data", 'import os; os.chdir(os.path.expanduser("~/data"))\n', "written in plain Python instead"),
        ("%cd {base}/a", 'import os; os.chdir(f"{base}/a")\n', "written in plain Python instead"),
        ("%env A=1", 'import os; os.environ["A"] = "1"\n', "written in plain Python instead"),
        ("%set_env A b c", 'import os; os.environ["A"] = "b c"\n', "written in plain Python instead"),
        ("here = %pwd", "import os; here = os.getcwd()\n", "written in plain Python instead"),
        ("!mkdir -p a/b", 'import os; os.makedirs("a/b", exist_ok=True)\n', "written in plain Python instead"),
        ("pwd", "", "shows something to the reader only"),
        ("pip install a", "", "installs packages; the project has locked requirements instead"),
        (
            "get_ipython().run_line_magic('matplotlib', 'inline')\nx = 1",
            "\nx = 1\n",
            "steers the notebook's display only",
        ),
        ("get_ipython().system('pip install a')", "", "installs packages; the project has locked requirements instead"),
        (
            "if a:\n    get_ipython().magic('matplotlib inline')",
            "if a:\n    pass\n",
            "steers the notebook's display only",
        ),
        (
            "%config InteractiveShell.ast_node_interactivity = 'all'",
            (
                "from IPython.core.interactiveshell import InteractiveShell; "
                "InteractiveShell.ast_node_interactivity = 'all'\n"
            ),
            "written in plain Python instead",
        ),
        (
            '%%writefile a.py\nx = "\\n"',
            'from pathlib import Path; Path("a.py").write_text("""\\\nx = "\\\\n"\n""", encoding="utf-8")\n',
            "written in plain Python instead",
        ),
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
    assert [(each.code, each.is_error) for each in notebook.findings] == [("shell-command", False)]
    used = reading.read(_written(tmp_path, "files = !ls\nprint(files)"))
    assert ("magic-value", True) in [(each.code, each.is_error) for each in used.findings]


@pytest.mark.parametrize(
    ("source", "is_lost"),
    [
        ("%%capture out\nx = 1", False),
        ("%%capture out\nx = 1\nout.show()", True),
        ("a = !ls\na = 2\nprint(a)", False),
        ("a = []\na = !ls\nprint(a)", True),
        ("t = %timeit -o f()\nprint(t.best)", True),
    ],
)
def test_a_value_that_only_the_notebook_had_is_an_error_where_it_is_used(
    tmp_path: Path, source: str, is_lost: bool
) -> None:
    found = {each.code for each in reading.read(_written(tmp_path, source)).findings}
    assert ("magic-value" in found) == is_lost


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("!wget x", "shell-command"),
        ("%%bash\nls", "shell-command"),
        ("%store -r x", "notebook-command"),
        ("%%sql\nselect 1", "other-language"),
        ("%%R\nx <- 1", "other-language"),
        ("shell = get_ipython()", "asks-notebook"),
        ("%run missing.py", "run-not-inlined"),
        ("if True:\n    %run missing.py", "run-not-inlined"),
        ("%run book.ipynb", "run-not-inlined"),
    ],
)
def test_what_is_not_run_is_a_finding(tmp_path: Path, source: str, code: str) -> None:
    assert [each.code for each in reading.read(_written(tmp_path, source)).findings] == [code]


@pytest.mark.parametrize("source", ["%%html\n<b>x</b>", "%%javascript\nalert(1)", "%%latex\nx", "!nvidia-smi", "%whos"])
def test_what_only_shows_something_is_no_finding(tmp_path: Path, source: str) -> None:
    notebook = reading.read(_written(tmp_path, source))
    assert (notebook.findings, len(notebook.removals)) == ((), 1)


@pytest.mark.parametrize(
    ("source", "requirements"),
    [
        ("!pip install -q a b==1 'c[x]>=2' --upgrade", ("a", "b==1", "c[x]>=2")),
        ("%pip install a  # comment", ("a",)),
        ("!{sys.executable} -m pip install a", ("a",)),
        ("!python3 -m pip install --index-url https://x a && ls", ("a",)),
        ("%conda install -y -c conda-forge a=1.2 python=3.9", ("a==1.2",)),
        ("!pip install -r needed.txt", ("d>=1", "e")),
        ("!pip install git+https://example.org/x.git ./local a.whl", ()),
        ("!pip freeze", ()),
        ("%%bash\npip install a\npip install b", ("a", "b")),
    ],
)
def test_installed_packages_are_requirements(tmp_path: Path, source: str, requirements: tuple[str, ...]) -> None:
    (tmp_path / "needed.txt").write_text("# needed\nd>=1  # why\n--hash=x\ne\n")
    notebook = reading.read(_written(tmp_path, source))
    assert notebook.requirements == requirements
    assert notebook.findings == ()


def test_written_file_is_known(tmp_path: Path) -> None:
    notebook = reading.read(_written(tmp_path, "%%writefile helpers.py\ndef f():\n    return 1"))
    assert notebook.written_files == (("helpers.py", "def f():\n    return 1\n"),)


def test_code_that_writes_a_file_writes_the_cells_text(tmp_path: Path) -> None:
    text = 'a = """x"""\nb = "\\\\n\\t"\n'
    notebook = reading.read(_written(tmp_path, f"%%writefile {tmp_path}/out.py\n{text}"))
    exec(compile(notebook.cells[0].code, "cell", "exec"), {})
    assert (tmp_path / "out.py").read_text() == text


def test_code_of_files_that_are_run_stands_in_the_commands_place(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("from __future__ import division\nseed = 1\n")
    inner = [new_markdown_cell("# Not ours"), new_code_cell("%run settings\n%matplotlib inline\na = seed")]
    nbformat.write(new_notebook(cells=inner), tmp_path / "setup.ipynb")
    notebook = reading.read(_written(tmp_path, "x = 0\n%run setup.ipynb\nb = a"))
    names: dict[str, object] = {}
    exec(notebook.cells[0].code, names)
    assert (names["seed"], names["b"]) == (1, 1)
    assert {each.notebook for each in notebook.removals} == {"setup.ipynb", "book.ipynb"}
    (tmp_path / "settings.py").write_text("seed = 2\n")
    assert reading.read(tmp_path / "book.ipynb").digest != notebook.digest


def test_files_that_run_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# %%\n# %run b.py\n")
    (tmp_path / "b.py").write_text("# %%\n# %run a.py\n")
    finding = reading.read(tmp_path / "a.py").findings[0]
    assert (finding.code, finding.is_error) == ("run-not-inlined", True)


def test_pylab_becomes_imports_of_what_is_used(tmp_path: Path) -> None:
    sources = (
        "%pylab inline\nx = linspace(0, 1)",
        "plot(x, sin(x))\nplt.show()\nnp.sum(x)\ndef f(size): return cos(size)",
    )
    notebook = read_cells(tmp_path, *sources, "f(1)")
    assert notebook.cells[0].code == (
        "import numpy as np; import matplotlib.pyplot as plt; from matplotlib.pylab import cos, linspace, plot, sin\n"
        "x = linspace(0, 1)\n"
    )


def test_outline_text_tags_and_stored_results_come_with_a_cell(tmp_path: Path) -> None:
    shown = nbformat.v4.new_output("execute_result", {"text/plain": "0.5"})
    printed = nbformat.v4.new_output("stream", name="stdout", text="hello\n")
    cells = [
        new_markdown_cell("# Title\n\nIntroduction."),
        new_code_cell("import os"),
        new_markdown_cell("Titled\n------\n```\n# no heading\n```"),
        new_markdown_cell("<h3>**Deep** [link](x):</h3> words"),
        new_code_cell("x = 1", metadata={"tags": ["parameters"]}, outputs=[printed, shown]),
        new_markdown_cell("## Next"),
        new_code_cell("y = 1"),
        new_code_cell("z = 1"),
    ]
    path = tmp_path / "book.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    one, two, three, four = reading.read(path).cells
    assert (one.heading, one.section, one.markdown) == ("Title", ("Title",), "# Title\n\nIntroduction.")
    assert (two.heading, two.section) == ("Deep link", ("Title", "Titled", "Deep link"))
    assert (two.tags, two.outputs_text) == (frozenset({"parameters"}), "hello\n0.5\n")
    assert two.markdown.endswith("words")
    assert (three.section, three.markdown, three.outputs_text) == (("Title", "Next"), "## Next", None)
    assert (four.section, four.markdown) == (("Title", "Next"), "")


def test_percent_script_is_read(tmp_path: Path) -> None:
    path = tmp_path / "book.py"
    path.write_text(
        "# %% [markdown]\n# # Title\n\n# %% tags=['keep']\n# %matplotlib inline\nx = 1\n\n#%% Fit\n# a note\ny = 2\n"
    )
    one, two = reading.read(path).cells
    assert (one.code, one.heading, one.tags) == ("\nx = 1\n", "Title", frozenset({"keep"}))
    assert (two.source, two.section) == ("# a note\ny = 2", ("Title", "Fit"))


def test_gallery_script_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plot_it.py"
    path.write_text(
        '"""\n=====\nTitle\n=====\n\nWords.\n"""\n# a note\nimport os\n\n'
        "# %%\n# Load\n# ----\n# Text.\nx = 1\n\n# %%\n# End.\n"
    )
    one, two = reading.read(path).cells
    assert (one.source, one.heading) == ("# a note\nimport os", "Title")
    assert (two.source, two.section, two.markdown) == ("x = 1", ("Title", "Load"), "Load\n----\nText.")


def test_script_that_nbconvert_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "book.py"
    path.write_text(
        "#!/usr/bin/env python\n# coding: utf-8\n\n# # Title\n\n# In[1]:\n\n\nx = 1\n\n\n# ## Fit\n\n# In[2]:\n\n\n"
        "get_ipython().run_line_magic('matplotlib', 'inline')\ny = 2\n"
    )
    one, two = reading.read(path).cells
    assert (one.source, one.heading, two.code, two.heading) == ("x = 1", "Title", "\ny = 2\n", "Fit")


def test_plain_script_is_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "book.py"
    path.write_text("x = 1\ny = 2\n")
    assert [each.code for each in reading.read(path).cells] == ["x = 1\ny = 2\n"]


def test_cell_that_fails_on_purpose_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    cell = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    nbformat.write(new_notebook(cells=[new_code_cell("x = 1"), cell]), path)
    notebook = reading.read(path)
    assert notebook.cells[1].code == ""
    assert [(each.code, each.cell) for each in notebook.findings] == [("raises-on-purpose", 2)]
    assert notebook.removals[0].source == "1 / 0"


def test_notebook_of_another_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    kernel = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    nbformat.write(new_notebook(cells=[new_code_cell("x <- 1")], metadata=kernel), path)
    with pytest.raises(NotebookNotConvertible, match="it is a notebook in R") as caught:
        reading.read(path)
    assert caught.value.facts["finding"].code == "not-python"


def test_python_2_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(NotebookCorrupt, match="the notebook is in Python 2"):
        read_cells(tmp_path, "print 'x'")


def test_secrets_in_commands_are_not_told(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    notebook = reading.read(
        _written(tmp_path, f"!git clone https://{token}@github.com/a/b\n%env API_KEY=0123456789abcdefXY")
    )
    told = repr((notebook.removals, notebook.findings))
    assert token not in told
    assert "0123456789abcdefXY" not in told


def test_future_imports_and_await_are_valid_where_notebooks_allow_them(tmp_path: Path) -> None:
    assert len(read_cells(tmp_path, "x = 1\nfrom __future__ import division", "await f()").cells) == 2


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
    with pytest.raises(NotebookCorrupt, match=r"cell 1, line 4 is no valid Python \(unindent"):
        read_cells(tmp_path, "%matplotlib inline\nif True:\n        x = 1\n    y = 2")


def _written(folder: Path, source: str) -> Path:
    path = folder / "book.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    return path
