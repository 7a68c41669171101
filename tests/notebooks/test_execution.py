"""Notebooks run in real kernels."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import psutil
import pytest

from modelwright.errors import KernelDied, KernelMissing, NotebookRaised, NotebookTimedOut, NotebookTooLarge
from modelwright.notebooks import execution, kernels
from modelwright.records import ProbePoint
from modelwright.settings import child_environment

PYTHON = Path(sys.executable)


@pytest.fixture
def run(make, tmp_path):
    """Return a function that runs a notebook's text."""

    def ran(text: str, **options: object):
        given = {"python": PYTHON, "folder": tmp_path / "work", "environment": child_environment(), **options}
        return execution.execute(make(text, "user/book.ipynb"), **given)

    (tmp_path / "user").mkdir()
    return ran


def test_values_are_seen_right_after_their_lines(run) -> None:
    text = "x = 1.0\nx = x + 0.1\nprint('hello')\nx\n# ---\ny = x * 2\nx = 'gone'"
    probe = [
        ProbePoint(1, 1, "metric", "first", "x"),
        ProbePoint(1, 2, "metric", "second", "x"),
        ProbePoint(2, 1, "metric", "third", "y"),
        ProbePoint(2, 2, "metric", "bad", "x"),
    ]
    seen = run(text, probe=probe)
    assert seen.metrics == {"first": 1.0, "second": 1.1, "third": 2.2}
    assert seen.unseen == {"bad": "ValueError: could not convert string to float: 'gone'"}
    assert seen.outputs == ((1, "hello\n1.1\n"), (2, ""))


def test_users_folder_is_left_as_it_was(run, tmp_path: Path) -> None:
    user = tmp_path / "user"
    (user / "data").mkdir()
    (user / "data" / "a.txt").write_text("one")
    (user / ".hidden").mkdir()
    text = "from pathlib import Path\nPath('data/a.txt').write_text('two')\nPath('new').touch()"
    seen = run(text)
    assert (user / "data" / "a.txt").read_text() == "one"
    assert sorted(each.name for each in user.iterdir()) == [".hidden", "book.ipynb", "data"]
    assert (seen.folder / "data" / "a.txt").read_text() == "two"
    assert not (seen.folder / ".hidden").exists()


def test_empty_folder_is_there_to_write_into(run, tmp_path: Path) -> None:
    (tmp_path / "user" / "models").mkdir()
    seen = run("open('models/a.txt', 'w').close()")
    assert (seen.folder / "models" / "a.txt").exists()


def test_given_files_stand_in_the_copy(run, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("model")
    seen = run("print(open('out/model.bin').read())", files={"out/model.bin": tmp_path / "model.bin"})
    assert seen.outputs == ((1, "model\n"),)


def test_cell_that_raises_is_named_with_its_line_and_frames(run) -> None:
    text = "x = 1\n# ---\ndef divide(a):\n    return a / 0\n\n\nprint(1)\ndivide(x)"
    with pytest.raises(NotebookRaised) as caught:
        run(text, probe=[ProbePoint(2, 5, "metric", "x", "x")])
    assert str(caught.value) == (
        '"book.ipynb" raised in cell 2, line 6: ZeroDivisionError: division by zero\n  divide(x)\n'
        "    in divide: return a / 0"
    )


def test_cell_that_runs_too_long_is_ended(run) -> None:
    with pytest.raises(NotebookTimedOut, match=r"cell 1 ran longer than 0\.5 s"):
        run("import time\nwhile True:\n    time.sleep(0.05)", timeout_seconds=0.5)


def test_kernel_that_dies_is_reported(run) -> None:
    with pytest.raises(KernelDied, match="ended its kernel in cell 1"):
        run("import os\nos._exit(3)")


def test_python_without_a_kernel_is_reported(run, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    with pytest.raises(KernelMissing) as caught:
        run("x = 1", python=tmp_path / "bare" / "bin" / "python")
    assert caught.value.next_command.endswith("bin/python -m pip install ipykernel")


def test_folder_that_is_too_large_is_not_copied(run, tmp_path: Path) -> None:
    with (tmp_path / "user" / "huge.bin").open("wb") as file:
        file.truncate(3 * 1024**3)
    with pytest.raises(NotebookTooLarge):
        run("x = 1")
    assert not (tmp_path / "work" / "notebook" / "huge.bin").exists()


def test_no_kernel_is_left_after_a_run(run, tmp_path: Path) -> None:
    seen = run("import os\nprint(os.getpid())")
    assert not psutil.pid_exists(int(seen.outputs[0][1]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_kernel_ends_with_its_parent(make, tmp_path: Path, number) -> None:
    (tmp_path / "user").mkdir()
    os.mkfifo(tmp_path / "told")
    cell = "import os, signal\nwith open({!r}, 'w') as told:\n    told.write(str(os.getpid()))\nsignal.pause()"
    make(cell.format(str(tmp_path / "told")), "user/book.ipynb")
    script = tmp_path / "host.py"
    script.write_text(
        textwrap.dedent(f"""
        import os
        import sys
        from pathlib import Path
        from modelwright.notebooks import execution, reading
        notebook = reading.read(Path({str(tmp_path / "user" / "book.ipynb")!r}))
        folder = Path({str(tmp_path / "work")!r})
        execution.execute(notebook, python=Path(sys.executable), folder=folder, environment=dict(os.environ))
        """)
    )
    host = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    kernel = psutil.Process(int(_told(tmp_path / "told")))
    os.kill(host.pid, number)
    host.wait(120)
    kernel.wait(timeout=120)


def _told(pipe: Path) -> str:
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([reading], [], [], 300)[0], "the kernel never ran the cell"
    return os.read(reading, 100).decode()


LOSES_A_REPLY = """
from pathlib import Path
if not Path({mark!r}).exists():
    Path({mark!r}).touch()
    session = get_ipython().kernel.session
    send = session.send
    session.send = lambda stream, kind, *a, **k: None if kind == "execute_reply" else send(stream, kind, *a, **k)
"""


def test_a_notebook_whose_kernel_loses_a_reply_runs_again(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "_REPLY_SECONDS", 1.0)
    mark = str(tmp_path / "mark")
    found = run(LOSES_A_REPLY.format(mark=mark) + "\n# ---\nprint('once')\n")
    assert found.outputs[1] == (2, "once\n")


def test_a_kernel_that_loses_every_reply_is_told_of(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "_REPLY_SECONDS", 0.05)
    code = LOSES_A_REPLY.format(mark=str(tmp_path / "mark")).replace(".touch()", ".exists()")
    with pytest.raises(KernelDied):
        run(code)
