"""Notebooks run from top to bottom in a fresh kernel, on a copy of their folder, with a look at chosen values."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelwright import processes
from modelwright.errors import (
    CommandTimedOut,
    KernelDied,
    KernelMissing,
    NotebookRaised,
    NotebookTimedOut,
    NotebookTooLarge,
)
from modelwright.records import Cell, Notebook, NotebookRun, ProbePoint

_WORKER = Path(__file__).with_name("worker.py")
# More than this is no folder of a notebook but a home or a disk of data.
_COPY_LIMIT_BYTES = 2 * 1024**3
_START_SECONDS = 120.0
_FRAMES_SHOWN = 3


def execute(
    notebook: Notebook,
    *,
    python: Path,
    folder: Path,
    environment: Mapping[str, str],
    probe: Sequence[ProbePoint] = (),
    files: Mapping[str, Path] | None = None,
    timeout_seconds: float = 600.0,
) -> NotebookRun:
    """Run the notebook in a fresh kernel of `python`; return what was printed and what the probe's points gave.

    The notebook's own folder is copied into `folder` and never touched; `files` are put into the copy, by their path
    relative to it. A cell may take `timeout_seconds`.

    Raises NotebookRaised, NotebookTimedOut, NotebookTooLarge, KernelMissing and KernelDied.
    """
    started = time.monotonic()
    version = _kernel_version(python, folder=folder, environment=environment)
    copy, seen_folder = folder / "notebook", folder / "seen"
    _copy_folder(notebook.path.parent, copy, skip=folder)
    for relative, source in (files or {}).items():
        (copy / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy / relative)
    seen_folder.mkdir(parents=True, exist_ok=True)
    with _kernel(python, copy, environment=environment, timeout_seconds=timeout_seconds) as client:
        outputs = tuple(
            (cell.number, _run_cell(client, cell, notebook, probe=probe, seen_folder=seen_folder))
            for cell in notebook.cells
        )
    return _gathered(notebook, version, outputs, seen_folder, copy, time.monotonic() - started)


def _kernel_version(python: Path, *, folder: Path, environment: Mapping[str, str]) -> str:
    """Return the Python version of `python`. Raises KernelMissing when it cannot start a kernel."""
    folder.mkdir(parents=True, exist_ok=True)
    # Found rather than imported: an import takes a second, and the kernel does it anyway.
    code = "import platform, importlib.util as u; u.find_spec('ipykernel').name; print(platform.python_version())"
    try:
        done = processes.run(
            [python, "-c", code], folder=folder, environment=environment, timeout_seconds=_START_SECONDS
        )
    except CommandTimedOut as error:
        raise KernelMissing(python=python) from error
    if done.returncode:
        raise KernelMissing(python=python)
    return done.stdout.strip()


# --- the copy ---


def _copy_folder(source: Path, target: Path, *, skip: Path) -> None:
    """Copy the notebook's folder without environments, hidden folders and other projects."""
    paths = (place / name for place, _, names in _walk(source, skip) for name in names)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if size > _COPY_LIMIT_BYTES:
        raise NotebookTooLarge(folder=source, size_bytes=size, limit_bytes=_COPY_LIMIT_BYTES)
    target.mkdir(parents=True, exist_ok=True)
    for place, _, names in _walk(source, skip):
        # Empty folders too: the notebook may write into them.
        copy = target / place.relative_to(source)
        copy.mkdir(exist_ok=True)
        for name in names:
            if (place / name).is_file():
                shutil.copy2(place / name, copy / name)


def _walk(source: Path, skip: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Go through the notebook's folders, those above first, with the names of what lies in each."""
    skipped = skip.absolute()
    for place, folders, names in os.walk(source):
        folders[:] = sorted(
            each for each in folders if _belongs(Path(place, each)) and Path(place, each).absolute() != skipped
        )
        yield Path(place), folders, sorted(names)


def _belongs(folder: Path) -> bool:
    is_foreign = (folder / "pyvenv.cfg").exists() or (folder / "wright.toml").exists()
    return not folder.name.startswith(".") and folder.name not in {"__pycache__", "node_modules"} and not is_foreign


# --- the kernel ---


@contextlib.contextmanager
def _kernel(python: Path, folder: Path, *, environment: Mapping[str, str], timeout_seconds: float) -> Iterator[Any]:
    """Start a kernel that ends with us; give the client that runs cells in it."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbformat.v4 import new_notebook

    command: list[str | Path] = [python, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    # The guard ends the kernel when this pipe's writing end closes, as it does when we die.
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="wright-kernel-") as private:
        # Sockets in a private folder rather than TCP ports: nobody else on the machine can talk to the kernel.
        manager = AsyncKernelManager(
            connection_file=str(Path(private, "kernel.json")), transport="ipc", ip=str(Path(private, "ipc"))
        )
        manager._kernel_spec = KernelSpec(  # noqa: SLF001 - the manager looks up installed specs only; ours is not
            argv=processes.guarded(command), display_name="Python 3", language="python"
        )
        client = NotebookClient(
            new_notebook(),
            km=manager,
            timeout_func=lambda _cell: timeout_seconds,
            kernel_name="python3",
            startup_timeout=int(_START_SECONDS),
        )
        # The user's own start-up files and history must not take part, nor be written to.
        variables = {**environment, "IPYTHONDIR": private, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        group = 0
        try:
            with client.setup_kernel(
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=str(folder),
                env=variables,
                cleanup_kc=True,
            ):
                provisioned: Any = manager.provisioner
                group = os.getpgid(provisioned.pid)
                yield client
        finally:
            # Asked to end above; a kernel that could not, being busy, is made to, with what it started.
            with contextlib.suppress(ProcessLookupError):
                if group:
                    os.killpg(group, signal.SIGKILL)
            os.close(reading)
            os.close(writing)


def _run_cell(client: Any, cell: Cell, notebook: Notebook, *, probe: Sequence[ProbePoint], seen_folder: Path) -> str:
    """Run a cell up to each of its points, looking there; return what it printed."""
    points = [each for each in probe if each.cell == cell.number]
    lines = cell.code.splitlines()
    stops = sorted({min(each.line, len(lines)) for each in points})
    printed, done = "", 0
    for stop in [*stops, len(lines)]:
        code = _in_place(lines, done, stop)
        if code.strip("#\n "):
            printed += _run_code(client, code, cell, notebook)
        done = stop
        here = [asdict(each) for each in points if min(each.line, len(lines)) == stop]
        if here:
            look = f'__import__("runpy").run_path({str(_WORKER)!r})["look"](globals(), {here!r}, {str(seen_folder)!r})'
            _run_code(client, look, cell, notebook)
            points = [each for each in points if min(each.line, len(lines)) != stop]
    return printed


def _in_place(lines: Sequence[str], start: int, stop: int) -> str:
    """Return lines of a cell under as many empty comments as lie above, so that tracebacks name the cell's lines.

    IPython strips empty lines at the top, and would count from below them.
    """
    first = next((number for number in range(start, stop) if lines[number].strip()), stop)
    return "#\n" * first + "\n".join(lines[first:stop])


def _run_code(client: Any, code: str, cell: Cell, notebook: Notebook) -> str:
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat.v4 import new_code_cell

    executed = new_code_cell(code)
    client.nb.cells = [executed]
    try:
        client.execute_cell(executed, 0)
    except CellExecutionError as error:
        raise _raised(client, error, cell, notebook) from error
    except CellTimeoutError as error:
        raise NotebookTimedOut(
            notebook=notebook.path.name, cell=cell.number, timeout_seconds=client.timeout_func(executed)
        ) from error
    except DeadKernelError as error:
        raise KernelDied(notebook=notebook.path.name, cell=cell.number) from error
    return "".join(_printed(each) for each in executed.outputs)


def _printed(output: Any) -> str:
    if output.output_type == "stream" and output.name == "stdout":
        return str(output.text)
    if output.output_type in {"execute_result", "display_data"}:
        return str(output.data.get("text/plain", "")) + "\n"
    return ""


def _raised(client: Any, error: Any, cell: Cell, notebook: Notebook) -> NotebookRaised:
    """Return the error with the place in the cell, asked of the kernel, and the user's last frames below it."""
    from nbformat.v4 import new_code_cell

    asking = new_code_cell(f'print(__import__("runpy").run_path({str(_WORKER)!r})["place_of_error"]())')
    client.execute_cell(asking, 0)
    frames = json.loads("".join(_printed(each) for each in asking.outputs) or "[]")
    inside = [number for number, each in enumerate(frames) if each[2] == "<module>" and "ipykernel" in each[0]]
    place = inside[0] if inside else None
    line = frames[place][1] if place is not None else 1
    lines = cell.code.splitlines()
    below = frames[place + 1 :][-_FRAMES_SHOWN:] if place is not None else []
    return NotebookRaised(
        notebook=notebook.path.name,
        cell=cell.number,
        line=line,
        ename=error.ename,
        evalue=error.evalue,
        statement=lines[line - 1].strip() if line <= len(lines) else "",
        frames="".join(f"\n    in {name}{_place(file, number)}: {text}" for file, number, name, text in below),
    )


def _place(file: str, number: int) -> str:
    """Return a frame's file and line; cells have no file that the user knows."""
    return "" if "ipykernel" in file else f", {Path(file).name}:{number}"


# --- what was seen ---


def _gathered(
    notebook: Notebook,
    version: str,
    outputs: tuple[tuple[int, str], ...],
    seen_folder: Path,
    copy: Path,
    elapsed_seconds: float,
) -> NotebookRun:
    file = seen_folder / "seen.jsonl"
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    good = [each for each in entries if "value" in each]

    def one(kind: str) -> Any:
        return next((each["value"] for each in good if each["kind"] == kind), None)

    rows = seen_folder / "rows.pickle"
    return NotebookRun(
        notebook=notebook.path.name,
        python_version=version,
        outputs=outputs,
        metrics={each["name"]: each["value"] for each in good if each["kind"] == "metric"},
        parts={each["name"]: each["value"] for each in good if each["kind"] == "part"},
        overlaps={each["name"]: each["value"] for each in good if each["kind"] == "overlap"},
        rows_file=rows if rows.exists() else None,
        rows=one("rows"),
        predictions=one("predictions"),
        certainty=one("certainty"),
        answer=one("answer"),
        unseen={each["name"]: each["error"] for each in entries if "error" in each},
        folder=copy,
        elapsed_seconds=elapsed_seconds,
    )
